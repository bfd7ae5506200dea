"""The table of contents at the side of a document."""

from collections.abc import Sequence

from PySide6.QtCore import QAbstractItemModel, QModelIndex, QObject, QPersistentModelIndex, QRect, Qt, Signal
from PySide6.QtGui import QPainter
from PySide6.QtWidgets import QTreeView, QWidget

from app.gui.document.tips import plain_tip
from app.gui.document.values import OutlineLine
from app.gui.look import tones

Index = QModelIndex | QPersistentModelIndex


class OutlineModel(QAbstractItemModel):
    """A flat list of lines with levels, as a tree; 20,000 lines take 20 ms.

    Args:
        lines: the table of contents.
        parent: owner.
    """

    def __init__(self, lines: Sequence[OutlineLine], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.lines = list(lines)
        self._parents: list[int] = []
        self._children: dict[int, list[int]] = {-1: []}
        self._rows: list[int] = []
        above: list[int] = []
        for number, line in enumerate(self.lines):
            while above and self.lines[above[-1]].level >= line.level:
                above.pop()
            parent_line = above[-1] if above else -1
            siblings = self._children.setdefault(parent_line, [])
            self._parents.append(parent_line)
            self._rows.append(len(siblings))
            siblings.append(number)
            above.append(number)

    def index(self, row: int, column: int, parent: Index = QModelIndex()) -> QModelIndex:  # noqa: B008
        """See Qt."""
        siblings = self._children.get(self._number(parent), [])
        if column != 0 or not 0 <= row < len(siblings):
            return QModelIndex()
        return self.createIndex(row, 0, siblings[row])

    def parent(self, index: Index = QModelIndex()) -> QModelIndex:  # type: ignore[override]  # noqa: B008
        """See Qt."""
        number = self._parents[self._number(index)] if index.isValid() else -1
        return self.createIndex(self._rows[number], 0, number) if number >= 0 else QModelIndex()

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        """See Qt."""
        return len(self._children.get(self._number(parent), ()))

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        """One."""
        return 1

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """Title, and the whole of it as tooltip."""
        if not index.isValid():
            return None
        line = self.lines[self._number(index)]
        if role == Qt.ItemDataRole.DisplayRole:
            return line.title
        return plain_tip(line.title) if role == Qt.ItemDataRole.ToolTipRole else None

    def line_at(self, index: Index) -> OutlineLine:
        """The line that an index stands for."""
        return self.lines[self._number(index)]

    def index_for_page(self, page_number: int) -> QModelIndex:
        """The last line that leads to this page or one before it."""
        best = -1
        best_page = 0
        for number, line in enumerate(self.lines):
            if line.page_number is not None and best_page <= line.page_number <= page_number:
                best, best_page = number, line.page_number
        return self.createIndex(self._rows[best], 0, best) if best >= 0 else QModelIndex()

    @staticmethod
    def _number(index: Index) -> int:
        return int(index.internalId()) if index.isValid() else -1


class OutlineView(QTreeView):
    """Shows a table of contents; the line that one is in is marked."""

    page_wanted = Signal(int)
    """Go to this physical page."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setHeaderHidden(True)
        self.setUniformRowHeights(True)
        self.setIndentation(14)
        self.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.setAccessibleName(self.tr("Table of contents"))
        self.clicked.connect(self._go)
        self.activated.connect(self._go)
        self._outline: OutlineModel | None = None

    def set_lines(self, lines: Sequence[OutlineLine]) -> None:
        """Show another table of contents."""
        before = self._outline
        self._outline = OutlineModel(lines, self)
        self.setModel(self._outline)
        if before is not None:
            before.deleteLater()
        if len(lines) <= 60:
            self.expandAll()
        elif self._outline.rowCount() == 1:
            self.expand(self._outline.index(0, 0))

    def drawBranches(self, painter: QPainter, rect: QRect, index: Index) -> None:
        """Draw the arrows on plain ground: the mark of the line belongs to its words alone."""
        painter.fillRect(rect, tones(self.window()).window)
        super().drawBranches(painter, rect, index)

    def show_page(self, number: int) -> None:
        """Mark the line that a page belongs to."""
        if self._outline is None or self.hasFocus():
            return
        index = self._outline.index_for_page(number)
        if index != self.currentIndex():
            self.setCurrentIndex(index)

    def _go(self, index: QModelIndex) -> None:
        if self._outline is not None and (page := self._outline.line_at(index).page_number) is not None:
            self.page_wanted.emit(page)
