"""How widgets ask the trace store without knowing where it is."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeVar

from engine.errors import PalimpsestError

if TYPE_CHECKING:  # the store brings SQLite and numpy, which the window does without until it is needed
    from engine.traces.store import TraceStore

T = TypeVar("T")


class Call(Protocol):
    """Runs a function on the store's thread; its value, or what went wrong, is handed over on the GUI thread.

    A later call with the same `key` takes the place of one whose value was not handed over yet; "" = never.
    """

    def __call__(
        self,
        function: "Callable[[TraceStore], T]",
        done: Callable[[T], None],
        failed: Callable[[PalimpsestError], None],
        *,
        key: str = "",
    ) -> None: ...
