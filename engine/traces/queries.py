"""What the command line and the window ask. Nothing here changes the database except `delete_run`."""

import dataclasses
from collections.abc import Iterator
from datetime import datetime

from sqlite_utils import Database

from engine.agent.events import IncidentKind, Outcome, Purpose, Receipt
from engine.agent.memory import Memory
from engine.agent.run import RunSpec
from engine.errors import RunOwnedError
from engine.traces.calls import ContextReader, decode_call
from engine.traces.checkpoint import find_run
from engine.traces.creation import ParentKind
from engine.traces.database import Row, damaged, fetch, fetch_one, path_of, snapshot, stream
from engine.traces.events import answer_from_row, evidence_from_row, spec_from_json
from engine.traces.lease import is_live
from engine.traces.rows import (
    CallRow,
    ChunkRow,
    Descent,
    DocumentRow,
    EvidenceRow,
    IncidentRow,
    RunRow,
    RunStatus,
    StepRow,
    Totals,
    chunk_row,
    document_row,
)
from engine.traces.texts import collect_garbage, get_text

_RUNS = """
SELECT r.*, m.name AS model, m.path AS model_path,
       (SELECT count(*) FROM steps WHERE run = r.id) AS chunks_done,
       (SELECT count(*) FROM chunks WHERE run = r.id) AS chunks_total
FROM runs AS r JOIN models AS m ON m.id = r.model_id
"""

_DOCUMENT = """d.*, (SELECT num_tokens FROM token_counts WHERE document_id = d.id
                      ORDER BY counted_at DESC LIMIT 1) AS num_tokens"""


def list_runs(db: Database, limit: int | None = None) -> list[RunRow]:
    """Runs, the newest first."""
    with snapshot(db):
        rows = fetch(
            db, f"{_RUNS} ORDER BY r.created_at DESC, r.id DESC LIMIT ?", (-1 if limit is None else limit,)
        )
        return [_run(db, row) for row in rows]


def get_run(db: Database, run_id: str) -> RunRow:
    """A run, by its id or the beginning of it.

    Raises:
        RunNotFoundError: there is none, or several.
    """
    with snapshot(db):
        (row,) = fetch(db, f"{_RUNS} WHERE r.id = ?", (find_run(db, run_id)["id"],))
        return _run(db, row)


def find_resumable(db: Database, spec: RunSpec) -> list[RunRow]:
    """Runs of exactly this plan that are neither finished nor being written, the newest first."""
    with snapshot(db):
        rows = fetch(db, f"{_RUNS} WHERE r.spec_key = ? ORDER BY r.created_at DESC, r.id DESC", (spec.key,))
        runs = [_run(db, row) for row in rows]
    return [run for run in runs if run.status not in ("finished", "running")]


def list_documents(db: Database) -> list[DocumentRow]:
    """All documents, the newest first."""
    rows = fetch(db, f"SELECT {_DOCUMENT} FROM documents AS d ORDER BY d.imported_at DESC, d.id DESC")
    return [document_row(row) for row in rows]


def chunks(db: Database, run_id: str) -> list[ChunkRow]:
    """The plan of a run."""
    run = find_run(db, run_id)["id"]
    return [
        chunk_row(row) for row in fetch(db, "SELECT * FROM chunks WHERE run = ? ORDER BY chunk_index", (run,))
    ]


def steps(db: Database, run_id: str) -> Iterator[StepRow]:
    """The chunks read, in order; one at a time, because the memories of a long run are large."""
    run = find_run(db, run_id)["id"]
    memories: dict[int, Memory] = {}
    sql = """SELECT c.*, s.sequence, s.started_at, s.finished_at, s.memory_before_id, s.memory_after_id,
                    s.outcome, s.planned_tokens, s.accepted_tokens
             FROM steps AS s JOIN chunks AS c ON c.run = s.run AND c.chunk_index = s.chunk_index
             WHERE s.run = ? ORDER BY s.chunk_index"""
    for row in stream(db, sql, (run,)):
        keys = row["memory_before_id"], row["memory_after_id"]
        memories = {key: memories.get(key) or Memory.from_json(get_text(db, key)) for key in keys}
        yield StepRow(
            chunk=chunk_row(row),
            sequence=row["sequence"],
            started_at=row["started_at"],
            finished_at=row["finished_at"],
            memory_before=memories[keys[0]],
            memory_after=memories[keys[1]],
            outcome=Outcome(row["outcome"]),
            receipt=Receipt(planned_tokens=row["planned_tokens"], accepted_tokens=row["accepted_tokens"]),
        )


def memory_before(db: Database, run_id: str, chunk_index: int) -> Memory:
    """The memory before a chunk that was read.

    Raises:
        RunNotFoundError: there is no such run.
        ValueError: the run has not read that chunk.
    """
    run = find_run(db, run_id)["id"]
    row = fetch_one(
        db, "SELECT memory_before_id FROM steps WHERE run = ? AND chunk_index = ?", (run, chunk_index)
    )
    if row is None:
        raise ValueError(f"chunk {chunk_index} of run {run_id} was not read")
    return Memory.from_json(get_text(db, row["memory_before_id"]))


def calls(db: Database, run_id: str, chunk_index: int | None = None) -> Iterator[CallRow]:
    """The calls of a run in order, or those about one chunk.

    Raises:
        StoreCorruptError: a prompt or reply does not have its hash.
    """
    run = find_run(db, run_id)["id"]
    contexts = ContextReader(db, run)
    where, parameters = (
        ("AND chunk_index = ?", (run, chunk_index)) if chunk_index is not None else ("", (run,))
    )
    for row in stream(db, f"SELECT * FROM calls WHERE run = ? {where} ORDER BY sequence", parameters):
        try:
            prompt, reply = decode_call(row, contexts.read(row["chunk_index"]))
        except ValueError as exc:
            raise damaged(path_of(db)) from exc
        plain = {
            field.name: row[field.name]
            for field in dataclasses.fields(CallRow)
            if field.name not in ("prompt", "reply")
        }
        yield CallRow(**{**plain, "purpose": Purpose(row["purpose"])}, prompt=prompt, reply=reply)


