"""The trace store: opens the database and hands out everything that can be done with it.

One `TraceStore` belongs to one thread; any number of processes may read at once, and one process writes into
a run.
"""

import sqlite3
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from engine.agent.memory import Memory
from engine.agent.run import RunSpec
from engine.backends.base import ModelInfo
from engine.documents.model import Document
from engine.errors import ResumeRefusedError
from engine.traces import counting, creation, library, overview, queries, search
from engine.traces.checkpoint import Checkpoint, find_run, read_checkpoint
from engine.traces.counting import DocumentCount
from engine.traces.creation import Parent, PlannedChunk
from engine.traces.database import connect, damaged, mapped, store_errors, transaction, update
from engine.traces.events import spec_from_json
from engine.traces.lease import take
from engine.traces.migrations import migrate
from engine.traces.overview import DocumentUse, RunHead
from engine.traces.rows import (
    CallRow,
    ChunkRow,
    DocumentRow,
    EvidenceRow,
    IncidentRow,
    RunRow,
    StepRow,
    Totals,
)
from engine.traces.seals import reseal_state
from engine.traces.search import Hit
from engine.traces.verify import verify
from engine.traces.writer import RunWriter

__all__ = ["Checkpoint", "Parent", "RunWriter", "TraceStore"]

LEASE_S = 60.0
BUSY_TIMEOUT_S = 20.0


