import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlite_utils import Database, Migrations

from engine.errors import StoreVersionError
from engine.traces.database import connect
from engine.traces.migrations import MIGRATIONS, migrate, schema_of
from engine.traces.store import TraceStore
from tests.traces.make_fixture import restore

RELEASED = sorted((Path(__file__).parents[1] / "fixtures" / "traces").glob("schema-*.sql"))


def names(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as db:
        return [row[0] for row in db.execute("SELECT name FROM _sqlite_migrations ORDER BY id")]


def test_steps_are_recorded(store: TraceStore, path: Path) -> None:
    assert names(path) == ["0001-first-schema", "0002-token-counts"]


def test_newer_database_is_refused_and_left_alone(store: TraceStore, path: Path) -> None:
    store.db.conn.execute(
        """INSERT INTO _sqlite_migrations (migration_set, name, applied_at)
           VALUES ('palimpsest', '0099-later', '')"""
    )
    store.close()
    before = path.read_bytes()
    with pytest.raises(StoreVersionError, match="newer version of Palimpsest"):
        TraceStore(path)
    assert path.read_bytes() == before


def test_failed_step_leaves_the_old_state(path: Path) -> None:
    steps = Migrations("palimpsest")
    fails = True

    def first(db: Database) -> None:
        db.execute("CREATE TABLE one (a TEXT)")

    def second(db: Database) -> None:
        db.execute("CREATE TABLE two (a TEXT)")
        db.execute("INSERT INTO one VALUES ('half')")
        if fails:
            raise RuntimeError("killed")

    steps(name="0001")(first)
    steps(name="0002")(second)
    with closing(connect(path, busy_timeout_s=1)) as db:
        with pytest.raises(RuntimeError):
            migrate(db, path, steps)
        assert not any("two" in name for name in schema_of(db))
        assert db.conn.execute("SELECT count(*) FROM one").fetchone() == (0,)
        assert names(path) == ["0001"]
        fails = False
        migrate(db, path, steps)
        assert names(path) == ["0001", "0002"]


def test_there_is_a_fixture_for_every_released_schema() -> None:
    with closing(Database(memory=True)) as empty:
        assert len(RELEASED) == len(MIGRATIONS.pending(empty))


@pytest.mark.parametrize("script", RELEASED, ids=lambda script: script.stem)
def test_every_released_schema_can_be_opened(script: Path, path: Path) -> None:
    restore(script, path)
    with TraceStore(path) as store:
        assert store.verify() == []
        (run,) = store.list_runs()
        assert run.answer is not None
        assert run.answer.text == "It is in the harbour."
        assert len(store.load_document(run.documents[0].content_hash).pages) == run.documents[0].num_pages
        assert len(list(store.steps(run.run_id))) == run.chunks_done
        assert all(call.prompt for call in store.calls(run.run_id))
        assert store.search("lantern")
