"""The list of documents with its mouse and keys."""

from PySide6.QtCore import QModelIndex, QPoint, Qt, Signal
from PySide6.QtGui import QContextMenuEvent, QKeyEvent, QMouseEvent
from PySide6.QtWidgets import QAbstractItemView, QListView, QWidget

from app.gui.library.delegate import EntryDelegate, hits_mark, hits_retry
from app.gui.library.model import LibraryModel
from app.gui.library.values import Entry, State


class DocumentList(QListView):
    """One line a document.

    A click opens it; the tick, Ctrl-click or the space bar takes it into the next reading.

    Args:
        model: the documents.
        parent: the panel.
    """

    entry_opened = Signal(object)
    entry_removed = Signal(object)
    entry_retried = Signal(object)
    menu_wanted = Signal(object, QPoint)

    def __init__(self, model: LibraryModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._model = model
        self.setModel(model)
        self.setItemDelegate(EntryDelegate(self))
        self.setUniformItemSizes(True)
        self.setMouseTracking(True)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self._kept: tuple[str, int] = ("", 0)
        model.modelAboutToBeReset.connect(self._keep_place)
        model.modelReset.connect(self._find_place)

    @property
    def current_entry(self) -> Entry | None:
        """The line that the keyboard is on."""
        return self._model.entry(self.currentIndex())

    def show_current(self, key: str) -> None:
        """Put the keyboard on a document, without opening it."""
        row = self._model.row_of(key)
        if row >= 0:
            self.setCurrentIndex(self._model.index(row))
        else:
            self.setCurrentIndex(QModelIndex())

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """A tick or another try takes the click; else it opens."""
        index = self.indexAt(event.position().toPoint())
        entry = self._model.entry(index)
        if entry is None or event.button() is not Qt.MouseButton.LeftButton:
            super().mousePressEvent(event)
            return
        point, rect = event.position().toPoint(), self.visualRect(index)
        is_ctrl = bool(event.modifiers() & Qt.KeyboardModifier.ControlModifier)
        if entry.is_stored and (is_ctrl or hits_mark(rect, point)):
            self._model.toggle(entry.content_hash)
            return
        if entry.state is State.FAILED and hits_retry(rect, point):
            self.entry_retried.emit(entry)
            return
        super().mousePressEvent(event)
        self.entry_opened.emit(entry)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """The first click has opened it."""
        self.mousePressEvent(event) if event.modifiers() else event.accept()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Return opens, space chooses, Del removes."""
        entry = self.current_entry
        match event.key():
            case Qt.Key.Key_Return | Qt.Key.Key_Enter if entry is not None:
                self.entry_opened.emit(entry)
            case Qt.Key.Key_Space if entry is not None and entry.is_stored:
                self._model.toggle(entry.content_hash)
            case Qt.Key.Key_Delete | Qt.Key.Key_Backspace if entry is not None:
                self.entry_removed.emit(entry)
            case Qt.Key.Key_A if event.modifiers() == Qt.KeyboardModifier.ControlModifier:
                self._model.set_chosen(each.content_hash for each in self._model.entries if each.is_stored)
            case _:
                super().keyPressEvent(event)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        """Where the pointer is, or at the line that the keyboard is on."""
        if event.reason() is QContextMenuEvent.Reason.Keyboard:
            index = self.currentIndex()
            place = self.viewport().mapToGlobal(self.visualRect(index).center())
        else:
            index = self.indexAt(event.pos())
            place = event.globalPos()
        self.menu_wanted.emit(self._model.entry(index), place)

    def _keep_place(self) -> None:
        entry = self.current_entry
        self._kept = (entry.key if entry else "", self.verticalScrollBar().value())

    def _find_place(self) -> None:
        key, value = self._kept
        row = self._model.row_of(key) if key else -1
        if row >= 0:
            selection = self.selectionModel()
            selection.setCurrentIndex(self._model.index(row), selection.SelectionFlag.ClearAndSelect)
        self.verticalScrollBar().setValue(value)
