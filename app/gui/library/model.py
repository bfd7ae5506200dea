"""The list of documents: those in the store, and files on their way into it."""

import dataclasses
from collections.abc import Iterable, Sequence
from enum import Enum

from PySide6.QtCore import QAbstractListModel, QModelIndex, QObject, QPersistentModelIndex, Qt, Signal

from app.gui.library import wording
from app.gui.library.values import Entry, Problem, State
from app.gui.reading.words import one_line

Index = QModelIndex | QPersistentModelIndex

ENTRY_ROLE = int(Qt.ItemDataRole.UserRole)
CHOSEN_ROLE = ENTRY_ROLE + 1
ANY_CHOSEN_ROLE = ENTRY_ROLE + 2

_NONE = QModelIndex()


class Order(Enum):
    """How documents are sorted."""

    RECENT = "recent"
    NAME = "name"
    LENGTH = "length"


class LibraryModel(QAbstractListModel):
    """Files on their way first, then the stored documents.

    Args:
        parent: its owner.
    """

    chosen_changed = Signal()
    """Which documents are to be read, or their order."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._stored: list[Entry] = []
        self._coming: dict[str, Entry] = {}
        self._reading: dict[str, float | None] = {}
        self._rows: list[Entry] = []
        self._chosen: dict[str, None] = {}
        self._order = Order.RECENT

    # What Qt asks

    def rowCount(self, parent: Index = _NONE) -> int:
        """Lines."""
        return 0 if parent.isValid() else len(self._rows)

    def data(self, index: Index, role: int = int(Qt.ItemDataRole.DisplayRole)) -> object:
        """What a view wants of a line."""
        if not index.isValid() or index.row() >= len(self._rows):
            return None
        entry = self._rows[index.row()]
        match role:
            case Qt.ItemDataRole.DisplayRole:
                return one_line(entry.name)
            case Qt.ItemDataRole.ToolTipRole:
                return wording.tip(entry)
            case Qt.ItemDataRole.AccessibleTextRole:
                return wording.spoken(entry, is_chosen=entry.content_hash in self._chosen)
            case Qt.ItemDataRole.CheckStateRole if entry.is_stored:
                is_on = entry.content_hash in self._chosen
                return Qt.CheckState.Checked if is_on else Qt.CheckState.Unchecked
        if role == ENTRY_ROLE:
            return entry
        if role == CHOSEN_ROLE:
            return entry.content_hash in self._chosen
        return bool(self._chosen) if role == ANY_CHOSEN_ROLE else None

    def flags(self, index: Index) -> Qt.ItemFlag:
        """Every line can be chosen; those in the store can be ticked."""
        if not index.isValid():
            return Qt.ItemFlag.NoItemFlags
        flags = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
        if self._rows[index.row()].is_stored:
            flags |= Qt.ItemFlag.ItemIsUserCheckable
        return flags

    # What is in it

    @property
    def entries(self) -> Sequence[Entry]:
        """All lines, in order."""
        return self._rows

    @property
    def stored(self) -> Sequence[Entry]:
        """The documents in the store."""
        return self._stored

    @property
    def chosen(self) -> list[str]:
        """Content hashes of what is to be read together, in order."""
        return list(self._chosen)

    def entry(self, index: Index) -> Entry | None:
        """The line at an index."""
        return self._rows[index.row()] if 0 <= index.row() < len(self._rows) else None

    def row_of(self, key: str) -> int:
        """Row of a content hash or path; -1 = it is not here."""
        return next((row for row, entry in enumerate(self._rows) if entry.key == key), -1)

    def set_stored(self, entries: Iterable[Entry]) -> None:
        """What the store holds now."""
        self._stored = list(entries)
        known = {entry.content_hash for entry in self._stored}
        gone = [each for each in self._chosen if each not in known]
        for each in gone:
            del self._chosen[each]
        self._rebuild()
        if gone:
            self.chosen_changed.emit()

    @property
    def order(self) -> Order:
        """How documents are sorted."""
        return self._order

    def set_order(self, order: Order) -> None:
        """Sort anew."""
        self._order = order
        self._rebuild()

    # Files on their way

    def set_coming(self, path: str, name: str, fraction: float | None) -> None:
        """A file is being taken in."""
        entry = Entry(key=path, name=name, path=path, state=State.IMPORTING, fraction=fraction)
        is_new = path not in self._coming
        self._coming[path] = entry
        if is_new:
            self._rebuild()
        else:
            self._replace(entry)

    def set_failed(self, path: str, name: str, problem: Problem) -> None:
        """A file was not taken in."""
        self._coming[path] = Entry(key=path, name=name, path=path, state=State.FAILED, problem=problem)
        self._rebuild()

    def drop_coming(self, paths: Iterable[str]) -> None:
        """These are in the store now, or nobody wants to hear of them any more."""
        if [path for path in paths if self._coming.pop(path, None) is not None]:
            self._rebuild()

    def drop_importing(self) -> None:
        """The import ended: what it had begun and not finished is gone; failures stay."""
        self.drop_coming([path for path, entry in self._coming.items() if entry.state is State.IMPORTING])

    def failed_paths(self) -> list[str]:
        """Files that were not taken in."""
        return [path for path, entry in self._coming.items() if entry.state is State.FAILED]

    def set_reading(self, content_hashes: Iterable[str], fraction: float | None) -> None:
        """These are being read; () = nothing is."""
        before, self._reading = self._reading, dict.fromkeys(content_hashes, fraction)
        changed = before.keys() | self._reading.keys()
        for row, entry in enumerate(self._rows):
            if entry.content_hash in changed:
                self._rows[row] = self._with_reading(entry)
                self.dataChanged.emit(self.index(row), self.index(row))

    # To be read together

    def toggle(self, content_hash: str) -> None:
        """Take a document in or out of what is to be read."""
        if content_hash in self._chosen:
            del self._chosen[content_hash]
        else:
            self._chosen[content_hash] = None
        self._chosen_moved()

    def set_chosen(self, content_hashes: Iterable[str]) -> None:
        """What is to be read, in this order."""
        known = {entry.content_hash for entry in self._stored}
        wanted = dict.fromkeys(each for each in content_hashes if each in known)
        if list(wanted) != list(self._chosen):
            self._chosen = wanted
            self._chosen_moved()

    def _chosen_moved(self) -> None:
        if self._rows:
            self.dataChanged.emit(self.index(0), self.index(len(self._rows) - 1))
        self.chosen_changed.emit()

    def _replace(self, entry: Entry) -> None:
        row = self.row_of(entry.key)
        self._rows[row] = entry
        self.dataChanged.emit(self.index(row), self.index(row))

    def _with_reading(self, entry: Entry) -> Entry:
        if entry.content_hash in self._reading:
            return dataclasses.replace(entry, state=State.READING, fraction=self._reading[entry.content_hash])
        if entry.state is State.READING:
            return dataclasses.replace(entry, state=State.READY, fraction=None)
        return entry

    def _rebuild(self) -> None:
        keys = {
            Order.RECENT: lambda entry: (-entry.used_at, entry.name),
            Order.NAME: lambda entry: (entry.name.casefold(), entry.key),
            Order.LENGTH: lambda entry: (-entry.num_pages, entry.name),
        }
        self.beginResetModel()
        stored = sorted(self._stored, key=keys[self._order])
        coming = sorted(self._coming.values(), key=lambda entry: entry.state is State.FAILED)
        self._rows = [*coming, *(self._with_reading(entry) for entry in stored)]
        self.endResetModel()
