"""The command line as a child process or in process, with the bundled model through llama.cpp."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.cli import run
from engine.agent.events import Purpose
from engine.models.catalogue import BUNDLED
from engine.paths import DATA_DIR_VARIABLE, data_dir, trace_database
from engine.traces.store import TraceStore

pytestmark = pytest.mark.skipif(not BUNDLED.is_file(), reason="the bundled model is not in this checkout")

QUESTION = "Who built the granite quay of Osterhaven?"
FACT = "The granite quay of Osterhaven was built by Ansel Brodersen."
COMMAND = [sys.executable, "-m", "palimpsest"]


@pytest.fixture
def book(tmp_path: Path) -> Path:
    path = tmp_path / "book.txt"
    filler = [
        f"On day {n} the wind came from the north and the boats stayed in the harbour." for n in range(60)
    ]
    path.write_text(" ".join([*filler[:30], FACT, *filler[30:]]), "utf-8")
    return path


@pytest.fixture(autouse=True)
def _own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DATA_DIR_VARIABLE, str(tmp_path / "data"))


Call = Callable[..., Any]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """Run a command that must succeed; give back what it printed, parsed if it is JSON."""

    def run_command(*arguments: object) -> Any:
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        assert code == 0, captured.err
        return json.loads(captured.out) if "--json" in arguments else captured.out

    return run_command


def test_ask_prints_the_documented_object(call: Call, book: Path) -> None:
    result = call("ask", book, "-q", QUESTION, "--json", "--quiet")
    assert set(result) == {"run_id", "answer", "answered", "evidence", "coverage", "model", "mode", "timings"}
    assert set(result["timings"]) == {"prefill_tokens", "decode_tokens", "wall_s"}
    coverage = result["coverage"]
    assert coverage["pages"] == coverage["pages_read"] >= 1
    assert coverage["skipped"] == []
    assert coverage["tokens"] == coverage["tokens_read"] > 500
    assert result["mode"] == "extractive"
    for evidence in result["evidence"]:
        assert set(evidence) == {"document", "page", "label", "quote", "start", "end", "verified"}


def test_the_commands_about_runs_agree(call: Call, book: Path, tmp_path: Path) -> None:
    result = call("ask", book, "-q", QUESTION, "--json", "--quiet")
    run_id = result["run_id"]
    (row,) = call("runs", "--json")
    assert (row["run_id"], row["status"], row["question"]) == (run_id, "finished", QUESTION)
    assert row["documents"] == ["book.txt"]
    assert call("resume", run_id, "--json", "--quiet") == result
    shown = call("show", run_id, "--json")
    assert [step["chunk"] for step in shown["steps"]] == list(range(1, result["coverage"]["chunks"] + 1))
    assert run_id in call("show", run_id[:10])
    bundle = json.loads(call("export", run_id, "--format", "json"))
    assert len(bundle["calls"]) >= result["coverage"]["chunks"]
    target = tmp_path / "run.md"
    call("export", run_id, "--format", "md", "-o", target)
    assert QUESTION in target.read_text("utf-8")
    assert call("export", run_id, "--format", "html").startswith("<!doctype html>")
    assert call("verify", "--json") == {"ok": True, "findings": []}


def test_search_and_count_are_computed(call: Call, book: Path) -> None:
    call("ask", book, "-q", QUESTION, "--json", "--quiet")
    assert call("count", "harbour", "--json")["count"] == 60
    assert call("count", "Harbo", "--json")["count"] == 0
    assert call("count", "Harbo", "--parts", "--json")["count"] == 60
    (hit,) = call("search", "Brodersen granite", "--json")
    assert hit["document"] == "book.txt"
    assert "Nothing found" in call("search", "zeppelin")


def test_branch_and_continue(call: Call, book: Path, tmp_path: Path) -> None:
    run_id = call("ask", book, "-q", QUESTION, "--json", "--quiet")["run_id"]
    memory = tmp_path / "memory.txt"
    memory.write_text(FACT + "\n", "utf-8")
    branched = call("branch", run_id, "--step", 1, "--memory", memory, "--json", "--quiet")
    assert branched["run_id"] != run_id
    assert branched["coverage"]["tokens"] == branched["coverage"]["tokens_read"]
    book.write_text(
        book.read_text("utf-8") + " The lamp of the mole was lit by gas. It was put out in May.", "utf-8"
    )
    grown = call("continue", run_id, book, "--json", "--quiet")
    assert grown["coverage"]["tokens"] == grown["coverage"]["tokens_read"]
    assert call("verify", "--json")["ok"]


def test_models_list_has_the_bundled_one(call: Call) -> None:
    first = call("models", "list", "--json")[0]
    assert first["bundled"] is True
    assert first["size_bytes"] < 40_000_000


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["ask", "nowhere.pdf", "-q", "Who?"], 3, "nowhere.pdf"),
        (["ask", "{book}", "-q", "Who?", "--model", "nowhere.gguf"], 4, "There is no model"),
        (["ask", "{book}", "-q", "Who?", "--model", "{book}"], 4, "GGUF"),
        (["ask", "{book}", "-q", "Who?", "--mode", "faithful"], 4, "was not made for the mode"),
        (["ask", "{book}", "-q", " "], 2, "empty"),
        (["ask", "{book}", "-q", "Who?", "--chunk-tokens", "100000"], 2, "window"),
        (["resume", "2020"], 6, "No run"),
        (["show", "2020"], 6, "No run"),
    ],
)
def test_every_bad_input_gets_one_sentence_and_a_code(
    arguments: list[str], code: int, sentence: str, book: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([part.format(book=book) for part in arguments]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert sentence in captured.err
    assert "Traceback" not in captured.err


def test_usage_errors_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["ask", "--no-such-option"]) == 2
    assert "no-such-option" in capsys.readouterr().err
    assert run(["--help"]) == 0
    assert "Exit codes" in capsys.readouterr().out
    assert run(["--version"]) == 0


def test_a_damaged_database_is_found(
    call: Call, book: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call("ask", book, "-q", QUESTION, "--json", "--quiet")
    database = tmp_path / "data" / "traces.db"
    data = bytearray(database.read_bytes())
    place = data.find(b"granite quay of Osterhaven?")
    assert place > 0
    data[place] ^= 1
    database.write_bytes(data)
    assert run(["verify"]) == 1
    assert capsys.readouterr().out.strip()


def wait_for(condition: Callable[[], bool], *, timeout_s: float = 120) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.02)


def test_ctrl_c_stops_and_resume_goes_on(tmp_path: Path, call: Call) -> None:
    path = tmp_path / "long.txt"
    path.write_text(
        " ".join(f"On day {n} the wind was {n % 9} and the sea calm." for n in range(3000)), "utf-8"
    )
    child = subprocess.Popen(
        [*COMMAND, "ask", str(path), "-q", "What was the wind on day 2000?", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ},
    )
    wait_for(lambda: (tmp_path / "data" / "traces.db").exists() and bool(call("runs", "--json")))
    wait_for(lambda: call("runs", "--json")[0]["chunks_done"] > 0)
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=30)
    assert child.returncode == 130
    assert out == ""
    (row,) = call("runs", "--json")
    assert row["status"] == "stopped"
    assert f"palimpsest resume {row['run_id']}" in err
    assert "Traceback" not in err
    assert 0 < row["chunks_done"] < row["chunks_total"]


def test_starting_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom app.cli.main import app\n"
        "heavy = {'torch', 'transformers', 'llama_cpp', 'PySide6', 'pypdfium2', 'pypdf'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_several_questions_share_a_pass(call: Call, book: Path, tmp_path: Path) -> None:
    questions = tmp_path / "questions.txt"
    questions.write_text(f"# about the harbour\n\n{QUESTION}\nWho painted the boats?\n", "utf-8")
    several = call(
        "ask", book, "-q", "Where did the wind stay?", "--questions", questions, "--json", "--quiet"
    )
    assert [result["question"] for result in several] == [
        "Where did the wind stay?",
        QUESTION,
        "Who painted the boats?",
    ]
    alone = call("ask", book, "-q", QUESTION, "--json", "--quiet")
    same = several[1]
    assert {key: same[key] for key in ("answer", "evidence", "coverage")} == {
        key: alone[key] for key in ("answer", "evidence", "coverage")
    }
    assert len({result["run_id"] for result in several}) == 3
    assert len(call("runs", "--json")) == 4
    text = call("ask", book, "-q", QUESTION, "-q", "Who painted the boats?", "--quiet")
    assert text.index(QUESTION) < text.index("Who painted")


def test_one_look_at_a_chunk_serves_all_questions(call: Call, book: Path) -> None:
    questions = [QUESTION, "Who keeps the library's key?", "When was Arlow chapel painted?"]
    asked = [part for question in questions for part in ("-q", question)]
    shared, apart = (call("ask", book, *asked, *more, "--json", "--quiet") for more in ((), ("--apart",)))
    assert [result["answer"] for result in shared] == [result["answer"] for result in apart]
    assert shared[0]["answer"] == "Ansel Brodersen"
    with TraceStore(trace_database(data_dir())) as store:
        num_chunks = len(list(store.steps(apart[0]["run_id"])))
        calls = [list(store.calls(result["run_id"])) for result in shared]
    for of_one in calls:
        # What the gate was asked stands in the trace of every question that it was asked for.
        assert sum(call.purpose is Purpose.GATE for call in of_one) == num_chunks
    num_reads = sum(call.purpose is Purpose.READ for of_one in calls for call in of_one)
    assert len(questions) <= num_reads < len(questions) * num_chunks / 2


def test_every_mode_that_the_model_offers_reads(call: Call, book: Path) -> None:
    results = {
        mode: call("ask", book, "-q", QUESTION, "--mode", mode, "--json", "--quiet")
        for mode in ("extractive", "parallel")
    }
    for result in results.values():
        assert result["answer"] == "Ansel Brodersen"
        assert result["coverage"]["tokens_read"] == result["coverage"]["tokens"]
    recalled = call("ask", book, "-q", QUESTION, "--recall", 2, "--json", "--quiet")
    assert recalled["answer"] == "Ansel Brodersen"
    assert recalled["timings"]["prefill_tokens"] > results["extractive"]["timings"]["prefill_tokens"]
    assert run(["ask", str(book), "-q", QUESTION, "--mode", "faithful"]) == 4


def test_bench_measures(call: Call) -> None:
    measured = call("bench", "--json", "--threads", 1)
    rates = measured["rates"]
    assert rates["prefill_tokens_per_s"] > 10
    assert rates["side_by_side_tokens_per_s"] > 10
    assert measured["seconds"]["1000000"] == pytest.approx(10 * measured["seconds"]["100000"], rel=0.05)
    assert measured["model"]["runtime"]["threads"] == 1
    assert "tokens/s" in call("bench", "--threads", 1)


def test_questions_that_cannot_be_read(
    book: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = tmp_path / "empty.txt"
    empty.write_text("# nothing\n", "utf-8")
    for arguments, words in (
        (["--questions", str(empty)], "no question in empty.txt"),
        (["--questions", str(tmp_path / "missing.txt")], "cannot be read"),
        ([], "No question was asked"),
    ):
        assert run(["ask", str(book), *arguments]) == 2
        assert words in capsys.readouterr().err
