"""What the memory held once and does not any more, with where it came from, to be put back."""

from collections.abc import Mapping

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QListWidget, QListWidgetItem, QWidget

from app.gui.reading.ledger import Lost
from app.gui.reading.parts import button, column, label, row
from app.gui.reading.record import QuestionRecord, chunk_place
from app.gui.reading.values import ChunkInfo, Place
from app.gui.reading.words import fill, number, one_line, page_label, translate

_MOST = 200
_MOST_HEIGHT = 240


class ForgottenList(QWidget):
    """Sentences that are gone, the latest first.

    Attributes:
        restore: put this text into the memory again.
        place_wanted: show where it came from.
    """

    restore = Signal(str)
    place_wanted = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._shown: list[tuple[Lost, Place | None]] = []
        self._list = QListWidget()
        self._list.setAccessibleName(self.tr("Forgotten sentences"))
        self._list.setWordWrap(True)
        self._list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._list.setTextElideMode(Qt.TextElideMode.ElideNone)
        self._restore = button(self.tr("Put back"), "restore")
        self._show = button(self.tr("Show in document"), "page", "quiet")
        self._empty = label(self.tr("Nothing was dropped from the memory."), "muted")
        layout = column(self)
        layout.addWidget(self._empty)
        layout.addWidget(self._list)
        layout.addLayout(row(self._restore, self._show, None))
        self._list.currentRowChanged.connect(self._enable)
        self._list.itemActivated.connect(lambda _: self._go())
        self._show.clicked.connect(self._go)
        self._restore.clicked.connect(self._put_back)
        self._enable(-1)

    def show_lost(self, question: QuestionRecord, position: int, chunks: Mapping[int, ChunkInfo]) -> int:
        """Show what is forgotten after the step at a position; gives how much, at most 200."""
        lost = question.forgotten(position, _MOST) if position >= 0 else []
        if [each for each, _ in self._shown] == lost and self._list.count() == len(lost):
            self._set_visible(bool(lost))
            return len(lost)
        self._shown = [(each, _place(each, question, chunks)) for each in lost]
        self._list.clear()
        for each, place in self._shown:
            self._list.addItem(QListWidgetItem(_line(each, place, question)))
        self._set_visible(bool(lost))
        self._fit()
        self._enable(-1)
        return len(lost)

    def resizeEvent(self, event: QResizeEvent, /) -> None:
        """Lines break with the width."""
        super().resizeEvent(event)
        QTimer.singleShot(0, self, self._fit)

    def _fit(self) -> None:
        rows = range(min(self._list.count(), 8))
        self._list.setFixedHeight(min(_MOST_HEIGHT, sum(map(self._list.sizeHintForRow, rows)) + 6))

    def _set_visible(self, has_any: bool) -> None:
        for widget in (self._list, self._restore, self._show):
            widget.setVisible(has_any)
        self._empty.setVisible(not has_any)

    def _enable(self, at: int) -> None:
        is_one = 0 <= at < len(self._shown)
        self._restore.setEnabled(is_one)
        self._show.setEnabled(is_one and self._shown[at][1] is not None)

    def _go(self) -> None:
        place = self._shown[self._list.currentRow()][1]
        if place is not None:
            self.place_wanted.emit(place)

    def _put_back(self) -> None:
        self.restore.emit(self._shown[self._list.currentRow()][0].text)


def _place(lost: Lost, question: QuestionRecord, chunks: Mapping[int, ChunkInfo]) -> Place | None:
    if lost.entered is None:
        return None
    step = question.steps[lost.entered]
    found = question.source(lost.text, step)
    if found is not None:
        return found.place
    chunk = chunks.get(step.chunk)
    return None if chunk is None else chunk_place(chunk)


def _line(lost: Lost, place: Place | None, question: QuestionRecord) -> str:
    dropped = fill(translate("Reading", "dropped at step %1"), number(question.steps[lost.dropped].chunk))
    origin = page_label(place.label, place.page) if place else translate("Reading", "known from the start")
    return f"{one_line(lost.text, 300)}\n{origin} · {dropped}"
