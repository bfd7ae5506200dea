"""The schema, as named steps that are only ever appended to.

Ids named `id` are internal and never leave the package; people and other modules use content hashes and run
ids. Columns whose name ends in ``_blob`` hold bytes, all others text or numbers. `seal` columns hold sha256
over the rows they stand for (see `engine.traces.seals`).
"""

from pathlib import Path

from sqlite_utils import Database, Migrations

from engine.errors import StoreVersionError
from engine.traces.database import APPLICATION_ID, transaction

MIGRATIONS = Migrations("palimpsest")


def migrate(db: Database, path: Path, migrations: Migrations = MIGRATIONS) -> None:
    """Bring a database up to date: one transaction for each step, its record included.

    What is pending is looked up under the write lock, so that two processes may open a new file at once.

    Raises:
        StoreVersionError: the file holds steps that this version does not know.
    """
    refuse_newer(db, path, migrations)
    while migrations.pending(db):
        with transaction(db):
            refuse_newer(db, path, migrations)
            pending = migrations.pending(db)
            migrations.apply(db, stop_before=[step.name for step in pending[1:]])


def refuse_newer(db: Database, path: Path, migrations: Migrations) -> None:
    """See `migrate`."""
    with Database(memory=True, execute_plugins=False) as empty:
        known = {step.name for step in migrations.pending(empty)}
    if any(step.name not in known for step in migrations.applied(db)):
        raise StoreVersionError(
            f"The database {path.name} was written by a newer version of Palimpsest.",
            hint="Install that version or a later one; the database was not changed.",
        )


def expected_schema() -> dict[str, str | None]:
    """SQL of every table and index of an up-to-date database, by name."""
    with Database(memory=True, execute_plugins=False) as db:
        MIGRATIONS.apply(db)
        return schema_of(db)


def schema_of(db: Database) -> dict[str, str | None]:
    """SQL of every table and index of this database, by name."""
    return {
        f"{kind} {name} on {table}": sql
        for kind, name, table, sql in db.conn.execute("SELECT type, name, tbl_name, sql FROM sqlite_master")
    }


def _first_schema(db: Database) -> None:
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    for statement in _FIRST_SCHEMA.split(";"):
        if statement.strip():
            db.execute(statement.strip())


