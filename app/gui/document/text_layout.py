"""Sets pieces of text on a column of readable width, each when it is first seen; heights are guessed until then."""

from bisect import bisect_right
from collections import OrderedDict
from dataclasses import dataclass
from itertools import accumulate
from typing import cast

from PySide6.QtCore import QPointF, QRectF
from PySide6.QtGui import QFont, QFontMetricsF, QTextLayout, QTextLine, QTextOption

from app.gui.document.text_blocks import Block, Piece, blocks, cut
from app.gui.document.values import PagePlace, Span

MEASURE_CHARS = 70
"""Characters of a line that are read with ease."""
LINE_HEIGHT = 1.5
_HEADING_SCALE = 1.35
_SECTION_LINES = 2.0
"""Space above a section with a heading, in lines."""
_KEPT_PIECES = 48
_SAMPLE = "The quick brown fox jumps over the lazy dog, and then they read on until the evening. "


@dataclass(slots=True, kw_only=True)
class SetBlock:
    """A block with its place in its piece: `top` and `height` in pixels."""

    block: Block
    layout: QTextLayout
    top: float
    height: float


class SetPiece:
    """A piece as it is set: `blocks` with their places, and its whole `height` in pixels."""

    def __init__(self, parts: list[SetBlock], height: float) -> None:
        self.blocks = parts
        self.height = height

    def block_at(self, offset: int) -> SetBlock | None:
        """The block that holds an offset, or the nearest before it, or the first."""
        if not self.blocks:
            return None
        index = bisect_right(self.blocks, offset, key=lambda part: part.block.start) - 1
        return self.blocks[max(index, 0)]


class TextColumn:
    """Places of all pieces of a text.

    Args:
        text: the document's text.
        pages: its pages.
        font: of ordinary text.
        width: of the view, in pixels; the column is at most `MEASURE_CHARS` wide.
    """

    def __init__(self, text: str, pages: tuple[PagePlace, ...], font: QFont, width: float) -> None:
        self.text = text
        self.pages = pages
        self.pieces = list(cut(text, pages))
        self._starts = [piece.start for piece in self.pieces]
        self._first_of_page = [index for index, piece in enumerate(self.pieces) if piece.is_first]
        self._set: OrderedDict[int, SetPiece] = OrderedDict()
        self.restyle(font, width)

    def restyle(self, font: QFont, width: float) -> None:
        """Set all of it anew, in another size or width; pieces are set again when they are seen."""
        self.font = font
        self.heading_font = QFont(font)
        self.heading_font.setPointSizeF(font.pointSizeF() * _HEADING_SCALE)
        self.heading_font.setBold(True)
        metrics = QFontMetricsF(font)
        self.character = metrics.horizontalAdvance(_SAMPLE) / len(_SAMPLE)
        self.line_height = metrics.height() * LINE_HEIGHT / 1.2
        self.width = max(min(self.character * MEASURE_CHARS, width), self.character * 12)
        self._set.clear()
        self._heights = [self._guess(piece) for piece in self.pieces]
        self._add_up()

    def _guess(self, piece: Piece) -> float:
        per_line = max(self.width / self.character, 1.0)
        num_lines = (
            (piece.end - piece.start) / per_line + 0.9 * self.text.count("\n", piece.start, piece.end) + 0.5
        )
        return num_lines * self.line_height + self._space_above(piece)

    def _add_up(self) -> None:
        self._tops = list(accumulate(self._heights, initial=0.0))
        self.height = self._tops[-1]

    def _space_above(self, piece: Piece) -> float:
        has_heading = piece.is_first and piece.page > 0 and bool(self.pages[piece.page].heading)
        return _SECTION_LINES * self.line_height if has_heading else 0.0

    def top(self, index: int) -> float:
        """Where a piece starts, in pixels from the top of the text."""
        return self._tops[index]

    def index_at(self, y: float) -> int:
        """Index of the piece at a height."""
        return min(max(bisect_right(self._tops, y) - 1, 0), len(self.pieces) - 1)

    def index_of(self, offset: int) -> int:
        """Index of the piece that holds an offset."""
        return max(bisect_right(self._starts, offset) - 1, 0)

    def index_of_page(self, page: int) -> int:
        """Index of the piece that a page, given by its index, begins with."""
        return self._first_of_page[page]

    def piece(self, index: int) -> tuple[SetPiece, float]:
        """A piece as it is set, and by how many pixels it is now higher than it was thought to be."""
        found = self._set.get(index)
        if found is not None:
            self._set.move_to_end(index)
            return found, 0.0
        found = self._lay_out(self.pieces[index])
        self._set[index] = found
        while len(self._set) > _KEPT_PIECES:
            self._set.popitem(last=False)
        grown = found.height - self._heights[index]
        if grown:
            self._heights[index] = found.height
            self._add_up()
        return found, grown

    def _lay_out(self, piece: Piece) -> SetPiece:
        y = self._space_above(piece)
        parts: list[SetBlock] = []
        for block in blocks(self.text, piece, self.pages[piece.page].heading):
            layout, height = self._set_block(block)
            parts.append(SetBlock(block=block, layout=layout, top=y, height=height))
            y += height + block.space_below * self.line_height
        return SetPiece(parts, max(y, self.line_height if piece.is_first else 0.0))

    def _set_block(self, block: Block) -> tuple[QTextLayout, float]:
        is_heading = block.role == "heading"
        layout = QTextLayout(block.shown, self.heading_font if is_heading else self.font)
        option = QTextOption()
        option.setWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)
        layout.setTextOption(option)
        layout.setCacheEnabled(True)
        step = self.line_height * (_HEADING_SCALE * 0.9 if is_heading else 1.0)
        y = 0.0
        layout.beginLayout()
        while (line := layout.createLine()).isValid():
            line.setLineWidth(self.width)
            line.setPosition(QPointF(0.0, y + (step - line.height()) / 2))
            y += step
        layout.endLayout()
        return layout, y


def rects_in(part: SetBlock, span: Span) -> list[QRectF]:
    """Rectangles over a place in a block, one for each line, relative to the piece."""
    low = max(span.start - part.block.start, 0)
    high = min(span.end - part.block.start, len(part.block.shown))
    if low >= high:
        return []
    found = []
    for number in range(part.layout.lineCount()):
        line = part.layout.lineAt(number)
        start, end = max(line.textStart(), low), min(line.textStart() + line.textLength(), high)
        if start < end:
            found.append(_rect(line, start, end, part.top))
    return [rect for rect in found if rect.width() > 0]


def _rect(line: QTextLine, start: int, end: int, top: float) -> QRectF:
    left, right = _x_of(line, start), min(_x_of(line, end), line.naturalTextWidth())
    return QRectF(min(left, right), top + line.y(), abs(right - left), line.height())


def _x_of(line: QTextLine, cursor: int) -> float:
    x = line.cursorToX(cursor)  # with the cursor as it may have been moved, where the bindings give both
    return float(cast("tuple[float, int]", x)[0] if isinstance(x, tuple) else cast("float", x))
