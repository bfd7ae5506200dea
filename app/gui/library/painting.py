"""What the delegates of the left column share: elided lines, clean washes, small fonts."""

from collections.abc import Sequence

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QPointF, QRect, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QFontMetrics, QIcon, QPainter, QPainterPath, QTextLayout, QTextOption
from PySide6.QtWidgets import QStyledItemDelegate, QStyleOptionViewItem

MARGIN = 10
GAP = 4


class PlainIconDelegate(QStyledItemDelegate):
    """Keeps the icon of a selected line as it is: our selection is a light wash, not a full colour."""

    def initStyleOption(
        self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        """One picture for all states."""
        super().initStyleOption(option, index)
        size = option.decorationSize
        ratio = option.widget.devicePixelRatio() if option.widget else 1.0
        picture = option.icon.pixmap(size, ratio)
        if picture.isNull():
            return
        plain = QIcon(picture)
        plain.addPixmap(picture, QIcon.Mode.Selected)
        option.icon = plain


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