_FIRST_SCHEMA = """
CREATE TABLE texts (
    id INTEGER PRIMARY KEY,
    hash_blob BLOB NOT NULL UNIQUE,
    body_blob BLOB NOT NULL,
    is_compressed INTEGER NOT NULL CHECK (is_compressed IN (0, 1))
);
CREATE TABLE documents (
    id INTEGER PRIMARY KEY,
    content_hash TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    path TEXT NOT NULL,
    format TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('page', 'section')),
    title TEXT NOT NULL,
    num_pages INTEGER NOT NULL,
    outline_json TEXT NOT NULL,
    warnings_json TEXT NOT NULL,
    size_bytes INTEGER,
    modified_at REAL,
    imported_at TEXT NOT NULL,
    seal_blob BLOB NOT NULL
);
CREATE TABLE pages (
    id INTEGER PRIMARY KEY,
    document_id INTEGER NOT NULL REFERENCES documents (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    label TEXT NOT NULL,
    heading TEXT NOT NULL,
    start INTEGER NOT NULL,
    text_id INTEGER NOT NULL REFERENCES texts (id),
    UNIQUE (document_id, number)
);
CREATE INDEX pages_text ON pages (text_id);
CREATE INDEX pages_start ON pages (document_id, start);
CREATE VIRTUAL TABLE pages_fts USING fts5 (text, content='', tokenize='unicode61 remove_diacritics 2');
CREATE TABLE models (
    id INTEGER PRIMARY KEY,
    fingerprint TEXT NOT NULL,
    name TEXT NOT NULL,
    backend TEXT NOT NULL,
    path TEXT NOT NULL,
    UNIQUE (fingerprint, name, backend, path)
);
CREATE TABLE runs (
    id INTEGER PRIMARY KEY,
    run_id TEXT NOT NULL UNIQUE,
    created_at TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('running', 'stopped', 'finished', 'failed')),
    ended_at TEXT,
    error TEXT,
    question TEXT NOT NULL,
    mode TEXT NOT NULL,
    model_id INTEGER NOT NULL REFERENCES models (id),
    spec_key TEXT NOT NULL,
    spec_json TEXT NOT NULL,
    parent_run_id TEXT,
    parent_kind TEXT CHECK (parent_kind IN ('branch', 'continue')),
    start_chunk INTEGER NOT NULL,
    start_memory_id INTEGER NOT NULL REFERENCES texts (id),
    wording_id INTEGER REFERENCES texts (id),
    plan_seal_blob BLOB NOT NULL,
    state_seal_blob BLOB NOT NULL
);
CREATE INDEX runs_spec_key ON runs (spec_key);
CREATE INDEX runs_model ON runs (model_id);
CREATE INDEX runs_start_memory ON runs (start_memory_id);
CREATE INDEX runs_wording ON runs (wording_id);
CREATE TABLE leases (
    run INTEGER PRIMARY KEY REFERENCES runs (id) ON DELETE CASCADE,
    token TEXT NOT NULL,
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    process_started REAL NOT NULL,
    expires_at REAL NOT NULL
);
CREATE TABLE run_documents (
    run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    document_id INTEGER NOT NULL REFERENCES documents (id),
    PRIMARY KEY (run, position)
);
CREATE INDEX run_documents_document ON run_documents (document_id);
CREATE TABLE chunks (
    run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    chunk_index INTEGER NOT NULL,
    document INTEGER NOT NULL,
    start INTEGER NOT NULL,
    "end" INTEGER NOT NULL,
    first_page INTEGER NOT NULL,
    last_page INTEGER NOT NULL,
    labels TEXT NOT NULL,
    num_tokens INTEGER NOT NULL,
    num_new_tokens INTEGER NOT NULL,
    PRIMARY KEY (run, chunk_index),
    FOREIGN KEY (run, document) REFERENCES run_documents (run, position)
) WITHOUT ROWID;
CREATE TABLE steps (
    run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    chunk_index INTEGER NOT NULL,
    first_sequence INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    started_at REAL NOT NULL,
    finished_at REAL NOT NULL,
    memory_before_id INTEGER NOT NULL REFERENCES texts (id),
    memory_after_id INTEGER NOT NULL REFERENCES texts (id),
    outcome TEXT NOT NULL,
    planned_tokens INTEGER NOT NULL,
    accepted_tokens INTEGER NOT NULL,
    seal_blob BLOB NOT NULL,
    PRIMARY KEY (run, chunk_index),
    FOREIGN KEY (run, chunk_index) REFERENCES chunks (run, chunk_index)
) WITHOUT ROWID;
CREATE INDEX steps_memory_before ON steps (memory_before_id);
CREATE INDEX steps_memory_after ON steps (memory_after_id);
CREATE TABLE calls (
    run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    sequence INTEGER NOT NULL,
    chunk_index INTEGER,
    purpose TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    prompt_hash_blob BLOB NOT NULL,
    prompt_blob BLOB NOT NULL,
    reply_hash_blob BLOB NOT NULL,
    reply_blob BLOB NOT NULL,
    prompt_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    cached_tokens INTEGER NOT NULL,
    prefill_s REAL NOT NULL,
    decode_s REAL NOT NULL,
    finish_reason TEXT NOT NULL,
    PRIMARY KEY (run, sequence)
);
CREATE TABLE incidents (
    run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    sequence INTEGER NOT NULL,
    chunk_index INTEGER,
    kind TEXT NOT NULL,
    detail TEXT NOT NULL,
    PRIMARY KEY (run, sequence)
) WITHOUT ROWID;
CREATE TABLE evidence (
    run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    sequence INTEGER NOT NULL,
    chunk_index INTEGER NOT NULL,
    document INTEGER NOT NULL,
    start INTEGER NOT NULL,
    "end" INTEGER NOT NULL,
    quote TEXT NOT NULL,
    page INTEGER NOT NULL,
    label TEXT NOT NULL,
    PRIMARY KEY (run, sequence)
) WITHOUT ROWID;
CREATE TABLE answers (
    run INTEGER PRIMARY KEY REFERENCES runs (id) ON DELETE CASCADE,
    sequence INTEGER NOT NULL,
    text TEXT NOT NULL,
    answered INTEGER NOT NULL CHECK (answered IN (0, 1)),
    claims_json TEXT NOT NULL,
    finished_at REAL NOT NULL
);
CREATE TABLE certificates (
    run INTEGER PRIMARY KEY REFERENCES runs (id) ON DELETE CASCADE,
    certificate_json TEXT NOT NULL,
    saved_at REAL NOT NULL
)
"""


MIGRATIONS(name="0001-first-schema")(_first_schema)


def _token_counts(db: Database) -> None:
    db.execute(_TOKEN_COUNTS.strip())


_TOKEN_COUNTS = """
CREATE TABLE token_counts (
    document_id INTEGER NOT NULL REFERENCES documents (id) ON DELETE CASCADE,
    fingerprint TEXT NOT NULL,
    num_tokens INTEGER NOT NULL,
    counted_at TEXT NOT NULL,
    PRIMARY KEY (document_id, fingerprint)
) WITHOUT ROWID
"""

MIGRATIONS(name="0002-token-counts")(_token_counts)
