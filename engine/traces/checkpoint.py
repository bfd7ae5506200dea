"""Where a run stands: all that is needed to read on."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlite_utils import Database

from engine.agent.events import AnswerFinished, Evidence, Receipt
from engine.agent.memory import Memory
from engine.errors import RunNotFoundError
from engine.traces.calls import last_memory
from engine.traces.database import Row, fetch, fetch_one, snapshot
from engine.traces.events import answer_from_row, evidence_from_row

_LAST_SEQUENCE = """
SELECT max(sequence) FROM (
    SELECT max(sequence) AS sequence FROM steps WHERE run = :run
    UNION ALL SELECT max(sequence) FROM calls WHERE run = :run
    UNION ALL SELECT max(sequence) FROM incidents WHERE run = :run
    UNION ALL SELECT max(sequence) FROM answers WHERE run = :run
)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """The state after the last chunk that was committed.

    Attributes:
        next_chunk_index: first chunk that is still to be read.
        memory: the memory before it.
        next_sequence: number of the next record.
        receipts: of all chunks read, by index; those that were taken over from a parent run too.
        evidence: excerpts found so far, in the order in which they were found.
        answer: the answer, once there is one.
    """

    next_chunk_index: int
    memory: Memory
    next_sequence: int
    receipts: Mapping[int, Receipt]
    evidence: tuple[Evidence, ...]
    answer: AnswerFinished | None


def read_checkpoint(db: Database, run_id: str) -> Checkpoint:
    """The checkpoint of a run.

    Raises:
        RunNotFoundError: there is no such run.
    """
    with snapshot(db):
        run = find_run(db, run_id)
        key = (run["id"],)
        steps = fetch(
            db,
            """SELECT chunk_index, planned_tokens, accepted_tokens FROM steps
               WHERE run = ? ORDER BY chunk_index""",
            key,
        )
        own = [step for step in steps if step["chunk_index"] >= run["start_chunk"]]
        answer = fetch_one(db, "SELECT text, answered, claims_json FROM answers WHERE run = ?", key)
        return Checkpoint(
            next_chunk_index=own[-1]["chunk_index"] + 1 if own else run["start_chunk"],
            memory=Memory.from_json(last_memory(db, run["id"])),
            next_sequence=next_sequence(db, run["id"]),
            receipts={
                step["chunk_index"]: Receipt(
                    planned_tokens=step["planned_tokens"], accepted_tokens=step["accepted_tokens"]
                )
                for step in steps
            },
            evidence=tuple(
                evidence_from_row(row)
                for row in fetch(db, "SELECT * FROM evidence WHERE run = ? ORDER BY sequence", key)
            ),
            answer=None if answer is None else answer_from_row(answer),
        )


def next_sequence(db: Database, run: int) -> int:
    """Number of the next record of a run."""
    (last,) = db.conn.execute(_LAST_SEQUENCE, {"run": run}).fetchone()
    return 0 if last is None else int(last) + 1


def find_run(db: Database, run_id: str) -> Row:
    """The row of a run, by its id or by the beginning of it, if that is the beginning of one id only.

    Raises:
        RunNotFoundError: there is no such run, or there are several.
    """
    row = fetch_one(db, "SELECT * FROM runs WHERE run_id = ?", (run_id,))
    if row is not None:
        return row
    rows = (
        fetch(db, "SELECT * FROM runs WHERE substr(run_id, 1, ?) = ? LIMIT 2", (len(run_id), run_id))
        if run_id
        else []
    )
    if len(rows) == 1:
        return rows[0]
    reason = "Several runs begin" if rows else "No run has an id that begins"
    raise RunNotFoundError(f"{reason} with {run_id!r}.", hint="The list of runs shows the ids.")
