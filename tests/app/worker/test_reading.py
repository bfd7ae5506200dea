"""Readings in a real child process: plans, pauses, stops, deaths, follow-ups."""

import dataclasses
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from app.worker.protocol import (
    BranchJob,
    ContinueJob,
    FollowUpJob,
    Options,
    Pause,
    ReadJob,
    Resume,
    ResumeJob,
    Start,
    Stop,
    encode_job,
)
from engine.paths import trace_database
from engine.results import load_result
from engine.traces.rows import RunRow
from engine.traces.store import TraceStore
from tests.app.worker.conftest import (
    FACT,
    ONE_THREAD,
    QUESTION,
    Child,
    StartChild,
    make_text,
    needs_model,
    write_book,
)

pytestmark = needs_model


def read_job(data: Path, *documents: object, **changes: Any) -> ReadJob:
    job = ReadJob(
        data=str(data), documents=tuple(map(str, documents)), questions=(QUESTION,), model=ONE_THREAD
    )
    return dataclasses.replace(job, **changes)


def only_run(data: Path) -> RunRow:
    with TraceStore(trace_database(data)) as store:
        (run,) = store.list_runs()
        return run


def result_of(child: Child) -> dict[str, Any]:
    last = child.end()
    assert last is not None
    assert last.name == "result", last
    (run,) = last.values["runs"]
    assert isinstance(run, dict)
    return run


