import dataclasses
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

from engine.agent.events import (
    AnswerFinished,
    CallFinished,
    ChunkFinished,
    ChunkStarted,
    Event,
    EvidenceFound,
    Incident,
    IncidentKind,
    Purpose,
    Receipt,
    Record,
    TokenDelta,
)
from engine.agent.memory import EMPTY, Memory, MemoryItem
from engine.backends.base import Completion, Segment
from engine.errors import ResumeRefusedError, RunNotFoundError, RunOwnedError, StoreError
from engine.traces.store import Parent, RunWriter, TraceStore
from tests.traces.synthetic import MODEL, answer_events, make_chunks, make_document, make_spec, records

DOCUMENT = make_document()
CHUNKS = make_chunks([DOCUMENT])
SPEC = make_spec([DOCUMENT], CHUNKS)


def begin(store: TraceStore) -> RunWriter:
    return store.create_run(SPEC, [DOCUMENT], CHUNKS, model=MODEL)


def read(writer: RunWriter, num_chunks: int) -> list[Record]:
    """Read some chunks and the beginning of the next one."""
    told = []
    for record in records(writer.run_id, [DOCUMENT], CHUNKS):
        if isinstance(record.event, ChunkFinished) and record.event.chunk_index == num_chunks:
            break
        writer.observe(record)
        told.append(record)
    return told


def observe_all(writer: RunWriter, told: Iterable[Record]) -> None:
    for record in told:
        writer.observe(record)


def test_events_come_back(store: TraceStore) -> None:
    with begin(store) as writer:
        told = list(records(writer.run_id, [DOCUMENT], CHUNKS))
        for record in told:
            writer.observe(record)
        writer.finish("finished")
    run = writer.run_id
    events = {kind: [r.event for r in told if isinstance(r.event, kind)] for kind in (CallFinished, Incident)}
    calls = list(store.calls(run))
    assert [(call.prompt, call.reply, call.attempt, call.chunk_index) for call in calls] == [
        (event.prompt, event.completion.text, event.attempt, event.chunk_index)
        for event in events[CallFinished]
        if isinstance(event, CallFinished)
    ]
    assert (calls[0].prompt_tokens, calls[0].completion_tokens, calls[0].cached_tokens) == (400, 2, 17)
    assert (calls[0].prefill_s, calls[0].decode_s, calls[0].finish_reason) == (0.5, 0.125, "stop")
    assert [(row.chunk_index, row.kind) for row in store.incidents(run)] == [(4, IncidentKind.WRONG_FORMAT)]
    assert [row.evidence for row in store.evidence(run)] == [
        r.event.evidence for r in told if isinstance(r.event, EvidenceFound)
    ]
    steps = list(store.steps(run))
    finished = [r.event for r in told if isinstance(r.event, ChunkFinished)]
    assert [(step.memory_before, step.memory_after, step.outcome, step.receipt) for step in steps] == [
        (event.memory_before, event.memory_after, event.outcome, event.receipt) for event in finished
    ]
    assert [step.chunk.labels for step in steps] == [chunk.labels for chunk in CHUNKS]
    assert store.get_run(run).answer == told[-1].event
    assert [call.sequence for call in store.calls(run, 4)] == [
        r.sequence for r in told if isinstance(r.event, CallFinished) and r.event.chunk_index == 4
    ]


def test_checkpoint_is_after_the_last_whole_chunk(store: TraceStore) -> None:
    with begin(store) as writer:
        assert store.checkpoint(writer.run_id).next_chunk_index == 0
        told = read(writer, 3)
        checkpoint = store.checkpoint(writer.run_id)
    last = next(r for r in reversed(told) if isinstance(r.event, ChunkFinished))
    assert isinstance(last.event, ChunkFinished)
    assert checkpoint.next_chunk_index == 3
    assert checkpoint.memory == last.event.memory_after
    assert checkpoint.next_sequence == last.sequence + 1
    assert checkpoint.receipts == {
        chunk.index: Receipt(planned_tokens=chunk.num_tokens, accepted_tokens=chunk.num_tokens)
        for chunk in CHUNKS[:3]
    }
    assert checkpoint.evidence
    assert checkpoint.answer is None


