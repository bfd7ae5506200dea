"""Work that needs no store and would hold the window up: scanning folders, mostly.

The trace store has a thread of its own (`app.gui.background`); a scan that runs for minutes must not stand before a
search in its queue.
"""

import threading
from collections.abc import Callable
from typing import Any, TypeVar

from PySide6.QtCore import QObject, QRunnable, Qt, QThreadPool, Signal

T = TypeVar("T")


class Offload(QObject):
    """Runs functions one after the other on a thread of its own and hands their values to the GUI thread.

    Args:
        parent: its owner.
    """

    _ended = Signal(object, object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._pool = QThreadPool(self)
        self._pool.setMaxThreadCount(1)
        self._stop = threading.Event()
        self._ended.connect(self._deliver, Qt.ConnectionType.QueuedConnection)

    def run(self, work: Callable[[threading.Event], T], done: Callable[[T], None]) -> None:
        """Do `work` on the thread and hand its value to `done` here.

        Args:
            work: is given the event that is set when nobody wants the value any more; what it raises is raised here.
            done: takes the value.
        """
        self._pool.start(_Task(work, done, self._stop, self._ended.emit))

    def close(self) -> None:
        """Ask what runs to end, drop what waits, and wait for the thread."""
        self._stop.set()
        self._pool.clear()
        self._pool.waitForDone()

    def _deliver(self, done: Callable[[Any], None], outcome: Any) -> None:
        if self._stop.is_set():
            return
        if isinstance(outcome, _Raised):
            raise outcome.error
        done(outcome)


class _Raised:
    def __init__(self, error: Exception) -> None:
        self.error = error


class _Task(QRunnable):
    def __init__(
        self,
        work: Callable[[threading.Event], Any],
        done: Callable[[Any], None],
        stop: threading.Event,
        emit: Callable[[object, object], None],
    ) -> None:
        super().__init__()
        self._work = work
        self._done = done
        self._stop = stop
        self._emit = emit

    def run(self) -> None:
        """Called by the pool, on its thread."""
        outcome: Any
        try:
            outcome = self._work(self._stop)
        except Exception as exc:  # noqa: BLE001 - a bug: carried to the GUI thread and raised there
            outcome = _Raised(exc)
        self._emit(self._done, outcome)
