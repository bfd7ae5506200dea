import dataclasses

import pytest

from engine.errors import RunNotFoundError
from engine.traces.store import TraceStore
from tests.traces.synthetic import MODEL, make_chunks, make_document, make_spec

DOCUMENT = make_document()
CHUNKS = make_chunks([DOCUMENT])
SPEC = make_spec([DOCUMENT], CHUNKS)


def test_runs(store: TraceStore, finished: str) -> None:
    with store.create_run(SPEC, [DOCUMENT], CHUNKS, model=MODEL, model_path="models/tiny.gguf") as writer:
        newest, oldest = store.list_runs()
        assert (newest.run_id, newest.status, newest.chunks_done) == (writer.run_id, "running", 0)
        assert (newest.answer, newest.model_path, newest.mode) == (None, "models/tiny.gguf", "extractive")
        assert newest.spec == SPEC
        assert (oldest.run_id, oldest.status, oldest.is_finished) == (finished, "finished", True)
        assert oldest.chunks_done == oldest.chunks_total == len(CHUNKS)
        assert [place.content_hash for place in oldest.documents] == [DOCUMENT.content_hash]
        assert newest.created_at > oldest.created_at
        assert newest.created_at.tzinfo is not None
    assert [run.run_id for run in store.list_runs(1)] == [writer.run_id]


def test_a_run_by_the_beginning_of_its_id(store: TraceStore, finished: str) -> None:
    assert store.get_run(finished[:10]).run_id == finished
    with store.create_run(SPEC, [DOCUMENT], CHUNKS, model=MODEL):
        with pytest.raises(RunNotFoundError, match="Several"):
            store.get_run(finished[:4])
        assert store.get_run(finished).run_id == finished
    for unknown in ("x", "%", ""):
        with pytest.raises(RunNotFoundError, match="No run"):
            store.get_run(unknown)


def test_resumable(store: TraceStore, finished: str) -> None:
    assert store.find_resumable(SPEC) == []
    with store.create_run(SPEC, [DOCUMENT], CHUNKS, model=MODEL) as writer:
        assert store.find_resumable(SPEC) == []
    assert [run.run_id for run in store.find_resumable(SPEC)] == [writer.run_id]
    assert store.find_resumable(dataclasses.replace(SPEC, question="Why?")) == []


def test_totals(store: TraceStore, finished: str) -> None:
    totals = store.totals(finished)
    calls = list(store.calls(finished))
    assert totals.num_calls == len(calls)
    assert totals.prompt_tokens == sum(call.prompt_tokens for call in calls)
    assert totals.cached_tokens == sum(call.cached_tokens for call in calls)
    assert totals.completion_tokens == sum(call.completion_tokens for call in calls)
    assert totals.prefill_s == sum(call.prefill_s for call in calls)
    assert totals.wall_s > 0


def test_totals_of_an_empty_run(store: TraceStore) -> None:
    with store.create_run(SPEC, [DOCUMENT], CHUNKS, model=MODEL) as writer:
        assert store.totals(writer.run_id).num_calls == 0


def test_deleting_a_run_leaves_what_others_need(store: TraceStore, finished: str) -> None:
    with store.create_run(SPEC, [DOCUMENT], CHUNKS, model=MODEL) as writer:
        pass
    store.delete_run(finished)
    assert store.verify() == []
    assert [run.run_id for run in store.list_runs()] == [writer.run_id]
    assert store.load_document(DOCUMENT.content_hash) == DOCUMENT
    store.delete_run(writer.run_id)
    store.delete_document(DOCUMENT.content_hash)
    assert store.verify() == []
    for table in ("texts", "models", "calls", "steps", "chunks", "pages", "evidence"):
        assert store.db.conn.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,), table


def test_order_of_documents_in_a_run(store: TraceStore) -> None:
    documents = [make_document(4, name="b.pdf", seed=5), make_document(4, name="a.pdf", seed=6)]
    chunks = make_chunks(documents)
    with store.create_run(make_spec(documents, chunks), documents, chunks, model=MODEL) as writer:
        assert [place.name for place in store.get_run(writer.run_id).documents] == ["b.pdf", "a.pdf"]
    assert [row.name for row in store.list_documents()] == ["a.pdf", "b.pdf"]
