"""Takes files and folders into the library, one after the other; a wrong one stops none of the others."""

import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path

from app.wire import error_code
from app.worker.channel import Channel
from app.worker.protocol import ImportJob, Model
from engine.cancel import Cancelled
from engine.documents.model import Document
from engine.documents.reader import SUFFIXES, open_document
from engine.errors import DocumentError, DocumentNotFoundError, ModelError, PasswordNeededError
from engine.models.catalogue import find_model
from engine.models.counting import TokenCounter
from engine.paths import trace_database
from engine.traces.store import TraceStore

_log = logging.getLogger(__name__)

_TELL_EVERY_S = 0.1


def run_import(job: ImportJob, channel: Channel) -> None:
    """Do an import job to its last message.

    Raises:
        engine.errors.StoreError: nothing can be stored.
    """
    with ExitStack() as stack:
        store = stack.enter_context(TraceStore(trace_database(Path(job.data))))
        importer = Importer(store, channel, job.passwords)
        try:
            files = list(dict.fromkeys(importer.walk([Path(path) for path in job.paths])))
            if job.count_tokens and files:
                importer.counting = stack.enter_context(closing(Counting(job.model, Path(job.data))))
            importer.take_all(files)
            if job.asks:
                importer.ask_for_passwords()
        except Cancelled:
            channel.send("stopped", run_ids=[], **importer.outcome(), left=importer.left)
        else:
            channel.send("result", **importer.outcome())


class Counting:
    """The tokenizer of the model that is chosen, if it can be had; why not is said with each document.

    Args:
        model: the choice.
        folder: the data folder.
    """

    def __init__(self, model: Model, folder: Path) -> None:
        self._counter: TokenCounter | None = None
        self._trouble: str | None = None
        if model.servers or model.vllm:
            return  # its tokens are counted where it is, when it reads
        try:
            self._counter = TokenCounter(find_model(model.model, folder))
        except ModelError as exc:
            self._trouble = f"Its tokens were not counted: {exc.message}"

    def count(
        self, store: TraceStore, document: Document, channel: Channel
    ) -> tuple[int | None, Sequence[str]]:
        """Tokens of a stored document, and warnings."""
        if self._counter is None:
            return None, [self._trouble] if self._trouble else []
        known = store.token_count(document.content_hash, self._counter.fingerprint)
        if known is None:
            known = self._counter.count(document, cancel=channel.token)
            store.keep_token_count(document.content_hash, self._counter.fingerprint, known)
        return known, []

    def close(self) -> None:
        """Free the tokenizer."""
        if self._counter is not None:
            self._counter.close()


