"""Cooperative cancellation: an explicit token, checked before each request and after each generated token."""

import threading
import time
from collections.abc import Callable

_LOOK_S = 0.02


class Cancelled(Exception):  # a request of the user, not an error
    """The user asked to stop. Nothing is wrong and nothing finished is lost."""


class CancelToken:
    """A flag that one thread sets and others check.

    Args:
        parent: another token that cancels this one too; the reverse does not hold.
    """

    def __init__(self, parent: "CancelToken | None" = None) -> None:
        self._event = threading.Event()
        self._parent = parent

    def cancel(self) -> None:
        """Ask everyone who holds this token to stop."""
        self._event.set()

    @property
    def is_cancelled(self) -> bool:
        """Whether somebody asked to stop."""
        return self._event.is_set() or (self._parent is not None and self._parent.is_cancelled)

    def check(self) -> None:
        """Raise `Cancelled` if somebody asked to stop.

        Raises:
            Cancelled: after `cancel()`.
        """
        if self.is_cancelled:
            raise Cancelled

    def hold(self) -> float:
        """As `check`, and stay here for as long as somebody wants a pause; returns how long, in seconds.

        Called where nothing is lost or times out by waiting.

        Raises:
            Cancelled: after `cancel()`.
        """
        self.check()
        return 0.0

    @property
    def held_s(self) -> float:
        """Seconds that `hold` has taken so far: time that was not spent working."""
        return 0.0


class PausableToken(CancelToken):
    """A token that can also hold still whoever works.

    Args:
        on_hold: told True when the worker has come to rest and False when it goes on, in the worker's thread.
    """

    def __init__(self, on_hold: Callable[[bool], None] | None = None) -> None:
        super().__init__()
        self._may_go = threading.Event()
        self._may_go.set()
        self._on_hold = on_hold
        self._held_s = 0.0

    def pause(self) -> None:
        """Ask the worker to hold still."""
        self._may_go.clear()

    def resume(self) -> None:
        """Let it go on."""
        self._may_go.set()

    def hold(self) -> float:
        """See `CancelToken.hold`."""
        self.check()
        if self._may_go.is_set():
            return 0.0
        began = time.monotonic()
        self._tell(True)
        try:
            while not self._may_go.wait(_LOOK_S):
                self.check()
        finally:
            held_s = time.monotonic() - began
            self._held_s += held_s
            self._tell(False)
        return held_s

    @property
    def held_s(self) -> float:
        """See `CancelToken.held_s`."""
        return self._held_s

    def _tell(self, is_held: bool) -> None:
        if self._on_hold is not None:
            self._on_hold(is_held)
