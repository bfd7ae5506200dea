"""Connections, transactions, and the mapping of SQLite's errors to ours."""

import functools
import logging
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from sqlite_utils import Database

from engine.errors import StoreBusyError, StoreCorruptError, StoreError
from engine.traces.codec import to_column, to_text

_log = logging.getLogger(__name__)

APPLICATION_ID = 0x50616C69
"""Stands in the header of the file: tells our databases from those of other programs."""

Row = dict[str, Any]


def connect(path: Path, *, busy_timeout_s: float) -> Database:
    """Open a database file; it is created if missing.

    Transactions are ours alone (`isolation_level=None`): sqlite3 would otherwise open deferred ones, and a
    deferred transaction that starts to write after another process wrote fails at once, however long the busy
    timeout is.

    Raises:
        StoreError: as `store_errors` maps it.
    """
    with store_errors(path):
        connection = sqlite3.connect(path, timeout=busy_timeout_s, isolation_level=None)
        try:
            _refuse_foreign(connection, path)
            _switch_to_wal(connection, busy_timeout_s)
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA synchronous = NORMAL")
            return Database(connection, execute_plugins=False)
        except BaseException:
            connection.close()
            raise


def _refuse_foreign(connection: sqlite3.Connection, path: Path) -> None:
    """Look before anything is changed: the file may belong to another program."""
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    if tables and application != APPLICATION_ID:
        raise StoreCorruptError(
            f"{path.name} is not a database of Palimpsest, or its header is damaged.",
            hint="Choose another file; this one was not changed.",
        )


def _switch_to_wal(connection: sqlite3.Connection, busy_timeout_s: float) -> None:
    """Readers must not block the writer. The switch ignores the busy timeout, so that it is repeated here."""
    deadline = time.monotonic() + busy_timeout_s
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as exc:
            if _code(exc) not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)


@contextmanager
def transaction(db: Database) -> Iterator[None]:
    """One write transaction. The write lock is taken at its start: it waits there and nowhere else."""
    connection: sqlite3.Connection = db.conn
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # A full disk may have ended the transaction already.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextmanager
def snapshot(db: Database) -> Iterator[None]:
    """Several reads of one state of the database; inside a transaction it is that transaction."""
    connection: sqlite3.Connection = db.conn
    if connection.in_transaction:
        yield
        return
    connection.execute("BEGIN")
    try:
        yield
    finally:
        db.rollback()


@contextmanager
def store_errors(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into ours; errors that only a bug can cause pass unchanged."""
    try:
        yield
    except sqlite3.Error as exc:
        mapped = _map(exc, path)
        if mapped is None:
            raise
        raise mapped from exc
    except UnicodeDecodeError as exc:  # SQLite quotes damaged names in its messages
        raise damaged(path) from exc
    except OSError as exc:
        raise StoreError(
            f"The database {path.name} cannot be reached: {exc.strerror or 'input/output error'}.",
            hint="Check that the folder exists and may be written.",
        ) from exc


class _InAFile(Protocol):
    @property
    def path(self) -> Path: ...


_Store = TypeVar("_Store", bound=_InAFile)
_P = ParamSpec("_P")
_R = TypeVar("_R")


def mapped(method: Callable[Concatenate[_Store, _P], _R]) -> Callable[Concatenate[_Store, _P], _R]:
    """Let a store's method raise our errors instead of SQLite's; see `store_errors`."""

    @functools.wraps(method)
    def wrapper(self: _Store, /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        with store_errors(self.path):
            return method(self, *args, **kwargs)

    return wrapper


def _code(exc: sqlite3.Error) -> int | None:
    """Primary result code, without the extension in the higher bytes."""
    code = getattr(exc, "sqlite_errorcode", None)
    return None if code is None else int(code) & 0xFF


def _map(exc: sqlite3.Error, path: Path) -> StoreError | None:
    name = path.name
    match _code(exc):
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return StoreBusyError(
                f"Another process keeps the database {name} locked.",
                hint="Close other windows and try again.",
            )
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB | sqlite3.SQLITE_FORMAT:
            return damaged(path)
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM | sqlite3.SQLITE_AUTH:
            return StoreError(
                f"The database {name} may not be written.",
                hint="Check the permissions of the file and its folder.",
            )
        case sqlite3.SQLITE_FULL:
            return StoreError(
                f"The disk that holds the database {name} is full.",
                hint="Free some space; finished chunks are kept and the run can be resumed.",
            )
        case sqlite3.SQLITE_CANTOPEN:
            return StoreError(
                f"The database {name} cannot be opened.",
                hint="Check that its folder exists and may be written.",
            )
        case sqlite3.SQLITE_IOERR | sqlite3.SQLITE_PROTOCOL:
            return StoreError(
                f"The disk failed while the database {name} was used.",
                hint="Check the disk; a database cannot live on a network share.",
            )
        case None if "decode" in str(exc).lower():
            return damaged(path)
    return None


def damaged(path: Path) -> StoreCorruptError:
    """The error for a file that SQLite cannot read."""
    return StoreCorruptError(
        f"The database {path.name} is damaged or not a database.",
        hint="Restore it from a backup, or move it away to start with an empty one.",
    )


def path_of(db: Database) -> Path:
    """The file behind a connection."""
    rows = db.conn.execute("PRAGMA database_list").fetchall()
    return Path(next((row[2] for row in rows if row[1] == "main"), ""))


def fetch(db: Database, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
    """All rows by column name. Bytes in columns not named ``..._blob`` are text (see `codec.to_column`)."""
    return list(stream(db, sql, parameters))


def stream(db: Database, sql: str, parameters: Sequence[Any] = ()) -> Iterator[Row]:
    """As `fetch`, row by row."""
    cursor = db.conn.execute(sql, parameters)
    names = [column[0] for column in cursor.description]
    for values in cursor:
        yield {name: _decode(name, value) for name, value in zip(names, values, strict=True)}


def fetch_one(db: Database, sql: str, parameters: Sequence[Any] = ()) -> Row | None:
    """The first row, or None."""
    rows = fetch(db, sql, parameters)
    return rows[0] if rows else None


def insert(db: Database, table: str, values: Mapping[str, Any]) -> int:
    """Insert one row; text is stored so that it comes back bit for bit. Returns the rowid."""
    cursor = db.conn.execute(_insert_sql(table, tuple(values)), _encode(values))
    return int(cursor.lastrowid or 0)


def update(db: Database, table: str, row_id: int, values: Mapping[str, Any]) -> None:
    """Change columns of the row with this `id`."""
    changes = ", ".join(f"{column} = ?" for column in values)
    db.conn.execute(f"UPDATE {table} SET {changes} WHERE id = ?", (*_encode(values), row_id))


def _encode(values: Mapping[str, Any]) -> list[Any]:
    return [to_column(value) if isinstance(value, str) else value for value in values.values()]


@lru_cache(maxsize=64)
def _insert_sql(table: str, columns: tuple[str, ...]) -> str:
    marks = ", ".join("?" * len(columns))
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"


def _decode(name: str, value: Any) -> Any:
    if isinstance(value, bytes) and not name.endswith("_blob"):
        return to_text(value)
    return value
