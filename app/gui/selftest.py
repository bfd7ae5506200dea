"""`palimpsest gui --self-test`: does the whole program work here?

Drives the real window as a person would: it opens the sample, asks, waits for the answer, and checks what is shown.
Prints one JSON object and returns the exit code.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import psutil
from PySide6.QtCore import QEventLoop, QObject, QTimer, SignalInstance

from app.gui.stalls import StallMonitor, Stalls
from engine.paths import RESOURCES

SAMPLE = RESOURCES / "samples" / "kestrelmouth-report.pdf"
QUESTION = "What length of the North Mole was breached?"
EXPECTED = "64 feet"
EXPECTED_LABEL = "3"
EXPECTED_PAGE = 11
EXPECTED_QUOTE = "64 feet"
TIMEOUT_S = 240.0
_LOOK_MS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownAnswer:
    """What the window shows, read from its widgets.

    Attributes:
        text: the answer as it stands on the screen.
        quote: the first quote under it.
        label: printed label of the quote's page.
        highlighted_pages: physical numbers of pages in the document column that carry a highlight now.
    """

    text: str
    quote: str
    label: str
    highlighted_pages: tuple[int, ...]


class DrivenWindow(Protocol):
    """What the self-test needs of the window."""

    @property
    def document_opened(self) -> SignalInstance:
        """A document stands in the library and is shown (content hash)."""
        ...

    @property
    def open_failed(self) -> SignalInstance:
        """A file could not be opened (message)."""
        ...

    @property
    def reading_ended(self) -> SignalInstance:
        """A reading has ended, and what came of it is shown (how, values; as `app.gui.jobs.Job.ended`)."""
        ...

    def open_files(self, files: Sequence[Path]) -> None:
        """As if they had been dropped on the window."""
        ...

    def ask(self, question: str) -> None:
        """Type a question about the open document, and begin without looking at the plan."""
        ...

    def shown_answer(self) -> ShownAnswer | None:
        """What is shown now; None = no answer."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What came of it.

    Attributes:
        answer: as it was shown.
        problems: one sentence each; () = all is well.
        window_ready_s: seconds from the start of the process to a window that handles events.
        stalls: of the event loop, from then on.
        rss_bytes: memory of the window's process at the end.
    """

    answer: str
    problems: tuple[str, ...]
    window_ready_s: float
    stalls: Stalls
    rss_bytes: int

    def to_dict(self) -> dict[str, Any]:
        """The object that is printed."""
        return {
            "ok": not self.problems,
            "window_ready_s": round(self.window_ready_s, 3),
            "largest_stall_ms": round(self.stalls.largest_ms, 1),
            "stall_p999_ms": round(self.stalls.p999_ms, 1),
            "answer": self.answer,
            "rss_bytes": self.rss_bytes,
            "problems": list(self.problems),
        }


def run_self_test(window: DrivenWindow, *, timeout_s: float = TIMEOUT_S) -> int:
    """Test a window that was just shown, print the report, return 0 or 1."""
    report = drive_window(window, timeout_s=timeout_s)
    print(json.dumps(report.to_dict(), ensure_ascii=False), flush=True)
    for problem in report.problems:
        print(problem, file=sys.stderr)
    return int(bool(report.problems))


def drive_window(window: DrivenWindow, *, timeout_s: float = TIMEOUT_S) -> Report:
    """Open, ask, wait, check. Runs an event loop of its own."""
    process = psutil.Process()
    drive = _Drive(window)
    loop = QEventLoop()
    drive.finished = loop.quit
    limit = QTimer(interval=round(timeout_s * 1000), singleShot=True)
    limit.timeout.connect(lambda: drive.give_up(f"It was not done within {timeout_s:.0f} s."))
    limit.start()
    ready_s: list[float] = []

    def begin() -> None:
        ready_s.append(age_s(process))
        drive.begin()

    # The first turn of the loop: what the window had to do before it can be used is done.
    QTimer.singleShot(0, begin)
    loop.exec()
    limit.stop()
    shown = window.shown_answer()
    return Report(
        answer="" if shown is None else shown.text,
        problems=tuple(drive.problems),
        window_ready_s=ready_s[0],
        stalls=drive.monitor.stop(),
        rss_bytes=process.memory_info().rss,
    )


def age_s(process: psutil.Process) -> float:
    """Seconds since a process was started. What psutil says goes by the whole second at which the machine was."""
    try:
        # proc(5): field 22, in ticks; the name before it, in parentheses, may hold anything.
        fields = Path(f"/proc/{process.pid}/stat").read_bytes().rpartition(b")")[2].split()
        return time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, AttributeError):  # no Linux
        return time.time() - process.create_time()


class _Drive(QObject):
    """What a person does, one step after the other."""

    def __init__(self, window: DrivenWindow) -> None:
        super().__init__()
        self._window = window
        self.monitor = StallMonitor(self)
        self.problems: list[str] = []
        self.finished: Callable[[], None] = lambda: None
        window.document_opened.connect(self._ask)
        window.open_failed.connect(lambda message: self.give_up(f"The sample was not opened: {message}"))
        window.reading_ended.connect(self._check)

    def begin(self) -> None:
        self.monitor.start()
        self._window.open_files([SAMPLE])

    def give_up(self, problem: str) -> None:
        self.problems.append(problem)
        self.finished()

    def _ask(self) -> None:
        self._window.document_opened.disconnect(self._ask)
        self._window.ask(QUESTION)

    def _check(self, how: str, values: dict[str, Any]) -> None:
        if how != "result":
            self.give_up(f"The reading ended with: {values.get('message', how)}")
            return
        # A highlight is looked up in the background: it may come some turns after the answer.
        self._look(attempts=50)

    def _look(self, attempts: int) -> None:
        shown = self._window.shown_answer()
        problems = check_shown(shown)
        if problems and attempts:
            QTimer.singleShot(_LOOK_MS, self, lambda: self._look(attempts - 1))
            return
        self.problems += problems
        self.finished()


def check_shown(shown: ShownAnswer | None) -> list[str]:
    """What is wrong with what the window shows; [] = nothing."""
    if shown is None:
        return ["The window shows no answer."]
    problems = []
    if EXPECTED not in shown.text:
        problems.append(f"The answer is {shown.text!r}, not {EXPECTED!r}.")
    if EXPECTED_QUOTE not in " ".join(shown.quote.split()):
        problems.append(f"The quote is {shown.quote!r}.")
    if shown.label != EXPECTED_LABEL:
        problems.append(f"The quote's page is {shown.label!r}, not {EXPECTED_LABEL!r}.")
    if EXPECTED_PAGE not in shown.highlighted_pages:
        problems.append(f"Pages with a highlight are {list(shown.highlighted_pages)}, not {EXPECTED_PAGE}.")
    return problems
