"""Draws a line of the library: tick or icon, name, what is known of it, progress, or why it failed and a retry."""

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QPoint, QPointF, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QFontMetrics, QPainter, QPen
from PySide6.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from app.gui.icons import icon
from app.gui.library import wording
from app.gui.library.model import ANY_CHOSEN_ROLE, CHOSEN_ROLE, ENTRY_ROLE
from app.gui.library.painting import GAP, MARGIN, caption_font, draw_line, fill_rounded, joined_to_fit
from app.gui.library.values import Entry, State
from app.gui.look import Tones, tones
from app.gui.reading.words import one_line

ICON = 20
Index = QModelIndex | QPersistentModelIndex


class EntryDelegate(QStyledItemDelegate):
    """Draws `Entry` lines.

    Args:
        view: the list; its palette and font are used.
    """

    def __init__(self, view: QWidget) -> None:
        super().__init__(view)
        self._view = view

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        """All lines have one height, so that thousands need no measuring."""
        name = QFontMetrics(self._view.font()).height()
        caption = QFontMetrics(caption_font(self._view.font())).height()
        return QSize(120, name + caption + 2 * MARGIN)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        """Draw one line."""
        entry = index.data(ENTRY_ROLE)
        if not isinstance(entry, Entry):
            return
        tone = tones(self._view)
        rect = option.rect.adjusted(4, 1, -4, -1)
        is_hovered = bool(option.state & QStyle.StateFlag.State_MouseOver)
        is_current = bool(option.state & QStyle.StateFlag.State_Selected)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if is_hovered or is_current:
            fill_rounded(painter, rect, tone.accent_soft)
        if is_current and option.state & QStyle.StateFlag.State_HasFocus:
            painter.setPen(tone.accent)
            painter.drawRoundedRect(rect.adjusted(0, 0, -1, -1), 6, 6)
        shows_tick = entry.is_stored and (is_hovered or bool(index.data(ANY_CHOSEN_ROLE)))
        self._paint_mark(painter, rect, entry, tone, shows_tick, bool(index.data(CHOSEN_ROLE)))
        self._paint_words(painter, rect, entry, tone)
        painter.restore()

    def _paint_mark(
        self, painter: QPainter, rect: QRect, entry: Entry, tone: Tones, shows_tick: bool, is_chosen: bool
    ) -> None:
        square = mark_rect(rect)
        if shows_tick:
            draw_tick(painter, square, tone, is_chosen=is_chosen)
            return
        names = {State.FAILED: "error", State.READING: "eye", State.IMPORTING: "clock"}
        fallback = "book" if entry.format == "epub" else "file"
        icon(names.get(entry.state, fallback)).paint(painter, square)

    def _paint_words(self, painter: QPainter, rect: QRect, entry: Entry, tone: Tones) -> None:
        font, small = self._view.font(), caption_font(self._view.font())
        metrics, small_metrics = QFontMetrics(font), QFontMetrics(small)
        left = mark_rect(rect).right() + 1 + 2 * GAP
        right = rect.right() - 2 * GAP
        if entry.state is State.FAILED:
            retry = retry_rect(rect)
            icon("restore").paint(painter, retry)
            right = retry.left() - GAP
        top = rect.top() + (rect.height() - metrics.height() - small_metrics.height()) // 2
        width = right - left
        line = QRect(left, top, width, metrics.height())
        draw_line(painter, line, one_line(entry.name), font, tone.text, Qt.TextElideMode.ElideMiddle)
        below = QRect(left, line.bottom() + 1, width, small_metrics.height())
        if entry.state is State.READY:
            draw_line(
                painter, below, joined_to_fit(wording.facts(entry), small_metrics, width), small, tone.muted
            )
            return
        colour = tone.bad if entry.state is State.FAILED else tone.accent
        draw_line(painter, below, wording.state_line(entry), small, colour)
        if entry.state in (State.IMPORTING, State.READING) and entry.fraction is not None:
            bar = QRect(left, rect.bottom() - 3, width, 2)
            fill_rounded(painter, bar, tone.unread, 1)
            bar.setWidth(max(2, round(width * min(1.0, entry.fraction))))
            fill_rounded(painter, bar, tone.accent, 1)


def draw_tick(painter: QPainter, square: QRect, tone: Tones, *, is_chosen: bool) -> None:
    """A box to tick. The style's own takes its colours from a sheet that knows nothing of lists."""
    box = QRectF(square).adjusted(2.5, 2.5, -2.5, -2.5)
    painter.setPen(QPen(tone.accent if is_chosen else tone.faint, 1.5))
    painter.setBrush(tone.accent if is_chosen else tone.surface)
    painter.drawRoundedRect(box, 4, 4)
    if is_chosen:
        pen = QPen(
            tone.on_accent, 2, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap, Qt.PenJoinStyle.RoundJoin
        )
        painter.setPen(pen)
        left, top, side = box.left(), box.top(), box.width()
        painter.drawPolyline(
            [QPointF(left + side * x, top + side * y) for x, y in ((0.24, 0.54), (0.43, 0.72), (0.77, 0.31))]
        )
    painter.setBrush(Qt.BrushStyle.NoBrush)


def mark_rect(line: QRect) -> QRect:
    """Where icon or tick of a line is; `line` is the washed part."""
    return QRect(line.left() + 2 * GAP, line.center().y() - ICON // 2 + 1, ICON, ICON)


def retry_rect(line: QRect) -> QRect:
    """Where the sign for another try is."""
    return QRect(line.right() - 2 * GAP - ICON, line.center().y() - ICON // 2 + 1, ICON, ICON)


def hits_mark(item: QRect, point: QPoint) -> bool:
    """Whether a click on a line is meant for its tick; a little around it counts."""
    return mark_rect(item.adjusted(4, 1, -4, -1)).adjusted(-8, -8, 4, 8).contains(point)


def hits_retry(item: QRect, point: QPoint) -> bool:
    """Whether a click on a failed line is meant for another try."""
    return retry_rect(item.adjusted(4, 1, -4, -1)).adjusted(-6, -8, 8, 8).contains(point)
