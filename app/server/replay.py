"""The events of a run out of its trace, in their order, as they were when it was read.

Durable events are numbered without gaps, and a chunk's first event is its start, which the trace does not store as a
row: it comes right before the chunk's first call.
"""

import asyncio
import heapq
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Self

from app.wire import StreamEvent, call_to_event, record_to_event
from engine.agent.events import (
    ChunkFinished,
    ChunkStarted,
    Event,
    EvidenceFound,
    Incident,
    Record,
)
from engine.traces.rows import RunRow
from engine.traces.store import TraceStore

_BATCH = 32


def replay(store: TraceStore, run: RunRow, *, after: int = -1) -> Iterator[StreamEvent]:
    """What is committed of a run when this is called, from the event behind number `after` on."""
    names = [document.name for document in run.documents]
    # Read first: what is committed while the rest is read must not come in halves.
    checkpoint = store.checkpoint(run.run_id)
    last = checkpoint.next_sequence - 1

    def event(sequence: int, value: Event) -> StreamEvent:
        return record_to_event(Record(run_id=run.run_id, sequence=sequence, event=value), names)

    def finished() -> Iterator[StreamEvent]:
        for step in store.steps(run.run_id):
            yield event(
                step.sequence,
                ChunkFinished(
                    chunk_index=step.chunk.index,
                    memory_before=step.memory_before,
                    memory_after=step.memory_after,
                    outcome=step.outcome,
                    receipt=step.receipt,
                ),
            )

    merged = heapq.merge(
        (call_to_event(run.run_id, row) for row in store.calls(run.run_id)),
        (
            event(row.sequence, Incident(chunk_index=row.chunk_index, kind=row.kind, detail=row.detail))
            for row in store.incidents(run.run_id)
        ),
        (
            event(row.sequence, EvidenceFound(chunk_index=row.chunk_index, evidence=row.evidence))
            for row in store.evidence(run.run_id)
        ),
        finished(),
        key=_sequence,
    )
    chunk: int | None = None
    for found in merged:
        sequence = _sequence(found)
        if sequence > last:
            break
        begun: int | None = found.data["chunk"]
        if begun is not None and begun != chunk and after < sequence - 1:
            yield event(sequence - 1, ChunkStarted(chunk_index=begun - 1))
        chunk = begun
        if sequence > after:
            yield found
    if checkpoint.answer is not None and last > after:
        yield event(last, checkpoint.answer)


def _sequence(event: StreamEvent) -> int:
    assert event.sequence is not None, "the trace holds numbered events only"
    return event.sequence


class Replay:
    """A replay for the event loop. A store belongs to the thread that opened it, so that each replay has a thread.

    Args:
        database: the trace database.
        run_id: the run.
        after: number of the last event that is known already.
    """

    def __init__(self, database: Path, run_id: str, *, after: int = -1) -> None:
        self._database = database
        self._run_id = run_id
        self._after = after
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="replay")
        self._store: TraceStore | None = None
        self._events: Iterator[StreamEvent] = iter(())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Not awaited: whoever leaves may have been cancelled. The thread closes the store and ends by itself.
        self._thread.submit(self._close)
        self._thread.shutdown(wait=False)

    async def next_batch(self) -> list[StreamEvent]:
        """Some events; none at the end.

        Raises:
            engine.errors.StoreError: the trace cannot be read.
        """
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._take)

    def _take(self) -> list[StreamEvent]:
        if self._store is None:
            self._store = TraceStore(self._database)
            run = self._store.get_run(self._run_id)
            self._events = replay(self._store, run, after=self._after)
        return list(islice(self._events, _BATCH))

    def _close(self) -> None:
        # First the iterator: a store cannot be closed while statements of it are being read.
        self._events = iter(())
        if self._store is not None:
            self._store.close()
