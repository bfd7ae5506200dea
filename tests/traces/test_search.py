import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.documents.model import PageDraft
from engine.traces.search import match_expression
from engine.traces.store import TraceStore
from tests.traces.test_codec import any_text
from tests.traces.test_library import document_of


def library(store: TraceStore, *texts: str) -> None:
    store.add_document(document_of([PageDraft(text=text, label=f"{n}.") for n, text in enumerate(texts)]))


@pytest.mark.parametrize(
    ("query", "page"),
    [
        ("harbour", 1),
        ("HARBOUR master", 1),
        ("harb", 1),
        ("cafe", 2),
        ("Café", 2),
        ("international", 3),
        ("national", 3),
        ("cooperate", 3),
        ("文書", 4),
        ('"old harbour"', 1),
        ("harbour -master", 1),
        ("NEAR(harbour", None),
        ('"harbour old"', None),
        ("harbour AND cafe", None),
    ],
)
def test_what_is_found(store: TraceStore, query: str, page: int | None) -> None:
    library(
        store,
        "The old harbour and its master.",
        "A café in the hills.",
        "An inter-\nnational body; they co\u00adoperate.",
        "これは長い文書です。",
    )
    hits = store.search(query)
    assert [hit.page for hit in hits] == ([] if page is None else [page])


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(any_text | st.text('"*^():-{}+ aAND OR NOT NEAR'))
def test_no_text_is_an_error(store: TraceStore, query: str) -> None:
    store.search(query)


def test_nothing_to_look_for(store: TraceStore) -> None:
    assert match_expression(' "" -- ?! ') == ""
    assert store.search("") == []


def test_hit(store: TraceStore) -> None:
    library(store, "Nothing here.", "x " * 300 + "the brass\nlantern of the keeper " + "y " * 300)
    (hit,) = store.search("lantern keeper")
    assert (hit.document, hit.page, hit.label) == ("a.txt", 2, "1.")
    assert "brass lantern of the keeper" in hit.snippet
    assert hit.snippet.startswith("… ")
    assert hit.snippet.endswith(" …")
    assert hit.offset == 610


def test_limit_and_order(store: TraceStore) -> None:
    library(store, "lantern " + "x " * 50, "lantern lantern", "x")
    assert [hit.page for hit in store.search("lantern")] == [2, 1]
    assert [hit.page for hit in store.search("lantern", 1)] == [2]


def test_deleted_documents_are_not_found(store: TraceStore) -> None:
    library(store, "harbour")
    store.delete_document(store.list_documents()[0].content_hash)
    assert store.search("harbour") == []


def test_rebuild(store: TraceStore) -> None:
    library(store, "harbour")
    store.db.conn.execute("INSERT INTO pages_fts (pages_fts) VALUES ('delete-all')")
    assert store.search("harbour") == []
    assert store.verify() == ["The search index does not agree with the pages; it can be rebuilt."]
    store.rebuild_index()
    assert len(store.search("harbour")) == 1
    assert store.verify() == []
