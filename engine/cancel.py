"""Cooperative cancellation: an explicit token, checked before each request and after each generated token."""

import threading


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