class Importer:
    """Takes documents into a store and says how it goes.

    Args:
        store: the store.
        channel: who is told.
        passwords: by path.

    Attributes:
        counting: counts tokens; None = nobody does.
        left: paths that a stop left out.
    """

    def __init__(self, store: TraceStore, channel: Channel, passwords: Mapping[str, str]) -> None:
        self._store = store
        self._channel = channel
        self._passwords = dict(passwords)
        self.counting: Counting | None = None
        self._imported: list[str] = []
        self._failed: list[str] = []
        self._locked: list[Path] = []
        self.left: list[str] = []

    def outcome(self) -> dict[str, list[str]]:
        """What came of it, for the last message."""
        return {"imported": self._imported, "failed": self._failed}

    def walk(self, paths: Sequence[Path]) -> Iterator[Path]:
        """Files as they are named; of folders all with a known suffix, hidden ones left out, in the order of names."""
        for path in paths:
            if not path.is_dir():
                yield path
                continue
            found = list(self._walk_folder(path))
            yield from found
            if not found:
                suffixes = ", ".join(SUFFIXES)
                self._tell_failure(
                    path,
                    DocumentNotFoundError(
                        f"There is no document in the folder {path.name}.", hint=f"Documents are: {suffixes}."
                    ),
                )

    def _walk_folder(self, folder: Path) -> Iterator[Path]:
        def tell(exc: OSError) -> None:
            name = Path(exc.filename or folder)
            error = DocumentNotFoundError(
                f"The folder {name.name} may not be read: {exc.strerror}.", hint="Check its permissions."
            )
            self._tell_failure(name, error)

        for place, folders, files in os.walk(folder, onerror=tell):
            self._channel.token.check()
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(files):
                path = Path(place, name)
                if not name.startswith(".") and path.suffix.lower() in SUFFIXES and path.is_file():
                    yield path

    def take_all(self, paths: Sequence[Path]) -> None:
        """Take these files.

        Raises:
            Cancelled: the job was stopped.
            engine.errors.StoreError: nothing can be stored.
        """
        self.left = [str(path) for path in paths]
        for number, path in enumerate(paths, start=1):
            self._channel.token.hold()
            self.take(path, number, len(paths))
            self.left.pop(0)

    def take(self, path: Path, number: int = 1, of_files: int = 1) -> None:
        """Take one file; one that cannot be read is told of and left out.

        Raises:
            Cancelled: the job was stopped.
            engine.errors.StoreError: nothing can be stored.
        """
        try:
            self.take_one(path, number, of_files)
        except DocumentError as exc:
            self._tell_failure(path, exc)

    def take_one(self, path: Path, number: int = 1, of_files: int = 1) -> str:
        """Take one file; returns its content hash.

        Raises:
            Cancelled: the job was stopped.
            DocumentError: the file cannot be read.
            engine.errors.StoreError: nothing can be stored.
        """
        progress = _Progress(self._channel, path, number, of_files)
        progress.enter("opening")
        if path.exists() and not path.is_file():  # a pipe or a device would never end
            raise DocumentNotFoundError(f"{path.name} is not a file.", hint="Choose a file or a folder.")
        document = open_document(path, password=self._passwords.get(str(path)), progress=progress.count_pages)
        num_pages = len(document.pages)
        is_new = all(row.content_hash != document.content_hash for row in self._store.list_documents())
        progress.enter("storing", num_pages, num_pages)
        self._store.add_document(document)
        tokens: int | None = None
        warnings = list(document.warnings)
        if self.counting is not None:
            progress.enter("counting", num_pages, num_pages)
            tokens, troubles = self.counting.count(self._store, document, self._channel)
            warnings += troubles
        self._imported.append(document.content_hash)
        self._channel.send(
            "imported",
            path=str(path),
            content_hash=document.content_hash,
            name=document.name,
            kind=document.kind,
            format=document.format,
            title=document.title,
            pages=num_pages,
            tokens=tokens,
            is_new=is_new,
            warnings=warnings,
        )
        return document.content_hash

    def ask_for_passwords(self) -> None:
        """Ask for the passwords that are missing, until each file is open or given up.

        Raises:
            Cancelled: the job was stopped.
        """
        asked: set[Path] = set()
        while self._locked:
            for path in self._locked:
                if path not in asked:
                    is_wrong = str(path) in self._passwords
                    self._channel.send("password_needed", path=str(path), name=path.name, is_wrong=is_wrong)
                    asked.add(path)
            answer = self._channel.wait_for_password()
            path = Path(answer.path)
            if path not in self._locked:
                _log.warning("a password came for a file that needs none")
                continue
            self._locked.remove(path)
            asked.discard(path)
            if answer.password is not None:
                self._passwords[answer.path] = answer.password
                self._failed.remove(answer.path)
                self.take(path)

    def _tell_failure(self, path: Path, error: DocumentError) -> None:
        self._failed.append(str(path))
        if isinstance(error, PasswordNeededError):
            self._locked.append(path)
        self._channel.send(
            "import_failed",
            path=str(path),
            name=path.name,
            code=error_code(error),
            message=error.message,
            hint=error.hint,
        )


class _Progress:
    """Says how far a file has come, now and then."""

    def __init__(self, channel: Channel, path: Path, number: int, of_files: int) -> None:
        self._channel = channel
        self._place = {"path": str(path), "name": path.name, "file": number, "files": of_files}
        self._told_at = 0.0

    def enter(self, state: str, done: int = 0, of: int | None = None) -> None:
        """A further part of the work begins."""
        self._channel.send("import_progress", **self._place, state=state, done=done, of=of)

    def count_pages(self, done: int, of: int) -> None:
        """So many pages are read.

        Raises:
            Cancelled: the job was stopped.
        """
        self._channel.token.hold()
        now = time.monotonic()
        if now - self._told_at >= _TELL_EVERY_S:
            self._told_at = now
            self.enter("reading", done, of)
