"""Checks all that the database claims: structure, references, hashes, seals, chains, quotes, search index."""

import sqlite3
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from itertools import zip_longest

from sqlite_utils import Database

from engine.documents.model import PAGE_BREAK, hash_pages
from engine.errors import StoreCorruptError
from engine.traces.calls import ContextReader, decode_call
from engine.traces.codec import digest, unpack
from engine.traces.database import fetch, snapshot, stream
from engine.traces.library import SliceReader
from engine.traces.migrations import expected_schema, schema_of
from engine.traces.seals import document_seal, plan_seal, state_seal, step_seal
from engine.traces.search import indexed_text
from engine.traces.texts import get_text

_INDEX = "table pages_fts on pages_fts"
_Check = Callable[[Database], Iterator[str]]


def verify(db: Database) -> list[str]:
    """Check the whole database; one sentence for each finding, none if all is well.

    A check that cannot be finished is a finding of its own: the others still run.
    """
    findings: list[str] = []
    for name, check in _CHECKS.items():
        try:
            with snapshot(db):
                findings.extend(check(db))
        except (sqlite3.Error, StoreCorruptError, ValueError, TypeError, LookupError, zlib.error) as exc:
            findings.append(f"{name} could not be checked to the end: {exc}")
    return findings


def _structure(db: Database) -> Iterator[str]:
    for (line,) in db.conn.execute("PRAGMA integrity_check"):
        if line != "ok":
            yield f"SQLite finds: {line}"


def _schema(db: Database) -> Iterator[str]:
    expected, found = expected_schema(), schema_of(db)
    for name in sorted(expected.keys() | found.keys()):
        if name not in found:
            yield f"Missing from the schema: {name}"
        elif name not in expected:
            yield f"Unknown in the schema: {name}"
        elif expected[name] != found[name]:
            yield f"Changed in the schema: {name}"


def _references(db: Database) -> Iterator[str]:
    for table, row, target, _ in db.conn.execute("PRAGMA foreign_key_check"):
        yield f"Row {row} of {table} refers to a row of {target} that does not exist."


def _texts(db: Database) -> Iterator[str]:
    for row in stream(db, "SELECT id, hash_blob, body_blob, is_compressed FROM texts"):
        try:
            intact = digest(unpack(row["body_blob"], bool(row["is_compressed"]))) == row["hash_blob"]
        except (zlib.error, TypeError):
            intact = False
        if not intact:
            yield f"Text {row['id']} does not have its hash."


def _documents(db: Database) -> Iterator[str]:
    for document in fetch(db, "SELECT id, name, content_hash, num_pages, seal_blob FROM documents"):
        name = document["name"]
        pages = fetch(
            db,
            "SELECT number, start, text_id FROM pages WHERE document_id = ? ORDER BY number",
            (document["id"],),
        )
        if [page["number"] for page in pages] != list(range(1, document["num_pages"] + 1)):
            yield f"The pages of {name} are not numbered from 1 to {document['num_pages']}."
        if document["seal_blob"] != document_seal(db, document["id"]):
            yield f"What is known of {name} (names, labels, headings, offsets) does not have its hash."
        texts = []
        position = 0
        for page in pages:
            text = get_text(db, page["text_id"])
            if page["start"] != position:
                yield f"Page {page['number']} of {name} does not start where the page before ends."
            position += len(text) + len(PAGE_BREAK)
            texts.append(text)
        if hash_pages(texts) != document["content_hash"]:
            yield f"The pages of {name} do not have the document's hash."


def _runs(db: Database) -> Iterator[str]:
    for run in fetch(db, "SELECT id, run_id, plan_seal_blob, state_seal_blob FROM runs"):
        if run["plan_seal_blob"] != plan_seal(db, run["id"]):
            yield f"The plan of run {run['run_id']} does not have its hash."
        if run["state_seal_blob"] != state_seal(db, run["id"]):
            yield f"Status, answer or certificate of run {run['run_id']} do not have their hash."


def _steps(db: Database) -> Iterator[str]:
    for run in fetch(db, "SELECT id, run_id, start_chunk, start_memory_id FROM runs"):
        seal, memory, expected = b"", None, None
        sql = """SELECT chunk_index, memory_before_id, memory_after_id, seal_blob FROM steps
                 WHERE run = ? ORDER BY chunk_index"""
        for step in fetch(db, sql, (run["id"],)):
            index = step["chunk_index"]
            where = f"Chunk {index} of run {run['run_id']}"
            if expected is not None and index != expected:
                yield f"{where} follows chunk {expected - 1}."
            if index == run["start_chunk"]:
                memory = run["start_memory_id"]
            if memory is not None and step["memory_before_id"] != memory:
                yield f"{where} begins with another memory than the chunk before ended with."
            if step["seal_blob"] != step_seal(db, run["id"], index, seal):
                yield f"{where}: step, calls, incidents or evidence do not have their hash."
            seal, memory, expected = step["seal_blob"], step["memory_after_id"], index + 1
        yield from _strays(db, run["id"], run["run_id"])


