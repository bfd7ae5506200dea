"""The list of runs, and what of it is shown."""

import dataclasses
import time
from collections.abc import Iterable, Sequence

from PySide6.QtCore import QAbstractListModel, QModelIndex, QObject, QPersistentModelIndex, Qt

from app.gui.history import wording
from app.gui.history.values import Run, Status
from app.gui.library.search import fold
from app.gui.reading.words import one_line

Index = QModelIndex | QPersistentModelIndex
RUN_ROLE = int(Qt.ItemDataRole.UserRole)
_NONE = QModelIndex()


class HistoryModel(QAbstractListModel):
    """Runs, the newest first, filtered by words, status and document.

    Args:
        parent: its owner.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._all: list[Run] = []
        self._haystacks: dict[str, str] = {}
        self._rows: list[Run] = []
        self._words: list[str] = []
        self._status: Status | None = None
        self._document = ""

    # What Qt asks

    def rowCount(self, parent: Index = _NONE) -> int:
        """Lines."""
        return 0 if parent.isValid() else len(self._rows)

    def data(self, index: Index, role: int = int(Qt.ItemDataRole.DisplayRole)) -> object:
        """What a view wants of a line."""
        if not index.isValid() or index.row() >= len(self._rows):
            return None
        run = self._rows[index.row()]
        match role:
            case Qt.ItemDataRole.DisplayRole:
                return one_line(run.question)
            case Qt.ItemDataRole.ToolTipRole:
                return wording.tip(run, time.time())
            case Qt.ItemDataRole.AccessibleTextRole:
                return wording.spoken(run, time.time())
        return run if role == RUN_ROLE else None

    # What is in it

    @property
    def runs(self) -> Sequence[Run]:
        """All runs, whether shown or not."""
        return self._all

    @property
    def shown(self) -> Sequence[Run]:
        """The runs that the filter lets through."""
        return self._rows

    def row_of(self, run_id: str) -> int:
        """Row of a run; -1 = it is not shown."""
        return next((row for row, run in enumerate(self._rows) if run.run_id == run_id), -1)

    def documents(self) -> list[tuple[str, str]]:
        """(content hash, name) of every document that a run read, by name."""
        found = dict(pair for run in self._all for pair in run.documents)
        return sorted(found.items(), key=lambda pair: (pair[1].casefold(), pair[0]))

    def set_runs(self, runs: Iterable[Run]) -> None:
        """What the store holds now."""
        self._all = list(runs)
        self._haystacks = {}
        self._filter()

    def set_filter(self, text: str, status: Status | None, document: str) -> None:
        """Show runs in which every word occurs, of this status and document; None and "" = any."""
        self._words = fold(text).split()
        self._status = status
        self._document = document
        self._filter()

    def set_progress(self, run_id: str, chunks_done: int, status: Status) -> None:
        """A run went on, or changed how it stands, by what its process says."""
        for rows in (self._all, self._rows):
            for row, run in enumerate(rows):
                if run.run_id == run_id:
                    rows[row] = dataclasses.replace(run, chunks_done=chunks_done, status=status)
        row = self.row_of(run_id)
        if row >= 0:
            self.dataChanged.emit(self.index(row), self.index(row))

    def _filter(self) -> None:
        self.beginResetModel()
        self._rows = [run for run in self._all if self._passes(run)]
        self.endResetModel()

    def _passes(self, run: Run) -> bool:
        if self._status is not None and run.status != self._status:
            return False
        if self._document and all(key != self._document for key, _ in run.documents):
            return False
        if not self._words:
            return True
        haystack = self._haystacks.get(run.run_id)
        if haystack is None:
            names = " ".join(name for _, name in run.documents)
            haystack = fold(f"{run.question} {run.answer[:500]} {names} {run.model} {run.run_id}")
            self._haystacks[run.run_id] = haystack
        return all(word in haystack for word in self._words)
