"""Work away from the window's thread: one thread with one trace store, and results that come back as signals.

Nothing heavy is imported until the first call, so that the window is there before.
"""

import logging
import queue
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import shiboken6
from PySide6.QtCore import QObject, Qt, QThread, Signal

from engine.errors import PalimpsestError

if TYPE_CHECKING:
    from engine.traces.store import TraceStore

_log = logging.getLogger(__name__)

T = TypeVar("T")

_CLOSE_MS = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    """One piece of work and who wants its result."""

    function: Callable[["TraceStore"], Any]
    done: Callable[[Any], None]
    failed: Callable[[PalimpsestError], None] | None
    key: str
    number: int
    owner: QObject | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    """What came of a call: a value, or an exception."""

    call: _Call
    value: Any = None
    error: BaseException | None = None


class Background(QObject):
    """Calls functions with the trace store, one after the other, in a thread of its own.

    Signals:
        failed: an error (PalimpsestError: message and hint) that no caller asked to be told of.

    Args:
        database: the trace database; opened at the first call, and again after it could not be.
        parent: owner.
    """

    failed = Signal(object)
    _finished = Signal(object)

    def __init__(self, database: Path, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._calls: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._newest: dict[str, int] = {}
        self._number = 0
        self._thread = _StoreThread(database, self._calls, self._is_wanted, self._finished.emit)
        self._finished.connect(self._deliver, Qt.ConnectionType.QueuedConnection)

    def call(
        self,
        function: Callable[["TraceStore"], T],
        done: Callable[[T], None],
        failed: Callable[[PalimpsestError], None] | None = None,
        *,
        key: str = "",
        owner: QObject | None = None,
    ) -> None:
        """Call a function; its value comes back in the window's thread, in a later turn.

        Args:
            function: is given the store; touches no widget.
            done: gets the value.
            failed: gets what went wrong as it is expected; None = the signal `failed` does. A bug is raised in the
                window's thread.
            key: a later call with the same key makes this one stale: it is not called, or its value is dropped; "" =
                nothing does.
            owner: once it is deleted, nobody is told.
        """
        self._number += 1
        if key:
            self._newest[key] = self._number
        self._calls.put(
            _Call(function=function, done=done, failed=failed, key=key, number=self._number, owner=owner)
        )
        if not self._thread.isRunning():
            self._thread.start()

    def forget(self, key: str) -> None:
        """Make calls with this key stale."""
        self._newest.pop(key, None)

    def close(self) -> None:
        """Interrupt what is going on, drop what waits, and end the thread."""
        self._newest.clear()
        self._number += 1
        self._thread.stop()
        if not self._thread.wait(_CLOSE_MS):
            _log.error("the store's thread does not end")

    def _is_wanted(self, call: _Call) -> bool:
        return not call.key or self._newest.get(call.key) == call.number

    def _deliver(self, outcome: _Outcome) -> None:
        call, error = outcome.call, outcome.error
        if not self._is_wanted(call) or (call.owner is not None and not shiboken6.isValid(call.owner)):
            return
        if error is None:
            call.done(outcome.value)
        elif not isinstance(error, PalimpsestError):
            raise error
        elif call.failed is not None:
            call.failed(error)
        else:
            self.failed.emit(error)


class _StoreThread(QThread):
    """The thread and its store."""

    def __init__(
        self,
        database: Path,
        calls: "queue.SimpleQueue[_Call | None]",
        is_wanted: Callable[[_Call], bool],
        finish: Callable[[_Outcome], None],
    ) -> None:
        super().__init__()
        self.setObjectName("store")
        self._database = database
        self._calls = calls
        self._is_wanted = is_wanted
        self._finish = finish
        self._store: TraceStore | None = None
        self._is_stopped = False

    def stop(self) -> None:
        """Interrupt the query that runs, and end."""
        self._is_stopped = True
        self._calls.put(None)
        store = self._store
        if store is not None:
            store.interrupt()

    def run(self) -> None:
        """Do the calls, in order."""
        try:
            while (call := self._calls.get()) is not None and not self._is_stopped:
                if self._is_wanted(call):
                    self._do(call)
        finally:
            store, self._store = self._store, None
            if store is not None:
                store.close()

    def _do(self, call: _Call) -> None:
        try:
            value = call.function(self._open())
        except Exception as exc:  # told in the window's thread, whatever it is  # noqa: BLE001
            if not self._is_stopped:
                self._finish(_Outcome(call=call, error=exc))
        else:
            self._finish(_Outcome(call=call, value=value))

    def _open(self) -> "TraceStore":
        if self._store is None:
            from engine.traces.store import TraceStore

            self._store = TraceStore(self._database)
        return self._store
