"""Writes one run: the events of a chunk are committed together, so that only whole chunks are ever seen."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from sqlite_utils import Database

from engine.agent.events import (
    AnswerFinished,
    CallFinished,
    ChunkFinished,
    ChunkStarted,
    EvidenceFound,
    Incident,
    Purpose,
    Record,
    TokenDelta,
)
from engine.cancel import CancelToken
from engine.errors import RunOwnedError
from engine.traces.calls import Context, ContextReader, encode_call, wording_of
from engine.traces.database import fetch_one, insert, store_errors, transaction, update
from engine.traces.events import claims_to_json
from engine.traces.lease import Heartbeat, Lease, release, renew
from engine.traces.seals import reseal_state, step_seal
from engine.traces.texts import put_text

EndStatus = Literal["stopped", "finished", "failed"]


class RunWriter:
    """The one writer of a run; an observer of the reading loop. Use it as a context manager, or close it.

    It belongs to the thread that made the store. A daemon thread renews the lease while a chunk is read.
    Closing without `finish` leaves a run that is shown as interrupted and can be resumed at once.

    Args:
        db: the store's connection.
        path: the database.
        run: internal id of the run.
        run_id: its public id.
        lease: the right to write into it.

    Attributes:
        cancel: says how long the reading was paused, which is no time of a chunk.
    """

    def __init__(self, db: Database, path: Path, *, run: int, run_id: str, lease: Lease) -> None:
        self.cancel = CancelToken()
        self._db = db
        self._path = path
        self._run = run
        self._run_id = run_id
        self._lease = lease
        self._contexts = ContextReader(db, run)
        self._buffer: list[Record] = []
        self._chunk_started_at = time.time()
        self._held_before_s = 0.0
        self._is_closed = False
        self._heartbeat = Heartbeat(path, lease)

    @property
    def run_id(self) -> str:
        """The run's public id."""
        return self._run_id

    def observe(self, record: Record) -> None:
        """Take note of one event; at the end of a chunk and with the answer, commit.

        Raises:
            RunOwnedError: another process took over the run; nothing was written.
            StoreError: the database could not be written; nothing was written.
        """
        if record.run_id != self._run_id:
            raise ValueError(f"a record of run {record.run_id} was sent to the writer of {self._run_id}")
        if isinstance(record.event, TokenDelta):
            return
        self._check_owned()
        if isinstance(record.event, ChunkStarted):
            # What a chunk left behind that was never finished is not part of the trace.
            self._buffer.clear()
            self._chunk_started_at = time.time()
            self._held_before_s = self.cancel.held_s
        self._buffer.append(record)
        if isinstance(record.event, ChunkFinished):
            self._commit_chunk(record, record.event)
        elif isinstance(record.event, AnswerFinished):
            self._commit_answer(record, record.event)

    def heartbeat(self) -> None:
        """Renew the lease now. There is rarely a need: a thread does it.

        Raises:
            RunOwnedError: another process took over the run.
        """
        self._check_owned()
        with self._writing():
            pass

    def save_certificate(self, certificate_json: str) -> None:
        """Keep the coverage certificate; a later one replaces it."""
        self._check_owned()
        with self._writing():
            self._db.conn.execute("DELETE FROM certificates WHERE run = ?", (self._run,))
            values = {"run": self._run, "certificate_json": certificate_json, "saved_at": time.time()}
            insert(self._db, "certificates", values)
            reseal_state(self._db, self._run)

    def finish(self, status: EndStatus, error: str | None = None) -> None:
        """End the run, give back the lease and close. Calls of an answer that failed are kept.

        Args:
            status: how it ended.
            error: one sentence, for "failed".
        """
        self._check_owned()
        self._heartbeat.stop()
        try:
            with self._writing():
                self._insert_events([record for record in self._buffer if _is_final(record)], None)
                ended = datetime.now(UTC).isoformat()
                update(self._db, "runs", self._run, {"status": status, "ended_at": ended, "error": error})
                reseal_state(self._db, self._run)
                release(self._db, self._lease)
        finally:
            self.close()

    def close(self) -> None:
        """Stop the thread and give back the lease. A second call does nothing."""
        if self._is_closed:
            return
        self._is_closed = True
        self._buffer.clear()
        self._heartbeat.stop()
        with store_errors(self._path), transaction(self._db):
            release(self._db, self._lease)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """One transaction that renews the lease first: whoever lost it writes nothing."""
        wording = self._contexts.wording
        try:
            with store_errors(self._path), transaction(self._db):
                renew(self._db, self._lease)
                yield
        except BaseException:
            self._contexts.wording = wording
            raise

    def _check_owned(self) -> None:
        if self._is_closed:
            raise ValueError(f"the writer of run {self._run_id} is closed")
        if self._heartbeat.is_lost:
            raise RunOwnedError(
                f"Another process took over the run {self._run_id}.",
                hint="What was finished is kept; this process stops writing.",
            )

    def _commit_chunk(self, record: Record, event: ChunkFinished) -> None:
        with self._writing():
            self._insert_events(self._buffer, event)
            previous = self._next_chunk(event.chunk_index)
            step = {
                "run": self._run,
                "chunk_index": event.chunk_index,
                "first_sequence": self._buffer[0].sequence,
                "sequence": record.sequence,
                # As if it had begun later by what it was paused.
                "started_at": self._chunk_started_at + self.cancel.held_s - self._held_before_s,
                "finished_at": time.time(),
                "memory_before_id": put_text(self._db, event.memory_before.to_json()),
                "memory_after_id": put_text(self._db, event.memory_after.to_json()),
                "outcome": str(event.outcome),
                "planned_tokens": event.receipt.planned_tokens,
                "accepted_tokens": event.receipt.accepted_tokens,
                "seal_blob": b"",
            }
            insert(self._db, "steps", step)
            seal = step_seal(self._db, self._run, event.chunk_index, previous)
            self._db.conn.execute(
                "UPDATE steps SET seal_blob = ? WHERE run = ? AND chunk_index = ?",
                (seal, self._run, event.chunk_index),
            )
        self._buffer.clear()

    def _next_chunk(self, chunk_index: int) -> bytes:
        """Seal of the step before this chunk, which must be the next one: steps are a prefix of the plan."""
        last = fetch_one(
            self._db,
            "SELECT chunk_index, seal_blob FROM steps WHERE run = ? ORDER BY chunk_index DESC LIMIT 1",
            (self._run,),
        )
        start = fetch_one(self._db, "SELECT start_chunk FROM runs WHERE id = ?", (self._run,))
        assert start is not None
        expected = max(start["start_chunk"], last["chunk_index"] + 1 if last else 0)
        if chunk_index != expected:
            raise ValueError(f"chunk {chunk_index} was finished, but chunk {expected} is next")
        return bytes(last["seal_blob"]) if last else b""

    def _commit_answer(self, record: Record, event: AnswerFinished) -> None:
        with self._writing():
            self._insert_events(self._buffer, None)
            answer = {
                "run": self._run,
                "sequence": record.sequence,
                "text": event.text,
                "answered": event.answered,
                "claims_json": claims_to_json(event.claims),
                "finished_at": time.time(),
            }
            insert(self._db, "answers", answer)
            reseal_state(self._db, self._run)
        self._buffer.clear()

    def _insert_events(self, records: list[Record], finished: ChunkFinished | None) -> None:
        context: Context | None = None
        for record in records:
            event = record.event
            place = {"run": self._run, "sequence": record.sequence}
            if isinstance(event, CallFinished):
                context = context or self._context(event, finished)
                values = encode_call(event, context)
                insert(self._db, "calls", {**place, "chunk_index": event.chunk_index, **values})
            elif isinstance(event, Incident):
                values = {"chunk_index": event.chunk_index, "kind": str(event.kind), "detail": event.detail}
                insert(self._db, "incidents", {**place, **values})
            elif isinstance(event, EvidenceFound):
                found = event.evidence
                values = {
                    "chunk_index": event.chunk_index,
                    "document": found.document,
                    "start": found.start,
                    '"end"': found.end,
                    "quote": found.quote,
                    "page": found.page,
                    "label": found.label,
                }
                insert(self._db, "evidence", {**place, **values})

    def _context(self, call: CallFinished, finished: ChunkFinished | None) -> Context:
        self._keep_wording(call)
        if finished is None:
            return self._contexts.read(None)
        return self._contexts.during(finished.chunk_index, finished.memory_before, finished.memory_after)

    def _keep_wording(self, call: CallFinished) -> None:
        """The first prompt's own text becomes part of the dictionary of all that follow."""
        if self._contexts.wording or call.purpose is not Purpose.READ:
            return
        wording = wording_of(call.prompt)
        update(self._db, "runs", self._run, {"wording_id": put_text(self._db, wording)})
        self._contexts.wording = wording


def _is_final(record: Record) -> bool:
    """Whether an event belongs to the final conversation."""
    return isinstance(record.event, CallFinished | Incident) and record.event.chunk_index is None
