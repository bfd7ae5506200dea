"""Readings and runs as clients see them: what the queue knows and what the trace holds, put together."""

from typing import Any

from app.server.problems import describe_failure
from app.server.readings import Reading, ReadingQueue
from app.server.schemas import ProgressBody, ResultBody, RunBody, RunDetails, RunDocument, RunState
from engine.results import load_result
from engine.traces.rows import DocumentRow, RunRow
from engine.traces.store import TraceStore


def list_readings(store: TraceStore, queue: ReadingQueue, limit: int | None) -> list[RunBody]:
    """What has no run yet, in the queue's order; then the runs, the newest first."""
    active = queue.active()
    rows = store.list_runs(limit)
    by_run = {reading.run_id: reading for reading in active if reading.run_id}
    fresh = [_reading_body(reading, queue) for reading in active if reading.run_id is None]
    return fresh + [_run_body(row, by_run.get(row.run_id), queue) for row in rows]


def get_reading(store: TraceStore, queue: ReadingQueue, id_: str) -> RunDetails:
    """One reading by ticket, run id, or the beginning of a run id.

    Raises:
        engine.errors.RunNotFoundError: there is none, or several.
    """
    reading = queue.find(id_)
    if reading is not None and reading.run_id is None:
        return RunDetails(**_reading_body(reading, queue).model_dump())
    row = store.get_run(id_ if reading is None or reading.run_id is None else reading.run_id)
    reading = queue.find(row.run_id)
    body = _run_body(row, reading, queue)
    progress = None if reading is None else reading.feed.states.get("progress")
    return RunDetails(
        **body.model_dump(),
        progress=None if progress is None else ProgressBody(**progress.data),
        result=ResultBody(**load_result(store, row.run_id).to_dict()) if row.is_finished else None,
    )


def _run_body(row: RunRow, reading: Reading | None, queue: ReadingQueue) -> RunBody:
    position = None if reading is None else queue.position(reading)
    return RunBody(
        id=row.run_id,
        run_id=row.run_id,
        status=row.status if position is None else "queued",
        position=position,
        question=row.question,
        documents=_documents(row.documents),
        created_at=row.created_at,
        model=row.model,
        mode=row.mode,
        chunks_done=row.chunks_done,
        chunks_total=row.chunks_total,
        answer=None if row.answer is None else row.answer.text,
        answered=None if row.answer is None else row.answer.answered,
        error=row.error,
        parent_run_id=row.parent_run_id,
    )


def _reading_body(reading: Reading, queue: ReadingQueue) -> RunBody:
    """An ask that is no run: it waits, it is being planned, or it ended before it began."""
    position = queue.position(reading)
    status: RunState = "running" if position is None else "queued"
    error: str | None = None
    if reading.outcome.done():
        problem: dict[str, Any] = describe_failure(reading.failure(), None)["error"]
        status = "cancelled" if problem["code"] == "stopped" else "failed"
        error = problem["message"] if status == "failed" else None
    return RunBody(
        id=reading.id,
        run_id=None,
        status=status,
        position=position,
        question=reading.question,
        documents=_documents(reading.documents),
        created_at=reading.created_at,
        error=error,
    )


def _documents(rows: tuple[DocumentRow, ...]) -> list[RunDocument]:
    return [RunDocument(content_hash=row.content_hash, name=row.name) for row in rows]
