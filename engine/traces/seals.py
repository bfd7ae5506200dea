"""Seals: sha256 over rows that belong together: a changed number is found as surely as a changed text.

Texts enter a seal by their hash and internal ids not at all, so that a seal survives being copied into
another run (a branch). The seals of a run's steps form a chain: each covers the one before.
"""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from sqlite_utils import Database

_DOCUMENT = (
    """SELECT content_hash, name, path, format, kind, title, num_pages, outline_json, warnings_json,
              size_bytes, modified_at, imported_at FROM documents WHERE id = ?""",
    """SELECT p.number, p.label, p.heading, p.start, t.hash_blob
       FROM pages AS p JOIN texts AS t ON t.id = p.text_id
       WHERE p.document_id = ? ORDER BY p.number""",
)
_PLAN = (
    """SELECT r.run_id, r.created_at, r.question, r.mode, r.spec_key, r.spec_json, r.parent_run_id,
              r.parent_kind, r.start_chunk, t.hash_blob, m.fingerprint, m.name, m.backend, m.path
       FROM runs AS r JOIN texts AS t ON t.id = r.start_memory_id JOIN models AS m ON m.id = r.model_id
       WHERE r.id = ?""",
    """SELECT r.position, d.content_hash FROM run_documents AS r JOIN documents AS d ON d.id = r.document_id
       WHERE r.run = ? ORDER BY r.position""",
    """SELECT chunk_index, document, start, "end", first_page, last_page, labels, num_tokens, num_new_tokens
       FROM chunks WHERE run = ? ORDER BY chunk_index""",
)
_STEP = """
    SELECT s.chunk_index, s.first_sequence, s.sequence, s.started_at, s.finished_at, b.hash_blob, a.hash_blob,
           s.outcome, s.planned_tokens, s.accepted_tokens
    FROM steps AS s JOIN texts AS b ON b.id = s.memory_before_id JOIN texts AS a ON a.id = s.memory_after_id
    WHERE s.run = ? AND s.chunk_index = ?"""
_EVENTS = (
    """SELECT sequence, chunk_index, purpose, attempt, prompt_hash_blob, reply_hash_blob, prompt_tokens,
              completion_tokens, cached_tokens, prefill_s, decode_s, finish_reason
       FROM calls WHERE run = ? AND sequence BETWEEN ? AND ? ORDER BY sequence""",
    """SELECT sequence, chunk_index, kind, detail FROM incidents
       WHERE run = ? AND sequence BETWEEN ? AND ? ORDER BY sequence""",
    """SELECT sequence, chunk_index, document, start, "end", quote, page, label FROM evidence
       WHERE run = ? AND sequence BETWEEN ? AND ? ORDER BY sequence""",
)
_STATE = (
    "SELECT status, ended_at, error FROM runs WHERE id = ?",
    "SELECT sequence, text, answered, claims_json, finished_at FROM answers WHERE run = ?",
    "SELECT certificate_json, saved_at FROM certificates WHERE run = ?",
)
LAST_SEQUENCE = 2**62


def document_seal(db: Database, document_id: int) -> bytes:
    """Covers a document's row and its pages."""
    return _seal([_rows(db, sql, (document_id,)) for sql in _DOCUMENT])


def plan_seal(db: Database, run: int) -> bytes:
    """Covers what is fixed when a run is created: its identity, its documents, its chunks."""
    return _seal([_rows(db, sql, (run,)) for sql in _PLAN])


def step_seal(db: Database, run: int, chunk_index: int, before: bytes) -> bytes:
    """Covers a step, its calls, incidents and evidence, and the seal before it (b"" for the first)."""
    step = _rows(db, _STEP, (run, chunk_index))
    first, last = (step[0][1], step[0][2]) if step else (0, -1)
    return _seal([before, step, *(_rows(db, sql, (run, first, last)) for sql in _EVENTS)])


def state_seal(db: Database, run: int) -> bytes:
    """Covers what changes: status, answer, certificate, and the calls and incidents after the last step."""
    (last,) = db.conn.execute(
        "SELECT coalesce(max(sequence), -1) FROM steps WHERE run = ?", (run,)
    ).fetchone()
    tail = [_rows(db, sql, (run, last + 1, LAST_SEQUENCE)) for sql in _EVENTS]
    return _seal([*(_rows(db, sql, (run,)) for sql in _STATE), *tail])


def reseal_state(db: Database, run: int) -> None:
    """Write the seal anew, in the transaction that changed the state."""
    db.conn.execute("UPDATE runs SET state_seal_blob = ? WHERE id = ?", (state_seal(db, run), run))


def _rows(db: Database, sql: str, parameters: Sequence[Any]) -> list[Sequence[Any]]:
    return list(db.conn.execute(sql, parameters))


def _seal(parts: Sequence[Any]) -> bytes:
    return hashlib.sha256(json.dumps(parts, default=bytes.hex).encode()).digest()
