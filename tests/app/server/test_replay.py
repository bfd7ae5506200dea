"""The trace gives back the events that the display was shown, number by number."""

import asyncio
from pathlib import Path

import pytest

from app.server.replay import Replay, replay
from app.wire import StreamEvent, record_to_event
from engine.agent.events import Transient
from engine.traces.store import TraceStore
from tests.traces.synthetic import MODEL, make_chunks, make_document, make_spec, records


@pytest.fixture
def store_and_events(tmp_path: Path) -> tuple[Path, str, list[StreamEvent]]:
    """A finished run with retries, incidents and excerpts, and what a live display saw of it."""
    documents = [make_document(20), make_document(8, name="appendix.pdf", seed=1)]
    chunks = make_chunks(documents)
    path = tmp_path / "traces.db"
    seen = []
    with (
        TraceStore(path) as store,
        store.create_run(make_spec(documents, chunks), documents, chunks, model=MODEL) as writer,
    ):
        for record in records(writer.run_id, documents, chunks):
            writer.observe(record)
            if not isinstance(record.event, Transient):
                seen.append(record_to_event(record, [document.name for document in documents]))
        writer.finish("finished")
    assert {event.name for event in seen} == {
        "chunk_started", "call_finished", "incident", "evidence_found", "chunk_finished", "answer_finished"
    }  # fmt: skip
    assert len(seen) > 100
    return path, writer.run_id, seen


def test_replayed_events_are_the_live_ones(store_and_events: tuple[Path, str, list[StreamEvent]]) -> None:
    path, run_id, seen = store_and_events
    with TraceStore(path) as store:
        run = store.get_run(run_id)
        assert list(replay(store, run)) == seen
        for after in range(len(seen)):
            assert list(replay(store, run, after=after)) == seen[after + 1 :], after


def test_a_stopped_run_ends_with_its_last_chunk(tmp_path: Path) -> None:
    document = make_document()
    chunks = make_chunks([document])
    with TraceStore(tmp_path / "traces.db") as store:
        seen: list[StreamEvent] = []
        with store.create_run(make_spec([document], chunks), [document], chunks, model=MODEL) as writer:
            for record in records(writer.run_id, [document], chunks, answer=False):
                if seen and seen[-1].name == "chunk_finished" and len(seen) > 6:
                    break
                writer.observe(record)
                if not isinstance(record.event, Transient):
                    seen.append(record_to_event(record, [document.name]))
            writer.finish("stopped")
        assert list(replay(store, store.get_run(writer.run_id))) == seen


def test_batches_of_the_event_loop_are_the_same(
    store_and_events: tuple[Path, str, list[StreamEvent]],
) -> None:
    path, run_id, seen = store_and_events

    async def scene() -> list[StreamEvent]:
        found = []
        async with Replay(path, run_id, after=3) as trace:
            while batch := await trace.next_batch():
                found += batch
        return found

    assert asyncio.run(scene()) == seen[4:]


def test_a_replay_that_is_left_early_closes_its_store(
    store_and_events: tuple[Path, str, list[StreamEvent]],
) -> None:
    path, run_id, seen = store_and_events

    async def scene() -> None:
        async with Replay(path, run_id) as trace:
            assert await trace.next_batch() == seen[:32]

    asyncio.run(scene())  # an open connection would be a ResourceWarning, and those are errors here


def test_encoding_is_one_line_of_data_whatever_the_text() -> None:
    event = StreamEvent(name="x", data={"text": "a\nb\r\n\u2028\x00ü\udc80"}, sequence=7)
    head, data, number, *end = event.encode().split(b"\n")
    assert head == b"event: x"
    assert data == 'data: {"text":"a\\nb\\r\\n\u2028\\u0000ü?"}'.encode()
    assert (number, end) == (b"id: 7", [b"", b""])
