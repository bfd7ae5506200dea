"""Lists for display: thousands of runs and documents in a few statements, without specs, claims and memories."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlite_utils import Database

from engine.traces.creation import ParentKind
from engine.traces.database import Row, fetch, snapshot, stream
from engine.traces.lease import is_live
from engine.traces.rows import RunStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class RunHead:
    """A run as a list shows it; see `engine.traces.rows.RunRow`.

    Attributes:
        run_id: its public id.
        status: see `RunStatus`.
        created_at: UTC.
        ended_at: UTC; None while it is running or after it was interrupted.
        error: one sentence; None unless it failed.
        question: the question.
        documents: (content hash, name) of what it reads, in order.
        model: name of the model.
        mode: reading mode.
        chunks_done: chunks read.
        chunks_total: chunks in the plan.
        answer: the answer's text; None = there is none yet.
        answered: False when the document does not say; None = there is no answer yet.
        parent_run_id: the run that it took its beginning from.
        parent_kind: how.
    """

    run_id: str
    status: RunStatus
    created_at: datetime
    ended_at: datetime | None
    error: str | None
    question: str
    documents: tuple[tuple[str, str], ...]
    model: str
    mode: str
    chunks_done: int
    chunks_total: int
    answer: str | None
    answered: bool | None
    parent_run_id: str | None
    parent_kind: ParentKind | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentUse:
    """The readings that a document was part of; `last_used_at` is the start of the newest, UTC."""

    num_runs: int
    last_used_at: datetime


def list_heads(db: Database) -> list[RunHead]:
    """All runs, the newest first."""
    with snapshot(db):
        documents: dict[int, list[tuple[str, str]]] = {}
        for row in stream(
            db,
            """SELECT r.run, d.content_hash, d.name FROM run_documents AS r
               JOIN documents AS d ON d.id = r.document_id ORDER BY r.run, r.position""",
        ):
            documents.setdefault(row["run"], []).append((row["content_hash"], row["name"]))
        leases = {row["run"]: row for row in fetch(db, "SELECT * FROM leases")}
        rows = fetch(
            db,
            """SELECT r.id, r.run_id, r.status, r.created_at, r.ended_at, r.error, r.question, r.mode,
                      r.parent_run_id, r.parent_kind, m.name AS model, a.text AS answer, a.answered,
                      (SELECT count(*) FROM steps WHERE run = r.id) AS chunks_done,
                      (SELECT count(*) FROM chunks WHERE run = r.id) AS chunks_total
               FROM runs AS r JOIN models AS m ON m.id = r.model_id LEFT JOIN answers AS a ON a.run = r.id
               ORDER BY r.created_at DESC, r.id DESC""",
        )
        return [_head(row, tuple(documents.get(row["id"], ())), leases) for row in rows]


def document_uses(db: Database) -> dict[str, DocumentUse]:
    """For each document that a run has read, by content hash, how many did and when last."""
    rows = fetch(
        db,
        """SELECT d.content_hash, count(DISTINCT r.id) AS num_runs, max(r.created_at) AS last_used_at
           FROM run_documents AS p JOIN documents AS d ON d.id = p.document_id JOIN runs AS r ON r.id = p.run
           GROUP BY d.id""",
    )
    return {
        row["content_hash"]: DocumentUse(
            num_runs=row["num_runs"], last_used_at=datetime.fromisoformat(row["last_used_at"])
        )
        for row in rows
    }


def _head(row: Row, documents: tuple[tuple[str, str], ...], leases: Mapping[int, Row]) -> RunHead:
    status: RunStatus = row["status"]
    if status == "running":
        held = leases.get(row["id"])
        status = "running" if held and is_live(held) else "interrupted"
    return RunHead(
        run_id=row["run_id"],
        status=status,
        created_at=datetime.fromisoformat(row["created_at"]),
        ended_at=datetime.fromisoformat(row["ended_at"]) if row["ended_at"] else None,
        error=row["error"],
        question=row["question"],
        documents=documents,
        model=row["model"],
        mode=row["mode"],
        chunks_done=row["chunks_done"],
        chunks_total=row["chunks_total"],
        answer=row["answer"],
        answered=None if row["answered"] is None else bool(row["answered"]),
        parent_run_id=row["parent_run_id"],
        parent_kind=row["parent_kind"],
    )
