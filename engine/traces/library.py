"""Documents in the store: kept page by page, and rebuilt without the file."""

import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlite_utils import Database

from engine.documents.model import PAGE_BREAK, Document, OutlineEntry, Page
from engine.errors import StoreError
from engine.traces.database import Row, damaged, fetch, fetch_one, insert, path_of, update
from engine.traces.seals import document_seal
from engine.traces.search import index_page, unindex_page
from engine.traces.texts import collect_garbage, get_text, put_text

_CACHED_PAGES = 4


def add_document(db: Database, document: Document) -> int:
    """Store a document, inside the caller's transaction; returns its internal id.

    The same text again changes no text: name, place, labels and headings follow the newest import, so that
    the store never disagrees with the file that the user sees.
    """
    values = _values(document)
    known = fetch_one(db, "SELECT * FROM documents WHERE content_hash = ?", (document.content_hash,))
    if known is None:
        imported = datetime.now(UTC).isoformat()
        document_id = insert(db, "documents", {**values, "imported_at": imported, "seal_blob": b""})
        for page in document.pages:
            _add_page(db, document_id, page)
    else:
        document_id = int(known["id"])
        _refresh(db, known, values, document.pages)
    update(db, "documents", document_id, {"seal_blob": document_seal(db, document_id)})
    return document_id


def document_id(db: Database, content_hash: str) -> int:
    """Internal id of a stored document.

    Raises:
        StoreError: it is not here.
    """
    row = fetch_one(db, "SELECT id FROM documents WHERE content_hash = ?", (content_hash,))
    if row is None:
        raise not_stored(content_hash)
    return int(row["id"])


def keep_token_count(db: Database, content_hash: str, fingerprint: str, num_tokens: int) -> None:
    """Note how many tokens a document has for a model, inside the caller's transaction.

    Raises:
        StoreError: the document is not here.
    """
    db.conn.execute(
        "INSERT OR REPLACE INTO token_counts VALUES (?, ?, ?, ?)",
        (document_id(db, content_hash), fingerprint, num_tokens, datetime.now(UTC).isoformat()),
    )


def token_count(db: Database, content_hash: str, fingerprint: str) -> int | None:
    """How many tokens a document has for a model; None = nobody counted."""
    row = fetch_one(
        db,
        """SELECT t.num_tokens FROM token_counts AS t JOIN documents AS d ON d.id = t.document_id
           WHERE d.content_hash = ? AND t.fingerprint = ?""",
        (content_hash, fingerprint),
    )
    return None if row is None else int(row["num_tokens"])


def load_document(db: Database, content_hash: str) -> Document:
    """Rebuild a document from its stored pages.

    Raises:
        StoreError: it is not here.
        StoreCorruptError: what is here does not have this hash.
    """
    row = fetch_one(db, "SELECT * FROM documents WHERE content_hash = ?", (content_hash,))
    if row is None:
        raise not_stored(content_hash)
    pages = fetch(
        db,
        "SELECT number, label, heading, start, text_id FROM pages WHERE document_id = ? ORDER BY number",
        (row["id"],),
    )
    try:
        document = Document(
            name=row["name"],
            path=Path(row["path"]),
            format=row["format"],
            kind=row["kind"],
            title=row["title"],
            pages=tuple(_page(db, page) for page in pages),
            outline=tuple(
                OutlineEntry(title=title, level=level, page_number=number)
                for title, level, number in json.loads(row["outline_json"])
            ),
            warnings=tuple(json.loads(row["warnings_json"])),
        )
    except (ValueError, TypeError) as exc:
        raise damaged(path_of(db)) from exc
    if document.content_hash != content_hash:
        raise damaged(path_of(db))
    return document


