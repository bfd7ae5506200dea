"""Measures the window: how soon it can be used, how long its event loop is held up, what memory it takes.

    python -m benchmarks.window start [--count 10]
    python -m benchmarks.window reading FILE [--minutes 5] [--imports FOLDER]

``start``: seconds from the start of the process to the first turn of the event loop of a window that is shown, as
`palimpsest gui` opens it; every start is a process of its own, on an empty data folder. ``reading``: a document is
opened and read with the bundled model while another folder is taken in and somebody turns pages; a timer notes by how
much it comes late. Without a display both run offscreen. Prints one JSON object.
"""

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from benchmarks.environment import describe

QUESTION = "Which city has the largest budget for harbours?"
_TURN_MS = 1500
_SETTLE_S = 2.0
_ONCE = """
import gc, sys, time
gc.disable()  # as the program does
from PySide6.QtCore import QTimer
from app.cli import gui as _command  # what the command imports, too
from app.gui import application
from app.gui.settings.preferences import PreferenceKeeper
from app.gui.window import MainWindow
from pathlib import Path
from PySide6.QtCore import QSettings
app = application.make_application()
folder = Path(sys.argv[1])
settings = QSettings(str(folder / "preferences.ini"), QSettings.Format.IniFormat)
window = MainWindow(folder / "data", PreferenceKeeper(settings))
window.show()
def ready():
    print(time.time() - float(sys.argv[2]), flush=True)
    window.shut_down()
    app.quit()
QTimer.singleShot(0, ready)
app.exec()
"""


def measure_start(count: int) -> dict[str, Any]:
    """Open the window `count` times, after once that warms the disk's cache."""
    seconds = []
    for _ in range(count + 1):
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(
                [sys.executable, "-c", _ONCE, folder, str(time.time())],
                capture_output=True,
                text=True,
                check=True,
                cwd=Path(__file__).parent.parent,
                env={name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
            )
        seconds.append(float(done.stdout.split()[-1]))
    warm = seconds[1:]
    return {
        "window_ready_s": {
            "median": round(statistics.median(warm), 3),
            "lowest": round(min(warm), 3),
            "highest": round(max(warm), 3),
        },
        "count": count,
    }


def measure_reading(file: Path, minutes: float, imports: Path | None) -> dict[str, Any]:
    """Use the window for a while."""
    from PySide6.QtCore import QEventLoop, QSettings, QTimer

    from app.gui.application import make_application, settle
    from app.gui.settings.preferences import PreferenceKeeper
    from app.gui.stalls import StallMonitor
    from app.gui.window import MainWindow

    app = make_application()
    process = psutil.Process()
    with tempfile.TemporaryDirectory() as folder:
        settings = QSettings(str(Path(folder) / "preferences.ini"), QSettings.Format.IniFormat)
        window = MainWindow(Path(folder) / "data", PreferenceKeeper(settings))
        window.resize(1360, 860)
        window.show()
        settle()

        def work(seconds: float, until: Any = lambda: False) -> None:
            end = time.monotonic() + seconds
            while time.monotonic() < end and not until():
                loop = QEventLoop()
                QTimer.singleShot(50, loop.quit)
                loop.exec()

        work(_SETTLE_S)
        rss = {"empty": process.memory_info().rss}
        opened: list[str] = []
        window.document_opened.connect(opened.append)
        monitor = StallMonitor()
        monitor.start()
        window.open_files([file])
        work(600, lambda: bool(opened))
        rss["open"] = process.memory_info().rss
        pages = len(window.document.document.pages) if window.document.document is not None else 0
        window.ask(QUESTION)
        work(120, lambda: window.readings.is_reading)
        if imports is not None:
            window.imports.take([imports])
        places = itertools.cycle(range(1, pages + 1, max(1, pages // 37)))
        turner = QTimer(interval=_TURN_MS)
        turner.timeout.connect(lambda: window.document.show_page(next(places)))
        turner.start()
        most = 0
        end = time.monotonic() + minutes * 60
        while time.monotonic() < end:
            work(5)
            most = max(most, process.memory_info().rss)
        turner.stop()
        stalls = monitor.stop()
        state = window.readings.state
        done = state.progress.chunks_done if state is not None else 0
        window.readings.stop()
        window.imports.stop()
        work(20, lambda: not window.readings.is_busy and not window.imports.is_busy)
        rss["highest"] = most
        window.shut_down()
        window.deleteLater()
        app.processEvents()
    return {
        "pages": pages,
        "minutes": minutes,
        "chunks_read": done,
        "stalls": {
            "turns": stalls.num_turns,
            "median_ms": round(stalls.median_ms, 2),
            "p99_ms": round(stalls.p99_ms, 1),
            "p999_ms": round(stalls.p999_ms, 1),
            "largest_ms": round(stalls.largest_ms, 1),
        },
        "rss_bytes": rss,
    }


def main() -> None:
    """Run one of the two."""
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    ways = parser.add_subparsers(dest="way", required=True)
    start = ways.add_parser("start")
    start.add_argument("--count", type=int, default=10)
    reading = ways.add_parser("reading")
    reading.add_argument("file", type=Path)
    reading.add_argument("--minutes", type=float, default=5.0)
    reading.add_argument("--imports", type=Path, help="folder that is taken in meanwhile")
    options = parser.parse_args()
    if options.way == "start":
        report = measure_start(options.count)
    else:
        report = measure_reading(options.file, options.minutes, options.imports)
    print(json.dumps({**report, "environment": describe()}, indent=1))


if __name__ == "__main__":
    main()
