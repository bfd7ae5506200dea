import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from engine.errors import StoreBusyError, StoreCorruptError, StoreError
from engine.traces.database import store_errors
from engine.traces.store import TraceStore
from tests.traces.synthetic import make_document


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another program holds the write lock."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def test_settings(store: TraceStore) -> None:
    values = {
        name: store.db.conn.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("journal_mode", "foreign_keys", "synchronous")
    }
    assert values == {"journal_mode": "wal", "foreign_keys": 1, "synchronous": 1}


def test_folder_is_made(tmp_path: Path) -> None:
    with TraceStore(tmp_path / "a" / "b" / "traces.db") as store:
        assert store.list_runs() == []


@pytest.mark.parametrize(
    "content", [b"not a database at all, but long enough to be looked at " * 50, b"SQLite"]
)
def test_other_files_are_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(StoreCorruptError, match=r"traces\.db is damaged"):
        TraceStore(path)
    assert path.read_bytes() == content


def test_database_of_another_program_is_left_alone(path: Path) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE bookmarks (url TEXT)")
    before = path.read_bytes()
    with pytest.raises(StoreCorruptError, match="not a database of Palimpsest"):
        TraceStore(path)
    assert path.read_bytes() == before


def test_empty_file_becomes_a_store(path: Path) -> None:
    path.touch()
    with TraceStore(path) as store:
        assert store.verify() == []


def test_truncated_database_is_refused(store: TraceStore, finished: str, path: Path) -> None:
    store.close()
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(StoreCorruptError), TraceStore(path) as opened:
        opened.get_run(finished)


def test_locked_too_long(path: Path) -> None:
    with TraceStore(path, busy_timeout_s=0.05) as store:
        with locked(path), pytest.raises(StoreBusyError, match="locked"):
            store.add_document(make_document())
        store.add_document(make_document())


def test_readers_do_not_wait_for_a_writer(path: Path) -> None:
    with TraceStore(path, busy_timeout_s=0.05) as store, locked(path):
        assert store.list_runs() == []
        assert store.verify() == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everything")
def test_read_only_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StoreError, match="folder"):
        TraceStore(tmp_path / "traces.db")
    tmp_path.chmod(0o700)


def test_folder_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be reached"):
        TraceStore(tmp_path / "file" / "traces.db")


def test_path_is_a_folder(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be opened"):
        TraceStore(tmp_path)


def test_read_only_database(store: TraceStore) -> None:
    store.db.conn.execute("PRAGMA query_only = ON")
    with pytest.raises(StoreError, match="may not be written"):
        store.add_document(make_document())


def test_full_disk(store: TraceStore) -> None:
    (pages,) = store.db.conn.execute("PRAGMA page_count").fetchone()
    store.db.conn.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreError, match="full") as caught:
        store.add_document(make_document(50))
    assert caught.value.hint
    assert store.list_documents() == []
    assert store.verify() == []


def test_bugs_pass_unchanged(path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError), store_errors(path), closing(sqlite3.connect(path)) as db:
        db.execute("SELECT * FROM no_such_table")
