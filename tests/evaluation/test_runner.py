"""What was answered once is never computed again: after a kill, a cancel, a larger number of items."""

import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from engine.agent.config import Mode, ReadingConfig
from engine.agent.prompts import STANDARD
from engine.backends.base import Request
from engine.backends.scripted import ScriptedBackend
from engine.cancel import Cancelled, CancelToken
from engine.errors import PlanError, StoreVersionError
from engine.evaluation.items import Item
from engine.evaluation.runner import Progress, Scope, check_lengths, run
from engine.evaluation.store import EvaluationStore
from engine.evaluation.systems import LoopSystem, OnOutcome, reader
from engine.evaluation.tasks.base import Materials
from engine.evaluation.tasks.needles import NeedleTask
from engine.models.catalogue import BUNDLED
from tests.evaluation.child import LENGTHS

NUM_ITEMS = 5
CONFIG = ReadingConfig(mode=Mode.FAITHFUL, chunk_tokens=500, memory_tokens=200, answer_tokens=100)


def rows(path: Path) -> dict[tuple[int, int], tuple[str, float, str]]:
    """What is stored of each item."""
    with sqlite3.connect(path) as db:
        found = db.execute(
            "SELECT length_tokens, item_index, answer, wall_s, finished_at FROM results"
        ).fetchall()
    db.close()
    return {(length, index): (answer, wall_s, at) for length, index, answer, wall_s, at in found}


@pytest.mark.slow
@pytest.mark.skipif(not BUNDLED.is_file(), reason="the bundled model is not in this checkout")
@pytest.mark.parametrize("killed_after", [1, 6])
def test_a_killed_evaluation_goes_on_where_it_stood(killed_after: int, tmp_path: Path) -> None:
    path = tmp_path / "eval.sqlite"
    command = [sys.executable, "-m", "tests.evaluation.child", str(path), str(NUM_ITEMS)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        for _ in range(killed_after):
            assert child.stdout.readline()
        child.kill()
    before = rows(path)
    assert killed_after <= len(before) < NUM_ITEMS * len(LENGTHS)
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    fresh = [line.split() for line in again.stdout.splitlines()]
    # What was kept is not computed again, and nothing is left out.
    assert len(fresh) == NUM_ITEMS * len(LENGTHS) - len(before)
    assert fresh[-1][0] == str(NUM_ITEMS * len(LENGTHS))
    after = rows(path)
    assert set(after) == {(length, index) for length in LENGTHS for index in range(NUM_ITEMS)}
    assert {place: after[place] for place in before} == before
    third = subprocess.run(command, capture_output=True, text=True, check=True)
    assert third.stdout == ""
    whole = tmp_path / "whole.sqlite"
    subprocess.run([*command[:3], str(whole), str(NUM_ITEMS)], check=True, stdout=subprocess.DEVNULL)
    assert {place: row[0] for place, row in rows(whole).items()} == {p: row[0] for p, row in after.items()}


class Counting(LoopSystem):
    """A reader that notes what it is given, and may stop in the middle."""

    def __init__(self, *, side_by_side: int = 1) -> None:
        inner = reader(ScriptedBackend(self._reply), STANDARD, CONFIG, side_by_side=side_by_side)
        super().__init__("reader", inner.backend, STANDARD, CONFIG, inner._prepare, side_by_side=side_by_side)
        self.given: list[str] = []

    def _reply(self, request: Request) -> str:
        return "something"

    def answer(self, items: Sequence[Item], on_outcome: OnOutcome, cancel: CancelToken) -> None:
        self.given += [item.item_id for item in items]
        super().answer(items, on_outcome, cancel)


@pytest.fixture
def task(materials: Materials) -> NeedleTask:
    return NeedleTask(name="needle", materials=materials)


def test_more_items_and_lengths_cost_only_themselves(task: NeedleTask, tmp_path: Path) -> None:
    with EvaluationStore(tmp_path / "eval.sqlite") as store:
        first, second = Counting(), Counting(side_by_side=3)
        run(Scope(task=task, lengths=(600,), num_items=2), first, store)
        run(Scope(task=task, lengths=(600, 800), num_items=3), second, store)
        assert first.given == ["needle-600-0", "needle-600-1"]
        assert second.given == ["needle-600-2", "needle-800-0", "needle-800-1", "needle-800-2"]
        assert len(store.results(task, first, lengths=(600, 800), num_items=3)) == 6
        assert len(store.results(task, first, lengths=(600,), num_items=1)) == 1


def test_a_cancelled_run_keeps_what_is_ended(task: NeedleTask, tmp_path: Path) -> None:
    token, seen = CancelToken(), list[Progress]()

    def stop(progress: Progress) -> None:
        seen.append(progress)
        if progress.done == 2:
            token.cancel()

    scope = Scope(task=task, lengths=(600,), num_items=5)
    with EvaluationStore(tmp_path / "eval.sqlite") as store:
        with pytest.raises(Cancelled):
            run(scope, Counting(), store, on_progress=stop, cancel=token)
        assert [one.done for one in seen] == [1, 2]
        assert seen[0].left_s is not None
        assert seen[0].left_s > 0
        assert len(store.results(task, Counting(), lengths=(600,), num_items=5)) == 2
        rest = Counting()
        run(scope, rest, store)
        assert rest.given == ["needle-600-2", "needle-600-3", "needle-600-4"]


def test_other_seeds_models_and_settings_have_results_of_their_own(
    task: NeedleTask, materials: Materials, tmp_path: Path
) -> None:
    scope = Scope(task=task, lengths=(600,), num_items=1)
    with EvaluationStore(tmp_path / "eval.sqlite") as store:
        run(scope, Counting(), store)
        other = reader(ScriptedBackend([], name="another"), STANDARD, CONFIG)
        assert store.done(task, Counting()) == {(600, 0)}
        assert store.done(task, other) == set()
        assert store.done(NeedleTask(name="needle", materials=materials, look_alikes=1), Counting()) == set()


def test_a_database_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "eval.sqlite"
    EvaluationStore(path).close()
    with sqlite3.connect(path) as db:
        db.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) "
            "VALUES ('palimpsest-evaluation', '9999-later', '2099')"
        )
    db.close()
    with pytest.raises(StoreVersionError):
        EvaluationStore(path)


def test_scopes_that_make_no_sense(task: NeedleTask) -> None:
    with pytest.raises(PlanError, match="At least one"):
        Scope(task=task, lengths=(600,), num_items=0)
    with pytest.raises(PlanError, match="at least one token"):
        check_lengths([])
    with pytest.raises(PlanError, match="at least one token"):
        check_lengths([8, 0])
    assert check_lengths([900, 600, 900]) == (600, 900)
