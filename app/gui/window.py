"""The window: three columns, the menus, and which part hears which."""

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QByteArray, QSettings, QSize, Qt, QTimer, Signal
from PySide6.QtGui import (
    QAction,
    QActionGroup,
    QCloseEvent,
    QDragEnterEvent,
    QDropEvent,
    QKeySequence,
)
from PySide6.QtWidgets import (
    QApplication,
    QLabel,
    QMainWindow,
    QSplitter,
    QStackedWidget,
    QStatusBar,
    QTabWidget,
    QToolButton,
    QWidget,
)

from app.gui.background import Background
from app.gui.dialogs import (
    AboutDialog,
    CloseChoice,
    CloseDialog,
    ErrorDialog,
    PasswordDialog,
    ShortcutsDialog,
)
from app.gui.document.column import DocumentColumn
from app.gui.document.page_view import PageView
from app.gui.document.values import Span
from app.gui.exporting import ExportDesk
from app.gui.history.panel import HistoryPanel
from app.gui.icons import icon
from app.gui.imports import ImportDesk
from app.gui.jobs import wait_for_children
from app.gui.library.dropping import paths_of
from app.gui.library.panel import PASSWORD_CODE, LibraryPanel
from app.gui.library.values import Entry
from app.gui.library.watching import WatchedFolders
from app.gui.look import apply_look, set_role
from app.gui.reading.answer_text import AnswerText
from app.gui.reading.column import ReadingColumn
from app.gui.reading.parts import icon_button
from app.gui.reading.values import DocumentInfo
from app.gui.readings import ReadingDesk
from app.gui.settings.preferences import ModelKind, PreferenceKeeper, Preferences, Scheme
from app.gui.showing import DocumentDesk, places_of
from app.gui.welcome import Welcome
from app.worker.protocol import Model, Options
from engine.errors import PalimpsestError
from engine.paths import trace_database

if TYPE_CHECKING:
    from app.gui.selftest import ShownAnswer

_WIDTHS = (280, 620, 460)
_SIZE = (1360, 860)
_GEOMETRY = "window/geometry"
_COLUMNS = "window/columns"
_NOTE_MS = 6000


