"""The schema of the database of results, as named steps that are only ever appended to."""

from sqlite_utils import Database, Migrations

from engine.traces.database import APPLICATION_ID

MIGRATIONS = Migrations("palimpsest-evaluation")

_FIRST_SCHEMA = """
CREATE TABLE tasks (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    parameters_json TEXT NOT NULL
);
CREATE TABLE systems (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    identity_json TEXT NOT NULL
);
CREATE TABLE results (
    task_id INTEGER NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
    system_id INTEGER NOT NULL REFERENCES systems (id) ON DELETE CASCADE,
    length_tokens INTEGER NOT NULL,
    item_index INTEGER NOT NULL,
    item_id TEXT NOT NULL,
    document_hash TEXT NOT NULL,
    num_tokens INTEGER NOT NULL,
    question TEXT NOT NULL,
    golds_json TEXT NOT NULL,
    positions_json TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('answered', 'failed', 'does not fit')),
    answer TEXT,
    error TEXT NOT NULL,
    in_memory_json TEXT NOT NULL,
    chunks_json TEXT NOT NULL,
    num_chunks INTEGER NOT NULL,
    wall_s REAL NOT NULL,
    finished_at TEXT NOT NULL,
    PRIMARY KEY (task_id, system_id, length_tokens, item_index)
)
"""


def _first_schema(db: Database) -> None:
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    for statement in _FIRST_SCHEMA.split(";"):
        db.execute(statement.strip())


MIGRATIONS(name="0001-first-schema")(_first_schema)
