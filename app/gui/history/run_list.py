"""The list of runs with its drawing, mouse and keys."""

import time

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QPoint, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QContextMenuEvent, QFontMetrics, QKeyEvent, QMouseEvent, QPainter
from PySide6.QtWidgets import (
    QAbstractItemView,
    QListView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QWidget,
)

from app.gui.history import wording
from app.gui.history.model import RUN_ROLE, HistoryModel
from app.gui.history.values import Run, Status
from app.gui.library.painting import GAP, MARGIN, caption_font, draw_line, fill_rounded
from app.gui.look import Tones, tones
from app.gui.reading.words import one_line

Index = QModelIndex | QPersistentModelIndex
_DOT = 8


class RunList(QListView):
    """One line a run: click or Return opens it, several can be chosen to compare or delete.

    Args:
        model: the runs.
        parent: the panel.
    """

    opened = Signal(object)
    delete_wanted = Signal()
    menu_wanted = Signal(QPoint)
    chosen_changed = Signal()

    def __init__(self, model: HistoryModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._model = model
        self.setModel(model)
        self.setItemDelegate(_RunDelegate(self))
        self.setUniformItemSizes(True)
        self.setMouseTracking(True)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.selectionModel().selectionChanged.connect(lambda *_: self.chosen_changed.emit())
        self._kept: tuple[list[str], str, int] = ([], "", 0)
        model.modelAboutToBeReset.connect(self._keep_place)
        model.modelReset.connect(self._find_place)

    @property
    def current_run(self) -> Run | None:
        """The run that the keyboard is on."""
        found = self.currentIndex().data(RUN_ROLE)
        return found if isinstance(found, Run) else None

    @property
    def chosen(self) -> list[Run]:
        """The chosen runs, from top to bottom."""
        rows = sorted(index.row() for index in self.selectionModel().selectedIndexes())
        return [self._model.shown[row] for row in rows]

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """A plain click opens; with Ctrl or Shift it chooses."""
        super().mouseReleaseEvent(event)
        found = self.indexAt(event.position().toPoint()).data(RUN_ROLE)
        is_plain = event.modifiers() == Qt.KeyboardModifier.NoModifier
        if isinstance(found, Run) and is_plain and event.button() is Qt.MouseButton.LeftButton:
            self.opened.emit(found)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Return opens, Del deletes."""
        run = self.current_run
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and run is not None:
            self.opened.emit(run)
        elif event.key() in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace):
            self.delete_wanted.emit()
        else:
            super().keyPressEvent(event)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        """Where the pointer is, or at the line that the keyboard is on."""
        if event.reason() is QContextMenuEvent.Reason.Keyboard:
            place = self.viewport().mapToGlobal(self.visualRect(self.currentIndex()).center())
        else:
            place = event.globalPos()
        if self.chosen:
            self.menu_wanted.emit(place)

    def _keep_place(self) -> None:
        run = self.current_run
        chosen = [index.data(RUN_ROLE).run_id for index in self.selectionModel().selectedIndexes()]
        self._kept = (chosen, run.run_id if run else "", self.verticalScrollBar().value())

    def _find_place(self) -> None:
        chosen, current, value = self._kept
        selection = self.selectionModel()
        for run_id in chosen:
            row = self._model.row_of(run_id)
            if row >= 0:
                selection.select(self._model.index(row), selection.SelectionFlag.Select)
        row = self._model.row_of(current) if current else -1
        if row >= 0:
            selection.setCurrentIndex(self._model.index(row), selection.SelectionFlag.NoUpdate)
        self.verticalScrollBar().setValue(value)
        self.chosen_changed.emit()


class _RunDelegate(QStyledItemDelegate):
    def __init__(self, view: QListView) -> None:
        super().__init__(view)
        self._view = view

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        small = QFontMetrics(caption_font(self._view.font())).height()
        return QSize(120, QFontMetrics(self._view.font()).height() + 2 * small + 2 * MARGIN)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        run = index.data(RUN_ROLE)
        if not isinstance(run, Run):
            return
        tone = tones(self._view)
        rect = option.rect.adjusted(4, 1, -4, -1)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        is_chosen = bool(option.state & QStyle.StateFlag.State_Selected)
        if is_chosen or option.state & QStyle.StateFlag.State_MouseOver:
            fill_rounded(painter, rect, tone.accent_soft)
        if option.state & QStyle.StateFlag.State_HasFocus:
            painter.setPen(tone.accent)
            painter.drawRoundedRect(rect.adjusted(0, 0, -1, -1), 6, 6)
        self._paint_words(painter, rect.adjusted(2 * GAP, MARGIN - 1, -2 * GAP, 0), run, tone)
        if run.status == "running" and run.chunks_total:
            self._paint_progress(painter, rect, run, tone)
        painter.restore()

    def _paint_words(self, painter: QPainter, rect: QRect, run: Run, tone: Tones) -> None:
        font, small = self._view.font(), caption_font(self._view.font())
        line = QRect(rect.left(), rect.top(), rect.width(), QFontMetrics(font).height())
        draw_line(painter, line, one_line(run.question), font, tone.text)
        height = QFontMetrics(small).height()
        second = QRect(rect.left(), line.bottom() + 1, rect.width(), height)
        dot = QRectF(second.left(), second.center().y() - _DOT / 2 + 1, _DOT, _DOT)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(status_colour(run.status, tone))
        painter.drawEllipse(dot)
        second.setLeft(second.left() + _DOT + 6)
        is_bad = run.status == "failed"
        draw_line(painter, second, wording.outcome(run), small, tone.bad if is_bad else tone.text)
        third = QRect(rect.left(), second.bottom() + 1, rect.width(), height)
        time_text = wording.when(run.created_at, time.time())
        time_width = QFontMetrics(small).horizontalAdvance(time_text) + 2
        names = QRect(third.left(), third.top(), max(20, third.width() - time_width - 12), height)
        draw_line(painter, names, wording.documents(run), small, tone.muted, Qt.TextElideMode.ElideMiddle)
        draw_line(
            painter,
            QRect(third.right() - time_width, third.top(), time_width, height),
            time_text,
            small,
            tone.muted,
        )

    def _paint_progress(self, painter: QPainter, rect: QRect, run: Run, tone: Tones) -> None:
        bar = QRect(rect.left() + 2 * GAP, rect.bottom() - 3, rect.width() - 4 * GAP, 2)
        fill_rounded(painter, bar, tone.unread, 1)
        bar.setWidth(max(2, round(bar.width() * run.chunks_done / run.chunks_total)))
        fill_rounded(painter, bar, tone.accent, 1)


def status_colour(status: Status, tone: Tones) -> QColor:
    """The colour of the dot that says how a run stands; the word stands in tool tip and screen reader."""
    return {
        "running": tone.accent,
        "finished": tone.good,
        "stopped": tone.faint,
        "interrupted": tone.warn,
        "failed": tone.bad,
    }[status]
