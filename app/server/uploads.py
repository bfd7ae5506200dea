"""How documents come in: as an upload, or by their path on this machine.

An upload is kept under the hash of its bytes in the data folder; what the client calls it is only shown, never part
of a path. Of its name nothing but a known suffix is used, because it tells the format of files whose bytes do not.
"""

import dataclasses
import hashlib
import os
import secrets
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from app.server.problems import Refused
from app.server.schemas import AddedDocument, DocumentBody, display_name
from engine.documents.model import Document
from engine.documents.reader import SUFFIXES, open_document
from engine.errors import DocumentNotFoundError, PlanError, StoreError
from engine.paths import trace_database
from engine.traces.rows import DocumentRow
from engine.traces.store import TraceStore

_BLOCK_BYTES = 1 << 20
_LEAST_PREFIX = 8


class Intake:
    """Takes documents into a data folder.

    Args:
        folder: the data folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "uploads"
        self._database = trace_database(folder)

    def add_upload(self, content: BinaryIO, name: str, *, password: str | None = None) -> AddedDocument:
        """Keep an uploaded file and read it.

        Raises:
            engine.errors.DocumentError: it cannot be read; nothing is kept.
            StoreError: it cannot be written.
        """
        path, is_new = self._keep(content, _known_suffix(name))
        try:
            document = open_document(path, password=password)
        except BaseException:
            if is_new:
                path.unlink(missing_ok=True)
            raise
        return self._store(dataclasses.replace(document, name=display_name(name)))

    def add_path(self, path: Path, *, password: str | None = None) -> AddedDocument:
        """Read a file of this machine.

        Raises:
            PlanError: the path is not absolute.
            engine.errors.DocumentError: it cannot be read.
        """
        if not path.is_absolute():
            raise PlanError("The path is not absolute.", hint="Give it from the root on.")
        # A pipe or a device would never end.
        if path.exists() and not path.is_file() and not path.is_dir():
            raise DocumentNotFoundError(f"{path.name} is not a file.")
        return self._store(open_document(path, password=password))

    def find(self, prefixes: list[str]) -> list[DocumentRow]:
        """The stored documents whose hashes begin like these.

        Raises:
            Refused: there is none, or several.
        """
        with TraceStore(self._database) as store:
            rows = store.list_documents()
        return [_find_one(rows, prefix.strip().lower()) for prefix in prefixes]

    def restore_names(self, read: tuple[Document, ...], rows: tuple[DocumentRow, ...]) -> None:
        """Give uploads back the names that clients know: the engine names what it reads after the file."""
        renamed = [
            dataclasses.replace(document, name=row.name)
            for document, row in zip(read, rows, strict=True)
            if document.name != row.name
        ]
        if renamed:
            with TraceStore(self._database) as store:
                for document in renamed:
                    store.add_document(document)

    def _store(self, document: Document) -> AddedDocument:
        with TraceStore(self._database) as store:
            store.add_document(document)
            rows = store.list_documents()
        row = next(row for row in rows if row.content_hash == document.content_hash)
        return AddedDocument(**DocumentBody.of(row).model_dump(), warnings=list(document.warnings))

    def _keep(self, content: BinaryIO, suffix: str) -> tuple[Path, bool]:
        """Copy to a temporary name, then to that of its hash; returns the path and whether it is new."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            partial = self._folder / f"{secrets.token_hex(8)}.partial"
            try:
                digest = hashlib.sha256()
                with partial.open("xb") as target:
                    while block := content.read(_BLOCK_BYTES):
                        digest.update(block)
                        target.write(block)
                path = self._folder / f"{digest.hexdigest()}{suffix}"
                is_new = not path.exists()
                if is_new:
                    os.replace(partial, path)
            finally:
                partial.unlink(missing_ok=True)
        except OSError as exc:
            raise StoreError(
                f"The upload cannot be kept: {exc.strerror or exc}.",
                hint="Check the data folder and its disk.",
            ) from exc
        return path, is_new


def check_unchanged(row: DocumentRow, *, password: str | None = None) -> None:
    """Refuse a document whose file no longer holds the text that its hash stands for.

    Raises:
        Refused: the file is gone or was changed.
        engine.errors.DocumentError: it changed and can no longer be read.
    """
    try:
        stat = row.path.stat()
    except (OSError, ValueError) as exc:
        raise Refused(
            409,
            "document_gone",
            f"The file of {row.name} is no longer there.",
            hint="Add the document again.",
        ) from exc
    if (stat.st_size, stat.st_mtime) == (row.size_bytes, row.modified_at):
        return
    if open_document(row.path, password=password).content_hash != row.content_hash:
        raise Refused(
            409, "document_changed", f"The file of {row.name} has changed.", hint="Add the document again."
        )


def _known_suffix(name: str) -> str:
    suffix = PurePosixPath(name.replace("\\", "/")).suffix.lower()
    return suffix if suffix in SUFFIXES else ""


def _find_one(rows: list[DocumentRow], prefix: str) -> DocumentRow:
    found = (
        [row for row in rows if row.content_hash.startswith(prefix)] if len(prefix) >= _LEAST_PREFIX else []
    )
    if len(found) == 1:
        return found[0]
    reason = "Several documents have hashes that begin" if found else "No document has a hash that begins"
    raise Refused(
        404,
        "unknown_document",
        f"{reason} with {prefix[:64]!r}.",
        hint="Add it with POST /v1/documents; GET /v1/documents lists what is there.",
    )
