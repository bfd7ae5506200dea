"""What the view of pages and the view of text have in common: places, marks, selection and keys."""

from PySide6.QtCore import QEasingCurve, QEvent, QPoint, QPropertyAnimation, Qt, QVariantAnimation, Signal
from PySide6.QtGui import (
    QColor,
    QContextMenuEvent,
    QFont,
    QGuiApplication,
    QHelpEvent,
    QKeyEvent,
    QKeySequence,
    QMouseEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QAbstractScrollArea, QFrame, QMenu, QStyle, QToolTip, QWidget

from app.gui.document.page_layout import ZoomMode
from app.gui.document.selecting import Selecting
from app.gui.document.tips import plain_tip
from app.gui.document.values import Highlight, OpenedDocument, Span
from app.gui.icons import icon
from app.gui.look import tones

_SCROLL_MS = 260
_PULSE_MS = 1400
_STEPS = (0.25, 0.33, 0.5, 0.67, 0.75, 0.9, 1.0, 1.1, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0, 6.0, 8.0)


class DocumentView(QAbstractScrollArea):
    """Shows a document by offsets of its text; `PageView` and `TextView` do the geometry."""

    page_changed = Signal(int)
    """The physical number of the page that is being looked at."""
    zoom_changed = Signal(float)
    """1 = 100 %."""
    highlight_clicked = Signal(int)
    """Index among the highlights."""
    text_selected = Signal(str)
    """What is selected; "" = nothing."""
    ask_about_selection = Signal(str)
    """The user wants to ask about this text."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.viewport().setMouseTracking(True)
        self.viewport().setAutoFillBackground(False)
        self.setCornerWidget(QWidget(self))  # the style's own has a frame
        self.document: OpenedDocument | None = None
        self.text = ""
        self.highlights: list[Highlight] = []
        self.current: Span | None = None
        self.hits: list[Span] = []
        self.selection: Span | None = None
        self.page_number = 0
        self.pulse = 0.0
        self._selecting = Selecting(self)
        self._scrolling = QPropertyAnimation(self.verticalScrollBar(), b"value", self)
        self._scrolling.setDuration(_SCROLL_MS)
        self._scrolling.setEasingCurve(QEasingCurve.Type.OutCubic)
        self._pulsing = QVariantAnimation(self)
        self._pulsing.setDuration(_PULSE_MS)
        self._pulsing.setKeyValues([(0.0, 0.0), (0.25, 1.0), (0.5, 0.0), (0.75, 0.7), (1.0, 0.0)])
        self._pulsing.valueChanged.connect(self._set_pulse)

    # What the subclasses give.

    def zoom(self) -> float:
        """1 = 100 %."""
        raise NotImplementedError

    def set_zoom(self, mode: ZoomMode, zoom: float = 1.0) -> None:
        """Fit the width, fit the page, or show at `zoom`; what is looked at stays in place."""
        raise NotImplementedError

    def show_page(self, number: int) -> None:
        """Bring the upper edge of a page to the top."""
        raise NotImplementedError

    def reveal(self, span: Span) -> None:
        """Scroll so that a place can be seen, as soon as it is known where it is."""
        raise NotImplementedError

    def offset_at(self, point: QPoint, *, exact: bool) -> int | None:
        """Offset of the character at a point of the viewport; the nearest unless `exact`."""
        raise NotImplementedError

    # What the column asks for.

    def set_text(self, text: str) -> None:
        """The document's text has come."""
        self.text = text
        self.viewport().update()

    def set_highlights(self, highlights: list[Highlight]) -> None:
        """Mark these places, none else."""
        self.highlights = list(highlights)
        self.viewport().update()

    def set_hits(self, hits: list[Span]) -> None:
        """Mark what was searched for, lightly; ordered, not overlapping."""
        self.hits = hits
        self.viewport().update()

    def show_span(self, span: Span) -> None:
        """Go to a place and mark it strongly."""
        self.current = span
        self.reveal(span)
        self.viewport().update()
        self._pulsing.stop()
        if self._is_animated():
            self._pulsing.start()

    def clear_current(self) -> None:
        """Mark no place strongly."""
        self.current = None
        self.viewport().update()

    def selected_text(self) -> str:
        """What is selected, as it stands in the document's text."""
        return self.text[self.selection.start : self.selection.end] if self.selection else ""

    def copy(self) -> None:
        """Copy what is selected."""
        if self.selected_text():
            QGuiApplication.clipboard().setText(self.selected_text())

    def step_zoom(self, direction: int) -> None:
        """Zoom to the next step, in (1) or out (-1)."""
        now = self.zoom()
        if direction > 0:
            self.set_zoom("free", next((step for step in _STEPS if step > now * 1.01), _STEPS[-1]))
        else:
            self.set_zoom("free", next((step for step in reversed(_STEPS) if step < now * 0.99), _STEPS[0]))

    # For the subclasses.

    def scroll_to(self, value: int, *, smooth: bool = True) -> None:
        """Scroll to a height: smoothly over at most one screen, so that one sees where it comes from."""
        bar = self.verticalScrollBar()
        value = min(max(value, bar.minimum()), bar.maximum())
        self._scrolling.stop()
        if value == bar.value():
            return
        if not smooth or not self._is_animated():
            bar.setValue(value)
            return
        screen = self.viewport().height()
        if abs(value - bar.value()) > screen:
            bar.setValue(value - screen if value > bar.value() else value + screen)
        self._scrolling.setStartValue(bar.value())
        self._scrolling.setEndValue(value)
        self._scrolling.start()

    def scroll_target(self) -> int:
        """Where a scrolling that is going on will end."""
        if self._scrolling.state() is QPropertyAnimation.State.Running:
            return int(self._scrolling.endValue())
        return self.verticalScrollBar().value()

    def stop_scrolling(self) -> None:
        """Let the wheel or the mouse take over."""
        self._scrolling.stop()

    def set_page_number(self, number: int) -> None:
        """Remember which page is looked at and say so."""
        if number != self.page_number:
            self.page_number = number
            self.page_changed.emit(number)

    def mark_colour(self, *, strong: bool) -> QColor:
        """Colour of a marker, the strong one as far as it pulses now."""
        tone = tones(self)
        if not strong:
            return QColor(tone.highlight)
        colour = QColor(tone.highlight_strong)
        colour.setAlphaF(min(colour.alphaF() + 0.3 * self.pulse, 1.0))
        return colour

    def highlight_at(self, point: QPoint) -> int | None:
        """Index of the highlight at a point of the viewport; the shortest where several lie there."""
        offset = self.offset_at(point, exact=True)
        if offset is None:
            return None
        found = [
            (highlight.end - highlight.start, index)
            for index, highlight in enumerate(self.highlights)
            if highlight.start <= offset < highlight.end
        ]
        return min(found)[1] if found else None

    def _is_animated(self) -> bool:
        hint = QStyle.StyleHint.SH_Widget_Animation_Duration
        return self.isVisible() and self.style().styleHint(hint, None, self) > 0

    def _set_pulse(self, value: float) -> None:
        self.pulse = value
        self.viewport().update()

    # Mouse and keys.

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Start to select."""
        self.stop_scrolling()
        self._selecting.press(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Select on."""
        self._selecting.move(event)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """End selecting, or click."""
        self._selecting.release(event)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Select a word."""
        self._selecting.double_click(event)

    def viewportEvent(self, event: QEvent) -> bool:
        """Say what a highlight is about."""
        if event.type() is QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            index = self.highlight_at(event.pos())
            tip = self.highlights[index].tooltip if index is not None else ""
            QToolTip.showText(event.globalPos(), plain_tip(tip), self.viewport())
            return True
        return super().viewportEvent(event)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Zoom with Ctrl, else scroll."""
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            steps = event.angleDelta().y() / 120
            if steps:
                self.set_zoom("free", self.zoom() * 1.15**steps)
            event.accept()
            return
        self.stop_scrolling()
        super().wheelEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Scroll, zoom, copy."""
        bar = self.verticalScrollBar()
        screen = int(self.viewport().height() * 0.9)
        has_control = bool(event.modifiers() & Qt.KeyboardModifier.ControlModifier)
        key = event.key()
        has_shift = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
        if event.matches(QKeySequence.StandardKey.Copy):
            self.copy()
        elif key == Qt.Key.Key_PageDown and has_control:
            self.show_page(self.page_number + 1)
        elif key == Qt.Key.Key_PageUp and has_control:
            self.show_page(self.page_number - 1)
        elif key == Qt.Key.Key_PageDown or (key == Qt.Key.Key_Space and not has_shift):
            self.scroll_to(self.scroll_target() + screen)
        elif key in (Qt.Key.Key_PageUp, Qt.Key.Key_Space):
            self.scroll_to(self.scroll_target() - screen)
        elif key == Qt.Key.Key_Home:
            self.scroll_to(bar.minimum())
        elif key == Qt.Key.Key_End:
            self.scroll_to(bar.maximum())
        elif key in (Qt.Key.Key_Plus, Qt.Key.Key_Equal):
            self.step_zoom(1)
        elif key == Qt.Key.Key_Minus:
            self.step_zoom(-1)
        elif key == Qt.Key.Key_0 and has_control:
            self.set_zoom("free", 1.0)
        elif key == Qt.Key.Key_Escape and self.selection is not None:
            self.select(None)
        else:
            super().keyPressEvent(event)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        """Offer what can be done with the selection."""
        menu = QMenu(self)
        copy = menu.addAction(icon("copy"), self.tr("Copy"))
        ask = menu.addAction(icon("question"), self.tr("Ask about this"))
        for action in (copy, ask):
            action.setEnabled(bool(self.selected_text()))
        copy.triggered.connect(self.copy)
        ask.triggered.connect(lambda: self.ask_about_selection.emit(self.selected_text()))
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(event.globalPos())

    def select(self, span: Span | None) -> None:
        """Select a place, or nothing."""
        if span != self.selection:
            self.selection = span
            self.viewport().update()

    def reading_point_size(self) -> float:
        """Size of ordinary text, in points."""
        size = QFont(self.font()).pointSizeF()
        return size if size > 0 else 10.0