def essence(result: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(result[name] for name in ("answer", "answered", "evidence", "coverage"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The result of reading the book without anything in between, in a folder of its own."""
    folder = tmp_path_factory.mktemp("whole")
    return result_of(Child(encode_job(read_job(folder / "data", write_book(folder)))))


def test_a_reading_tells_everything_in_order(start: StartChild, data: Path, book: Path) -> None:
    child = start(read_job(data, book))
    result = result_of(child)
    assert result["answer"] == "Ansel Brodersen"
    assert result["evidence"][0]["quote"] == FACT
    (planned,) = child.all("planned")
    chunks = [chunk for each in child.all("plan_chunks") for chunk in each["chunks"]]
    assert [chunk["index"] for chunk in chunks] == list(range(planned["chunks_total"]))
    assert chunks[0]["start"] == 0
    with TraceStore(trace_database(data)) as store:
        text = store.load_document(planned["documents"][0]["content_hash"]).text
    assert chunks[-1]["end"] == len(text)
    assert planned["documents"][0]["path"] == str(book)
    assert planned["estimate"]["wall_s"] > 0
    assert planned["tokens"] == sum(chunk["new_tokens"] for chunk in chunks)
    assert planned["memory_bytes_estimate"] > 10_000_000
    (started,) = child.all("started")
    assert started["runs"][0]["run_id"] == result["run_id"]
    names = child.names()
    assert names.index("planned") < names.index("started") < names.index("chunk_started")
    durable = [message.values["sequence"] for _, message in child.messages if "sequence" in message.values]
    assert durable == list(range(len(durable)))
    finished = child.all("chunk_finished")
    assert [values["chunk"] for values in finished] == list(range(1, len(chunks) + 1))
    assert all("prompt" not in values for values in child.all("call_finished"))
    progress = child.all("progress")[-1]
    assert progress["chunks_done"] == progress["chunks_total"] == len(chunks)
    assert progress["rss_bytes"] > 10_000_000
    assert progress["memory_tokens_used"] == finished[-1]["memory_tokens"] > 0
    for item, document, begin, end in finished[-1]["items"]:
        assert (document, item) == (0, text[begin:end].strip())
    assert child.all("evidence_found")[0]["document_index"] == 0
    (answer,) = child.all("answer_finished")
    assert answer["evidence"][0]["document_index"] == 0


def test_what_is_told_is_what_is_stored(start: StartChild, data: Path, book: Path) -> None:
    child = start(read_job(data, book))
    result = result_of(child)
    with TraceStore(trace_database(data)) as store:
        stored = load_result(store, result["run_id"])
        steps = list(store.steps(result["run_id"]))
    assert result == {**json.loads(json.dumps(stored.to_dict())), "question": QUESTION}
    told = child.all("chunk_finished")
    assert [step.memory_after.text for step in steps] == [values["memory"] for values in told]
    assert [step.sequence for step in steps] == [values["sequence"] for values in told]


def test_a_plan_waits_for_the_word_and_leaves_nothing_without_it(
    start: StartChild, data: Path, book: Path
) -> None:
    child = start(read_job(data, book, confirm=True))
    assert child.wait_for("planned").values["needs_start"]
    time.sleep(0.5)
    assert "started" not in child.names()
    child.send(Stop())
    last = child.end(20)
    assert last is not None
    assert (last.name, last.values["run_ids"]) == ("stopped", [])
    with TraceStore(trace_database(data)) as store:
        assert store.list_runs() == []
    (imported,) = child.all("imported")
    again = start(read_job(data, imported["content_hash"], confirm=True))
    again.wait_for("planned")
    again.send(Start())
    assert result_of(again)["answer"] == "Ansel Brodersen"


def test_a_document_is_read_from_the_library_when_its_file_is_gone(
    start: StartChild, data: Path, book: Path
) -> None:
    child = start(read_job(data, book, confirm=True))
    content_hash = child.wait_for("imported").values["content_hash"]
    child.wait_for("planned")
    child.send(Stop())
    child.end()
    book.unlink()
    assert result_of(start(read_job(data, content_hash)))["answer"] == "Ansel Brodersen"


def test_a_document_whose_file_changed_is_read_as_it_was_imported_with_a_warning(
    start: StartChild, data: Path, book: Path
) -> None:
    child = start(read_job(data, book, confirm=True))
    content_hash = child.wait_for("imported").values["content_hash"]
    child.wait_for("planned")
    child.send(Stop())
    child.end()
    book.write_text("Something else altogether.", "utf-8")
    child = start(read_job(data, content_hash))
    child.wait_for_chunk(10)
    child.process.send_signal(signal.SIGKILL)
    child.end()
    assert "has changed since" in child.all("planned")[0]["warnings"][0]
    resumed = start(ResumeJob(data=str(data), run_id=only_run(data).run_id, model=ONE_THREAD))
    assert result_of(resumed)["answer"] == "Ansel Brodersen"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_reading_that_is_killed_is_resumed_to_the_same_answer(
    start: StartChild, data: Path, book: Path, whole: dict[str, Any], number: signal.Signals
) -> None:
    child = start(read_job(data, book))
    seen = child.wait_for_chunk(12).values["chunk"]
    os.kill(child.process.pid, number)
    child.end()
    assert child.process.returncode == -number
    if number == signal.SIGSEGV:
        assert b"Segmentation fault" in child.errors
    run = only_run(data)
    assert run.status == "interrupted"
    assert run.chunks_done >= seen  # what was shown was saved before
    resumed = start(ResumeJob(data=str(data), run_id=run.run_id, model=ONE_THREAD))
    result = result_of(resumed)
    assert essence(result) == essence(whole)
    (planned,) = resumed.all("planned")
    assert planned["next_chunk"] == run.chunks_done
    assert planned["runs"][0]["run_id"] == run.run_id
    assert resumed.all("started")[0]["runs"][0]["memory"] == FACT
    assert resumed.all("chunk_finished")[0]["chunk"] == run.chunks_done + 1
    with TraceStore(trace_database(data)) as store:
        assert store.verify() == []


def test_stop_comes_within_a_token_and_saves(
    start: StartChild, data: Path, book: Path, whole: dict[str, Any]
) -> None:
    child = start(read_job(data, book))
    child.wait_for_chunk(5)
    began = time.monotonic()
    child.send(Stop())
    last = child.wait_for("stopped")
    latency_s = time.monotonic() - began
    child.end()
    run = only_run(data)
    assert last.values["run_ids"] == [run.run_id]
    assert run.status == "stopped"
    assert latency_s < 5, "a prompt of a small model takes far less, also on a busy machine"
    resumed = start(ResumeJob(data=str(data), run_id=run.run_id, model=ONE_THREAD))
    assert essence(result_of(resumed)) == essence(whole)


def test_a_window_that_dies_ends_the_reading_cleanly(start: StartChild, data: Path, book: Path) -> None:
    child = start(read_job(data, book))
    child.wait_for_chunk(5)
    child.hang_up()
    last = child.end(30)
    assert last is not None
    assert last.name == "stopped"
    assert only_run(data).status == "stopped"
    assert child.process.returncode == 0


def test_a_window_that_no_longer_listens_ends_the_reading_cleanly(data: Path, book: Path) -> None:
    """Commands could still come, but nobody reads what is said: the pipe is broken."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "app.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    with process, process.stdin, process.stderr:
        process.stdin.write(encode_job(read_job(data, book)))
        process.stdin.flush()
        while b'"chunk_finished"' not in process.stdout.readline():
            pass
        process.stdout.close()
        assert process.wait(60) == 0
        assert b"nobody listens" in process.stderr.read()
    assert only_run(data).status == "stopped"


def test_pausing_holds_everything_and_is_no_time_of_the_reading(
    start: StartChild, data: Path, book: Path, whole: dict[str, Any]
) -> None:
    child = start(read_job(data, book))
    child.wait_for_chunk(5)
    child.send(Pause())
    child.wait_for("paused", 10)
    said = len(child.messages)
    pause_s = 4.0
    time.sleep(pause_s)
    assert len(child.messages) == said, child.names()[said:]
    assert only_run(data).status == "running"
    child.send(Resume())
    child.wait_for("resumed", 10)
    result = result_of(child)
    assert essence(result) == essence(whole)
    elapsed_s = child.all("progress")[-1]["elapsed_s"]
    began, ended = child.messages[child.names().index("started")][0], child.messages[-1][0]
    assert elapsed_s < ended - began - pause_s + 1
    assert result["timings"]["wall_s"] < ended - began - pause_s + 1


def test_stop_works_while_it_is_paused(start: StartChild, data: Path, book: Path) -> None:
    child = start(read_job(data, book))
    child.wait_for_chunk(5)
    child.send(Pause())
    child.wait_for("paused", 10)
    child.send(Stop())
    last = child.end(20)
    assert last is not None
    assert last.name == "stopped"


@pytest.mark.slow
def test_a_pause_does_not_lose_the_run(start: StartChild, data: Path, book: Path) -> None:
    child = start(read_job(data, book))
    child.wait_for_chunk(5)
    child.send(Pause())
    child.wait_for("paused", 10)

    def expires_at() -> float:
        with closing(sqlite3.connect(trace_database(data))) as db:
            ((value,),) = db.execute("SELECT expires_at FROM leases")
            return float(value)

    before = expires_at()
    time.sleep(22)  # a third of the lease lies between two beats
    assert expires_at() > before
    child.send(Resume())
    assert result_of(child)["answer"] == "Ansel Brodersen"


def test_garbage_on_the_way_is_left_out(start: StartChild, data: Path, book: Path) -> None:
    child = start(read_job(data, book))
    child.wait_for_chunk(3)
    child.write(b"\x00\xff garbage\n{}\n[]\n" + b'{"command":"dance","values":{}}\n' + b"9" * 5000 + b"\n")
    assert result_of(child)["answer"] == "Ansel Brodersen"
    assert child.errors.count(b"a command was left out") == 5


@pytest.mark.parametrize("line", [b"no job\n", b'{"job":"read","values":{"data":"d"}}\n', b"\xff\xfe\n"])
def test_a_line_that_is_no_job_is_answered(start_raw: StartChild, line: bytes) -> None:
    child = start_raw(line)
    last = child.end(30)
    assert last is not None
    assert (last.name, last.values["code"]) == ("error", "protocol")
    assert child.process.returncode == 2


def test_nothing_said_is_nothing_done(start_raw: StartChild) -> None:
    child = start_raw(b"")
    child.hang_up()
    assert child.end(30) is None
    assert child.process.returncode == 0


def test_several_questions_in_one_pass(start: StartChild, data: Path, book: Path) -> None:
    questions = (QUESTION, "What is the name of the moon's harbour master?")
    child = start(read_job(data, book, questions=questions))
    last = child.end()
    assert last is not None
    assert [run["question"] for run in last.values["runs"]] == list(questions)
    assert last.values["runs"][0]["answer"] == "Ansel Brodersen"
    (started,) = child.all("started")
    told = {values["run_id"] for values in child.all("chunk_finished")}
    assert told == {run["run_id"] for run in started["runs"]}


def test_options_and_model_reach_the_engine(start: StartChild, data: Path, book: Path) -> None:
    options = Options(mode="extractive", chunk_tokens=128, memory_tokens=96, seed=3, temperature=0.5)
    child = start(read_job(data, book, options=options))
    result_of(child)
    config = only_run(data).spec.config
    assert (config.chunk_tokens, config.memory_tokens) == (128, 96)
    assert (config.sampling.seed, config.sampling.temperature) == (3, 0.5)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"model": dataclasses.replace(ONE_THREAD, model="/no/such.gguf")}, "model_not_found"),
        ({"options": Options(mode="dreaming")}, "plan"),
        ({"options": Options(chunk_tokens=9_000_000)}, "plan"),
        ({"questions": ()}, "plan"),
        ({"documents": ("0" * 64,)}, "store"),
        ({"documents": ("relative.txt",)}, "plan"),
        ({"documents": ("/no/such/file.txt",)}, "document_not_found"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    start: StartChild, data: Path, book: Path, changes: dict[str, Any], code: str
) -> None:
    last = start(read_job(data, book, **changes)).end()
    assert last is not None
    assert (last.name, last.values["code"], last.values["run_ids"]) == ("error", code, [])
    assert last.values["message"]
    with TraceStore(trace_database(data)) as store:
        assert store.list_runs() == []


# Runs that take their beginning from another


def test_a_follow_up_is_answered_from_the_memory_and_says_so(
    start: StartChild, data: Path, book: Path, whole: dict[str, Any]
) -> None:
    first = result_of(start(read_job(data, book)))
    child = start(
        FollowUpJob(
            data=str(data),
            run_id=first["run_id"],
            question="Where is the granite quay that Ansel Brodersen built?",
            model=ONE_THREAD,
        )
    )
    result = result_of(child)
    assert "chunk_started" not in child.names()
    assert result["answer"] == "Osterhaven"
    assert result["evidence"][0]["quote"] == FACT
    assert result["coverage"]["read_for"] == QUESTION
    assert result["coverage"]["tokens_read"] == first["coverage"]["tokens_read"]
    assert len(child.all("plan_chunks")[0]["chunks"]) == first["coverage"]["chunks"]
    with TraceStore(trace_database(data)) as store:
        run = store.get_run(result["run_id"])
        assert (run.parent_kind, run.parent_run_id) == ("follow_up", first["run_id"])
        assert run.chunks_done == run.chunks_total == first["coverage"]["chunks"]
        assert "read for the question" in load_result(store, run.run_id).coverage.sentence
        assert store.verify() == []
        store.delete_run(first["run_id"])
        assert load_result(store, run.run_id).coverage.read_for == QUESTION
    # Resuming a finished run reports it; a further question goes on from there and still says what was read for.
    again = result_of(start(ResumeJob(data=str(data), run_id=run.run_id, model=ONE_THREAD)))
    assert essence(again) == essence(result)
    third = result_of(
        start(FollowUpJob(data=str(data), run_id=run.run_id, question=QUESTION, model=ONE_THREAD))
    )
    assert third["answer"] == "Ansel Brodersen"
    assert third["coverage"]["read_for"] == QUESTION


def test_the_answer_alone_is_drawn_anew(start: StartChild, data: Path, book: Path) -> None:
    first = result_of(start(read_job(data, book)))
    child = start(
        BranchJob(data=str(data), run_id=first["run_id"], seed=7, temperature=0.8, model=ONE_THREAD)
    )
    result = result_of(child)
    assert "chunk_started" not in child.names()
    assert result["run_id"] != first["run_id"]
    with TraceStore(trace_database(data)) as store:
        run = store.get_run(result["run_id"])
    assert (run.parent_kind, run.spec.config.sampling.seed) == ("branch", 7)


def test_a_branch_goes_on_with_an_edited_memory(start: StartChild, data: Path, book: Path) -> None:
    first = result_of(start(read_job(data, book)))
    edited = FACT.replace("Ansel Brodersen", "Mette Lund")
    steps = first["coverage"]["chunks"]
    child = start(
        BranchJob(data=str(data), run_id=first["run_id"], step=steps - 2, memory=(edited,), model=ONE_THREAD)
    )
    result = result_of(child)
    assert result["answer"] == "Mette Lund"
    assert [values["chunk"] for values in child.all("chunk_finished")] == [steps - 1, steps]


def test_a_document_that_grew_is_read_on(start: StartChild, data: Path, tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    path.write_text(make_text(60), "utf-8")
    first = result_of(start(read_job(data, path)))
    path.write_text(make_text(60) + " " + make_text(40).replace(FACT, "The end."), "utf-8")
    child = start(
        ContinueJob(data=str(data), run_id=first["run_id"], path=str(path), model=ONE_THREAD, confirm=True)
    )
    planned = child.wait_for("planned").values
    assert planned["next_chunk"] == first["coverage"]["chunks"]
    assert child.all("plan_chunks")[0]["chunks"][0]["index"] == 0
    child.send(Start())
    result = result_of(child)
    assert result["answer"] == "Ansel Brodersen"
    assert result["coverage"]["chunks"] > first["coverage"]["chunks"]
    assert result["coverage"]["read_for"] == ""