def delete_document(db: Database, content_hash: str) -> None:
    """Delete a document, inside the caller's transaction.

    Raises:
        StoreError: it is not here, or a run has read it.
    """
    row = fetch_one(db, "SELECT id, name FROM documents WHERE content_hash = ?", (content_hash,))
    if row is None:
        raise not_stored(content_hash)
    if fetch_one(db, "SELECT 1 FROM run_documents WHERE document_id = ?", (row["id"],)):
        raise StoreError(f"A run has read the document {row['name']}.", hint="Delete the run first.")
    for page in fetch(db, "SELECT id, text_id FROM pages WHERE document_id = ?", (row["id"],)):
        unindex_page(db, page["id"], get_text(db, page["text_id"]))
    db.conn.execute("DELETE FROM documents WHERE id = ?", (row["id"],))
    collect_garbage(db)


def not_stored(content_hash: str) -> StoreError:
    """The error for a document that the database does not hold."""
    return StoreError(
        f"The database holds no document with the hash {content_hash[:12]}.", hint="Open the file once more."
    )


class SliceReader:
    """Reads parts of stored documents by offset; the last pages stay in memory: reading goes in order.

    Args:
        db: the database.
    """

    def __init__(self, db: Database) -> None:
        self._db = db
        self._texts: dict[int, str] = {}

    def read(self, document_id: int, start: int, end: int) -> str:
        """`Document.text[start:end]` of a stored document."""
        pages = self._db.conn.execute(
            """SELECT start, text_id FROM pages WHERE document_id = ? AND start < ? AND start >= coalesce(
                   (SELECT max(start) FROM pages WHERE document_id = ? AND start <= ?), 0)
               ORDER BY number""",
            (document_id, end, document_id, start),
        ).fetchall()
        if not pages:
            return ""
        # The break behind the last page is part of the slice where that ends in it.
        joined = "".join(self._text(text_id) + PAGE_BREAK for _, text_id in pages)
        offset = pages[0][0]
        return joined[start - offset : end - offset]

    def _text(self, text_id: int) -> str:
        text = self._texts.pop(text_id, None)
        if text is None:
            text = get_text(self._db, text_id)
        self._texts[text_id] = text
        if len(self._texts) > _CACHED_PAGES:
            del self._texts[next(iter(self._texts))]
        return text


def _values(document: Document) -> Row:
    size, modified = _size_and_time(document.path)
    return {
        "content_hash": document.content_hash,
        "name": document.name,
        "path": os.fspath(document.path),
        "format": document.format,
        "kind": document.kind,
        "title": document.title,
        "num_pages": len(document.pages),
        "outline_json": json.dumps(
            [[entry.title, entry.level, entry.page_number] for entry in document.outline]
        ),
        "warnings_json": json.dumps(document.warnings),
        "size_bytes": size,
        "modified_at": modified,
    }


def _size_and_time(path: Path) -> tuple[int | None, float | None]:
    try:
        stat = path.stat()
    except (OSError, ValueError):  # moved away meanwhile, or a name that no file can have
        return None, None
    return stat.st_size, stat.st_mtime


def _add_page(db: Database, document_id: int, page: Page) -> None:
    values = {
        "document_id": document_id,
        "number": page.number,
        "label": page.label,
        "heading": page.heading,
        "start": page.start,
        "text_id": put_text(db, page.text),
    }
    index_page(db, insert(db, "pages", values), page.text)


def _refresh(db: Database, known: Row, values: Row, pages: Sequence[Page]) -> None:
    update(db, "documents", known["id"], {key: value for key, value in values.items() if value is not None})
    stored = fetch(db, "SELECT id, number, label, heading FROM pages WHERE document_id = ?", (known["id"],))
    by_number = {page.number: page for page in pages}
    for row in stored:
        page = by_number[row["number"]]
        if (row["label"], row["heading"]) != (page.label, page.heading):
            update(db, "pages", row["id"], {"label": page.label, "heading": page.heading})


def _page(db: Database, row: dict[str, Any]) -> Page:
    return Page(
        number=row["number"],
        label=row["label"],
        heading=row["heading"],
        text=get_text(db, row["text_id"]),
        start=row["start"],
    )
