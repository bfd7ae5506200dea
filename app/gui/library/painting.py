"""What the delegates of the left column share: elided lines, clean washes, small fonts."""

from collections.abc import Sequence

from PySide6.QtCore import QPointF, QRect, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QFontMetrics, QPainter, QPainterPath, QTextLayout, QTextOption

MARGIN = 10
GAP = 4


def caption_font(base: QFont) -> QFont:
    """The font of second lines."""
    font = QFont(base)
    font.setPointSizeF(base.pointSizeF() * 0.9)
    return font


def strong_font(base: QFont) -> QFont:
    """The font of names."""
    font = QFont(base)
    font.setWeight(QFont.Weight.DemiBold)
    return font


def draw_line(
    painter: QPainter,
    rect: QRect,
    text: str,
    font: QFont,
    colour: QColor,
    mode: Qt.TextElideMode = Qt.TextElideMode.ElideRight,
) -> None:
    """One line of text, elided to the width."""
    painter.setFont(font)
    painter.setPen(colour)
    shown = QFontMetrics(font).elidedText(text, mode, rect.width())
    painter.drawText(rect, int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter), shown)


def joined_to_fit(parts: Sequence[str], metrics: QFontMetrics, width: int) -> str:
    """As many parts, from the first, as fit; at least one."""
    line = parts[0]
    for part in parts[1:]:
        longer = f"{line} · {part}"
        if metrics.horizontalAdvance(longer) > width:
            break
        line = longer
    return line


def fill_rounded(painter: QPainter, rect: QRect | QRectF, colour: QColor, radius: float = 6) -> None:
    """A rounded wash."""
    path = QPainterPath()
    path.addRoundedRect(QRectF(rect), radius, radius)
    painter.fillPath(path, colour)


def text_layout(text: str, font: QFont, width: float, lines: int) -> QTextLayout:
    """A paragraph laid out in at most so many lines; draw it with `draw_layout`."""
    layout = QTextLayout(text, font)
    option = QTextOption()
    option.setWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)
    layout.setTextOption(option)
    layout.beginLayout()
    height = 0.0
    for _ in range(lines):
        line = layout.createLine()
        if not line.isValid():
            break
        line.setLineWidth(width)
        line.setPosition(QPointF(0, height))
        height += line.height()
    layout.endLayout()
    return layout
