"""Work that needs no store and would hold the window up: scanning folders, mostly.

The trace store has a thread of its own (`app.gui.background`); a scan that runs for minutes must not stand before a
search in its queue.
"""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from PySide6.QtCore import QObject, Qt, Signal

T = TypeVar("T")


class Offload(QObject):
    """Runs functions one after the other on a thread of its own and hands their values to the GUI thread.

    Args:
        parent: its owner.
    """

    _ended = Signal(object, object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        # Not Qt's own pool: it deletes what it ran while Python may still hold it, and now and then both do.
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="offload")
        self._stop = threading.Event()
        self._ended.connect(self._deliver, Qt.ConnectionType.QueuedConnection)

    def run(self, work: Callable[[threading.Event], T], done: Callable[[T], None]) -> None:
        """Do `work` on the thread and hand its value to `done` here.

        Args:
            work: is given the event that is set when nobody wants the value any more; what it raises is raised here.
            done: takes the value.
        """
        self._pool.submit(self._run, work, done)

    def close(self) -> None:
        """Ask what runs to end, drop what waits, and wait for the thread."""
        self._stop.set()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _run(self, work: Callable[[threading.Event], Any], done: Callable[[Any], None]) -> None:
        outcome: Any
        try:
            outcome = work(self._stop)
        except Exception as exc:  # a bug: carried to the GUI thread and raised there  # noqa: BLE001
            outcome = _Raised(exc)
        self._ended.emit(done, outcome)

    def _deliver(self, done: Callable[[Any], None], outcome: Any) -> None:
        if self._stop.is_set():
            return
        if isinstance(outcome, _Raised):
            raise outcome.error
        done(outcome)


class _Raised:
    def __init__(self, error: Exception) -> None:
        self.error = error
