"""All runs: filter, open again, resume, compare, delete."""

from collections.abc import Sequence

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QGuiApplication, QKeySequence
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLineEdit, QMenu, QStackedWidget, QVBoxLayout, QWidget

from app.gui.calling import Call
from app.gui.dialogs import ConfirmDialog
from app.gui.history import queries, wording
from app.gui.history.model import HistoryModel
from app.gui.history.run_list import RunList
from app.gui.history.values import RESUMABLE, STATUSES, Run, Status
from app.gui.icons import icon
from app.gui.library.banner import Banner
from app.gui.look import set_role
from app.gui.reading.parts import button, label
from app.gui.reading.words import one_line, plural
from engine.errors import PalimpsestError

REFRESH_MS = 250


class HistoryPanel(QWidget):
    """The history, in the left column.

    Args:
        call: asks the store.
        parent: the window.
    """

    run_opened = Signal(str)
    """Id of a run to show."""
    resume_wanted = Signal(str)
    """Id of a run to go on with."""
    compare_wanted = Signal(str, str)
    """Ids of two runs."""
    runs_deleted = Signal(list)
    """Ids of runs that are gone."""

    def __init__(self, call: Call, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._call = call
        self._keys = [""]
        self._refresh = QTimer(self)
        self._refresh.setSingleShot(True)
        self._refresh.setInterval(REFRESH_MS)
        self._refresh.timeout.connect(self._load)
        self.setMinimumWidth(220)
        self.model = HistoryModel(self)
        self._build()

    def refresh(self) -> None:
        """Look into the store, soon."""
        if not self._refresh.isActive():
            self._refresh.start()

    def set_progress(self, run_id: str, chunks_done: int, status: Status) -> None:
        """A run goes on, by what its process says; a run that is not known here is looked for."""
        if any(run.run_id == run_id for run in self.model.runs):
            self.model.set_progress(run_id, chunks_done, status)
        else:
            self.refresh()

    def show_current(self, run_id: str) -> None:
        """A run is shown in the reading column."""
        row = self.model.row_of(run_id)
        if row >= 0:
            self.list.setCurrentIndex(self.model.index(row))

    def filter_document(self, content_hash: str) -> None:
        """Show the runs that read this document; "" = all."""
        self._document.setCurrentIndex(self._keys.index(content_hash) if content_hash in self._keys else 0)

    def report(self, error: PalimpsestError) -> None:
        """Something could not be done."""
        self.banner.say(error.message, error.hint, is_bad=True)

    def _build(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 8, 0, 8)
        layout.setSpacing(8)
        self.search = QLineEdit()
        self.search.setPlaceholderText(self.tr("Filter readings"))
        self.search.setAccessibleName(self.tr("Filter readings by words"))
        self.search.setClearButtonEnabled(True)
        self.search.addAction(icon("search"), QLineEdit.ActionPosition.LeadingPosition)
        set_role(self.search, "search")
        self.search.textChanged.connect(self._filter)
        layout.addLayout(_inset(self.search))
        self._status = QComboBox()
        self._status.setAccessibleName(self.tr("Filter readings by how they stand"))
        self._status.addItem(self.tr("Any state"), None)
        for status in STATUSES:
            self._status.addItem(wording.status_name(status), status)
        self._document = QComboBox()
        self._document.setAccessibleName(self.tr("Filter readings by document"))
        self._document.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self._document.setMinimumContentsLength(6)
        self._document.addItem(self.tr("Any document"))
        for box in (self._status, self._document):
            box.currentIndexChanged.connect(self._filter)
        layout.addLayout(_inset(self._status, self._document))
        self.banner = Banner()
        layout.addLayout(_inset(self.banner))
        self._either = QStackedWidget()
        self.list = RunList(self.model)
        self.list.setAccessibleName(self.tr("Readings"))
        self.list.opened.connect(lambda run: self.run_opened.emit(run.run_id))
        self.list.delete_wanted.connect(self._ask_to_delete)
        self.list.menu_wanted.connect(lambda place: self.run_menu().popup(place))
        self.list.chosen_changed.connect(self._show_actions)
        self._either.addWidget(self.list)
        self._either.addWidget(self._empty())
        self._either.setCurrentIndex(1)
        layout.addWidget(self._either, 1)
        layout.addLayout(self._actions())
        self.model.modelReset.connect(self._show_state)

    def _empty(self) -> QWidget:
        page = QWidget()
        layout = QVBoxLayout(page)
        layout.setContentsMargins(24, 24, 24, 24)
        layout.addStretch(1)
        self._nothing = label("", "heading", selectable=False)
        self._advice = label("", "muted", selectable=False)
        for line in (self._nothing, self._advice):
            line.setAlignment(Qt.AlignmentFlag.AlignHCenter)
            layout.addWidget(line)
        layout.addStretch(2)
        return page

    def _actions(self) -> QHBoxLayout:
        self.compare_button = button(self.tr("Compare"), "compare")
        self.compare_button.clicked.connect(self._compare)
        self.delete_button = button(self.tr("Delete…"), "delete", "quiet")
        self.delete_button.clicked.connect(self._ask_to_delete)
        layout = _inset(self.compare_button, self.delete_button)
        layout.addStretch(1)
        self._show_actions()
        return layout

    def _load(self) -> None:
        self._call(queries.load_runs, self._take, self.report, key="history-runs")

    def _take(self, runs: Sequence[Run]) -> None:
        wanted = self._wanted_document
        self.model.set_runs(runs)
        documents = self.model.documents()
        self._keys = ["", *(key for key, _ in documents)]
        self._document.blockSignals(True)
        self._document.clear()
        # All at once: item by item, thousands of them would hold the window up.
        self._document.addItems([self.tr("Any document"), *(one_line(name, 60) for _, name in documents)])
        self._document.setCurrentIndex(self._keys.index(wanted) if wanted in self._keys else 0)
        self._document.blockSignals(False)
        if self._wanted_document != wanted:
            self._filter()

    @property
    def _wanted_document(self) -> str:
        return self._keys[max(0, self._document.currentIndex())]

    def _filter(self) -> None:
        self.model.set_filter(self.search.text(), self._status.currentData(), self._wanted_document)

    def _show_state(self) -> None:
        self._either.setCurrentIndex(0 if self.model.rowCount() else 1)
        if self.model.runs:
            self._nothing.setText(self.tr("No reading fits"))
            self._advice.setText(self.tr("Change the filter above."))
        else:
            self._nothing.setText(self.tr("Nothing was read yet"))
            self._advice.setText(self.tr("Ask a question about a document; every reading is kept here."))

    def _show_actions(self) -> None:
        chosen = self.list.chosen
        self.compare_button.setVisible(len(chosen) == 2)
        self.delete_button.setVisible(len(chosen) > 1)

    def run_menu(self) -> QMenu:
        """What can be done with the chosen runs."""
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        chosen = self.list.chosen
        if len(chosen) == 1:
            run = chosen[0]
            menu.addAction(icon("eye"), self.tr("Open"), lambda: self.run_opened.emit(run.run_id))
            if run.status in RESUMABLE:
                menu.addAction(
                    icon("resume"), self.tr("Go on reading"), lambda: self.resume_wanted.emit(run.run_id)
                )
            menu.addAction(icon("copy"), self.tr("Copy the question"), lambda: _copy(run.question))
            if run.answer:
                menu.addAction(icon("copy"), self.tr("Copy the answer"), lambda: _copy(run.answer))
        if len(chosen) == 2:
            menu.addAction(icon("compare"), self.tr("Compare"), self._compare)
        menu.addSeparator()
        delete = menu.addAction(icon("delete"), self.tr("Delete…"), self._ask_to_delete)
        delete.setShortcut(QKeySequence.StandardKey.Delete)
        return menu

    def _compare(self) -> None:
        chosen = self.list.chosen
        if len(chosen) == 2:
            self.compare_wanted.emit(chosen[0].run_id, chosen[1].run_id)

    def _ask_to_delete(self) -> None:
        chosen = self.list.chosen
        if any(run.status == "running" for run in chosen):
            self.banner.say(
                self.tr("A reading that is running cannot be deleted."), self.tr("Stop it first.")
            )
            return
        if not chosen:
            return
        title = plural(
            len(chosen), self.tr("Delete this reading?"), self.tr("Delete %1 readings?", "", len(chosen))
        )
        text = self.tr(
            "Its question, answer, memories and quotes go. The document stays in the library. "
            "That cannot be undone."
        )
        if len(chosen) == 1:
            text = f"“{one_line(chosen[0].question, 160)}”\n\n{text}"
        dialog = ConfirmDialog(title, text, self.tr("Delete"), parent=self)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        ids = [run.run_id for run in chosen]
        dialog.accepted.connect(lambda: self._delete(ids))
        dialog.open()

    def _delete(self, ids: list[str]) -> None:
        def done(deleted: Sequence[str]) -> None:
            self.runs_deleted.emit(list(deleted))
            self._load()

        def failed(error: PalimpsestError) -> None:
            self.report(error)
            self._load()

        self._call(lambda store: queries.delete_runs(store, ids), done, failed)


def _copy(text: str) -> None:
    QGuiApplication.clipboard().setText(text)


def _inset(*widgets: QWidget) -> QHBoxLayout:
    layout = QHBoxLayout()
    layout.setContentsMargins(12, 0, 12, 0)
    layout.setSpacing(8)
    for widget in widgets:
        layout.addWidget(widget)
    return layout
