"""How a run comes into the store: its row, its chunks, and what it takes over from another run."""

import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, Protocol

from sqlite_utils import Database

from engine.agent.memory import EMPTY, Memory
from engine.agent.run import RunSpec
from engine.backends.base import ModelInfo
from engine.documents.model import Document
from engine.errors import ResumeRefusedError
from engine.traces.checkpoint import find_run
from engine.traces.database import Row, fetch, fetch_one, insert, update
from engine.traces.events import spec_to_json
from engine.traces.library import SliceReader, add_document, document_id
from engine.traces.seals import plan_seal, reseal_state
from engine.traces.texts import put_text

ParentKind = Literal["branch", "continue"]

_COMPARED_CHARS = 1 << 20


class HasTokens(Protocol):
    """What the store needs of a `engine.chunking.Unit`."""

    @property
    def token_ids(self) -> Sequence[int]:
        """Its tokens."""
        ...


class PlannedChunk(Protocol):
    """What the store needs of a `engine.chunking.Chunk`."""

    @property
    def index(self) -> int: ...
    @property
    def document(self) -> int: ...
    @property
    def start(self) -> int: ...
    @property
    def end(self) -> int: ...
    @property
    def first_page(self) -> int: ...
    @property
    def last_page(self) -> int: ...
    @property
    def labels(self) -> str: ...
    @property
    def num_tokens(self) -> int: ...
    @property
    def num_overlap_units(self) -> int: ...
    @property
    def units(self) -> Sequence[HasTokens]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Parent:
    """The run that a new run takes its beginning from. What it takes over is copied: either may be deleted.

    Attributes:
        run_id: the run.
        kind: "branch" = the same plan from some step on; "continue" = chunks that the parent did not have.
        next_chunk: index of the first chunk that the new run reads itself; the steps before it are copied.
        memory: the memory before that chunk, if it was edited; None = as the parent had it.
    """

    run_id: str
    kind: ParentKind
    next_chunk: int
    memory: Memory | None = None


def create_run(
    db: Database,
    spec: RunSpec,
    documents: Sequence[Document],
    chunks: Sequence[PlannedChunk],
    *,
    model: ModelInfo,
    model_path: str,
    parent: Parent | None,
    kept: Collection[str] = (),
) -> tuple[int, str]:
    """Write a new run, inside the caller's transaction; returns its internal id and its run id.

    Documents whose hashes are among `kept` came out of this store: what is known of their files stays as it is.

    Raises:
        ResumeRefusedError: the parent has not read that far, or its documents are not the beginning of these.
    """
    origin = _origin(db, parent) if parent else None
    run_id = _new_run_id(db)
    run = insert(
        db,
        "runs",
        {
            "run_id": run_id,
            "created_at": datetime.now(UTC).isoformat(timespec="microseconds"),
            "status": "running",
            "question": spec.question,
            "mode": str(spec.config.mode),
            "model_id": _model(db, model, model_path),
            "spec_key": spec.key,
            "spec_json": spec_to_json(spec),
            "parent_run_id": origin["run_id"] if origin else None,
            "parent_kind": parent.kind if parent else None,
            "start_chunk": parent.next_chunk if parent else spec.first_chunk,
            "start_memory_id": _start_memory(db, parent, origin),
            "wording_id": origin["wording_id"] if origin else None,
            "plan_seal_blob": b"",
            "state_seal_blob": b"",
        },
    )
    for position, document in enumerate(documents):
        is_kept = document.content_hash in kept
        place = document_id(db, document.content_hash) if is_kept else add_document(db, document)
        insert(db, "run_documents", {"run": run, "position": position, "document_id": place})
    for chunk in chunks:
        _add_chunk(db, run, chunk)
    if origin and parent:
        _refuse_other_text(db, origin, run, parent.next_chunk)
        _copy(db, origin["id"], run, parent.next_chunk)
    update(db, "runs", run, {"plan_seal_blob": plan_seal(db, run)})
    reseal_state(db, run)
    return run, run_id


def _new_run_id(db: Database) -> str:
    """Time and chance: sorts by time, and two processes do not get the same one."""
    while True:
        run_id = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
        if fetch_one(db, "SELECT 1 FROM runs WHERE run_id = ?", (run_id,)) is None:
            return run_id


def _model(db: Database, model: ModelInfo, path: str) -> int:
    values = {"fingerprint": model.fingerprint, "name": model.name, "backend": model.backend, "path": path}
    for row in fetch(db, "SELECT * FROM models WHERE fingerprint = ?", (model.fingerprint,)):
        if all(row[key] == value for key, value in values.items()):
            return int(row["id"])
    return insert(db, "models", values)


