"""The self-test's driver, with a window of no widgets over real jobs."""

import dataclasses
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QObject, Signal
from pytestqt.qtbot import QtBot

from app.gui.jobs import Job
from app.gui.selftest import EXPECTED_PAGE, ShownAnswer, check_shown, run_self_test
from app.worker import protocol
from app.worker.protocol import ImportJob, ReadJob
from tests.app.worker.conftest import ONE_THREAD, needs_model

GOOD = ShownAnswer(
    text="64 feet",
    quote="In the night of 9 January 1936 the North Mole was breached over\na length of 64 feet.",
    label="3",
    highlighted_pages=(EXPECTED_PAGE,),
)


class BareWindow(QObject):
    """What a window does for the self-test, and nothing to see."""

    document_opened = Signal(str)
    open_failed = Signal(str)
    reading_ended = Signal(str, dict)

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._document = ""
        self._result: dict[str, Any] | None = None
        self.jobs: list[Job] = []

    def open_files(self, files: Sequence[Path]) -> None:
        job = self._start(ImportJob(data=str(self._folder), paths=tuple(map(str, files)), count_tokens=False))
        job.message.connect(self._note_import)

    def ask(self, question: str) -> None:
        job = self._start(
            ReadJob(
                data=str(self._folder), documents=(self._document,), questions=(question,), model=ONE_THREAD
            )
        )
        job.ended.connect(self._note_end)

    def shown_answer(self) -> ShownAnswer | None:
        if self._result is None:
            return None
        (claim,) = self._result["evidence"]
        return ShownAnswer(
            text=self._result["answer"],
            quote=claim["quote"],
            label=claim["label"],
            highlighted_pages=(claim["page"],),
        )

    def _start(self, work: protocol.Job) -> Job:
        job = Job(work, self)
        self.jobs.append(job)
        job.start()
        return job

    def _note_import(self, name: str, values: dict[str, Any]) -> None:
        if name == "imported":
            self._document = values["content_hash"]
            self.document_opened.emit(self._document)
        elif name == "import_failed":
            self.open_failed.emit(values["message"])

    def _note_end(self, how: str, values: dict[str, Any]) -> None:
        if how == "result":
            (self._result,) = values["runs"]
        self.reading_ended.emit(how, values)


@pytest.fixture
def window(qtbot: QtBot, tmp_path: Path) -> Iterator[BareWindow]:
    made = BareWindow(tmp_path)
    yield made
    for job in made.jobs:
        job.close()


@needs_model
def test_the_whole_program_is_asked_a_question(
    window: BareWindow, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_self_test(window) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["ok"] is True
    assert report["answer"] == "64 feet"
    assert report["problems"] == []
    assert report["window_ready_s"] > 0
    assert report["largest_stall_ms"] > 0
    assert report["rss_bytes"] > 10_000_000


def test_it_gives_up_in_time(window: BareWindow, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_self_test(window, timeout_s=0.2) == 1
    captured = capsys.readouterr()
    report = json.loads(captured.out)
    assert report["ok"] is False
    assert report["problems"] == ["It was not done within 0 s."]
    assert "not done within" in captured.err


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"text": "65 feet"}, "answer"),
        ({"quote": "Something else."}, "quote"),
        ({"label": "4"}, "page"),
        ({"highlighted_pages": ()}, "highlight"),
    ],
)
def test_what_is_shown_is_checked(change: dict[str, Any], problem: str) -> None:
    assert check_shown(GOOD) == []
    (found,) = check_shown(dataclasses.replace(GOOD, **change))
    assert problem in found


def test_an_answer_that_is_not_shown_is_a_problem() -> None:
    assert check_shown(None)
