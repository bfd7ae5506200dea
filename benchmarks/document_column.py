"""What the document column does with a very long document: how soon a page is seen, how long the window is held.

    QT_QPA_PLATFORM=offscreen python -m benchmarks.document_column FILE [--out REPORT.json]

A timer that should fire every 2 ms says how long the event loop was held at most, and how often for longer than 50 ms,
in each part of the course: opening, going to places all over the document, scrolling through it, zooming, finding,
small pages at the side. The file is read by the engine first, in the same process, as the store would give it;
the resident memory is told before and after.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import psutil
from PySide6.QtCore import QEventLoop, QObject, Qt, QTimer
from PySide6.QtWidgets import QApplication

from app.gui.document.column import DocumentColumn
from app.gui.document.values import Highlight, OpenedDocument, opened
from app.gui.look import apply_look
from benchmarks.environment import describe
from engine.documents.reader import open_document

TICK_MS = 2
LONG_MS = 50


class Heartbeat(QObject):
    """Measures turns of the event loop."""

    def __init__(self) -> None:
        super().__init__()
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.setInterval(TICK_MS)
        self._timer.timeout.connect(self._beat)
        self._last = time.perf_counter()
        self._last_cpu = time.thread_time()
        self.gaps_ms: list[float] = []
        self.cpu_ms: list[float] = []
        self._timer.start()

    def _beat(self) -> None:
        now, cpu = time.perf_counter(), time.thread_time()
        self.gaps_ms.append((now - self._last) * 1000 - TICK_MS)
        self.cpu_ms.append((cpu - self._last_cpu) * 1000)
        self._last, self._last_cpu = now, cpu

    def begin(self) -> None:
        """Forget what was before."""
        self._last, self._last_cpu = time.perf_counter(), time.thread_time()
        self.gaps_ms.clear()
        self.cpu_ms.clear()

    def figures(self) -> dict[str, float]:
        """Longest turn in ms, turns over 50 ms, number of turns, and the most that a turn computed itself.

        The last tells the window's own work from waiting for a core that others use.
        """
        return {
            "longest_ms": round(max(self.gaps_ms, default=0.0), 1),
            "over_50_ms": sum(gap > LONG_MS for gap in self.gaps_ms),
            "turns": len(self.gaps_ms),
            "longest_cpu_ms": round(max(self.cpu_ms, default=0.0), 1),
        }


class Course:
    """Runs the parts one after the other and keeps their figures."""

    def __init__(self, column: DocumentColumn, document: OpenedDocument) -> None:
        self.column = column
        self.document = document
        self.heartbeat = Heartbeat()
        self.figures: dict[str, object] = {}

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Measure what is done within."""
        self.heartbeat.begin()
        started = time.perf_counter()
        yield
        seconds = round(time.perf_counter() - started, 3)
        self.figures[name] = {"seconds": seconds, **self.heartbeat.figures()}

    def run(self) -> dict[str, object]:
        """The whole course."""
        column, num_pages = self.column, len(self.document.pages)
        is_pdf = self.document.format == "pdf"
        with self.part("open"):
            seen: list[int] = []
            (column.pages.drawn if is_pdf else column.document_shown).connect(lambda _: seen.append(1))
            column.open_document(self.document)
            wait_for(lambda: bool(seen))
        with self.part("settle"):
            wait(1.5)
        with self.part("places"):
            self._go_to_places(num_pages)
        with self.part("scroll"):
            bar = column.view().verticalScrollBar()
            for step in range(400):
                bar.setValue(bar.maximum() * step // 400)
                wait(0.012)
        with self.part("wheel"):
            for _ in range(250):
                bar.setValue(bar.value() + 90)
                wait(0.012)
        with self.part("zoom"):
            for step in [1] * 8 + [-1] * 12 + [1] * 4:
                column.view().step_zoom(step)
                wait(0.12)
        with self.part("find"):
            column.find_text("the")
            wait(2.5)
            column.header.find_toggle.setChecked(False)
        with self.part("sides"):
            column.header.thumbnails.setChecked(is_pdf)
            for number in range(1, num_pages, max(num_pages // 20, 1)):
                column.show_page(number)
                wait(0.1)
            column.header.outline.setChecked(True)
            wait(0.3)
        with self.part("resize"):
            for width in range(900, 1300, 20):
                column.resize(width, 900)
                wait(0.05)
        with self.part("close"):
            column.close_document()
            wait(0.3)
        return self.figures

    def _go_to_places(self, num_pages: int) -> None:
        for index in range(40):
            page = self.document.pages[index * 997 % num_pages]
            middle = page.start + page.length // 2
            spans = [(middle, min(middle + 90, page.end)), (page.start, min(page.start + 60, page.end))]
            self.column.set_highlights([Highlight(start=start, end=end) for start, end in spans])
            self.column.show_span(*spans[0])
            wait(0.15)


def wait(seconds: float) -> None:
    """Let the event loop run."""
    loop = QEventLoop()
    QTimer.singleShot(round(seconds * 1000), loop.quit)
    loop.exec()


def wait_for(is_done: Callable[[], bool]) -> None:
    """Let the event loop run until something is so, at most a minute."""
    started = time.monotonic()
    while not is_done():
        wait(0.002)
        if time.monotonic() - started > 60:
            raise TimeoutError("nothing was shown in a minute")


def main() -> None:
    """Read the arguments, run the course, print or write the report."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--out", type=Path, help="write the report here")
    values = parser.parse_args()
    app = QApplication(sys.argv[:1])
    apply_look(app, scheme=Qt.ColorScheme.Light)
    column = DocumentColumn()
    column.resize(900, 900)
    column.show()
    wait(0.3)
    process = psutil.Process()
    empty = process.memory_info().rss
    document = opened(open_document(values.file))
    before = process.memory_info().rss
    course = Course(column, document)
    figures = course.run()
    report = {
        "file": values.file.name,
        "pages": len(document.pages),
        "chars": document.pages[-1].end,
        "rss_mib": {
            "empty": empty >> 20,
            "document_read": before >> 20,
            "after": process.memory_info().rss >> 20,
        },
        "parts": figures,
        "environment": describe(),
    }
    column.shut_down()
    text = json.dumps(report, indent=2)
    if values.out is not None:
        values.out.write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
