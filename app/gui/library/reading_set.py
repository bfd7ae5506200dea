"""The documents of the next reading, in the order in which they will be read."""

from collections.abc import Sequence

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QAbstractItemView, QFrame, QListWidget, QListWidgetItem, QVBoxLayout, QWidget

from app.gui.icons import icon
from app.gui.library.painting import PlainIconDelegate
from app.gui.look import set_role
from app.gui.reading.parts import button, icon_button, label, row
from app.gui.reading.words import one_line, plural

_MOST_LINES = 5


class ReadingSet(QFrame):
    """A card under the library; hidden while nothing is chosen.

    Args:
        parent: the panel.
    """

    order_changed = Signal(list)
    """Content hashes in the new order."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        set_role(self, "card")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(12, 8, 8, 8)
        layout.setSpacing(4)
        self._headline = label("", "heading", selectable=False)
        self._up = icon_button("up", self.tr("Read it earlier"))
        self._up.clicked.connect(lambda: self._move(-1))
        self._down = icon_button("down", self.tr("Read it later"))
        self._down.clicked.connect(lambda: self._move(1))
        clear = button(self.tr("Clear"), role="quiet")
        clear.clicked.connect(lambda: self.order_changed.emit([]))
        layout.addLayout(row(self._headline, self._up, self._down, clear, spacing=2))
        self._list = _OrderList(self)
        self._list.setAccessibleName(self.tr("Documents of the next reading, in order"))
        self._list.moved.connect(self._emit)
        self._list.removed.connect(self._remove)
        layout.addWidget(self._list)
        self.hide()

    def show_documents(self, documents: Sequence[tuple[str, str]]) -> None:
        """Show (content hash, name) of what is chosen."""
        if [key for key, _ in documents] != self._keys():
            current = self._list.currentRow()
            self._list.clear()
            for number, (key, name) in enumerate(documents, start=1):
                item = QListWidgetItem(icon("file"), f"{number}  {one_line(name)}")
                item.setData(Qt.ItemDataRole.UserRole, key)
                self._list.addItem(item)
            self._list.setCurrentRow(min(current, len(documents) - 1))
        self._headline.setText(
            plural(
                len(documents),
                self.tr("1 document to read"),
                self.tr("%1 to read, in order", "", len(documents)),
            )
        )
        height = self._list.sizeHintForRow(0) if documents else 0
        self._list.setFixedHeight(min(len(documents), _MOST_LINES) * max(height, 24) + 4)
        several = len(documents) > 1
        self._up.setVisible(several)
        self._down.setVisible(several)
        self.setVisible(bool(documents))

    def _keys(self) -> list[str]:
        return [str(self._list.item(n).data(Qt.ItemDataRole.UserRole)) for n in range(self._list.count())]

    def _move(self, by: int) -> None:
        at = self._list.currentRow()
        to = at + by
        if 0 <= at and 0 <= to < self._list.count():
            keys = self._keys()
            keys.insert(to, keys.pop(at))
            self.order_changed.emit(keys)
            self._list.setCurrentRow(to)

    def _remove(self, at: int) -> None:
        keys = self._keys()
        del keys[at]
        self.order_changed.emit(keys)

    def _emit(self) -> None:
        keys = self._keys()
        self._list.clear()  # the numbers are written anew when the order comes back
        self.order_changed.emit(keys)


class _OrderList(QListWidget):
    moved = Signal()
    removed = Signal(int)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setDragDropMode(QAbstractItemView.DragDropMode.InternalMove)
        self.setDefaultDropAction(Qt.DropAction.MoveAction)
        self.setIconSize(QSize(16, 16))
        self.setItemDelegate(PlainIconDelegate(self))
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.model().rowsMoved.connect(self.moved, Qt.ConnectionType.QueuedConnection)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Del takes a document out of the reading."""
        if event.key() == Qt.Key.Key_Delete and self.currentRow() >= 0:
            self.removed.emit(self.currentRow())
            return
        super().keyPressEvent(event)
