import dataclasses
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.documents.model import Document, PageDraft, lay_out
from engine.errors import StoreError
from engine.traces.library import SliceReader
from engine.traces.store import TraceStore
from tests.traces.synthetic import make_document
from tests.traces.test_codec import any_text

drafts = st.lists(st.builds(PageDraft, text=any_text, label=any_text, heading=any_text), max_size=6)


def document_of(pages: list[PageDraft], name: str = "a.txt") -> Document:
    return Document(name=name, path=Path(name), format="text", kind="section", pages=lay_out(pages))


def test_round_trip(store: TraceStore) -> None:
    document = make_document()
    store.add_document(document)
    assert store.load_document(document.content_hash) == document


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(drafts)
def test_any_text_survives(store: TraceStore, pages: list[PageDraft]) -> None:
    document = document_of(pages, "name\x00\ud800.txt")
    store.add_document(document)
    assert store.load_document(document.content_hash) == document
    assert store.verify() == []
    store.delete_document(document.content_hash)
    assert store.verify() == []
    assert store.db.conn.execute("SELECT count(*) FROM texts").fetchone() == (0,)


def test_the_same_text_is_stored_once(store: TraceStore) -> None:
    document = make_document()
    store.add_document(document)
    size = store.db.conn.execute("SELECT count(*) FROM texts").fetchone()
    renamed = dataclasses.replace(
        document,
        name="renamed.pdf",
        pages=tuple(dataclasses.replace(page, label=f"{page.number}/6") for page in document.pages),
    )
    store.add_document(renamed)
    assert store.load_document(document.content_hash) == renamed
    assert store.db.conn.execute("SELECT count(*) FROM texts").fetchone() == size
    assert store.verify() == []
    (row,) = store.list_documents()
    assert (row.name, row.num_pages) == ("renamed.pdf", 6)


def test_size_and_time_of_the_file(store: TraceStore, tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("some text")
    store.add_document(dataclasses.replace(document_of([PageDraft(text="some text")]), path=file))
    (row,) = store.list_documents()
    assert row.size_bytes == 9
    assert row.modified_at == file.stat().st_mtime


def test_unknown_document(store: TraceStore) -> None:
    for method in (store.load_document, store.delete_document):
        with pytest.raises(StoreError, match="no document"):
            method("0" * 64)


def test_a_document_that_was_read_is_not_deleted(store: TraceStore, finished: str) -> None:
    content_hash = store.get_run(finished).documents[0].content_hash
    with pytest.raises(StoreError, match="has read"):
        store.delete_document(content_hash)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.builds(PageDraft, text=st.text("ab\n", max_size=9)), min_size=1, max_size=8), st.data())
def test_slices(store: TraceStore, pages: list[PageDraft], data: st.DataObject) -> None:
    document = document_of(pages)
    store.add_document(document)
    (document_id,) = store.db.conn.execute(
        "SELECT id FROM documents WHERE content_hash = ?", (document.content_hash,)
    ).fetchone()
    start = data.draw(st.integers(0, len(document.text)))
    end = data.draw(st.integers(start, len(document.text)))
    assert SliceReader(store.db).read(document_id, start, end) == document.text[start:end]


def test_token_counts_are_kept_by_model_and_the_last_one_is_listed(store: TraceStore) -> None:
    document = document_of([PageDraft(text="some text")])
    store.add_document(document)
    assert store.token_count(document.content_hash, "a") is None
    assert store.list_documents()[0].num_tokens is None
    store.keep_token_count(document.content_hash, "a", 2)
    store.keep_token_count(document.content_hash, "b", 3)
    assert store.token_count(document.content_hash, "a") == 2
    assert store.list_documents()[0].num_tokens == 3
    store.keep_token_count(document.content_hash, "a", 4)
    assert store.list_documents()[0].num_tokens == 4
    assert store.verify() == []
    store.delete_document(document.content_hash)
    assert store.token_count(document.content_hash, "a") is None
    with pytest.raises(StoreError):
        store.keep_token_count(document.content_hash, "a", 4)
