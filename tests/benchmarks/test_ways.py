"""The comparison of ways of reading: what must be the same is the same, on the bundled model."""

import json
import random
from pathlib import Path

import pytest

from benchmarks import ways
from benchmarks.needle import held_back_paragraphs
from engine.agent.memory import Memory, MemoryItem


@pytest.fixture
def books(tmp_path: Path) -> Path:
    """A folder with a held-back book of this test's own words."""
    folder = tmp_path / "books"
    folder.mkdir()
    paragraphs = [
        f"On the {n}th day the company rested by the river, and nobody among the officers spoke of what lay ahead. "
        f"The horses were fed, the fires were lit, and the old prince wrote letter {n} to his daughter. "
        "Nobody could say afterwards how long they had stayed."
        for n in range(30)
    ]
    (folder / "war-and-peace.md").write_text("# War and Peace\n\n" + "\n\n".join(paragraphs), "utf-8")
    return folder


@pytest.mark.slow
def test_what_only_saves_work_changes_nothing(
    books: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "report.json"
    exact = [name for name, way in ways.WAYS.items() if way.is_exact]
    small = ["--documents", "1", "--tokens", "1200", "--threads", "1"]
    monkeypatch.setattr(
        "sys.argv", ["ways.py", "--books", str(books), *small, "--output", str(target), "--ways", *exact]
    )
    ways.main()
    report = json.loads(target.read_text("utf-8"))
    assert list(report["ways"]) == exact
    for name in exact:
        one = report["ways"][name]
        assert one["same_answers"] == one["exact"]["total"] == ways.NUM_QUESTIONS
        assert one["readings_with_another_memory"] <= one["num_close_calls"], name
        assert one["num_requests"] >= ways.NUM_QUESTIONS
        assert one["wall_s"] > 0


def test_a_document_has_room_for_all_that_is_hidden(books: Path, tmp_path: Path) -> None:
    path = tmp_path / "document.txt"
    hidden = ways.make_document(path, held_back_paragraphs(books), 100, random.Random(0))
    text = path.read_text("utf-8")
    assert len({one.question for one in hidden}) == ways.NUM_QUESTIONS
    for one in hidden:
        assert text.count(one.fact) == 1
        assert all(other.fact in text for other in one.look_alikes)


def test_answers_are_held_against_one_by_one() -> None:
    memory = Memory(items=(MemoryItem("a"),))
    base = ways.Outcome(answers=["x", "", "z"], memories=[(memory,), (), ()], wall_s=2.0)
    other = ways.Outcome(answers=["x", "y", "w"], memories=[(), (), ()], wall_s=1.0)
    report = ways.report_on(other, base, ["x", "y", "z"], ways.WAYS["ahead on a guess"])
    assert (report["exact"]["count"], report["only_here_right"], report["only_one_by_one_right"]) == (2, 1, 1)
    assert (report["same_answers"], report["readings_with_another_memory"]) == (1, 1)
    assert report["cost_ratio"] == 0.5
    assert "readings_with_another_memory" not in ways.report_on(
        other, base, ["x", "y", "z"], ways.WAYS["with recall"]
    )