def test_resume(store: TraceStore) -> None:
    with begin(store) as writer:
        read(writer, 3)
    assert store.get_run(writer.run_id).status == "interrupted"
    with store.open_run(writer.run_id, SPEC) as again:
        assert store.get_run(writer.run_id).status == "running"
        point = store.checkpoint(again.run_id)
        for record in records(
            again.run_id, [DOCUMENT], CHUNKS[3:], memory=point.memory, first_sequence=point.next_sequence
        ):
            again.observe(record)
        again.finish("finished")
    row = store.get_run(writer.run_id)
    assert (row.status, row.chunks_done, row.chunks_total) == ("finished", len(CHUNKS), len(CHUNKS))
    assert row.ended_at is not None
    assert store.checkpoint(writer.run_id).answer == row.answer
    assert store.verify() == []


def test_finish_with_an_error(store: TraceStore) -> None:
    with begin(store) as writer:
        read(writer, 2)
        writer.finish("failed", "The model went away.")
    row = store.get_run(writer.run_id)
    assert (row.status, row.error, row.chunks_done) == ("failed", "The model went away.", 2)
    assert store.verify() == []
    with store.open_run(writer.run_id, SPEC):
        row = store.get_run(writer.run_id)
        assert (row.status, row.error) == ("running", None)


def test_calls_of_a_failed_answer_are_kept(store: TraceStore) -> None:
    with begin(store) as writer:
        told = list(records(writer.run_id, [DOCUMENT], CHUNKS, answer=False))
        for record in told:
            writer.observe(record)
        call = answer_events(None)[0]
        writer.observe(Record(run_id=writer.run_id, sequence=told[-1].sequence + 1, event=call))
        writer.finish("failed", "No answer.")
    assert isinstance(call, CallFinished)
    assert list(store.calls(writer.run_id))[-1].prompt == call.prompt
    assert store.checkpoint(writer.run_id).next_sequence == told[-1].sequence + 2
    assert store.verify() == []


def test_certificate_is_replaced(store: TraceStore) -> None:
    with begin(store) as writer:
        assert store.certificate(writer.run_id) is None
        writer.save_certificate("{}")
        writer.save_certificate('{"pages": 1}')
        assert store.certificate(writer.run_id) == '{"pages": 1}'
        assert store.verify() == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"question": "Why?"}, "the question changed"),
        ({"model_fingerprint": "0" * 64}, "the model changed"),
        ({"prompt_hash": "0", "plan_hash": "0"}, "the wording of the prompts and the chunk plan changed"),
        ({"first_offset": 7}, "changed"),
    ],
)
def test_another_plan_is_refused(store: TraceStore, change: dict[str, str], words: str) -> None:
    with begin(store) as writer:
        pass
    with pytest.raises(ResumeRefusedError, match=words):
        store.open_run(writer.run_id, dataclasses.replace(SPEC, **change))  # type: ignore[arg-type]
    assert store.get_run(writer.run_id).status == "interrupted"
    with store.open_run(writer.run_id, dataclasses.replace(SPEC, model_name="another name")):
        pass


def test_unknown_run(store: TraceStore) -> None:
    with pytest.raises(RunNotFoundError):
        store.open_run("20200101-000000-000000", SPEC)
    with pytest.raises(RunNotFoundError):
        store.checkpoint("")


def test_a_live_run_is_owned(store: TraceStore, path: Path) -> None:
    with begin(store) as writer, TraceStore(path) as other:
        with pytest.raises(RunOwnedError, match="is writing"):
            other.open_run(writer.run_id, SPEC)
        with pytest.raises(RunOwnedError):
            other.delete_run(writer.run_id)


def test_whoever_lost_the_lease_writes_nothing(store: TraceStore, path: Path) -> None:
    with begin(store) as writer, TraceStore(path) as other:
        told = iter(records(writer.run_id, [DOCUMENT], CHUNKS))
        other.db.conn.execute("UPDATE leases SET expires_at = 0")
        with other.open_run(writer.run_id, SPEC) as thief:
            with pytest.raises(RunOwnedError):
                observe_all(writer, told)
            assert other.checkpoint(writer.run_id).next_chunk_index == 0
            with pytest.raises(RunOwnedError):
                writer.heartbeat()
            with pytest.raises(RunOwnedError):
                writer.finish("finished")
            thief.heartbeat()
            for record in records(writer.run_id, [DOCUMENT], CHUNKS):
                thief.observe(record)
        writer.close()
        assert other.verify() == []


