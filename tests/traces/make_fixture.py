"""Writes the fixture of the newest schema (``python -m tests.traces.make_fixture``); released ones stay.

SQLite's own dump cannot restore an FTS5 table; this one recreates it and fills the tables behind it.
"""

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from engine.traces.store import TraceStore
from tests.traces.synthetic import MODEL, make_chunks, make_document, make_spec, records

FOLDER = Path(__file__).parents[1] / "fixtures" / "traces"


def dump(path: Path) -> str:
    """SQL that makes this database again."""
    with closing(sqlite3.connect(path)) as db:
        return ";\n".join(_statements(db)) + ";\n"


def restore(script: Path, path: Path) -> None:
    """Make the database that a script was dumped from."""
    with closing(sqlite3.connect(path)) as db:
        db.executescript(script.read_text(encoding="utf-8"))


def _statements(db: sqlite3.Connection) -> Iterator[str]:
    (application,) = db.execute("PRAGMA application_id").fetchone()
    yield f"PRAGMA application_id = {application}"
    yield "PRAGMA foreign_keys = OFF"
    tables = db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table' ORDER BY rowid").fetchall()
    virtual = [name for name, sql in tables if sql.startswith("CREATE VIRTUAL")]
    for name, sql in tables:
        is_shadow = any(name.startswith(f"{owner}_") for owner in virtual)
        if not is_shadow:
            yield str(sql)
        if name in virtual:
            continue
        if is_shadow:
            yield f'DELETE FROM "{name}"'
        yield from _rows(db, name)
    for (sql,) in db.execute("SELECT sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"):
        yield str(sql)


def _rows(db: sqlite3.Connection, table: str) -> Iterator[str]:
    columns = [row[1] for row in db.execute(f'PRAGMA table_info("{table}")')]
    values = ", ".join(f'quote("{column}")' for column in columns)
    for row in db.execute(f'SELECT {values} FROM "{table}"'):
        yield f'INSERT INTO "{table}" VALUES ({", ".join(row)})'


def main() -> None:
    """Record a short run and dump the database."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "traces.db"
        document = make_document(4, sentences_per_page=5)
        chunks = make_chunks([document])
        with TraceStore(path) as store:
            with store.create_run(make_spec([document], chunks), [document], chunks, model=MODEL) as writer:
                for record in records(writer.run_id, [document], chunks):
                    writer.observe(record)
                writer.save_certificate('{"pages": 4}')
                writer.finish("finished")
            number = len(list(store.db.conn.execute("SELECT name FROM _sqlite_migrations")))
        FOLDER.mkdir(parents=True, exist_ok=True)
        (FOLDER / f"schema-{number}.sql").write_text(dump(path), encoding="utf-8")


if __name__ == "__main__":
    main()
