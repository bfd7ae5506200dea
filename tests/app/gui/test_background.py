"""The store's thread: values come back in the window's thread, in order, and only to those who want them."""

import functools
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QObject
from pytestqt.exceptions import capture_exceptions
from pytestqt.qtbot import QtBot

from app.gui.background import Background
from engine.errors import PalimpsestError, StoreCorruptError, StoreVersionError
from engine.paths import trace_database
from engine.traces.store import TraceStore

WAIT_MS = 20_000


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return trace_database(tmp_path / "data")


@pytest.fixture
def background(qtbot: QtBot, database: Path) -> Iterator[Background]:
    made = Background(database)
    yield made
    made.close()


def test_values_come_back_in_this_thread_and_in_order(qtbot: QtBot, background: Background) -> None:
    here = threading.get_ident()
    threads: list[tuple[int, int]] = []

    def work(number: int, store: TraceStore) -> tuple[int, int]:
        assert store.list_documents() == []
        return number, threading.get_ident()

    for number in range(5):
        background.call(
            functools.partial(work, number),
            lambda value: threads.append((value[0], threading.get_ident() - here or value[1])),
        )
    assert threads == []  # never at once
    qtbot.waitUntil(lambda: len(threads) == 5, timeout=WAIT_MS)
    assert [number for number, _ in threads] == [0, 1, 2, 3, 4]
    assert {thread for _, thread in threads}.isdisjoint({0, here})


def test_a_later_call_makes_an_earlier_one_stale(qtbot: QtBot, background: Background) -> None:
    may_go = threading.Event()
    called: list[str] = []
    got: list[str] = []

    def work(name: str, store: TraceStore) -> str:
        called.append(name)
        assert may_go.wait(10)
        return name

    for name in ("first", "second", "third"):
        background.call(functools.partial(work, name), got.append, key="search")
    background.call(lambda store: "other", got.append, key="list")
    qtbot.waitUntil(lambda: bool(called), timeout=WAIT_MS)
    may_go.set()
    qtbot.waitUntil(lambda: "other" in got, timeout=WAIT_MS)
    assert got == ["third", "other"]
    assert "second" not in called


def test_what_is_forgotten_does_not_come(qtbot: QtBot, background: Background) -> None:
    got: list[str] = []
    background.call(lambda store: "stale", got.append, key="a")
    background.forget("a")
    background.call(lambda store: "wanted", got.append)
    qtbot.waitUntil(lambda: bool(got), timeout=WAIT_MS)
    assert got == ["wanted"]


def test_nobody_is_told_whose_owner_is_gone(qtbot: QtBot, background: Background) -> None:
    import shiboken6

    owner = QObject()
    got: list[str] = []
    background.call(lambda store: "for the owner", got.append, owner=owner)
    shiboken6.delete(owner)
    background.call(lambda store: "for all", got.append)
    qtbot.waitUntil(lambda: bool(got), timeout=WAIT_MS)
    assert got == ["for all"]


def test_expected_errors_go_to_the_caller_or_to_the_signal(qtbot: QtBot, background: Background) -> None:
    def fail(store: TraceStore) -> None:
        store.load_document("0" * 64)

    errors: list[PalimpsestError] = []
    background.call(fail, lambda value: None, errors.append)
    qtbot.waitUntil(lambda: bool(errors), timeout=WAIT_MS)
    assert "no document" in errors[0].message
    with qtbot.waitSignal(background.failed, timeout=WAIT_MS) as told:
        background.call(fail, lambda value: None)
    assert told.args is not None
    assert "no document" in told.args[0].message


def test_a_bug_is_raised_here(qtbot: QtBot, background: Background) -> None:
    done: list[Any] = []
    with capture_exceptions() as raised:
        background.call(lambda store: 1 // 0, done.append)
        qtbot.waitUntil(lambda: bool(raised), timeout=WAIT_MS)
    assert raised[0][0] is ZeroDivisionError
    assert done == []


def test_a_database_of_a_newer_version_is_an_error_until_it_is_gone(
    qtbot: QtBot, background: Background, database: Path
) -> None:
    with TraceStore(database):
        pass
    with closing(sqlite3.connect(database)) as db:
        db.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('palimpsest', '0099', '')"
        )
        db.commit()
    errors: list[PalimpsestError] = []
    background.call(lambda store: None, lambda value: None, errors.append)
    qtbot.waitUntil(lambda: bool(errors), timeout=WAIT_MS)
    assert isinstance(errors[0], StoreVersionError)
    assert errors[0].hint
    with closing(sqlite3.connect(database)) as db:
        db.execute("DELETE FROM _sqlite_migrations WHERE name = '0099'")
        db.commit()
    got: list[int] = []
    background.call(lambda store: len(store.list_documents()), got.append)
    qtbot.waitUntil(lambda: got == [0], timeout=WAIT_MS)


def test_a_damaged_database_is_an_error(qtbot: QtBot, background: Background, database: Path) -> None:
    database.parent.mkdir()
    database.write_bytes(b"SQLite format 3\x00" + b"\xff" * 4096)
    errors: list[PalimpsestError] = []
    background.call(lambda store: None, lambda value: None, errors.append)
    qtbot.waitUntil(lambda: bool(errors), timeout=WAIT_MS)
    assert isinstance(errors[0], StoreCorruptError)


def test_closing_interrupts_a_query_that_would_take_forever(qtbot: QtBot, database: Path) -> None:
    background = Background(database)
    began = threading.Event()

    def count_for_ever(store: TraceStore) -> None:
        began.set()
        store.db.conn.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
        ).fetchone()

    got: list[Any] = []
    background.call(count_for_ever, got.append, got.append)
    assert began.wait(20)
    qtbot.wait(100)
    closing_at = time.monotonic()
    background.close()
    assert time.monotonic() - closing_at < 3
    qtbot.wait(100)
    assert got == []


def test_closing_without_a_call_is_nothing(qtbot: QtBot, database: Path) -> None:
    Background(database).close()
    assert not database.exists()
