"""The library: search over everything, the documents, what is being taken in, what will be read next."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import QPoint, Qt, QTimer, QUrl, Signal
from PySide6.QtGui import (
    QAction,
    QActionGroup,
    QDesktopServices,
    QDragEnterEvent,
    QDropEvent,
    QKeyEvent,
    QKeySequence,
)
from PySide6.QtWidgets import (
    QFileDialog,
    QFrame,
    QHBoxLayout,
    QLineEdit,
    QMenu,
    QProgressBar,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from app.gui.calling import Call
from app.gui.dialogs import ConfirmDialog, ErrorDialog
from app.gui.icons import icon
from app.gui.library import queries
from app.gui.library.banner import Banner
from app.gui.library.document_list import DocumentList
from app.gui.library.dropping import file_filter, paths_of
from app.gui.library.model import LibraryModel, Order
from app.gui.library.reading_set import ReadingSet
from app.gui.library.search import Results
from app.gui.library.values import Entry, Problem, State
from app.gui.look import set_role
from app.gui.reading.parts import icon_button, label, row
from app.gui.reading.words import one_line, plural
from engine.errors import PalimpsestError

REFRESH_MS = 250
"""Many small files come in quickly; the list is not read anew for each."""

PASSWORD_CODE = "password_needed"


class LibraryPanel(QWidget):
    """The left column.

    Args:
        call: asks the store.
        parent: the window.
    """

    import_wanted = Signal(list)
    """Paths of files and folders to take in."""
    import_stop_wanted = Signal()
    password_wanted = Signal(str, str)
    """(path, name) of a file that needs one."""
    document_opened = Signal(str)
    """Content hash of a document to show."""
    place_wanted = Signal(str, int, list)
    """(content hash, physical page, words and phrases to mark there)."""
    selection_changed = Signal(list)
    """Content hashes of what will be read next, in order; without ticks it is the document that is shown."""
    documents_removed = Signal(list, list)
    """(content hashes, ids of runs that were deleted with them)."""
    entries_loaded = Signal(list)
    """All stored documents (`Entry`), after every look into the store."""
    watch_wanted = Signal()
    """The user wants to choose watched folders."""

    def __init__(self, call: Call, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._call = call
        self._shown = ""
        self._watched: tuple[str, ...] = ()
        self._refresh = QTimer(self)
        self._refresh.setSingleShot(True)
        self._refresh.setInterval(REFRESH_MS)
        self._refresh.timeout.connect(self._load)
        self.setAcceptDrops(True)
        self.setMinimumWidth(220)
        self.model = LibraryModel(self)
        self.model.chosen_changed.connect(self._chosen_changed)
        self._build()

    # What the window calls

    def refresh(self) -> None:
        """Look into the store, soon."""
        if not self._refresh.isActive():
            self._refresh.start()

    def show_current(self, content_hash: str) -> None:
        """A document is shown in the document column."""
        before = self.selection
        self._shown = content_hash
        self.list.show_current(content_hash)
        if self.selection != before:
            self.selection_changed.emit(self.selection)

    @property
    def selection(self) -> list[str]:
        """Content hashes of what will be read next, in order."""
        return self.model.chosen or ([self._shown] if self._shown else [])

    def choose(self, content_hashes: Iterable[str]) -> None:
        """Tick these documents, in this order."""
        self.model.set_chosen(content_hashes)

    def set_reading(self, content_hashes: Sequence[str], fraction: float | None = None) -> None:
        """These are being read; () = nothing is."""
        self.model.set_reading(content_hashes, fraction)

    def set_watched(self, folders: Iterable[str]) -> None:
        """The watched folders: removing a file in them needs another explanation."""
        self._watched = tuple(folders)

    def take_message(self, name: str, values: Mapping[str, Any]) -> None:
        """What an import says; see `app.worker.protocol`."""
        match name:
            case "import_progress":
                self._show_progress(values)
            case "imported":
                self.model.drop_coming([str(values["path"])])
                self.refresh()
            case "import_failed":
                problem = Problem(
                    code=str(values["code"]), message=str(values["message"]), hint=str(values["hint"] or "")
                )
                self.model.set_failed(str(values["path"]), str(values["name"]), problem)
                self._show_state()

    def import_ended(self) -> None:
        """The import is over, however it ended."""
        self.model.drop_importing()
        self._progress.hide()
        self.refresh()

    def report(self, error: PalimpsestError) -> None:
        """Something could not be done."""
        self.banner.say(error.message, error.hint, is_bad=True)

    def choose_files(self) -> None:
        """Ask for files to take in."""
        paths, _ = QFileDialog.getOpenFileNames(self, self.tr("Open documents"), "", file_filter())
        if paths:
            self.import_wanted.emit(paths)

    def choose_folder(self) -> None:
        """Ask for a folder to take in."""
        path = QFileDialog.getExistingDirectory(self, self.tr("Take in a folder"))
        if path:
            self.import_wanted.emit([path])

    def focus_search(self) -> None:
        """Put the keyboard into the search field."""
        self.search.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.search.selectAll()

    # Qt's events

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Take what holds files."""
        if paths_of(event.mimeData()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        """Take the files in."""
        paths = paths_of(event.mimeData())
        if paths:
            event.acceptProposedAction()
            self.import_wanted.emit(paths)

    # Building

    def _build(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 8, 0, 8)
        layout.setSpacing(8)
        self.search = _SearchField()
        self.search.setPlaceholderText(self.tr("Search all documents"))
        self.search.setAccessibleName(self.tr("Search all documents"))
        self.search.setToolTip(self.tr('Words that a page must hold; "words in quotes" are a phrase'))
        self.search.setClearButtonEnabled(True)
        self.search.addAction(icon("search"), QLineEdit.ActionPosition.LeadingPosition)
        set_role(self.search, "search")
        self.search.textChanged.connect(self._search)
        add = icon_button("add", self.tr("Add documents (Ctrl+O)"))
        add.clicked.connect(self.choose_files)
        more = icon_button("more", self.tr("More about the library"))
        more.clicked.connect(lambda: self._menu().exec(more.mapToGlobal(QPoint(0, more.height()))))
        head = row(self.search, add, more, spacing=4)
        head.setContentsMargins(12, 0, 8, 0)
        head.setStretch(0, 1)
        layout.addLayout(head)
        self.banner = Banner()
        layout.addLayout(_inset(self.banner))
        self._pages = QStackedWidget()
        layout.addWidget(self._pages, 1)
        self._pages.addWidget(self._documents())
        self.results = Results(self._call)
        self.results.place_wanted.connect(self.place_wanted)
        self.results.document_wanted.connect(self.document_opened)
        self.results.failed.connect(self.report)
        self.results.left.connect(self.focus_search)
        self._pages.addWidget(self.results)
        self.search.down.connect(self.results.view.setFocus)
        self.search.returnPressed.connect(self.results.activate_first)
        self._progress = self._progress_strip()
        layout.addWidget(self._progress)
        self.reading_set = ReadingSet()
        self.reading_set.order_changed.connect(self.model.set_chosen)
        layout.addLayout(_inset(self.reading_set))

    def _documents(self) -> QWidget:
        self._either = QStackedWidget()
        self.list = DocumentList(self.model)
        self.list.setAccessibleName(self.tr("Documents"))
        self.list.entry_opened.connect(self._open)
        self.list.entry_removed.connect(self._remove)
        self.list.entry_retried.connect(self._retry)
        self.list.menu_wanted.connect(self._show_menu)
        self._either.addWidget(self.list)
        empty = QWidget()
        layout = QVBoxLayout(empty)
        layout.setContentsMargins(24, 24, 24, 24)
        layout.addStretch(1)
        for text, role in (
            (self.tr("No documents yet"), "heading"),
            (self.tr("Drop files or folders here, or press Ctrl+O."), "muted"),
        ):
            line = label(text, role, selectable=False)
            line.setAlignment(Qt.AlignmentFlag.AlignHCenter)
            layout.addWidget(line)
        layout.addStretch(2)
        self._either.addWidget(empty)
        self._either.setCurrentIndex(1)
        self.model.modelReset.connect(self._show_state)
        return self._either

    def _progress_strip(self) -> QFrame:
        frame = QFrame()
        layout = QVBoxLayout(frame)
        layout.setContentsMargins(12, 4, 12, 4)
        layout.setSpacing(4)
        self._progress_line = label("", "caption", selectable=False)
        stop = icon_button("stop", self.tr("Stop taking in files"))
        stop.clicked.connect(self.import_stop_wanted)
        layout.addLayout(row(self._progress_line, stop))
        self._progress_bar = QProgressBar()
        self._progress_bar.setTextVisible(False)
        self._progress_bar.setAccessibleName(self.tr("Files taken in"))
        layout.addWidget(self._progress_bar)
        frame.hide()
        return frame

    def _menu(self) -> QMenu:
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.addAction(icon("file"), self.tr("Add documents…"), self.choose_files)
        menu.addAction(icon("folder"), self.tr("Add a folder…"), self.choose_folder)
        menu.addAction(icon("watch"), self.tr("Watched folders…"), self.watch_wanted.emit)
        menu.addSeparator()
        group = QActionGroup(menu)
        for order, text in (
            (Order.RECENT, self.tr("Recent first")),
            (Order.NAME, self.tr("By name")),
            (Order.LENGTH, self.tr("Longest first")),
        ):
            action = QAction(text, group, checkable=True, checked=order is self.model.order)
            action.triggered.connect(lambda _, order=order: self.model.set_order(order))
            menu.addAction(action)
        failed = self.model.failed_paths()
        if failed:
            menu.addSeparator()
            menu.addAction(
                icon("restore"), self.tr("Try failed files again"), lambda: self._try_again(failed)
            )
            menu.addAction(self.tr("Dismiss failed files"), lambda: self.model.drop_coming(failed))
        return menu

    # What happens

    def _load(self) -> None:
        self._call(queries.load_entries, self._take, self.report, key="library-entries")

    def _take(self, entries: Sequence[Entry]) -> None:
        before = self.selection
        self.model.set_stored(entries)
        if self._shown and all(entry.content_hash != self._shown for entry in entries):
            self._shown = ""
        if self.selection != before:
            self.selection_changed.emit(self.selection)
        if self.list.current_entry is None and self._shown:
            self.list.show_current(self._shown)
        self._show_state()
        self.entries_loaded.emit(list(entries))

    def _show_state(self) -> None:
        self._either.setCurrentIndex(0 if self.model.rowCount() else 1)
        names = {entry.content_hash: entry.name for entry in self.model.stored}
        self.reading_set.show_documents([(each, names[each]) for each in self.model.chosen])

    def _chosen_changed(self) -> None:
        self._show_state()
        self.selection_changed.emit(self.selection)

    def _search(self, text: str) -> None:
        self.results.search(text, self.model.stored)
        self._pages.setCurrentIndex(1 if text.strip() else 0)

    def _show_progress(self, values: Mapping[str, Any]) -> None:
        done, of = int(values["done"]), values["of"]
        fraction = done / of if of else None
        self.model.set_coming(str(values["path"]), str(values["name"]), fraction)
        number, total = int(values["file"]), int(values["files"])
        self._progress.setVisible(total > 1)
        text = self.tr("Taking in file %1 of %2").replace("%1", str(number)).replace("%2", str(total))
        self._progress_line.setText(text)
        self._progress_bar.setMaximum(1000)
        self._progress_bar.setValue(round(1000 * (max(0, number - 1) + (fraction or 0)) / max(1, total)))

    def _open(self, entry: Entry) -> None:
        if entry.is_stored:
            self.document_opened.emit(entry.content_hash)
        elif entry.problem is not None:
            self._explain(entry)

    def _explain(self, entry: Entry) -> None:
        if entry.problem is None:
            return
        if entry.problem.code == PASSWORD_CODE:
            self.password_wanted.emit(entry.path, entry.name)
            return
        dialog = ErrorDialog(entry.problem.message, entry.problem.hint, entry.path, parent=self)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.open()

    def _retry(self, entry: Entry) -> None:
        if entry.problem is not None and entry.problem.code == PASSWORD_CODE:
            self.password_wanted.emit(entry.path, entry.name)
        else:
            self._try_again([entry.path])

    def _try_again(self, paths: list[str]) -> None:
        self.model.drop_coming(paths)
        self.import_wanted.emit(paths)

    def _remove(self, entry: Entry) -> None:
        if entry.state is State.FAILED:
            self.model.drop_coming([entry.path])
            return
        if entry.state is State.IMPORTING:
            self.import_stop_wanted.emit()
            return
        if entry.state is State.READING:
            self.banner.say(
                self.tr("%1 is being read right now.").replace("%1", one_line(entry.name)),
                self.tr("Stop the reading first."),
            )
            return
        wanted = set(self.model.chosen) if entry.content_hash in self.model.chosen else {entry.content_hash}
        self.ask_to_remove([each for each in self.model.stored if each.content_hash in wanted])

    def ask_to_remove(self, entries: Sequence[Entry]) -> None:
        """Ask, then delete documents, and the runs that read them if the user says so."""
        runs = sum(entry.num_runs for entry in entries)
        dialog = ConfirmDialog(
            self._removal_title(entries),
            self._removal_text(entries, runs),
            self.tr("Remove"),
            option=self._removal_option(runs) if runs else "",
            needs_option=bool(runs),
            parent=self,
        )
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        hashes = [entry.content_hash for entry in entries]
        dialog.accepted.connect(lambda: self._delete(hashes, bool(runs)))
        dialog.open()

    def _removal_title(self, entries: Sequence[Entry]) -> str:
        if len(entries) == 1:
            return self.tr("Remove %1 from the library?").replace("%1", one_line(entries[0].name, 80))
        return plural(
            len(entries),
            self.tr("Remove 1 document from the library?"),
            self.tr("Remove %1 documents from the library?", "", len(entries)),
        )

    def _removal_text(self, entries: Sequence[Entry], runs: int) -> str:
        text = self.tr("The file itself stays where it is.")
        if runs:
            text += " " + self.tr(
                "Readings refer to its pages, so they have to go with it: questions, answers, memories and quotes. "
                "That cannot be undone."
            )
        if any(Path(entry.path).is_relative_to(folder) for entry in entries for folder in self._watched):
            text += " " + self.tr(
                "Its folder is watched; this file will be left alone until you add it again."
            )
        return text

    def _removal_option(self, runs: int) -> str:
        return plural(
            runs, self.tr("Delete 1 reading as well"), self.tr("Delete %1 readings as well", "", runs)
        )

    def _delete(self, hashes: list[str], with_runs: bool) -> None:
        def done(runs: Sequence[str]) -> None:
            self.documents_removed.emit(hashes, list(runs))
            self._load()

        self._call(lambda store: queries.remove_documents(store, hashes, with_runs), done, self.report)

    def _show_menu(self, entry: Entry | None, place: QPoint) -> None:
        menu = self._menu() if entry is None else self.entry_menu(entry)
        menu.popup(place)

    def entry_menu(self, entry: Entry) -> QMenu:
        """What can be done with a line of the library."""
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        if entry.is_stored:
            menu.addAction(icon("eye"), self.tr("Open"), lambda: self._open(entry))
            is_chosen = entry.content_hash in self.model.chosen
            text = (
                self.tr("Take out of the next reading") if is_chosen else self.tr("Add to the next reading")
            )
            menu.addAction(icon("check"), text, lambda: self.model.toggle(entry.content_hash))
            menu.addSeparator()
            folder = QUrl.fromLocalFile(str(Path(entry.path).parent))
            opener = menu.addAction(
                icon("folder"), self.tr("Open its folder"), lambda: QDesktopServices.openUrl(folder)
            )
            opener.setEnabled(Path(entry.path).is_absolute())
            menu.addAction(
                icon("restore"),
                self.tr("Take the file in again"),
                lambda: self.import_wanted.emit([entry.path]),
            )
            menu.addSeparator()
            remove = menu.addAction(icon("delete"), self.tr("Remove…"), lambda: self._remove(entry))
            remove.setShortcut(QKeySequence.StandardKey.Delete)
        elif entry.state is State.FAILED:
            menu.addAction(icon("info"), self.tr("What went wrong…"), lambda: self._explain(entry))
            menu.addAction(icon("restore"), self.tr("Try again"), lambda: self._retry(entry))
            menu.addAction(icon("close"), self.tr("Dismiss"), lambda: self._remove(entry))
        else:
            menu.addAction(icon("stop"), self.tr("Stop taking in files"), self.import_stop_wanted.emit)
        return menu


class _SearchField(QLineEdit):
    down = Signal()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape and self.text():
            self.clear()
        elif event.key() == Qt.Key.Key_Down:
            self.down.emit()
        else:
            super().keyPressEvent(event)


def _inset(widget: QWidget) -> QHBoxLayout:
    layout = QHBoxLayout()
    layout.setContentsMargins(12, 0, 12, 0)
    layout.addWidget(widget)
    return layout