def _add_chunk(db: Database, run: int, chunk: PlannedChunk) -> None:
    values = {
        "run": run,
        "chunk_index": chunk.index,
        "document": chunk.document,
        "start": chunk.start,
        '"end"': chunk.end,
        "first_page": chunk.first_page,
        "last_page": chunk.last_page,
        "labels": chunk.labels,
        "num_tokens": chunk.num_tokens,
        "num_new_tokens": sum(len(unit.token_ids) for unit in chunk.units[chunk.num_overlap_units :]),
    }
    insert(db, "chunks", values)


def _origin(db: Database, parent: Parent) -> Row:
    row = find_run(db, parent.run_id)
    last = fetch_one(db, "SELECT max(chunk_index) AS last FROM steps WHERE run = ?", (row["id"],))
    read = row["start_chunk"] if last is None or last["last"] is None else last["last"] + 1
    if parent.next_chunk > read:
        raise ResumeRefusedError(
            f"The run {row['run_id']} has read {read} chunks, not {parent.next_chunk}.",
            hint="Resume it first.",
        )
    return row


def _start_memory(db: Database, parent: Parent | None, origin: Row | None) -> int:
    """Internal id of the memory before the first chunk that the run reads itself."""
    if parent is None or origin is None:
        return put_text(db, EMPTY.to_json())
    if parent.memory is not None:
        return put_text(db, parent.memory.to_json())
    if parent.next_chunk == origin["start_chunk"]:
        return int(origin["start_memory_id"])
    step = fetch_one(
        db,
        "SELECT memory_after_id FROM steps WHERE run = ? AND chunk_index = ?",
        (origin["id"], parent.next_chunk - 1),
    )
    return put_text(db, EMPTY.to_json()) if step is None else int(step["memory_after_id"])


def _refuse_other_text(db: Database, origin: Row, run: int, next_chunk: int) -> None:
    """What is taken over points into the documents by offset: their text must be the same up to there."""
    ends = db.conn.execute(
        'SELECT document, max("end") FROM chunks WHERE run = ? AND chunk_index < ? GROUP BY document',
        (origin["id"], next_chunk),
    ).fetchall()
    for position, end in ends:
        old, new = (_document_id(db, key, position) for key in (origin["id"], run))
        if old != new and (new is None or old is None or not _is_prefix(db, old, new, end)):
            raise ResumeRefusedError(
                "The part of the document that was read before has changed.", hint="Start a new run."
            )


def _document_id(db: Database, run: int, position: int) -> int | None:
    row = fetch_one(
        db, "SELECT document_id FROM run_documents WHERE run = ? AND position = ?", (run, position)
    )
    return None if row is None else int(row["document_id"])


def _is_prefix(db: Database, old: int, new: int, end: int) -> bool:
    """Whether two stored documents have the same text up to `end`."""
    readers = SliceReader(db), SliceReader(db)
    for start in range(0, end, _COMPARED_CHARS):
        stop = min(end, start + _COMPARED_CHARS)
        if readers[0].read(old, start, stop) != readers[1].read(new, start, stop):
            return False
    return True


_COPIED = {
    "chunks": """chunk_index, document, start, "end", first_page, last_page, labels, num_tokens,
                 num_new_tokens""",
    "steps": """chunk_index, first_sequence, sequence, started_at, finished_at, memory_before_id,
                memory_after_id, outcome, planned_tokens, accepted_tokens, seal_blob""",
    "calls": """sequence, chunk_index, purpose, attempt, prompt_hash_blob, prompt_blob, reply_hash_blob,
                reply_blob, prompt_tokens, completion_tokens, cached_tokens, prefill_s, decode_s,
                finish_reason""",
    "incidents": "sequence, chunk_index, kind, detail",
    "evidence": 'sequence, chunk_index, document, start, "end", quote, page, label',
}


def _copy(db: Database, origin: int, run: int, next_chunk: int) -> None:
    """Copy what was done before `next_chunk`; chunks that the new plan has itself stay as they are."""
    for table, columns in _COPIED.items():
        have = "(SELECT chunk_index FROM chunks WHERE run = :run)" if table == "chunks" else "()"
        db.conn.execute(
            f"""INSERT INTO {table} (run, {columns}) SELECT :run, {columns} FROM {table}
                WHERE run = :origin AND chunk_index < :next_chunk AND chunk_index NOT IN {have}""",
            {"run": run, "origin": origin, "next_chunk": next_chunk},
        )