def incidents(db: Database, run_id: str) -> list[IncidentRow]:
    """What went wrong in a run, in order."""
    rows = fetch(
        db,
        "SELECT sequence, chunk_index, kind, detail FROM incidents WHERE run = ? ORDER BY sequence",
        (find_run(db, run_id)["id"],),
    )
    return [IncidentRow(**{**row, "kind": IncidentKind(row["kind"])}) for row in rows]


def evidence(db: Database, run_id: str) -> list[EvidenceRow]:
    """The excerpts found, in order."""
    rows = fetch(db, "SELECT * FROM evidence WHERE run = ? ORDER BY sequence", (find_run(db, run_id)["id"],))
    return [
        EvidenceRow(sequence=row["sequence"], chunk_index=row["chunk_index"], evidence=evidence_from_row(row))
        for row in rows
    ]


def certificate(db: Database, run_id: str) -> str | None:
    """The coverage certificate as it was saved, or None."""
    run = find_run(db, run_id)["id"]
    row = fetch_one(db, "SELECT certificate_json FROM certificates WHERE run = ?", (run,))
    return None if row is None else str(row["certificate_json"])


def totals(db: Database, run_id: str) -> Totals:
    """What a run cost."""
    with snapshot(db):
        run = find_run(db, run_id)
        own = (run["id"], run["start_chunk"])
        row = fetch_one(
            db,
            """SELECT count(*) AS num_calls, coalesce(sum(prompt_tokens), 0) AS prompt_tokens,
                      coalesce(sum(cached_tokens), 0) AS cached_tokens,
                      coalesce(sum(completion_tokens), 0) AS completion_tokens,
                      coalesce(sum(prefill_s), 0.0) AS prefill_s, coalesce(sum(decode_s), 0.0) AS decode_s,
                      coalesce(sum(prefill_s + decode_s) FILTER (WHERE chunk_index IS NULL), 0.0) AS final_s
               FROM calls WHERE run = ? AND (chunk_index IS NULL OR chunk_index >= ?)""",
            own,
        )
        spent = fetch_one(
            db,
            """SELECT coalesce(sum(finished_at - started_at), 0.0) AS wall_s FROM steps
               WHERE run = ? AND chunk_index >= ?""",
            own,
        )
        assert row is not None
        assert spent is not None
        final_s = row.pop("final_s")
        return Totals(**row, wall_s=spent["wall_s"] + final_s)


def delete_run(db: Database, run_id: str) -> None:
    """Delete a run and all texts that only it refers to, inside the caller's transaction. Documents stay.

    Raises:
        RunNotFoundError: there is no such run.
        RunOwnedError: a live process writes into it.
    """
    row = find_run(db, run_id)
    held = fetch_one(db, "SELECT * FROM leases WHERE run = ?", (row["id"],))
    if held and is_live(held):
        raise RunOwnedError(f"The run {row['run_id']} is being written.", hint="Stop it first.")
    # Children first: steps refer to chunks, chunks to documents, and cascades run in no order.
    for table in (
        "calls",
        "incidents",
        "evidence",
        "answers",
        "certificates",
        "steps",
        "chunks",
        "run_documents",
    ):
        db.conn.execute(f"DELETE FROM {table} WHERE run = ?", (row["id"],))
    db.conn.execute("DELETE FROM runs WHERE id = ?", (row["id"],))
    db.conn.execute("DELETE FROM models WHERE id NOT IN (SELECT model_id FROM runs)")
    collect_garbage(db)


def _run(db: Database, row: Row) -> RunRow:
    places = fetch(
        db,
        f"""SELECT {_DOCUMENT} FROM run_documents AS r JOIN documents AS d ON d.id = r.document_id
           WHERE r.run = ? ORDER BY r.position""",
        (row["id"],),
    )
    answer = fetch_one(db, "SELECT text, answered, claims_json FROM answers WHERE run = ?", (row["id"],))
    spec = spec_from_json(row["spec_json"])
    return RunRow(
        run_id=row["run_id"],
        status=_status(db, row),
        created_at=datetime.fromisoformat(row["created_at"]),
        ended_at=datetime.fromisoformat(row["ended_at"]) if row["ended_at"] else None,
        error=row["error"],
        question=row["question"],
        documents=tuple(document_row(place) for place in places),
        model=row["model"],
        model_path=row["model_path"],
        mode=row["mode"],
        chunks_done=row["chunks_done"],
        chunks_total=row["chunks_total"],
        answer=None if answer is None else answer_from_row(answer),
        spec=spec,
        parent_run_id=row["parent_run_id"],
        parent_kind=_descent(row, spec),
        start_chunk=row["start_chunk"],
    )


def _descent(row: Row, spec: RunSpec) -> Descent | None:
    kind: ParentKind | None = row["parent_kind"]
    if kind == "continue" and spec.read_for and row["start_chunk"] == row["chunks_total"]:
        return "follow_up"
    return kind


def _status(db: Database, row: Row) -> RunStatus:
    status: RunStatus = row["status"]
    if status != "running":
        return status
    held = fetch_one(db, "SELECT * FROM leases WHERE run = ?", (row["id"],))
    return "running" if held and is_live(held) else "interrupted"
