"""A text set for reading: books, web pages, notes, and PDF files that are gone but were read.

Only what is seen is set, piece by piece, so that a book of millions of characters opens at once. Where a piece turns
out higher or lower than it was thought to be, the scroll bar is corrected and what is read stays where it is.
"""

from PySide6.QtCore import QEvent, QPoint, QPointF, QRectF, Qt, QTimer
from PySide6.QtGui import QColor, QFont, QPainter, QPainterPath, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QWidget

from app.gui.document.document_view import DocumentView
from app.gui.document.page_layout import ZoomMode
from app.gui.document.text_layout import MEASURE_CHARS, SetBlock, SetPiece, TextColumn, rects_in
from app.gui.document.values import OpenedDocument, Span, spans_between
from app.gui.look import reading_font, tones

_MARGIN = 24
_TOP = 28
_READING_LINE = 0.3
_SCALE = 1.18
_LABEL_ROOM = 96
_MIN_ZOOM, _MAX_ZOOM = 0.5, 4.0
_TIDY_MS = 200


class TextView(DocumentView):
    """Shows a document's text.

    Args:
        parent: owner.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName(self.tr("Text"))
        self._column: TextColumn | None = None
        self._zoom = 1.0
        self._wish: Span | int | None = None
        self._is_settling = False
        self._restyling = QTimer(self, singleShot=True, interval=_TIDY_MS)
        self._restyling.timeout.connect(self._restyle)
        self.verticalScrollBar().valueChanged.connect(self._moved)

    def set_document(self, document: OpenedDocument) -> None:
        """Show a document; its text follows by `set_text`."""
        self.clear()
        self.document = document

    def set_text(self, text: str) -> None:
        super().set_text(text)
        if self.document is None:
            return
        self._column = TextColumn(text, self.document.pages, self._font(), self._room())
        self._update_range()
        self.verticalScrollBar().setValue(0)
        self.page_number = 0
        wish, self._wish = self._wish, None
        if isinstance(wish, Span):
            self.reveal(wish)
        elif wish is not None:
            self.show_page(wish)
        self._moved()

    def clear(self) -> None:
        """Show nothing."""
        self.document, self._column, self._wish = None, None, None
        self.text = ""
        self.page_number = 0
        self.current = self.selection = None
        self.highlights, self.hits = [], []
        self.viewport().update()

    def zoom(self) -> float:
        return self._zoom

    def set_zoom(self, mode: ZoomMode, zoom: float = 1.0) -> None:
        """Letters `zoom` times as large; a text always fits the width, so that the other modes mean 1."""
        self._zoom = min(max(zoom if mode == "free" else 1.0, _MIN_ZOOM), _MAX_ZOOM)
        self._restyle()
        self.zoom_changed.emit(self._zoom)

    def show_page(self, number: int) -> None:
        if self._column is None:
            self._wish = number
        elif 1 <= number <= len(self._column.pages):
            index = self._column.index_of_page(number - 1)
            self._settle_around(index)
            self.scroll_to(self._scroll_of(self._column.top(index)))

    def reveal(self, span: Span) -> None:
        if self._column is None:
            self._wish = span
            return
        index = self._column.index_of(span.start)
        self._settle_around(index)
        y = self._column.top(index) + self._y_in_piece(index, span.start) + _TOP
        height = self.viewport().height()
        target = self.scroll_target()
        if not target + 0.1 * height <= y <= target + 0.8 * height:
            self.scroll_to(round(y - _READING_LINE * height))

    def offset_at(self, point: QPoint, *, exact: bool) -> int | None:
        if self._column is None:
            return None
        y: float = point.y() + self.verticalScrollBar().value() - _TOP
        index = self._column.index_at(y)
        piece, _ = self._column.piece(index)
        y -= self._column.top(index)
        part = next((part for part in piece.blocks if y < part.top + part.height), None)
        if part is None:
            return None if exact or not piece.blocks else self._column.pieces[index].end - 1
        x = point.x() - self._left()
        return self._offset_in(part, x, y - part.top, exact=exact)

    def rects_of(self, span: Span) -> list[QRectF]:
        """Rectangles over a place in the viewport, one for each line that can be seen."""
        if self._column is None:
            return []
        return [
            rect.translated(origin)
            for _, piece, origin in self._seen()
            for part in piece.blocks
            for rect in rects_in(part, span)
        ]

    @staticmethod
    def _offset_in(part: SetBlock, x: float, y: float, *, exact: bool) -> int | None:
        if exact and y < 0:
            return None
        for number in range(part.layout.lineCount()):
            line = part.layout.lineAt(number)
            if y > line.y() + line.height() and number < part.layout.lineCount() - 1:
                continue
            if exact and not -2 <= x <= line.naturalTextWidth() + 2:
                return None
            cursor = line.xToCursor(x, line.CursorPosition.CursorOnCharacter)
            last = max(line.textStart() + line.textLength() - 1, line.textStart())
            return part.block.start + min(max(int(cursor), line.textStart()), last)
        return None

    # Geometry.

    def _font(self) -> QFont:
        return reading_font(self, _SCALE * self._zoom)

    def _room(self) -> float:
        return float(self.viewport().width() - 2 * _MARGIN)

    def _left(self) -> float:
        assert self._column is not None
        return float(round(max((self.viewport().width() - self._column.width) / 2, _MARGIN)))

    def _scroll_of(self, y: float) -> int:
        return round(y) + (_TOP - 12 if y > 0 else 0)

    def _update_range(self) -> None:
        if self._column is None:
            return
        bar = self.verticalScrollBar()
        self._is_settling = True
        bar.setPageStep(self.viewport().height())
        bar.setSingleStep(round(2 * self._column.line_height))
        bar.setRange(0, max(round(self._column.height) + 2 * _TOP - self.viewport().height(), 0))
        self._is_settling = False

    def _settle_around(self, index: int) -> None:
        """Set a piece and what a screen shows above and below it, so that nothing moves once it is shown."""
        assert self._column is not None
        anchor = self._anchor()
        for near in range(max(index - 2, 0), min(index + 3, len(self._column.pieces))):
            self._column.piece(near)
        self._return_to(anchor)

    def _y_in_piece(self, index: int, offset: int) -> float:
        assert self._column is not None
        piece, _ = self._column.piece(index)
        part = piece.block_at(offset)
        if part is None:
            return 0.0
        line = part.layout.lineForTextPosition(max(offset - part.block.start, 0))
        return part.top + (line.y() if line.isValid() else 0.0)

    def _anchor(self) -> tuple[int, float]:
        """The piece at the upper edge, and how far into it the edge lies, as an offset and pixels."""
        assert self._column is not None
        y = self.verticalScrollBar().value() - _TOP
        index = self._column.index_at(y)
        return index, y - self._column.top(index)

    def _return_to(self, anchor: tuple[int, float]) -> None:
        assert self._column is not None
        self._update_range()
        self._is_settling = True
        self.verticalScrollBar().setValue(round(self._column.top(anchor[0]) + anchor[1]) + _TOP)
        self._is_settling = False

    def _seen(self) -> list[tuple[int, SetPiece, QPointF]]:
        """Pieces that can be seen, and where they start in the viewport; sets them where need be."""
        assert self._column is not None
        scroll = self.verticalScrollBar().value() - _TOP
        bottom = scroll + self.viewport().height()
        index = self._column.index_at(scroll)
        found = []
        while index < len(self._column.pieces) and self._column.top(index) <= bottom:
            piece, _ = self._column.piece(index)
            found.append((index, piece, QPointF(self._left(), self._column.top(index) - scroll)))
            index += 1
        return found

    def _moved(self) -> None:
        if self._column is None or self._is_settling:
            return
        before = self._column.height
        anchor = self._anchor()
        if anchor[0] > 0:
            self._column.piece(anchor[0] - 1)
        self._seen()
        if self._column.height != before:
            if self.scroll_target() == self.verticalScrollBar().value():
                self._return_to(anchor)
            else:
                self._update_range()
        y = self.verticalScrollBar().value() + _READING_LINE * self.viewport().height() - _TOP
        offset_page = self._column.pieces[self._column.index_at(y)].page
        self.set_page_number(offset_page + 1)
        self.viewport().update()

    def _restyle(self) -> None:
        """Set the text anew; the character at the reading line stays there."""
        if self._column is None:
            return
        if self.scroll_target() != self.verticalScrollBar().value():
            target = self.scroll_target()
            self.stop_scrolling()
            self.verticalScrollBar().setValue(target)
        line = round(_READING_LINE * self.viewport().height())
        middle = QPoint(self.viewport().width() // 2, line)
        offset = self.offset_at(middle, exact=False)
        is_at_top = self.verticalScrollBar().value() == 0
        self._column.restyle(self._font(), self._room())
        self._update_range()
        if offset is not None and not is_at_top:
            index = self._column.index_of(offset)
            for near in range(max(index - 2, 0), index + 1):
                self._column.piece(near)
            self._update_range()
            y = self._column.top(index) + self._y_in_piece(index, offset) + _TOP
            self.verticalScrollBar().setValue(round(y - line))
        self._moved()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Set the text anew where it no longer fits, once the size has come to rest."""
        super().resizeEvent(event)
        if self._column is None:
            return
        self._update_range()
        wanted = max(min(self._column.character * MEASURE_CHARS, self._room()), self._column.character * 12)
        if abs(wanted - self._column.width) > 1:
            self._restyling.start()

    def changeEvent(self, event: QEvent) -> None:
        """Follow a change of the text size."""
        super().changeEvent(event)
        if event.type() is QEvent.Type.FontChange and self._column is not None:
            self._restyling.start()

    # Painting.

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint what can be seen of the text."""
        painter = QPainter(self.viewport())
        tone = tones(self)
        painter.fillRect(event.rect(), tone.surface)
        if self._column is None:
            return
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for index, piece, origin in self._seen():
            self._paint_section_start(painter, index, piece, origin)
            for part in piece.blocks:
                top = origin.y() + part.top
                if top + part.height < event.rect().top() or top > event.rect().bottom():
                    continue
                self._paint_marks(painter, part, origin)
                painter.setPen(tone.text)
                part.layout.draw(painter, origin + QPointF(0.0, part.top))

    def _paint_section_start(self, painter: QPainter, index: int, piece: SetPiece, origin: QPointF) -> None:
        assert self._column is not None
        start = self._column.pieces[index]
        if not start.is_first or self._left() < _LABEL_ROOM or not piece.blocks:
            return
        label = self._column.pages[start.page].label
        font = QFont(self.font())
        font.setPointSizeF(self.reading_point_size() * 0.9)
        painter.setFont(font)
        painter.setPen(tones(self).faint)
        line = piece.blocks[0].layout.lineAt(0)
        top = origin.y() + piece.blocks[0].top + line.y()
        place = QRectF(8.0, top, self._left() - 8.0 - 20.0, line.height())
        elided = painter.fontMetrics().elidedText(label, Qt.TextElideMode.ElideRight, int(place.width()))
        painter.drawText(place, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, elided)

    def _paint_marks(self, painter: QPainter, part: SetBlock, origin: QPointF) -> None:
        start, end = part.block.start, part.block.start + len(part.block.shown)

        def mark(span: Span, colour: QColor) -> None:
            if span.within(start, end) is None:
                return
            path = QPainterPath()
            path.setFillRule(Qt.FillRule.WindingFill)
            for rect in rects_in(part, span):
                path.addRoundedRect(rect.translated(origin).adjusted(-1.5, -1, 1.5, 1), 3, 3)
            painter.fillPath(path, colour)

        wash = QColor(tones(self).accent)
        is_dark = tones(self).text.lightness() > 128
        wash.setAlpha(70 if is_dark else 44)
        for span in spans_between(self.hits, start, end):
            mark(span, wash)
        for highlight in self.highlights:
            span = Span(highlight.start, highlight.end)
            if span != self.current:
                colour = self.mark_colour(strong=False)
                factor = (0.5 if highlight.kind == "mention" else 1.0) * (0.55 if is_dark else 1.0)
                colour.setAlphaF(colour.alphaF() * factor)
                mark(span, colour)
        if self.current is not None:
            colour = self.mark_colour(strong=True)
            if is_dark:  # letters stay light, so that the marker must not be
                colour.setAlphaF(colour.alphaF() * 0.6)
            mark(self.current, colour)
        if self.selection is not None:
            wash.setAlpha(100)
            mark(self.selection, wash)
