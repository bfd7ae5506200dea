"""Marking text with the mouse, the same over pages and over text: characters by the offsets below the pointer."""

import re
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QPoint, Qt, QTimer
from PySide6.QtGui import QMouseEvent

from app.gui.document.values import Span

if TYPE_CHECKING:
    from app.gui.document.document_view import DocumentView

_WORD = re.compile(r"\w[\w'’-]*")
_DRAG_PIXELS = 4
_AUTOSCROLL_MS = 30


class Selecting(QObject):
    """Turns what the mouse does over a view into a selection or into a click on a highlight.

    Args:
        view: the view, which passes its mouse events on.
    """

    def __init__(self, view: "DocumentView") -> None:
        super().__init__(view)
        self._view = view
        self._pressed_at: QPoint | None = None
        self._anchor: Span | None = None
        self._is_dragging = False
        self._pointer = QPoint()
        self._autoscroll = QTimer(self)
        self._autoscroll.setInterval(_AUTOSCROLL_MS)
        self._autoscroll.timeout.connect(self._scroll_on)

    def press(self, event: QMouseEvent) -> None:
        """A button went down."""
        if event.button() is not Qt.MouseButton.LeftButton:
            return
        point = event.position().toPoint()
        self._pressed_at, self._is_dragging = point, False
        offset = self._view.offset_at(point, exact=False)
        held = event.modifiers() & Qt.KeyboardModifier.ShiftModifier
        if held and self._view.selection is not None and offset is not None:
            self._anchor = self._view.selection
            self._extend(offset)
            return
        self._anchor = None if offset is None else Span(offset, offset)
        self._view.select(None)

    def move(self, event: QMouseEvent) -> None:
        """The pointer moved."""
        point = event.position().toPoint()
        self._pointer = point
        if self._pressed_at is None:
            self._show_cursor(point)
            return
        if (point - self._pressed_at).manhattanLength() >= _DRAG_PIXELS:
            self._is_dragging = True
        if self._is_dragging:
            self._drag_to(point)
            outside = not self._view.viewport().rect().contains(point)
            if outside != self._autoscroll.isActive():
                (self._autoscroll.start if outside else self._autoscroll.stop)()

    def release(self, event: QMouseEvent) -> None:
        """A button went up."""
        if event.button() is not Qt.MouseButton.LeftButton or self._pressed_at is None:
            return
        self._autoscroll.stop()
        was_dragging, self._is_dragging, self._pressed_at = self._is_dragging, False, None
        if was_dragging or self._view.selection is not None:
            self._view.text_selected.emit(self._view.selected_text())
            return
        index = self._view.highlight_at(event.position().toPoint())
        if index is not None:
            self._view.highlight_clicked.emit(index)
        self._view.text_selected.emit("")

    def double_click(self, event: QMouseEvent) -> None:
        """Select the word below the pointer."""
        offset = self._view.offset_at(event.position().toPoint(), exact=True)
        if offset is None:
            return
        near = max(offset - 60, 0)
        for match in _WORD.finditer(self._view.text, near, offset + 60):
            if match.start() <= offset < match.end():
                self._anchor = Span(*match.span())
                self._view.select(self._anchor)
                self._view.text_selected.emit(self._view.selected_text())

    def _drag_to(self, point: QPoint) -> None:
        offset = self._view.offset_at(point, exact=False)
        if offset is None:
            return
        if self._anchor is None:
            self._anchor = Span(offset, offset)
        self._extend(offset)

    def _extend(self, offset: int) -> None:
        if self._anchor is not None:
            self._view.select(Span(min(self._anchor.start, offset), max(self._anchor.end, offset + 1)))

    def _scroll_on(self) -> None:
        height = self._view.viewport().height()
        beyond = min(self._pointer.y(), 0) + max(self._pointer.y() - height, 0)
        bar = self._view.verticalScrollBar()
        bar.setValue(bar.value() + max(min(beyond, 60), -60))
        self._drag_to(self._pointer)

    def _show_cursor(self, point: QPoint) -> None:
        shape = Qt.CursorShape.ArrowCursor
        if self._view.highlight_at(point) is not None:
            shape = Qt.CursorShape.PointingHandCursor
        elif self._view.offset_at(point, exact=True) is not None:
            shape = Qt.CursorShape.IBeamCursor
        if self._view.viewport().cursor().shape() is not shape:
            self._view.viewport().setCursor(shape)
