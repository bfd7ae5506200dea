"""The needle benchmark: one report on readings and chunks, on the bundled model."""

import json
from pathlib import Path

import pytest

from benchmarks import needle
from engine.models.catalogue import BUNDLED


@pytest.mark.skipif(not BUNDLED.is_file(), reason="the bundled model is not in this checkout")
def test_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    books, target = tmp_path / "books", tmp_path / "report.json"
    books.mkdir()
    paragraphs = [
        f"On the {n}th day the company rested by the river, and nobody among the officers spoke of what lay ahead. "
        f"The horses were fed, and the old prince wrote letter {n} to his daughter."
        for n in range(60)
    ]
    (books / "war-and-peace.md").write_text("# War and Peace\n\n" + "\n\n".join(paragraphs), "utf-8")
    (books / "another.md").write_text(
        "# Another book\n\n" + "Not held back, and never to be read. " * 20, "utf-8"
    )
    arguments = {
        "--books": books,
        "--model": BUNDLED,
        "--control": BUNDLED,
        "--output": target,
        "--tokens": 600,
        "--readings": 2,
        "--evidence-chunks": 3,
        "--plain-chunks": 5,
        "--look-alike-chunks": 2,
        "--seed": 3,
        "--threads": 1,
    }
    flat = [str(word) for pair in arguments.items() for word in pair]
    monkeypatch.setattr("sys.argv", ["needle.py", *flat])
    needle.main()
    report = json.loads(target.read_text("utf-8"))
    result = report["result"]
    assert result["readings"]["answer_exact"]["total"] == 2
    assert result["readings"]["needle_in_memory"]["total"] == 2
    assert result["misses"]["missed"]["total"] >= 3
    assert result["false_alarms_plain"]["false_alarms"]["total"] >= 5
    assert result["false_alarms_look_alikes"]["false_alarms"]["total"] >= 2
    # The control is the same model here: the same documents, the same answers.
    assert report["control"]["readings"] == result["readings"]
    assert "misses" not in report["control"]
    assert len(needle.held_back_paragraphs(books)) == 1
    assert str(tmp_path) not in target.read_text("utf-8")
