"""The content-addressed table: each text is stored once, under the sha256 of its bytes."""

import zlib

from sqlite_utils import Database

from engine.traces.codec import digest, pack, to_bytes, to_text, unpack
from engine.traces.database import damaged, insert, path_of


def put_text(db: Database, text: str) -> int:
    """Store a text unless it is there; returns its internal id."""
    data = to_bytes(text)
    key = digest(data)
    row = db.conn.execute("SELECT id FROM texts WHERE hash_blob = ?", (key,)).fetchone()
    if row:
        return int(row[0])
    body, is_compressed = pack(data)
    return insert(db, "texts", {"hash_blob": key, "body_blob": body, "is_compressed": is_compressed})


def get_text(db: Database, text_id: int) -> str:
    """The text with this internal id.

    Raises:
        StoreCorruptError: it is gone or its bytes do not have its hash.
    """
    row = db.conn.execute(
        "SELECT hash_blob, body_blob, is_compressed FROM texts WHERE id = ?", (text_id,)
    ).fetchone()
    if row is None:
        raise damaged(path_of(db))
    try:
        return checked(bytes(row[0]), unpack(row[1], bool(row[2])))
    except (zlib.error, ValueError, TypeError) as exc:
        raise damaged(path_of(db)) from exc


def checked(key: bytes, data: bytes) -> str:
    """The text of these bytes.

    Raises:
        ValueError: they do not have this hash.
    """
    if digest(data) != key:
        raise ValueError("bytes and hash differ")
    return to_text(data)


_COLLECT = """
DELETE FROM texts WHERE id NOT IN (
    SELECT text_id FROM pages
    UNION SELECT memory_before_id FROM steps
    UNION SELECT memory_after_id FROM steps
    UNION SELECT start_memory_id FROM runs
    UNION SELECT wording_id FROM runs WHERE wording_id IS NOT NULL
)
"""


def collect_garbage(db: Database) -> int:
    """Delete the texts that nothing refers to; returns how many."""
    return int(db.conn.execute(_COLLECT).rowcount)