def _strays(db: Database, run: int, run_id: str) -> Iterator[str]:
    """Rows that no seal covers: about a chunk, but outside of its step."""
    for table in ("calls", "incidents", "evidence"):
        (number,) = db.conn.execute(
            f"""SELECT count(*) FROM {table} AS e
                WHERE e.run = ? AND e.chunk_index IS NOT NULL AND NOT EXISTS (
                    SELECT 1 FROM steps AS s WHERE s.run = e.run AND s.chunk_index = e.chunk_index
                    AND e.sequence BETWEEN s.first_sequence AND s.sequence)""",
            (run,),
        ).fetchone()
        if number:
            yield f"{number} rows of {table} of run {run_id} belong to no step."


def _calls(db: Database) -> Iterator[str]:
    for run in fetch(db, "SELECT id, run_id FROM runs"):
        contexts = ContextReader(db, run["id"])
        for call in stream(db, "SELECT * FROM calls WHERE run = ? ORDER BY sequence", (run["id"],)):
            try:
                decode_call(call, contexts.read(call["chunk_index"]))
            except (ValueError, TypeError, StoreCorruptError):
                where = f"record {call['sequence']} of run {run['run_id']}"
                yield f"Prompt or reply of {where} do not have their hash."


def _quotes(db: Database) -> Iterator[str]:
    reader = SliceReader(db)
    sql = """SELECT r.run_id, e.sequence, e.start, e."end", e.quote, d.document_id
             FROM evidence AS e JOIN runs AS r ON r.id = e.run
             LEFT JOIN run_documents AS d ON d.run = e.run AND d.position = e.document
             ORDER BY d.document_id, e.start"""
    for row in fetch(db, sql):
        found = row["document_id"] is not None and reader.read(row["document_id"], row["start"], row["end"])
        if found != row["quote"]:
            where = f"record {row['sequence']} of run {row['run_id']}"
            yield f"The quote of {where} does not stand in the document."


def _index_structure(db: Database) -> Iterator[str]:
    """FTS5's own check, on a copy of the tables behind the index: it counts as a write and would need the lock."""
    with Database(memory=True, execute_plugins=False) as copy:
        copy.conn.execute(expected_schema()[_INDEX])
        for table in ("data", "idx", "docsize", "config"):
            copy.conn.execute(f"DELETE FROM pages_fts_{table}")
            for row in db.conn.execute(f"SELECT * FROM pages_fts_{table}"):
                copy.conn.execute(f"INSERT INTO pages_fts_{table} VALUES ({', '.join('?' * len(row))})", row)
        copy.conn.execute("INSERT INTO pages_fts (pages_fts) VALUES ('integrity-check')")
    yield from ()


def _index(db: Database) -> Iterator[str]:
    """Compare the index with a new one: a contentless index cannot be checked against anything else."""
    with Database(memory=True, execute_plugins=False) as fresh:
        fresh.conn.execute(expected_schema()[_INDEX])
        for page_id, text_id in db.conn.execute("SELECT id, text_id FROM pages ORDER BY id"):
            text = indexed_text(get_text(db, text_id))
            fresh.conn.execute("INSERT INTO pages_fts (rowid, text) VALUES (?, ?)", (page_id, text))
        with closing(_entries(db)) as found, closing(_entries(fresh)) as expected:
            if any(ours != theirs for ours, theirs in zip_longest(found, expected)):
                yield "The search index does not agree with the pages; it can be rebuilt."


def _entries(db: Database) -> Generator[tuple[object, ...], None, None]:
    """Every occurrence that the index holds, and the length of every page."""
    db.conn.execute(
        """CREATE VIRTUAL TABLE IF NOT EXISTS temp.pages_fts_instances
           USING fts5vocab (main, pages_fts, instance)"""
    )
    for table in ("temp.pages_fts_instances", "pages_fts_docsize"):
        for row in db.conn.execute(f"SELECT * FROM {table}"):
            yield tuple(row)


_CHECKS: dict[str, _Check] = {
    "The structure": _structure,
    "The schema": _schema,
    "The references": _references,
    "The texts": _texts,
    "The documents": _documents,
    "The runs": _runs,
    "The steps": _steps,
    "The calls": _calls,
    "The quotes": _quotes,
    "The structure of the search index": _index_structure,
    "The search index": _index,
}
