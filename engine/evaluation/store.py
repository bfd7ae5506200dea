"""The database of results: what was answered once is never computed again.

A result is kept under its task with all parameters and seed, the system with its model, wording and settings, the
length and the number of the item. Scores are not kept but computed from answers and golds, so that all of them are
of one metric.
"""

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from engine.evaluation.chunk_rates import ChunkCounts
from engine.evaluation.items import Item
from engine.evaluation.migrations import MIGRATIONS
from engine.evaluation.scoring import Score, score
from engine.evaluation.systems import Identified, Outcome
from engine.evaluation.tasks.base import Task, task_key
from engine.traces.database import Row, connect, fetch, fetch_one, insert, mapped, store_errors, transaction
from engine.traces.migrations import migrate

FILE_NAME = "eval.sqlite"
_BUSY_TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A stored outcome with what it is scored against.

    Attributes:
        length_tokens: length that was asked for; 0 = the document's own.
        index: number of the item.
        item_id: its name.
        num_tokens: length of its document.
        question: what was asked.
        golds: wordings of each thing to be found.
        positions: where each stands, as a share of the document; None = not known.
        outcome: what came of it.
    """

    length_tokens: int
    index: int
    item_id: str
    num_tokens: int
    question: str
    golds: tuple[tuple[str, ...], ...]
    positions: tuple[float | None, ...]
    outcome: Outcome

    @property
    def score(self) -> Score:
        """How good the answer is; a failure is wrong."""
        return score(self.outcome.answer, self.golds, failed=self.outcome.status != "answered")


def system_key(identity: Mapping[str, Any]) -> str:
    """What results of a system are kept under."""
    text = json.dumps(identity, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


class EvaluationStore:
    """The database, opened. Use it as a context manager, or close it.

    Args:
        path: the file; it and its folder are made if they are missing.

    Raises:
        engine.errors.StoreError: it cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with store_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self.db = connect(path, busy_timeout_s=_BUSY_TIMEOUT_S)
            try:
                migrate(self.db, path, MIGRATIONS)
            except BaseException:
                self.db.close()
                raise

    def close(self) -> None:
        """Close the connection."""
        self.db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @mapped
    def done(self, task: Task, system: Identified) -> set[tuple[int, int]]:
        """Lengths and numbers of the items that this system has ended."""
        rows = fetch(
            self.db,
            "SELECT length_tokens, item_index FROM results JOIN tasks ON tasks.id = task_id "
            "JOIN systems ON systems.id = system_id WHERE tasks.key = ? AND systems.key = ?",
            (task_key(task), system_key(system.identity)),
        )
        return {(row["length_tokens"], row["item_index"]) for row in rows}

    @mapped
    def save(
        self, task: Task, system: Identified, *, length_tokens: int, index: int, item: Item, outcome: Outcome
    ) -> None:
        """Keep an outcome; the first one stays if another process was faster."""
        values = {
            "length_tokens": length_tokens,
            "item_index": index,
            "item_id": item.item_id,
            "document_hash": item.document.content_hash,
            "num_tokens": item.num_tokens,
            "question": item.question,
            "golds_json": json.dumps([gold.answers for gold in item.golds]),
            "positions_json": json.dumps([item.position(gold) for gold in item.golds]),
            "status": outcome.status,
            "answer": outcome.answer,
            "error": outcome.error,
            "in_memory_json": json.dumps(outcome.in_memory),
            "chunks_json": json.dumps(dataclasses.asdict(outcome.chunks)),
            "num_chunks": outcome.num_chunks,
            "wall_s": outcome.wall_s,
            "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        with transaction(self.db):
            task_id = self._id("tasks", task_key(task), task.name, "parameters_json", task.parameters)
            identity = system.identity
            system_id = self._id("systems", system_key(identity), system.name, "identity_json", identity)
            place = (task_id, system_id, length_tokens, index)
            known = fetch_one(
                self.db,
                "SELECT 1 FROM results WHERE task_id = ? AND system_id = ? AND length_tokens = ? "
                "AND item_index = ?",
                place,
            )
            if known is None:
                insert(self.db, "results", {"task_id": task_id, "system_id": system_id, **values})

    def _id(self, table: str, key: str, name: str, column: str, values: Mapping[str, Any]) -> int:
        row = fetch_one(self.db, f"SELECT id FROM {table} WHERE key = ?", (key,))
        if row is not None:
            return int(row["id"])
        text = json.dumps(dict(values), sort_keys=True)
        return insert(self.db, table, {"key": key, "name": name, column: text})

    @mapped
    def results(
        self, task: Task, system: Identified, *, lengths: Iterable[int], num_items: int
    ) -> list[Result]:
        """Stored results of these lengths and the first so many items, by length and number."""
        rows = fetch(
            self.db,
            "SELECT results.* FROM results JOIN tasks ON tasks.id = task_id "
            "JOIN systems ON systems.id = system_id WHERE tasks.key = ? AND systems.key = ? AND item_index < ? "
            "ORDER BY length_tokens, item_index",
            (task_key(task), system_key(system.identity), num_items),
        )
        wanted = set(lengths)
        return [_result(row) for row in rows if row["length_tokens"] in wanted]


def _result(row: Row) -> Result:
    outcome = Outcome(
        status=row["status"],
        answer=row["answer"],
        error=row["error"],
        in_memory=tuple(json.loads(row["in_memory_json"])),
        chunks=ChunkCounts(**json.loads(row["chunks_json"])),
        num_chunks=row["num_chunks"],
        wall_s=row["wall_s"],
    )
    return Result(
        length_tokens=row["length_tokens"],
        index=row["item_index"],
        item_id=row["item_id"],
        num_tokens=row["num_tokens"],
        question=row["question"],
        golds=tuple(map(tuple, json.loads(row["golds_json"]))),
        positions=tuple(json.loads(row["positions_json"])),
        outcome=outcome,
    )
