"""The pages of a PDF below one another, drawn by PDFium in its thread, with markers that lie exactly on the text."""

from collections import OrderedDict

from PySide6.QtCore import QPoint, QPointF, QRectF, Qt, QTimer, Signal
from PySide6.QtGui import QColor, QImage, QPainter, QPainterPath, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QWidget

from app.gui.document.document_view import DocumentView
from app.gui.document.page_characters import PageCharacters, Rect
from app.gui.document.page_layout import GAP, PageLayout, PageSizes, Sheet, ZoomMode
from app.gui.document.pdf_thread import Lane, PdfThread, PictureKey
from app.gui.document.picture_store import PictureStore, keys_for, preview_key
from app.gui.document.values import OpenedDocument, Span, spans_between
from app.gui.look import tones

_KEPT_CHARACTERS = 64
_SETTLED_MS = 60
_READING_LINE = 0.3
"""Of the view's height: the page that crosses it is the one that is looked at, and places are brought to it."""
_SHADOW = 5
_ROUNDING = 2.0
_MAX_RANGE = 2**31 - 1


class PageView(DocumentView):
    """Shows a PDF.

    Args:
        parent: owner.
    """

    changed = Signal()
    """The file's pages do not hold the text that was read from it."""
    drawn = Signal(int)
    """All that can be seen of this page (physical number) has come."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName(self.tr("Pages"))
        self.pictures = PictureStore()
        self._thread: PdfThread | None = None
        self._sizes = PageSizes([(1.0, 1.0)])
        self._layout: PageLayout | None = None
        self._mode: ZoomMode = "width"
        self._zoom = 1.0
        self._characters: OrderedDict[int, PageCharacters] = OrderedDict()
        self._pending: Span | None = None
        self._is_dimmed = False
        self._is_settled = True
        self._soon = QTimer(self, singleShot=True, interval=0)
        self._soon.timeout.connect(self._ask)
        self._settling = QTimer(self, singleShot=True, interval=_SETTLED_MS)
        self._settling.timeout.connect(self._ask_all)
        self.verticalScrollBar().valueChanged.connect(self._moved)
        self.horizontalScrollBar().valueChanged.connect(self._moved)

    # The document.

    def set_document(
        self, document: OpenedDocument, thread: PdfThread, sizes: list[tuple[float, float]]
    ) -> None:
        """Show a document that a thread has opened.

        Args:
            document: what it is.
            thread: draws it; whoever made it stops it.
            sizes: of the pages in points, [num_pages].
        """
        self.document = document
        self._thread = thread
        self._sizes = PageSizes(sizes)
        self.page_number = 0
        thread.picture_ready.connect(self._take_picture)
        thread.characters_ready.connect(self._take_characters)
        thread.sized.connect(self._take_sizes)
        self._lay_out()
        self.verticalScrollBar().setValue(0)
        self._moved()

    def clear(self) -> None:
        """Show nothing; the thread is told no more."""
        if self._thread is not None:
            self._thread.picture_ready.disconnect(self._take_picture)
            self._thread.characters_ready.disconnect(self._take_characters)
            self._thread.sized.disconnect(self._take_sizes)
        self.document, self._thread, self._layout = None, None, None
        self.text = ""
        self.current = self.selection = self._pending = None
        self.highlights, self.hits = [], []
        self.pictures.clear()
        self._characters.clear()
        self._settling.stop()
        self._soon.stop()
        self.viewport().update()

    def set_dimmed(self, is_dimmed: bool) -> None:
        """Show paper less bright, for reading in the dark."""
        self._is_dimmed = is_dimmed
        self.viewport().update()

    def characters(self, number: int) -> PageCharacters | None:
        """The characters of a page given by its physical number, if they have come."""
        return self._characters.get(number)

    def rects_of(self, span: Span) -> list[tuple[int, Rect]]:
        """Physical page number and rectangle in points for each line of a place, as far as it is known."""
        assert self.document is not None
        return [
            (page.number, rect)
            for page in self.document.pages_between(span.start, span.end)
            if (characters := self._characters.get(page.number)) is not None
            for rect in characters.rects(span.start - page.start, span.end - page.start)
        ]

    def page_size(self, number: int) -> tuple[float, float]:
        """Width and height of a page in points."""
        return self._sizes[number - 1]

    def _take_sizes(self, sizes: list[tuple[float, float]]) -> None:
        if self.sender() is self._thread and self._thread is not None:
            self._sizes = PageSizes(sizes)
            self._relayout()

    def _take_characters(self, characters: PageCharacters) -> None:
        if self.sender() is not self._thread or self.document is None or self._thread is None:
            return
        self._characters[characters.number] = characters
        self._characters.move_to_end(characters.number)
        while len(self._characters) > _KEPT_CHARACTERS:
            self._characters.popitem(last=False)
        if not self._agrees(characters):
            self.changed.emit()
            return
        if self._pending is not None:
            page = self.document.page_at(self._pending.start)
            if page.number == characters.number:
                self.reveal(self._pending)
        self._update_page(characters.number - 1)

    def set_text(self, text: str) -> None:
        """The document's text has come; pages that were read before it did are compared now."""
        super().set_text(text)
        if not all(self._agrees(characters) for characters in self._characters.values()):
            self.changed.emit()

    def _agrees(self, characters: PageCharacters) -> bool:
        """Whether a page of the file holds what was read; else its offsets would mark wrong places."""
        assert self.document is not None
        page = self.document.pages[characters.number - 1]
        if len(characters.text) != page.length:
            return False
        return not self.text or characters.text == self.text[page.start : page.end]

    def _take_picture(self, key: PictureKey, image: QImage) -> None:
        if self.sender() is not self._thread or self._thread is None:
            return
        self.pictures.put(key, image)
        self._update_page(key.page)
        if all(wanted in self.pictures for wanted in self._keys(key.page)):
            self.drawn.emit(key.page + 1)

    # Geometry.

    def zoom(self) -> float:
        return self._layout.zoom if self._layout is not None else self._zoom

    def zoom_mode(self) -> ZoomMode:
        """Whether the zoom follows the view's size."""
        return self._mode

    def set_zoom(self, mode: ZoomMode, zoom: float = 1.0) -> None:
        self._mode, self._zoom = mode, zoom
        self.stop_scrolling()
        self._relayout()
        self.zoom_changed.emit(self.zoom())

    def show_page(self, number: int) -> None:
        if self._layout is not None and 1 <= number <= len(self._layout):
            self._pending = None
            self.scroll_to(self._sheet(number - 1).top - GAP)

    def reveal(self, span: Span) -> None:
        if self._layout is None or self.document is None:
            return
        page = self.document.page_at(span.start)
        sheet = self._sheet(page.number - 1)
        characters = self._characters.get(page.number)
        if characters is None:
            self._pending = span
            self.scroll_to(sheet.top - GAP)
            self._ask()
            return
        self._pending = None
        rects = characters.rects(span.start - page.start, span.end - page.start)
        if not rects:
            self.scroll_to(sheet.top - GAP)
            return
        top = sheet.top + min(rect.top for rect in rects) * sheet.scale
        bottom = sheet.top + max(rect.bottom for rect in rects) * sheet.scale
        self._bring(top, bottom)
        self._bring_across(sheet, rects[0])

    def _bring(self, top: float, bottom: float) -> None:
        height = self.viewport().height()
        target = self.scroll_target()
        if not target + 0.1 * height <= top <= bottom <= target + 0.9 * height:
            self.scroll_to(round(top - _READING_LINE * height))

    def _bring_across(self, sheet: Sheet, rect: Rect) -> None:
        bar = self.horizontalScrollBar()
        left = sheet.left + rect.left * sheet.scale
        if not bar.value() <= left <= bar.value() + 0.8 * self.viewport().width():
            bar.setValue(round(left - 0.1 * self.viewport().width()))

    def offset_at(self, point: QPoint, *, exact: bool) -> int | None:
        if self._layout is None or self.document is None:
            return None
        y = point.y() + self.verticalScrollBar().value()
        index = self._layout.index_at(y)
        characters = self._characters.get(index + 1)
        if characters is None:
            return None
        sheet = self._sheet(index)
        x = point.x() + self.horizontalScrollBar().value() - sheet.left
        reach = 2.0 if exact else None
        found = characters.character_at(x / sheet.scale, (y - sheet.top) / sheet.scale, reach=reach)
        return None if found is None else self.document.pages[index].start + found

    def _sheet(self, index: int) -> Sheet:
        assert self._layout is not None
        return self._layout.sheet(index, self.viewport().width())

    def _lay_out(self) -> None:
        size = self.maximumViewportSize()
        bar = self.verticalScrollBar().sizeHint().width()
        self._layout = PageLayout(
            self._sizes,
            mode=self._mode,
            zoom=self._zoom,
            width=size.width() - bar,
            height=size.height(),
        )
        self._zoom = self._layout.zoom
        view = self.viewport().size()
        self.verticalScrollBar().setPageStep(view.height())
        self.verticalScrollBar().setSingleStep(48)
        self.verticalScrollBar().setRange(0, min(max(self._layout.height - view.height(), 0), _MAX_RANGE))
        self.horizontalScrollBar().setPageStep(view.width())
        self.horizontalScrollBar().setSingleStep(48)
        self.horizontalScrollBar().setRange(0, min(max(self._layout.width - view.width(), 0), _MAX_RANGE))

    def _relayout(self) -> None:
        """Lay out anew; what is at the reading line stays there."""
        if self._layout is None:
            return
        line = _READING_LINE * self.viewport().height()
        y = self.scroll_target() + line  # a scrolling that is going on arrives at once
        self.stop_scrolling()
        index = self._layout.index_at(y)
        before = self._sheet(index)
        part = (y - before.top) / before.height
        middle = self.horizontalScrollBar().value() + self.viewport().width() / 2
        part_across = (middle - before.left) / before.width
        self._lay_out()
        after = self._sheet(index)
        self.verticalScrollBar().setValue(round(after.top + part * after.height - line))
        self.horizontalScrollBar().setValue(
            round(after.left + part_across * after.width - self.viewport().width() / 2)
        )
        self._moved()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Keep the fit."""
        super().resizeEvent(event)
        before = self.zoom()
        self._relayout()
        if self.zoom() != before:
            self.zoom_changed.emit(self.zoom())

    # What to draw next.

    def _moved(self) -> None:
        if self._layout is None:
            return
        y = self.verticalScrollBar().value() + _READING_LINE * self.viewport().height()
        self.set_page_number(self._layout.index_at(y) + 1)
        self._soon.start()
        self._settling.start()
        self.viewport().update()

    def _visible(self) -> range:
        assert self._layout is not None
        top = self.verticalScrollBar().value()
        return self._layout.between(top, top + self.viewport().height())

    def _keys(self, index: int) -> list[PictureKey]:
        """Pictures that cover what can be seen of a page."""
        sheet = self._sheet(index)
        density = self.devicePixelRatioF()
        left = self.horizontalScrollBar().value() - sheet.left
        top = self.verticalScrollBar().value() - sheet.top
        return keys_for(
            index,
            round(sheet.width * density),
            round(sheet.height * density),
            left=int(left * density),
            top=int(top * density),
            right=int((left + self.viewport().width()) * density) + 1,
            bottom=int((top + self.viewport().height()) * density) + 1,
        )

    def _ask(self) -> None:
        """Want what can be seen."""
        if self._layout is None or self._thread is None or self.document is None:
            return
        wanted: list[PictureKey] = []
        visible = sorted(self._visible(), key=lambda index: abs(index + 1 - self.page_number))
        for index in visible:
            keys = [key for key in self._keys(index) if key not in self.pictures]
            if keys and not keys[0].is_whole and self.pictures.stand_in(index) is None:
                wanted.append(preview_key(index, keys[0].width, keys[0].height))
            wanted.extend(keys)
        self._thread.want(Lane.VISIBLE, wanted)
        if self._pending is not None:
            number = self.document.page_at(self._pending.start).number
            self._thread.want(Lane.CHARACTERS, [number - 1] if number not in self._characters else [])

    def _ask_all(self) -> None:
        """Scrolling has come to rest: want the characters too, and what comes next."""
        if self._layout is None or self._thread is None:
            return
        self._ask()
        visible = self._visible()
        numbers = sorted(visible, key=lambda index: abs(index + 1 - self.page_number))
        self._thread.want(Lane.CHARACTERS, [i for i in numbers if i + 1 not in self._characters])
        near = [visible.stop, visible.start - 1, visible.stop + 1]
        ahead = [
            key
            for index in near
            if 0 <= index < len(self._layout)
            for key in self._keys(index)
            if key.is_whole and key not in self.pictures
        ]
        self._thread.want(Lane.AHEAD, ahead)

    def _update_page(self, index: int) -> None:
        if self._layout is not None and index in self._visible():
            self.viewport().update(self._page_rect(self._sheet(index)).toAlignedRect())

    # Painting.

    def _page_rect(self, sheet: Sheet) -> QRectF:
        """A page in the viewport, on whole device pixels so that pictures stay sharp."""
        density = self.devicePixelRatioF()
        left = round((sheet.left - self.horizontalScrollBar().value()) * density) / density
        top = round((sheet.top - self.verticalScrollBar().value()) * density) / density
        return QRectF(
            left, top, round(sheet.width * density) / density, round(sheet.height * density) / density
        )

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint what can be seen of the pages."""
        painter = QPainter(self.viewport())
        painter.fillRect(event.rect(), tones(self).window)
        if self._layout is None:
            return
        for index in self._visible():
            sheet = self._sheet(index)
            rect = self._page_rect(sheet)
            if rect.adjusted(-_SHADOW, -_SHADOW, _SHADOW, _SHADOW).intersects(QRectF(event.rect())):
                self._paint_page(painter, index, sheet, rect)

    def _paint_page(self, painter: QPainter, index: int, sheet: Sheet, rect: QRectF) -> None:
        _paint_shadow(painter, rect, tones(self).text)
        self._paint_picture(painter, index, rect)
        painter.save()
        painter.setClipRect(rect)
        painter.setCompositionMode(QPainter.CompositionMode.CompositionMode_Multiply)
        if self._is_dimmed:
            painter.fillRect(rect, tones(self).text.darker(118))
        characters = self._characters.get(index + 1)
        if characters is not None:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.translate(rect.topLeft())
            painter.scale(sheet.scale, sheet.scale)
            self._paint_marks(painter, characters)
        painter.restore()

    def _paint_picture(self, painter: QPainter, index: int, rect: QRectF) -> None:
        density = self.devicePixelRatioF()
        keys = self._keys(index)
        if any(key not in self.pictures for key in keys):
            painter.fillRect(rect, Qt.GlobalColor.white)
            stand_in = self.pictures.stand_in(index)
            if stand_in is not None:
                _paint_part(painter, stand_in[1], rect, QRectF(self.viewport().rect()))
        for key in keys:
            image = self.pictures.get(key)
            if image is not None:
                image.setDevicePixelRatio(density)
                painter.drawImage(rect.topLeft() + QPointF(key.left / density, key.top / density), image)

    def _paint_marks(self, painter: QPainter, characters: PageCharacters) -> None:
        assert self.document is not None
        page = self.document.pages[characters.number - 1]
        tone = tones(self)

        def mark(span: Span, colour: QColor) -> None:
            part = span.within(page.start, page.end)
            if part is not None:
                path = QPainterPath()
                path.setFillRule(Qt.FillRule.WindingFill)
                for rect in characters.rects(part.start - page.start, part.end - page.start):
                    area = QRectF(rect.left, rect.top, rect.right - rect.left, rect.bottom - rect.top)
                    path.addRoundedRect(area, _ROUNDING, _ROUNDING)
                painter.fillPath(path, colour)

        wash = QColor(tone.accent)
        wash.setAlpha(52)
        for span in spans_between(self.hits, page.start, page.end):
            mark(span, wash)
        for highlight in self.highlights:
            span = Span(highlight.start, highlight.end)
            if span != self.current:
                colour = self.mark_colour(strong=False)
                if highlight.kind == "mention":
                    colour.setAlphaF(colour.alphaF() / 2)
                mark(span, colour)
        if self.current is not None:
            mark(self.current, self.mark_colour(strong=True))
        if self.selection is not None:
            wash.setAlpha(90)
            mark(self.selection, wash)


def _paint_shadow(painter: QPainter, rect: QRectF, colour: QColor) -> None:
    """A faint edge that grows fainter outwards; a dark scheme's text colour would glow, so that it is black there."""
    shade = QColor(colour if colour.lightness() < 128 else Qt.GlobalColor.black)
    painter.save()
    painter.setBrush(Qt.BrushStyle.NoBrush)
    for step in range(1, _SHADOW + 1):
        shade.setAlpha(7 * (_SHADOW + 1 - step))
        painter.setPen(shade)
        edge = step - 0.5
        painter.drawRect(rect.adjusted(-edge, -edge + 1, edge, edge + 1))
    painter.restore()


def _paint_part(painter: QPainter, image: QImage, rect: QRectF, view: QRectF) -> None:
    """Paint an image stretched over `rect`, only what can be seen of it."""
    seen = rect.intersected(view)
    if seen.isEmpty():
        return
    across, down = image.width() / rect.width(), image.height() / rect.height()
    source = QRectF(
        (seen.left() - rect.left()) * across,
        (seen.top() - rect.top()) * down,
        seen.width() * across,
        seen.height() * down,
    )
    painter.drawImage(seen, image, source)