def test_an_expired_lease_that_nobody_took_is_still_ours(store: TraceStore) -> None:
    with begin(store) as writer:
        store.db.conn.execute("UPDATE leases SET expires_at = 0")
        read(writer, 2)
        assert store.checkpoint(writer.run_id).next_chunk_index == 2


def test_lease_lives_while_a_chunk_takes_long(path: Path) -> None:
    with TraceStore(path, lease_s=0.3) as store, begin(store) as writer, TraceStore(path) as other:
        until = time.monotonic() + 1
        while time.monotonic() < until:
            time.sleep(0.05)
            assert other.get_run(writer.run_id).status == "running"


def test_records_of_another_run_are_a_bug(store: TraceStore) -> None:
    with begin(store) as writer, pytest.raises(ValueError, match="was sent to the writer"):
        writer.observe(Record(run_id="x", sequence=0, event=ChunkStarted(chunk_index=0)))


def test_a_chunk_out_of_turn_is_a_bug(store: TraceStore) -> None:
    with begin(store) as writer:
        told = records(writer.run_id, [DOCUMENT], CHUNKS[1:])
        with pytest.raises(ValueError, match="chunk 0 is next"):
            observe_all(writer, told)
        assert store.checkpoint(writer.run_id).next_chunk_index == 0


def test_a_closed_writer_writes_nothing(store: TraceStore) -> None:
    writer = begin(store)
    writer.close()
    writer.close()
    with pytest.raises(ValueError, match="closed"):
        writer.observe(Record(run_id=writer.run_id, sequence=0, event=ChunkStarted(chunk_index=0)))


def test_token_deltas_are_not_kept(store: TraceStore) -> None:
    with begin(store) as writer:
        writer.observe(Record(run_id=writer.run_id, sequence=0, event=TokenDelta(chunk_index=0, text="x")))
        read(writer, 1)
        assert store.checkpoint(writer.run_id).next_chunk_index == 1


def fill(writer: RunWriter, told: Iterable[Record]) -> None:
    observe_all(writer, told)
    for number in range(1000):
        writer.save_certificate("x" * number * 1000)


def test_full_disk_keeps_whole_chunks(store: TraceStore) -> None:
    with begin(store) as writer:
        told = records(writer.run_id, [DOCUMENT], CHUNKS)
        for record in told:
            writer.observe(record)
            if isinstance(record.event, ChunkFinished) and record.event.chunk_index == 1:
                break
        (pages,) = store.db.conn.execute("PRAGMA page_count").fetchone()
        store.db.conn.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(StoreError, match="full"):
            fill(writer, told)
        store.db.conn.execute("PRAGMA max_page_count = 1000000")
        assert store.verify() == []
        assert store.checkpoint(writer.run_id).next_chunk_index >= 2


def test_texts_with_surrogates(store: TraceStore) -> None:
    odd = "a\x00b\ud800c"
    with store.create_run(
        dataclasses.replace(SPEC, question=odd),
        [DOCUMENT],
        CHUNKS,
        model=dataclasses.replace(MODEL, name=odd),
    ) as writer:
        completion = Completion(text=odd, prompt_token_ids=(1,), token_ids=(), finish_reason="length")
        events: tuple[Event, ...] = (
            ChunkStarted(chunk_index=0),
            CallFinished(
                chunk_index=0, purpose=Purpose.READ, attempt=0, prompt=(Segment(odd),), completion=completion
            ),
            Incident(chunk_index=0, kind=IncidentKind.EMPTY_REPLY, detail=odd),
            next(
                dataclasses.replace(r.event, memory_after=Memory((MemoryItem(odd),)))
                for r in records(writer.run_id, [DOCUMENT], CHUNKS)
                if isinstance(r.event, ChunkFinished)
            ),
        )
        for sequence, event in enumerate(events):
            writer.observe(Record(run_id=writer.run_id, sequence=sequence, event=event))
        answer = AnswerFinished(text=odd, answered=False, claims=())
        writer.observe(Record(run_id=writer.run_id, sequence=4, event=answer))
        writer.finish("failed", odd)
    row = store.get_run(writer.run_id)
    assert (row.question, row.error, row.model, row.answer) == (odd, odd, odd, answer)
    (call,) = store.calls(writer.run_id)
    assert (call.prompt, call.reply) == ((Segment(odd),), odd)
    assert store.incidents(writer.run_id)[0].detail == odd
    assert store.checkpoint(writer.run_id).memory.text == odd
    assert store.verify() == []


