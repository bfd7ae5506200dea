"""`palimpsest eval` with the bundled model: what it prints, what it writes, how it stops and goes on."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.cli import EXIT_CANCELLED, run
from app.cli.evaluate import parse_lengths
from engine.errors import PlanError
from engine.evaluation.store import FILE_NAME
from engine.evaluation.tasks.catalogue import KINDS
from engine.models.catalogue import BUNDLED
from engine.paths import DATA_DIR_VARIABLE

pytestmark = pytest.mark.skipif(not BUNDLED.is_file(), reason="the bundled model is not in this checkout")

COMMAND = [sys.executable, "-m", "palimpsest", "eval"]
TEXT = (
    "The granite quay of Osterhaven was built by Ansel Brodersen. "
    + "The boats stayed in the harbour all day. " * 40
)


@pytest.fixture(autouse=True)
def _own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DATA_DIR_VARIABLE, str(tmp_path / "data"))


Call = Callable[..., Any]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """Run eval; it must succeed. Gives what it printed, parsed if it is JSON."""

    def run_command(*arguments: object) -> Any:
        capsys.readouterr()
        code = run(["eval", *map(str, arguments), "--threads", "1"])
        captured = capsys.readouterr()
        assert code == 0, captured.err
        return json.loads(captured.out) if "--json" in arguments else captured.out

    return run_command


@pytest.mark.slow
def test_a_crowd_is_asked_for_by_name(call: Call, tmp_path: Path) -> None:
    context = "The granite quay of Osterhaven was built by Ansel Brodersen. Boats lay there."
    answer = {"text": "Ansel Brodersen", "answer_start": context.index("Ansel")}
    question = {"id": "a", "question": "Who built the granite quay of Osterhaven?", "answers": [answer]}
    data = tmp_path / "squad.json"
    paragraphs = [{"context": context, "qas": [question]}]
    data.write_text(json.dumps({"data": [{"title": "Quays", "paragraphs": paragraphs}]}), "utf-8")
    for options, expected in (((), None), (("--crowded",), True)):
        values = call("qa", "--data", data, "--lengths", "300", "--n", 1, *options, "--quiet", "--json")
        assert values["parameters"].get("crowded") is expected
        assert values["overall"]["n"] == 1


@pytest.mark.slow
def test_a_task_prints_one_object_and_writes_tables_and_plot(call: Call, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    values = call(
        "needle-multikey", "--lengths", "600,1.2k", "--n", 3, "--seed", 4, "--baseline", "bm25:2", "--baseline",
        "oracle", "--baseline", "full-context", "--chunks", 2, "--output", folder, "--quiet", "--json",
    )  # fmt: skip
    assert values["task"] == "needle-multikey"
    assert values["parameters"]["seed"] == 4
    assert list(values["by_length"]) == ["600", "1200"]
    assert values["overall"]["n"] == 6
    for metric in ("em", "f1", "contains"):
        one = values["overall"][metric]
        assert 0 <= one["low"] <= one["value"] <= one["high"] <= 1
    assert values["overall"]["em"]["value"] >= 0.5
    assert values["chunks"]["missed"]["total"] >= 6
    assert values["chunks_alone"]["missed"]["total"] >= 2
    assert set(values["baselines"]) == {"bm25:2", "oracle", "full-context"}
    assert values["system"]["config"]["mode"] == "extractive"
    assert {path.name for path in folder.iterdir()} >= {
        "report.json", "report.md", "report.csv", "plot.svg", FILE_NAME,
    }  # fmt: skip
    assert json.loads((folder / "report.json").read_text("utf-8")) == values
    # The same command again answers from what is stored.
    again = call(
        "needle-multikey",
        "--lengths",
        "600,1.2k",
        "--n",
        3,
        "--seed",
        4,
        "--output",
        folder,
        "--quiet",
        "--json",
    )
    assert again["overall"] == values["overall"]


def test_own_questions_from_json_lines_and_csv(call: Call, tmp_path: Path) -> None:
    (tmp_path / "quay.txt").write_text(TEXT, "utf-8")
    question = "Who built the granite quay of Osterhaven?"
    lines = [
        {"id": "a", "question": question, "answers": ["Ansel Brodersen"], "document": "quay.txt"},
        {"id": "b", "question": "Who paid the organist of Felling?", "answers": [], "context": TEXT},
    ]
    path = tmp_path / "mine.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)), "utf-8")
    values = call("questions", path, "--quiet", "--json")
    assert values["overall"]["n"] == 2
    assert values["overall"]["em"]["value"] == 1.0
    table = tmp_path / "mine.csv"
    table.write_text(
        f"id,question,answers,document\na,{question},Ansel Brodersen|Brodersen,quay.txt\n", "utf-8"
    )
    printed = call("questions", table, "--quiet")
    assert "reader" in printed
    assert "100.0" in printed


def test_tasks_are_listed(call: Call) -> None:
    assert set(call("list", "--json")) == {*KINDS, "questions"}
    assert "needle-multivalue" in call("list")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["haystack"], "no task 'haystack'"),
        (["questions"], "No file of questions"),
        (["needle", "questions.jsonl"], "takes no file"),
        (["needle", "--lengths", "long"], "no list of lengths"),
        (["needle", "--lengths", "0"], "at least one token"),
        (["needle", "--lengths", "20"], "no room"),
        (["needle", "--baseline", "bm25:none"], "no baseline 'bm25:none'"),
        (["needle", "--baseline", "chance"], "no baseline 'chance'"),
        (["needle", "--mode", "faithful"], "not made for the mode"),
        (["needle", "--text", "nowhere"], "no file nowhere"),
        (
            ["needle", "--baseline", "loop=nowhere.gguf", "--lengths", "600", "--n", "1"],
            "no model 'nowhere.gguf'",
        ),
        (["qa"], "needs a file"),
        (["qa", "--look-alikes", "3"], "The task qa takes no --look-alikes."),
        (["common-words", "--crowded"], "The task common-words takes no --crowded."),
        (["niah_single", "--data", "squad.json"], "The task niah_single takes no --data."),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["eval", *arguments, "--quiet"]) in (2, 3, 4)
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error
    assert len(error.strip().splitlines()) <= 2


def test_lengths() -> None:
    assert parse_lengths("8k, 64K 1M,3.5m,700") == (700, 8_000, 64_000, 1_000_000, 3_500_000)
    for wrong in ("", "k", "8q", "-3", "1e999", "nan"):
        with pytest.raises(PlanError):
            parse_lengths(wrong)


@pytest.mark.slow
def test_ctrl_c_stops_it_and_the_same_command_goes_on(tmp_path: Path) -> None:
    command = [*COMMAND, "needle", "--lengths", "2k", "--n", "8", "--threads", "1", "--json"]
    folder = tmp_path / "data"
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ)
    ) as child:
        _wait_for_results(folder / FILE_NAME)
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=60)
    assert child.returncode == EXIT_CANCELLED, err
    assert out == ""
    assert "Traceback" not in err
    finished = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(finished.stdout)["overall"]["n"] == 8
    assert "reader: 8 of 8" in finished.stderr


def _wait_for_results(path: Path) -> None:
    """Until something is stored."""
    for _ in range(600):
        if path.is_file():
            db = sqlite3.connect(path)
            try:
                (count,) = db.execute("SELECT count(*) FROM results").fetchone()
            except sqlite3.OperationalError:
                count = 0
            finally:
                db.close()
            if count:
                return
        time.sleep(0.1)
    pytest.fail("nothing was stored")