class MainWindow(QMainWindow):
    """Composes library, document and reading; knows how, and nothing else.

    Args:
        folder: the data folder.
        keeper: the preferences.
    """

    document_opened = Signal(str)
    """A document, given by its content hash, stands in the library and is shown."""
    open_failed = Signal(str)
    """A file could not be opened: one sentence."""
    reading_ended = Signal(str, dict)
    """A reading has ended, and what came of it is shown; as `app.gui.jobs.Job.ended`."""

    def __init__(self, folder: Path, keeper: PreferenceKeeper) -> None:
        super().__init__()
        self._folder = folder
        self._keeper = keeper
        self._entries: dict[str, Entry] = {}
        self._wanted_paths: set[str] = set()
        self._sample_question = ""
        self._unannounced = ""
        self.background = Background(trace_database(folder), self)
        self.library = LibraryPanel(self.background.call)
        self.history = HistoryPanel(self.background.call)
        self.document = DocumentColumn()
        self.welcome = Welcome()
        self.reading = ReadingColumn()
        self.shown = DocumentDesk(self.background, self.document, self)
        self.readings = ReadingDesk(
            str(folder), self.background, self.reading, self._model, self._complete, self
        )
        self.imports = ImportDesk(str(folder), self._model, self)
        self.exports = ExportDesk(self.background, self)
        self.watched = WatchedFolders(self)
        self.shown.passwords = self.readings.passwords = self.imports.passwords
        self.setWindowTitle("Palimpsest")
        self.setAcceptDrops(True)
        self._build()
        self._add_menus()
        self._connect()
        self._restore()
        self._take_preferences(keeper.value, None)
        QTimer.singleShot(0, self._begin)

    # What is told from outside

    def open_files(self, files: Sequence[Path]) -> None:
        """Take files and folders in; the first that is ready is shown."""
        paths = [path for path in files if str(path)]
        if not paths:
            return
        self._wanted_paths.update(str(path) for path in paths)
        self._keeper.welcome_files(tuple(str(path) for path in paths))
        self.imports.take(paths)

    def take_over(self, files: Sequence[Path]) -> None:
        """A second start hands its files over and wants to be seen."""
        self.open_files(files)
        self.setWindowState(self.windowState() & ~Qt.WindowState.WindowMinimized)
        self.show()
        self.raise_()
        self.activateWindow()

    def ask(self, question: str) -> None:
        """Ask about what is chosen, and begin without looking at the plan."""
        self.reading.ask.set_questions([question])
        self.readings.plan([question], self.reading.ask.options, starts_at_once=True)

    def shown_answer(self) -> "ShownAnswer | None":
        """What is on the screen; None = no answer."""
        from app.gui.selftest import ShownAnswer

        state = self.readings.state
        if state is None or not state.questions:
            return None
        record = state.questions[self.reading.current_question]
        text = self.reading.answer.findChild(AnswerText)
        if record.answer is None or text is None or text.isHidden():
            return None
        claims = [claim for claim in record.answer.claims if claim.place is not None]
        return ShownAnswer(
            text=text.toPlainText(),
            quote=claims[0].quote if claims else "",
            label=claims[0].place.label if claims and claims[0].place else "",
            highlighted_pages=self._highlighted_pages(),
        )

    def _highlighted_pages(self) -> tuple[int, ...]:
        """Pages on which the column has boxes for a place of the reading."""
        state, view = self.readings.state, self.document.view()
        if state is None or not isinstance(view, PageView):
            return ()
        places = places_of(state.questions[self.reading.current_question])
        return tuple(
            sorted(
                {
                    number
                    for place in places
                    if self.shown.hash_of(place.document) == self.shown.content_hash
                    for number, _ in view.rects_of(Span(place.start, place.end))
                }
            )
        )

    # Building

    def _build(self) -> None:
        self._left = QTabWidget()
        self._left.setDocumentMode(True)
        self._left.addTab(self.library, self.tr("Documents"))
        self._left.addTab(self.history, self.tr("History"))
        self._left.tabBar().setExpanding(False)
        self._centre = QStackedWidget()
        self._centre.addWidget(self.welcome)
        self._centre.addWidget(self.document)
        self._columns = QSplitter(Qt.Orientation.Horizontal)
        for column in (self._left, self._centre, self.reading):
            self._columns.addWidget(column)
        self._columns.setStretchFactor(1, 1)
        self._columns.setChildrenCollapsible(False)
        self._columns.setSizes(list(_WIDTHS))
        self.setCentralWidget(self._columns)
        bar = QStatusBar()
        self._model_line, self._rate_line, self._place_line = QLabel(), QLabel(), QLabel()
        for line in (self._model_line, self._rate_line, self._place_line):
            set_role(line, "caption")
            line.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            line.setContentsMargins(8, 0, 8, 0)
        bar.addWidget(self._model_line)
        bar.addWidget(self._rate_line, 1)
        bar.addPermanentWidget(self._place_line)
        self.setStatusBar(bar)
        self.resize(*_SIZE)

    def _add_menus(self) -> None:
        menus = self.menuBar()
        file = menus.addMenu(self.tr("&File"))
        self._add(file, self.tr("&Open documents…"), self.library.choose_files, "Ctrl+O", "file")
        self._add(file, self.tr("Open a &folder…"), self.library.choose_folder, "Ctrl+Shift+O", "folder")
        file.addSeparator()
        self._add(file, self.tr("&Settings…"), self._show_settings, "Ctrl+,", "settings")
        file.addSeparator()
        self._add(file, self.tr("&Quit"), self.close, "Ctrl+Q")
        edit = menus.addMenu(self.tr("&Reading"))
        self._add(edit, self.tr("&New question"), self._new_question, "Ctrl+N", "question")
        self._add(edit, self.tr("&Stop"), self._stop, "Esc", "stop")
        edit.addSeparator()
        self._add(edit, self.tr("Search all &documents"), self._focus_search, "Ctrl+Shift+F", "search")
        self._add(edit, self.tr("&History"), self._show_history, "Ctrl+H", "history")
        view = menus.addMenu(self.tr("&View"))
        self._library_shown = self._add_column(view, self.tr("&Library"), self._left, "F7", "sidebar")
        self._reading_shown = self._add_column(view, self.tr("&Reading"), self.reading, "F8", "sidebar-right")
        self._document_shown = self._add_column(view, self.tr("&Document"), self._centre, "F9", "page")
        view.addSeparator()
        schemes = view.addMenu(self.tr("&Colours"))
        group = QActionGroup(self)
        self._schemes = {}
        for scheme, name in (
            (Scheme.SYSTEM, self.tr("As the &system")),
            (Scheme.LIGHT, self.tr("&Light")),
            (Scheme.DARK, self.tr("&Dark")),
        ):
            action = QAction(name, group, checkable=True)
            action.triggered.connect(lambda _, scheme=scheme: self._keeper.update(scheme=scheme))
            schemes.addAction(action)
            self._schemes[scheme] = action
        help_menu = menus.addMenu(self.tr("&Help"))
        self._add(help_menu, self.tr("&Shortcuts"), lambda: ShortcutsDialog(parent=self).open(), "F1")
        self._add(help_menu, self.tr("&Welcome"), self._show_welcome, None, "book")
        self._add(help_menu, self.tr("&About Palimpsest"), lambda: AboutDialog(self).open(), None, "info")
        for action in (self._library_shown, self._reading_shown):
            button = icon_button(
                "sidebar" if action is self._library_shown else "sidebar-right",
                action.text().replace("&", ""),
            )
            button.setCheckable(True)
            button.setChecked(True)
            button.clicked.connect(action.setChecked)
            action.toggled.connect(button.setChecked)
            self._add_to_bar(button)
        settings = icon_button("settings", self.tr("Settings (Ctrl+,)"))
        settings.clicked.connect(lambda: self._show_settings())
        self._add_to_bar(settings)

    def _add_to_bar(self, button: QToolButton) -> None:
        button.setIconSize(QSize(16, 16))
        button.setMaximumSize(26, 22)
        self.statusBar().addPermanentWidget(button)

    def _add(
        self, menu: Any, text: str, work: Any, keys: str | None = None, picture: str | None = None
    ) -> QAction:
        action = QAction(text, self)
        if keys:
            action.setShortcut(QKeySequence(keys))
        if picture:
            action.setIcon(icon(picture))
        action.triggered.connect(lambda _=False: work())
        menu.addAction(action)
        return action

    def _add_column(self, menu: Any, text: str, column: QWidget, keys: str, picture: str) -> QAction:
        action = QAction(icon(picture), text, self, checkable=True, checked=True)
        action.setShortcut(QKeySequence(keys))
        action.toggled.connect(column.setVisible)
        menu.addAction(action)
        return action

    def _connect(self) -> None:
        self._keeper.changed.connect(self._take_preferences)
        self.background.failed.connect(self._report)
        self._connect_library()
        self._connect_history()
        self._connect_document()
        self._connect_reading()

    def _connect_library(self) -> None:
        library = self.library
        library.import_wanted.connect(lambda paths: self.open_files([Path(path) for path in paths]))
        library.import_stop_wanted.connect(self.imports.stop)
        library.password_wanted.connect(self._ask_password_again)
        library.document_opened.connect(self._open)
        library.place_wanted.connect(self._open_hit)
        library.selection_changed.connect(self._choose)
        library.documents_removed.connect(self._forget)
        library.entries_loaded.connect(self._take_entries)
        library.watch_wanted.connect(lambda: self._show_settings("library"))
        self.imports.message.connect(self._hear_import)
        self.imports.password_needed.connect(self._ask_password)
        self.imports.ended.connect(lambda _: library.import_ended())
        self.watched.folders_missing.connect(self._miss_folders)
        self.watched.files_found.connect(lambda paths: self.imports.take([Path(each) for each in paths]))
        self.welcome.open_wanted.connect(library.choose_files)
        self.welcome.files_dropped.connect(lambda paths: self.open_files([Path(path) for path in paths]))
        self.welcome.try_sample.connect(self._try_sample)

    def _connect_history(self) -> None:
        self.history.run_opened.connect(self._open_run)
        self.history.resume_wanted.connect(self._resume_run)
        self.history.compare_wanted.connect(self._compare)
        self.history.runs_deleted.connect(self._runs_deleted)

    def _connect_document(self) -> None:
        document = self.document
        document.open_wanted.connect(self.library.choose_files)
        document.files_dropped.connect(lambda paths: self.open_files([Path(path) for path in paths]))
        document.document_shown.connect(self._document_is_shown)
        document.place_clicked.connect(
            lambda index, page: self.shown.show(self.shown.hash_of(index), page=page)
        )
        document.ask_about_selection.connect(self._ask_about)
        self.shown.failed.connect(self.reading.say_problem)

    def _connect_reading(self) -> None:
        reading = self.reading
        reading.place_wanted.connect(self._go)
        reading.question_shown.connect(self.shown.show_question)
        reading.export_wanted.connect(self._export)
        reading.document_removed.connect(self._take_out)
        reading.status_text.connect(self._rate_line.setText)
        self.exports.exported.connect(
            lambda path: self.statusBar().showMessage(self.tr("Written: %1").replace("%1", path), _NOTE_MS)
        )
        self.exports.failed.connect(reading.say_problem)
        self.readings.state_changed.connect(self.shown.set_state)
        self.readings.started.connect(self._reading_started)
        self.readings.progressed.connect(self._reading_progressed)
        self.readings.ended.connect(self._reading_ended)

    # The beginning and the end

    def _begin(self) -> None:
        """What can wait until the window is there."""
        self.library.refresh()
        self.history.refresh()

    def _restore(self) -> None:
        settings = QSettings()
        geometry, columns = settings.value(_GEOMETRY), settings.value(_COLUMNS)
        if isinstance(geometry, QByteArray):
            self.restoreGeometry(geometry)
        if isinstance(columns, QByteArray):
            self._columns.restoreState(columns)

    def closeEvent(self, event: QCloseEvent) -> None:
        """Ask while something is read; then end all that works in the background."""
        if self.readings.is_reading:
            dialog = CloseDialog(self.readings.question, self)
            dialog.exec()
            if dialog.choice is CloseChoice.STAY:
                event.ignore()
                return
        settings = QSettings()
        settings.setValue(_GEOMETRY, self.saveGeometry())
        settings.setValue(_COLUMNS, self._columns.saveState())
        self.shut_down()
        event.accept()

    def shut_down(self) -> None:
        """End processes and threads; what is finished is saved."""
        self.watched.close()
        self.readings.close()
        self.imports.close()
        wait_for_children()
        self.document.shut_down()
        self.background.close()

    # Files in

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Files may be dropped anywhere."""
        if paths_of(event.mimeData()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        """Take them in."""
        paths = paths_of(event.mimeData())
        if paths:
            event.acceptProposedAction()
            self.open_files([Path(path) for path in paths])

    def _hear_import(self, name: str, values: dict[str, Any]) -> None:
        self.library.take_message(name, values)
        if name == "imported" and self._is_wanted(values["path"]):
            self._wanted_paths.clear()
            self._open(values["content_hash"])
        elif name == "import_failed" and values["code"] != PASSWORD_CODE and self._is_wanted(values["path"]):
            self._wanted_paths.discard(values["path"])
            self.open_failed.emit(values["message"])

    def _is_wanted(self, path: str) -> bool:
        """Whether the user asked for this file, or for a folder that holds it, just now."""
        found = Path(path)
        return any(found == Path(wanted) or Path(wanted) in found.parents for wanted in self._wanted_paths)

    def _ask_password(self, path: str, name: str, is_wrong: bool) -> None:
        dialog = PasswordDialog(name, is_wrong=is_wrong, parent=self)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.accepted.connect(lambda: self.imports.give_password(path, dialog.password))
        dialog.rejected.connect(lambda: self.imports.give_password(path, None))
        dialog.open()

    def _ask_password_again(self, path: str, name: str) -> None:
        """A file that was left out for want of a password."""
        dialog = PasswordDialog(name, parent=self)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)

        def retry() -> None:
            self.imports.passwords[path] = dialog.password
            self.open_files([Path(path)])

        dialog.accepted.connect(retry)
        dialog.open()

    def _try_sample(self, path: str, question: str) -> None:
        self._sample_question = question
        self.open_files([Path(path)])

    # What is shown

    def _open(self, content_hash: str) -> None:
        self._centre.setCurrentWidget(self.document)
        self.shown.show(content_hash)
        self.library.show_current(content_hash)

    def _open_hit(self, content_hash: str, page: int, words: Iterable[str]) -> None:
        self._centre.setCurrentWidget(self.document)
        self.shown.show(content_hash, page=page, find=next(iter(words), ""))
        self.library.show_current(content_hash)

    def _go(self, document: int, start: int, end: int, _page: int) -> None:
        content_hash = self.shown.hash_of(document)
        if content_hash:
            self._centre.setCurrentWidget(self.document)
            self._document_shown.setChecked(True)
            self.shown.show(content_hash, span=(start, end))

    def _document_is_shown(self, content_hash: str) -> None:
        name = self.document.document.name if self.document.document is not None else ""
        self.setWindowTitle(f"{name} — Palimpsest" if name else "Palimpsest")
        self._unannounced = content_hash
        self._say_opened()

    def _say_opened(self) -> None:
        """Once a document can be seen and the library knows it, it can be asked about."""
        content_hash, self._unannounced = self._unannounced, ""
        if content_hash not in self._entries:
            self._unannounced = content_hash
            return
        self.document_opened.emit(content_hash)
        if self._sample_question:
            question, self._sample_question = self._sample_question, ""
            self.ask(question)

    def _take_entries(self, entries: Sequence[Entry]) -> None:
        self._entries = {entry.content_hash: entry for entry in entries}
        self._choose(self.library.selection)
        self.watched.set_known({entry.path: (entry.size_bytes, entry.modified_at) for entry in entries})
        if self._unannounced:
            self._say_opened()
        if entries and not self.shown.content_hash:
            self._centre.setCurrentWidget(self.document)  # the welcome is for who has no document yet

    def _miss_folders(self, folders: Sequence[str]) -> None:
        if folders:
            self.library.banner.say(
                self.tr("A watched folder is not there: %1").replace("%1", folders[0]),
                self.tr("Connect its disk, or take it off the list in the settings."),
            )

    def _choose(self, content_hashes: Sequence[str]) -> None:
        """These are read next."""
        known = [self._entries[each] for each in content_hashes if each in self._entries]
        self.readings.set_documents(
            [
                DocumentInfo(
                    content_hash=entry.content_hash,
                    name=entry.name,
                    kind=entry.kind,
                    pages=entry.num_pages,
                    path=entry.path,
                )
                for entry in known
            ]
        )

    def _take_out(self, content_hash: str) -> None:
        """A document that is not to be read."""
        self.library.choose([each for each in self.library.selection if each != content_hash])

    def _forget(self, content_hashes: Sequence[str], run_ids: Sequence[str]) -> None:
        if self.shown.content_hash in content_hashes:
            self.shown.close()
        paths = tuple(self._entries[each].path for each in content_hashes if each in self._entries)
        self._keeper.ignore_files(paths)
        if run_ids:
            self._runs_deleted(run_ids)
            self.history.refresh()

    def _show_welcome(self) -> None:
        self._centre.setCurrentWidget(self.welcome)

    # Readings

    def _reading_started(self, content_hashes: list[str]) -> None:
        self.library.set_reading(content_hashes, 0.0)
        if content_hashes and self.shown.content_hash not in content_hashes:
            self._open(content_hashes[0])
        self.history.refresh()

    def _reading_progressed(self, share: float) -> None:
        state = self.readings.state
        if state is not None and state.plan is not None:
            self.library.set_reading([each.content_hash for each in state.plan.documents], share)
            for run_id in state.run_ids:
                self.history.set_progress(run_id, state.progress.chunks_done, "running")

    def _reading_ended(self, how: str, values: dict[str, Any]) -> None:
        self.library.set_reading(())
        self.library.refresh()
        self.history.refresh()
        self._show_evidence()
        self.reading_ended.emit(how, values)

    def _show_evidence(self) -> None:
        """The answer's first place comes into view by itself."""
        state = self.readings.state
        if state is None or not state.questions:
            return
        answer = state.questions[self.reading.current_question].answer
        for claim in answer.claims if answer is not None else ():
            if claim.place is not None:
                self._go(claim.place.document, claim.place.start, claim.place.end, claim.place.page)
                return

    def _open_run(self, run_id: str) -> None:
        def show() -> None:
            content_hash = self.shown.hash_of(0)
            if content_hash and self.shown.content_hash != content_hash:
                self._open(content_hash)
            self._show_evidence()
            self.history.show_current(run_id)

        self.readings.open_run(run_id, then=show)

    def _resume_run(self, run_id: str) -> None:
        self.readings.open_run(run_id, then=lambda: self.readings.resume([run_id]))

    def _compare(self, one: str, other: str) -> None:
        from app.gui.history.compare_dialog import CompareDialog

        dialog = CompareDialog(self.background.call, one, other, self)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.place_wanted.connect(self._open_hit)
        dialog.run_opened.connect(self._open_run)
        dialog.open()

    def _runs_deleted(self, run_ids: Sequence[str]) -> None:
        state = self.readings.state
        if state is not None and not self.readings.is_busy and set(state.run_ids) & set(run_ids):
            self.readings.put_away()
        self.library.refresh()

    def _export(self, run_id: str, kind: str) -> None:
        self.exports.export(run_id, kind, self.readings.question)

    def _new_question(self) -> None:
        self._reading_shown.setChecked(True)
        if not self.readings.is_busy:
            self.readings.put_away()
        self.reading.ask.box.setFocus()

    def _ask_about(self, text: str) -> None:
        self._new_question()
        if not self.readings.is_busy:
            self.reading.ask.set_questions([text])

    def _stop(self) -> None:
        if self.readings.is_busy:
            self.readings.stop()

    # Settings

    def _take_preferences(self, value: Preferences, names: frozenset[str] | None) -> None:
        app = QApplication.instance()
        if isinstance(app, QApplication) and (names is None or names & {"scheme", "text_scale"}):
            apply_look(app, scheme=value.colour_scheme, text_scale=value.text_scale)
        self._schemes[value.scheme].setChecked(True)
        self.watched.set_folders(value.watched_folders, value.ignored_files)
        self.library.set_watched(value.watched_folders)
        is_served = value.model_kind is ModelKind.SERVER
        self._model_line.setText(_model_name(value) or self.tr("bundled model"))
        self._place_line.setText(
            self.tr("server: %1").replace("%1", value.server_address) if is_served else self.tr("offline")
        )

    def _model(self) -> Model:
        value = self._keeper.value
        if value.model_kind is ModelKind.SERVER:
            return Model(
                model=value.server_model or None,
                servers=(value.server_address,),
                prompts=value.prompts or None,
            )
        return Model(
            model=value.model_path if value.model_kind is ModelKind.FILE else None,
            num_threads=value.num_threads,
            num_gpu_layers=value.num_gpu_layers,
            prompts=value.prompts or None,
        )

    def _complete(self, options: Options) -> Options:
        """Options of a reading; what the form leaves open is as the preferences say."""
        value = self._keeper.value
        return dataclasses.replace(
            options,
            mode=options.mode or value.mode or None,
            chunk_tokens=options.chunk_tokens or value.chunk_tokens,
            memory_tokens=options.memory_tokens or value.memory_tokens,
        )

    def _show_settings(self, page: str = "") -> None:
        from app.gui.settings.dialog import SettingsDialog  # the window is there sooner without it

        dialog = SettingsDialog(self._keeper, self._folder, parent=self)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        if page:
            dialog.show_page(page)
        dialog.open()

    # Small things

    def _focus_search(self) -> None:
        self._library_shown.setChecked(True)
        self._left.setCurrentWidget(self.library)
        self.library.focus_search()

    def _show_history(self) -> None:
        self._library_shown.setChecked(True)
        self._left.setCurrentWidget(self.history)
        self.history.setFocus()

    def _report(self, error: PalimpsestError) -> None:
        dialog = ErrorDialog(error.message, error.hint, parent=self)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.open()


def _model_name(value: Preferences) -> str:
    if value.model_kind is ModelKind.FILE:
        return Path(value.model_path).stem
    return value.server_model if value.model_kind is ModelKind.SERVER else ""
