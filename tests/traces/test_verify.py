"""What is changed behind the store's back is found, byte by byte."""

import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from engine.errors import StoreError
from engine.traces.store import TraceStore

NUM_FLIPS = 60
_IRRELEVANT = {"leases", "_sqlite_migrations"}
"""Who wrote last, and when the schema was made: nothing that a reading depends on."""


def change(statement: str) -> Callable[[sqlite3.Connection], None]:
    """A change by SQL."""

    def run(db: sqlite3.Connection) -> None:
        assert db.execute(statement).rowcount > 0

    return run


CHANGES = {
    "text": "UPDATE texts SET body_blob = x'00' WHERE id = 2",
    "page": "UPDATE pages SET text_id = 1 WHERE number = 2",
    "page offset": "UPDATE pages SET start = start + 1 WHERE number = 4",
    "label": "UPDATE pages SET label = 'p99' WHERE number = 2",
    "missing page": "DELETE FROM pages WHERE number = 6",
    "document": "UPDATE documents SET content_hash = replace(content_hash, '1', '2')",
    "name": "UPDATE documents SET name = 'other.pdf'",
    "memory": "UPDATE steps SET memory_after_id = memory_before_id WHERE chunk_index = 1",
    "missing step": "DELETE FROM steps WHERE chunk_index = 1",
    "receipt": "UPDATE steps SET accepted_tokens = accepted_tokens + 1 WHERE chunk_index = 2",
    "outcome": "UPDATE steps SET outcome = 'unchanged' WHERE chunk_index = 0",
    "prompt": "UPDATE calls SET prompt_blob = x'789c0300000000' || x'01' WHERE chunk_index = 1",
    "tokens": "UPDATE calls SET prompt_tokens = 0 WHERE chunk_index = 1",
    "missing call": "DELETE FROM calls WHERE chunk_index = 1",
    "final call": "UPDATE calls SET completion_tokens = 7 WHERE chunk_index IS NULL",
    "moved call": "UPDATE calls SET sequence = 10000 WHERE chunk_index = 1",
    "quote": "UPDATE evidence SET quote = 'not so'",
    "missing evidence": "DELETE FROM evidence WHERE chunk_index = 1",
    "incident": "UPDATE incidents SET detail = 'nothing happened'",
    "answer": "UPDATE answers SET text = 'It is elsewhere.'",
    "status": "UPDATE runs SET status = 'failed'",
    "question": "UPDATE runs SET question = 'Why?'",
    "model": "UPDATE models SET fingerprint = 'g'",
    "chunk": "UPDATE chunks SET last_page = 99 WHERE chunk_index = 1",
    "certificate": "UPDATE certificates SET certificate_json = '{}'",
    "index": "DELETE FROM pages_fts_docsize WHERE id = 2",
    "index lookup": "UPDATE pages_fts_idx SET pgno = pgno + 2",
    "index entry": "UPDATE pages_fts_data SET block = zeroblob(length(block)) WHERE id > 1000",
    "schema": "DROP INDEX pages_start",
}


@pytest.mark.parametrize("name", CHANGES)
def test_changes_are_found(store: TraceStore, finished: str, path: Path, name: str) -> None:
    assert store.verify() == []
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA foreign_keys = OFF")
        other.execute(CHANGES[name])
    assert store.verify()


def content(path: Path) -> list[Any]:
    """All that can be read from a database."""
    found: list[Any] = []
    with closing(sqlite3.connect(path)) as db:
        schema = db.execute("SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY name").fetchall()
        found.append(schema)
        for kind, name, _, _ in schema:
            if kind == "table" and name not in _IRRELEVANT:
                found.append(sorted(map(repr, db.execute(f'SELECT * FROM "{name}"'))))
    return found


def judge(path: Path, original: list[Any]) -> str:
    """Open and verify a damaged copy: how the damage was noticed, or "harmless" if all reads as before."""
    try:
        with TraceStore(path) as store:
            if store.verify():
                return "verify"
    except StoreError:
        return "open"
    return "harmless" if content(path) == original else "missed"


def flip(data: bytes, rng: random.Random) -> tuple[int, bytes]:
    """Change one byte anywhere."""
    offset = rng.randrange(len(data))
    changed = bytearray(data)
    changed[offset] ^= rng.randrange(1, 256)
    return offset, bytes(changed)


def test_flipped_bytes_are_found(store: TraceStore, finished: str, path: Path, tmp_path: Path) -> None:
    store.close()
    data, original = path.read_bytes(), content(path)
    rng = random.Random(20)
    damaged = tmp_path / "damaged.db"
    verdicts = []
    for _ in range(NUM_FLIPS):
        offset, changed = flip(data, rng)
        for leftover in tmp_path.glob("damaged.db*"):
            leftover.unlink()
        damaged.write_bytes(changed)
        verdict = judge(damaged, original)
        assert verdict != "missed", f"byte {offset}"
        verdicts.append(verdict)
    assert verdicts.count("verify") > 0


def test_every_byte_of_a_text_matters(store: TraceStore, finished: str, path: Path, tmp_path: Path) -> None:
    """Bodies of texts, prompts and replies: here no flip may be harmless."""
    store.close()
    data = path.read_bytes()
    with closing(sqlite3.connect(path)) as db:
        bodies = [
            row[0] for row in db.execute("SELECT body_blob FROM texts UNION SELECT prompt_blob FROM calls")
        ]
    rng = random.Random(21)
    damaged = tmp_path / "damaged.db"
    for body in rng.sample([body for body in bodies if data.count(body) == 1 and len(body) > 40], 8):
        changed = bytearray(data)
        changed[data.index(body) + rng.randrange(len(body))] ^= 1 << rng.randrange(8)
        damaged.write_bytes(changed)
        assert judge(damaged, []) == "verify"
        for leftover in tmp_path.glob("damaged.db*"):
            leftover.unlink()
