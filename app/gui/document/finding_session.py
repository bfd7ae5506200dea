"""What is being looked for in the open document: hits as they come, and which of them one is at."""

from bisect import bisect_left

from PySide6.QtCore import QObject, Signal, Slot

from app.gui.document.find_bar import FindBar
from app.gui.document.text_thread import MAX_HITS, TextThread
from app.gui.document.values import Span


class Findings(QObject):
    """Ties the find bar to the thread that searches.

    Args:
        bar: where the user types.
        parent: owner.
    """

    found = Signal()
    """`hits` are others now."""
    place_wanted = Signal(object)
    """Go to this `Span`."""

    def __init__(self, bar: FindBar, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._bar = bar
        self._thread: TextThread | None = None
        self._current: int | None = None
        self._query = ""
        self._from = 0
        self._goes_there = False
        self.hits: list[Span] = []
        bar.query_changed.connect(self._look_for)
        bar.step_wanted.connect(self.step)

    def set_thread(self, thread: TextThread | None) -> None:
        """Another document, or none, is open."""
        self._thread = thread
        self._set_hits([])
        self._query = ""
        self._from = 0

    def start_from(self, offset: int) -> None:
        """The first hit to go to is the first behind this offset."""
        self._from = offset

    def restart(self) -> None:
        """Look again for what is typed, without going anywhere."""
        if self._bar.isVisible() and self._bar.query() != self._query:
            self._look_for(self._bar.query())
            self._goes_there = False

    def forget(self) -> None:
        """Look for nothing."""
        self._look_for("")

    def step(self, direction: int) -> None:
        """To the next hit (1) or the previous one (-1); around at the end."""
        if not self.hits:
            return
        if self._current is None:
            index = bisect_left(self.hits, self._from, key=lambda span: span.start)
            self._current = (index if direction > 0 else index - 1) % len(self.hits)
        else:
            self._current = (self._current + direction) % len(self.hits)
        self._count(is_over=True)
        self.place_wanted.emit(self.hits[self._current])

    @Slot(str, object, bool)
    def take(self, query: str, hits: list[Span], is_over: bool) -> None:
        """Hits have come from the thread."""
        if self.sender() is not self._thread or query != self._query:
            return
        at = self.hits[self._current] if self._current is not None else None
        self.hits = hits
        self._current = _index_of(at, hits)
        self.found.emit()
        self._count(is_over=is_over)
        if self._goes_there and hits and self._current is None:
            self._goes_there = False
            self.step(1)

    def _look_for(self, query: str) -> None:
        self._query = query
        self._set_hits([])
        self._goes_there = bool(query)
        if self._thread is not None:
            self._thread.search(query)

    def _set_hits(self, hits: list[Span]) -> None:
        self.hits = hits
        self._current = None
        self._bar.show_count(None, -1)
        self.found.emit()

    def _count(self, *, is_over: bool) -> None:
        total = len(self.hits)
        if not total and not is_over:
            total = -1
        self._bar.show_count(self._current, total, is_more=total > MAX_HITS)


def _index_of(span: Span | None, hits: list[Span]) -> int | None:
    """Which of ordered hits a place is."""
    if span is None:
        return None
    index = bisect_left(hits, span.start, key=lambda hit: hit.start)
    return index if index < len(hits) and hits[index] == span else None
