"""`scripts/starter.sh` tells what is wrong before it computes anything. What it makes takes hours: docs/log.md."""

import subprocess
from pathlib import Path

import pytest

from trainer.stages import Course

SCRIPT = Path(__file__).parents[2] / "scripts" / "starter.sh"


def _run(*arguments: str) -> tuple[int, str]:
    done = subprocess.run(["sh", str(SCRIPT), *arguments], capture_output=True, text=True, check=False)
    assert done.stdout == ""
    return done.returncode, done.stderr


def test_without_folders_the_usage_is_shown() -> None:
    assert _run() == (2, "usage: sh scripts/starter.sh DATA WORK [PERCENT]\n")


def test_a_folder_without_books_is_told(tmp_path: Path) -> None:
    code, said = _run(str(tmp_path), str(tmp_path / "work"))
    assert code == 2
    assert f"there is no folder {tmp_path}/books/md" in said
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize("percent", ["0", "101", "2.5", "half", "-1"])
def test_a_share_that_is_none_is_told(tmp_path: Path, percent: str) -> None:
    (tmp_path / "books" / "md").mkdir(parents=True)
    (tmp_path / "corpora" / "squad").mkdir(parents=True)
    code, said = _run(str(tmp_path), str(tmp_path / "work"), percent)
    assert (code, said) == (2, f"starter: PERCENT is a whole number from 1 to 100, not {percent}\n")
    assert not (tmp_path / "work").exists()


def test_a_short_course_has_a_short_foundation() -> None:
    assert Course.of(4_000) == Course()
    assert Course.of(8_000).foundation_steps == Course().foundation_steps
    assert Course.of(80).foundation_steps == 3