class TraceStore:
    """The database of documents and runs. Use it as a context manager, or close it.

    Args:
        path: the file; it and its folder are made if they are missing.
        lease_s: how long a run belongs to a process that no longer renews its lease.
        busy_timeout_s: how long to wait for another process's transaction.

    Raises:
        StoreVersionError: a newer version wrote the file.
        StoreCorruptError: it is damaged or not ours.
        StoreBusyError: another process keeps it locked.
        StoreError: it cannot be opened or written.
    """

    def __init__(
        self, path: Path, *, lease_s: float = LEASE_S, busy_timeout_s: float = BUSY_TIMEOUT_S
    ) -> None:
        self.path = path
        self._lease_s = lease_s
        with store_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self.db = connect(path, busy_timeout_s=busy_timeout_s)
            try:
                migrate(self.db, path)
            except BaseException as exc:
                self.db.close()
                # A changed byte in the schema's own text gives columns and tables other names.
                if isinstance(exc, sqlite3.OperationalError) and exc.sqlite_errorcode == sqlite3.SQLITE_ERROR:
                    raise damaged(path) from exc
                raise

    def close(self) -> None:
        """Close the connection; writers must be closed before."""
        self.db.close()

    def interrupt(self) -> None:
        """Make the query that runs end with an error. The one method that another thread may call."""
        self.db.conn.interrupt()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Documents

    @mapped
    def add_document(self, document: Document) -> None:
        """Store a document; the same text again only updates its name, place and labels."""
        with transaction(self.db):
            library.add_document(self.db, document)

    @mapped
    def load_document(self, content_hash: str) -> Document:
        """Rebuild a stored document.

        Raises:
            StoreError: it is not here.
            StoreCorruptError: what is here does not have this hash.
        """
        return library.load_document(self.db, content_hash)

    @mapped
    def delete_document(self, content_hash: str) -> None:
        """Delete a document that no run has read.

        Raises:
            StoreError: it is not here, or a run has read it.
        """
        with transaction(self.db):
            library.delete_document(self.db, content_hash)

    @mapped
    def keep_token_count(self, content_hash: str, fingerprint: str, num_tokens: int) -> None:
        """Note how many tokens a document has for the model with this fingerprint.

        Raises:
            StoreError: the document is not here.
        """
        with transaction(self.db):
            library.keep_token_count(self.db, content_hash, fingerprint, num_tokens)

    @mapped
    def token_count(self, content_hash: str, fingerprint: str) -> int | None:
        """How many tokens a document has for the model with this fingerprint; None = nobody counted."""
        return library.token_count(self.db, content_hash, fingerprint)

    @mapped
    def search(self, text: str, limit: int = 20) -> list[Hit]:
        """Pages that hold all words of `text`, best first; "words in quotes" are a phrase."""
        return search.search(self.db, text, limit)

    @mapped
    def count(
        self, text: str, *, content_hash: str | None = None, whole_words: bool = True
    ) -> list[DocumentCount]:
        """How often a word or phrase occurs, exactly; see `engine.traces.counting.count`."""
        return counting.count(self.db, text, content_hash=content_hash, whole_words=whole_words)

    @mapped
    def rebuild_index(self) -> None:
        """Make the full-text index anew from the page texts."""
        with transaction(self.db):
            search.rebuild_index(self.db)

    # Runs

    @mapped
    def create_run(
        self,
        spec: RunSpec,
        documents: Sequence[Document],
        chunks: Sequence[PlannedChunk],
        *,
        model: ModelInfo,
        model_path: str = "",
        parent: Parent | None = None,
        kept: Collection[str] = (),
    ) -> RunWriter:
        """Start a run; documents are stored with it. Its lease is the writer's.

        Args:
            spec: identity of the run.
            documents: what it reads, in order.
            chunks: its plan.
            model: what it is read with.
            model_path: where the model's file is, so that the run can be resumed.
            parent: the run that it branches off or continues.
            kept: hashes of documents that came out of this store; what is known of their files is left as it is.

        Raises:
            RunNotFoundError: there is no such parent.
            ResumeRefusedError: the parent has not read that far, or read another text.
        """
        with transaction(self.db):
            run, run_id = creation.create_run(
                self.db, spec, documents, chunks, model=model, model_path=model_path, parent=parent, kept=kept
            )
            lease = take(self.db, run, run_id, self._lease_s)
        return RunWriter(self.db, self.path, run=run, run_id=run_id, lease=lease)

    @mapped
    def open_run(self, run_id: str, spec: RunSpec) -> RunWriter:
        """Go on with a run; read its `checkpoint` afterwards, when nobody else can write into it any more.

        Raises:
            RunNotFoundError: there is no such run.
            ResumeRefusedError: something that must be equal differs; the sentence names it.
            RunOwnedError: a live process writes into it.
        """
        with transaction(self.db):
            row = find_run(self.db, run_id)
            _refuse_other_spec(row["run_id"], spec_from_json(row["spec_json"]), spec)
            lease = take(self.db, row["id"], row["run_id"], self._lease_s)
            update(self.db, "runs", row["id"], {"status": "running", "ended_at": None, "error": None})
            reseal_state(self.db, row["id"])
        return RunWriter(self.db, self.path, run=row["id"], run_id=row["run_id"], lease=lease)

    @mapped
    def checkpoint(self, run_id: str) -> Checkpoint:
        """Where a run stands."""
        return read_checkpoint(self.db, run_id)

    @mapped
    def list_runs(self, limit: int | None = None) -> list[RunRow]:
        """Runs, the newest first."""
        return queries.list_runs(self.db, limit)

    @mapped
    def list_heads(self) -> list[RunHead]:
        """Runs as a list shows them, the newest first; for thousands of them."""
        return overview.list_heads(self.db)

    @mapped
    def get_run(self, run_id: str) -> RunRow:
        """A run, by its id or the beginning of it.

        Raises:
            RunNotFoundError: there is none, or several.
        """
        return queries.get_run(self.db, run_id)

    @mapped
    def find_resumable(self, spec: RunSpec) -> list[RunRow]:
        """Runs of exactly this plan that are neither finished nor being written, the newest first."""
        return queries.find_resumable(self.db, spec)

    @mapped
    def list_documents(self) -> list[DocumentRow]:
        """All documents, the newest first."""
        return queries.list_documents(self.db)

    @mapped
    def document_uses(self) -> dict[str, DocumentUse]:
        """By content hash, the runs that read a document: how many, and when last."""
        return overview.document_uses(self.db)

    @mapped
    def chunks(self, run_id: str) -> list[ChunkRow]:
        """The plan of a run."""
        return queries.chunks(self.db, run_id)

    def steps(self, run_id: str) -> Iterator[StepRow]:
        """The chunks read, with the memory before and after each, in order."""
        with store_errors(self.path):
            yield from queries.steps(self.db, run_id)

    def calls(self, run_id: str, chunk_index: int | None = None) -> Iterator[CallRow]:
        """The calls of the model with prompts and replies, in order; all, or those about one chunk."""
        with store_errors(self.path):
            yield from queries.calls(self.db, run_id, chunk_index)

    @mapped
    def incidents(self, run_id: str) -> list[IncidentRow]:
        """What went wrong in a run, in order."""
        return queries.incidents(self.db, run_id)

    @mapped
    def evidence(self, run_id: str) -> list[EvidenceRow]:
        """The excerpts found, in order."""
        return queries.evidence(self.db, run_id)

    @mapped
    def certificate(self, run_id: str) -> str | None:
        """The coverage certificate as it was saved, or None."""
        return queries.certificate(self.db, run_id)

    @mapped
    def memory_before(self, run_id: str, chunk_index: int) -> Memory:
        """The memory before a chunk that was read; see `engine.traces.queries.memory_before`."""
        return queries.memory_before(self.db, run_id, chunk_index)

    def totals(self, run_id: str) -> Totals:
        """What a run cost."""
        return queries.totals(self.db, run_id)

    @mapped
    def delete_run(self, run_id: str) -> None:
        """Delete a run and every text that nothing else refers to; its documents stay.

        Raises:
            RunNotFoundError: there is no such run.
            RunOwnedError: a live process writes into it.
        """
        with transaction(self.db):
            queries.delete_run(self.db, run_id)

    def verify(self) -> list[str]:
        """Check everything that the database claims; one sentence for each finding."""
        return verify(self.db)


def _refuse_other_spec(run_id: str, stored: RunSpec, spec: RunSpec) -> None:
    differences = stored.differences(spec)
    if not differences and stored.key != spec.key:
        differences = ["the part that is read"]
    if differences:
        names = " and ".join(
            [", ".join(differences[:-1]), differences[-1]] if differences[1:] else differences
        )
        raise ResumeRefusedError(
            f"The run {run_id} cannot be resumed: {names} changed.",
            hint="Start a new run, or undo the change.",
        )
