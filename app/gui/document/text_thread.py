"""The thread that gets a document's text and searches it."""

from collections.abc import Callable
from threading import Condition

from PySide6.QtCore import QObject, QThread, Signal

from app.gui.document.finding import find, pattern_for
from app.gui.document.values import Span
from engine.errors import PalimpsestError

MAX_HITS = 20_000
"""More are counted as "more than": nobody goes through them."""

_FIRST_HITS = 50
"""As soon as there are so many they are shown, before the search is over."""


class TextThread(QThread):
    """Gets the text once, then searches it until it is stopped; every signal comes from this thread.

    Args:
        text: gives the text; may raise `PalimpsestError`.
        parent: owner.
    """

    loaded = Signal(str)
    """The text."""
    failed = Signal(str, str)
    """It cannot be had: a sentence and a hint."""
    found = Signal(str, object, bool)
    """What was searched for, the hits so far as a list of `Span`, and whether the search is over."""

    def __init__(self, text: Callable[[], str], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("text")
        self._get_text = text
        self._changed = Condition()
        self._query: str | None = None
        self._is_stopped = False

    def search(self, query: str) -> None:
        """Search for something else; a search that is going on ends. From any thread."""
        with self._changed:
            self._query = query
            self._changed.notify()

    def stop(self) -> None:
        """Ask it to end; wait for it with `wait`. From any thread."""
        with self._changed:
            self._is_stopped = True
            self._changed.notify()

    def run(self) -> None:
        """Work until stopped; Qt calls this."""
        try:
            text = self._get_text()
        except PalimpsestError as exc:
            self.failed.emit(exc.message, exc.hint)
            return
        self.loaded.emit(text)
        while (query := self._next()) is not None:
            self._search(query, text)

    def _next(self) -> str | None:
        with self._changed:
            while self._query is None and not self._is_stopped:
                self._changed.wait()
            query, self._query = self._query, None
            return None if self._is_stopped else query

    def _search(self, query: str, text: str) -> None:
        hits: list[Span] = []
        is_announced = False
        pattern = pattern_for(query)
        if pattern is not None:
            longest = 4 * len(query) + 64
            for spans in find(pattern, text, longest=longest):
                if self._query is not None or self._is_stopped:
                    return
                hits.extend(spans)
                if len(hits) > MAX_HITS:
                    break
                if len(hits) >= _FIRST_HITS and not is_announced:
                    is_announced = True
                    self.found.emit(query, list(hits), False)
        self.found.emit(query, hits, True)