def test_branch(store: TraceStore, finished: str) -> None:
    edited = Memory((MemoryItem("edited by hand"),))
    parent = Parent(run_id=finished, kind="branch", next_chunk=4, memory=edited)
    with store.create_run(SPEC, [DOCUMENT], CHUNKS, model=MODEL, parent=parent) as writer:
        point = store.checkpoint(writer.run_id)
        assert (point.next_chunk_index, point.memory, len(point.receipts)) == (4, edited, 4)
        assert point.evidence == tuple(
            row.evidence for row in store.evidence(finished) if row.chunk_index < 4
        )
        for record in records(
            writer.run_id, [DOCUMENT], CHUNKS[4:], memory=point.memory, first_sequence=point.next_sequence
        ):
            writer.observe(record)
        writer.finish("finished")
    assert store.verify() == []
    row = store.get_run(writer.run_id)
    assert (row.parent_run_id, row.parent_kind, row.start_chunk) == (finished, "branch", 4)
    assert [step.chunk.index for step in store.steps(writer.run_id)] == [chunk.index for chunk in CHUNKS]
    assert store.totals(writer.run_id).num_calls == store.totals(finished).num_calls - 4
    store.delete_run(finished)
    assert store.verify() == []
    assert [call.prompt for call in store.calls(writer.run_id)]


def test_branch_from_the_start_and_with_the_memory_as_it_was(store: TraceStore, finished: str) -> None:
    memories = [step.memory_before for step in store.steps(finished)]
    for next_chunk in (0, 3):
        parent = Parent(run_id=finished, kind="branch", next_chunk=next_chunk)
        with store.create_run(SPEC, [DOCUMENT], CHUNKS, model=MODEL, parent=parent) as writer:
            assert store.checkpoint(writer.run_id).memory == memories[next_chunk]


def test_branch_beyond_what_was_read(store: TraceStore) -> None:
    with begin(store) as writer:
        read(writer, 2)
    parent = Parent(run_id=writer.run_id, kind="branch", next_chunk=3)
    with pytest.raises(ResumeRefusedError, match="has read 2 chunks"):
        store.create_run(SPEC, [DOCUMENT], CHUNKS, model=MODEL, parent=parent)
    assert len(store.list_runs()) == 1


def test_continue_with_another_document(store: TraceStore, finished: str) -> None:
    more = make_document(3, name="next.pdf", seed=7)
    documents = [DOCUMENT, more]
    chunks = [
        dataclasses.replace(chunk, document=1) for chunk in make_chunks([more], first_index=len(CHUNKS))
    ]
    parent = Parent(run_id=finished, kind="continue", next_chunk=len(CHUNKS))
    with store.create_run(
        make_spec(documents, chunks), documents, chunks, model=MODEL, parent=parent
    ) as writer:
        point = store.checkpoint(writer.run_id)
        assert point.next_chunk_index == len(CHUNKS)
        assert point.memory == store.checkpoint(finished).memory
        for record in records(
            writer.run_id, documents, chunks, memory=point.memory, first_sequence=point.next_sequence
        ):
            writer.observe(record)
        writer.finish("finished")
    row = store.get_run(writer.run_id)
    assert (row.chunks_done, row.chunks_total) == (len(CHUNKS) + len(chunks),) * 2
    assert [chunk.index for chunk in store.chunks(writer.run_id)] == list(range(row.chunks_total))
    assert list(store.calls(writer.run_id))
    assert store.verify() == []


def test_continue_in_a_document_that_changed(store: TraceStore, finished: str) -> None:
    other = make_document(8, seed=3)
    chunks = make_chunks([other], first_index=len(CHUNKS))
    parent = Parent(run_id=finished, kind="continue", next_chunk=len(CHUNKS))
    with pytest.raises(ResumeRefusedError, match="was read before has changed"):
        store.create_run(make_spec([other], chunks), [other], chunks, model=MODEL, parent=parent)


def test_first_memory_is_empty(store: TraceStore) -> None:
    with begin(store) as writer:
        assert store.checkpoint(writer.run_id).memory == EMPTY
