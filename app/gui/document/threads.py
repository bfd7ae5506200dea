"""Keeps threads until they have ended, so that closing a document waits for none and leaves none behind."""

import time
from typing import Protocol, cast

from PySide6.QtCore import QObject, QThread


class Stoppable(Protocol):
    """A thread that can be asked to end."""

    def stop(self) -> None:
        """Ask it to end."""


class Threads(QObject):
    """Owns threads from their start to their end.

    Args:
        parent: owner.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._running: set[QThread] = set()

    def start(self, thread: QThread) -> None:
        """Start a thread that has a method `stop`."""
        self._running.add(thread)
        thread.finished.connect(self._forget)
        thread.start()

    def retire(self, thread: QThread) -> None:
        """Ask a thread to end; it is kept until it has."""
        cast("Stoppable", thread).stop()

    def wait(self, timeout_ms: int) -> bool:
        """Ask all of them to end and wait; False if one did not in time."""
        deadline = time.monotonic() + timeout_ms / 1000
        for thread in self._running:
            self.retire(thread)
        ended = [
            thread
            for thread in self._running
            if thread.wait(max(int((deadline - time.monotonic()) * 1000), 1))
        ]
        self._running.difference_update(ended)
        return not self._running

    def _forget(self) -> None:
        thread = self.sender()
        if isinstance(thread, QThread) and thread.wait(100):
            self._running.discard(thread)
