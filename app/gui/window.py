"""The window: three columns, the menus, and which part hears which."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import (
    QCloseEvent,
)
from PySide6.QtWidgets import (
    QApplication,
)

from app.gui.background import Background
from app.gui.dialogs import (
    CloseChoice,
    CloseDialog,
    ErrorDialog,
)
from app.gui.document.column import DocumentColumn
from app.gui.document.page_view import PageView
from app.gui.document.values import Span
from app.gui.exporting import ExportDesk
from app.gui.frame import Frame
from app.gui.history.panel import HistoryPanel
from app.gui.imports import ImportDesk
from app.gui.jobs import wait_for_children
from app.gui.library.panel import PASSWORD_CODE, LibraryPanel
from app.gui.library.values import Entry
from app.gui.library.watching import WatchedFolders
from app.gui.look import apply_look
from app.gui.menus import Menus
from app.gui.reading.answer_text import AnswerText
from app.gui.reading.column import ReadingColumn
from app.gui.reading.parts import icon_button
from app.gui.reading.values import DocumentInfo
from app.gui.readings import ReadingDesk
from app.gui.settings.choices import complete, model_name, model_of
from app.gui.settings.preferences import ModelKind, PreferenceKeeper, Preferences
from app.gui.showing import DocumentDesk, places_of
from app.gui.welcome import Welcome
from engine.errors import PalimpsestError
from engine.paths import trace_database

if TYPE_CHECKING:
    from app.gui.selftest import ShownAnswer


class MainWindow(Frame):
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
            str(folder),
            self.background,
            self.reading,
            model=lambda: model_of(keeper.value),
            complete=lambda options: complete(options, keeper.value),
            parent=self,
        )
        self.imports = ImportDesk(str(folder), lambda: model_of(keeper.value), self)
        self.exports = ExportDesk(self.background, self)
        self.watched = WatchedFolders(self)
        self.shown.passwords = self.readings.passwords = self.imports.passwords
        self.arrange(
            [(self.library, self.tr("Documents")), (self.history, self.tr("History"))],
            [self.welcome, self.document],
            self.reading,
        )
        settings = icon_button("settings", self.tr("Settings (Ctrl+,)"))
        settings.clicked.connect(lambda: self.show_settings())
        self.add_to_bar(settings)
        self._menus = Menus(self, keeper)
        self._connect()
        self.restore_places()
        # Last: with a style sheet every widget that is made would be styled at each of its changes.
        self._dress(keeper.value)
        self._take_preferences(keeper.value, frozenset())
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

    # Who hears whom

    def _connect(self) -> None:
        self.files_dropped.connect(self.open_files)
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
        library.password_wanted.connect(self._retry_with_password)
        library.document_opened.connect(self._open)
        library.place_wanted.connect(self._open_hit)
        library.selection_changed.connect(self._choose)
        library.documents_removed.connect(self._forget)
        library.entries_loaded.connect(self._take_entries)
        library.watch_wanted.connect(lambda: self.show_settings("library"))
        self.imports.message.connect(self._hear_import)
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
        reading.status_text.connect(self.say_rate)
        self.exports.exported.connect(lambda path: self.say(self.tr("Written: %1").replace("%1", path)))
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

    def closeEvent(self, event: QCloseEvent) -> None:
        """Ask while something is read; then end all that works in the background."""
        if self.readings.is_reading:
            dialog = CloseDialog(self.readings.question, self)
            dialog.exec()
            if dialog.choice is CloseChoice.STAY:
                event.ignore()
                return
        self.keep_places()
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

    def _retry_with_password(self, path: str, name: str) -> None:
        """A file that was left out for want of a password."""
        self.imports.ask_password(path, name, then=lambda: self.open_files([Path(path)]))

    def _try_sample(self, path: str, question: str) -> None:
        self._sample_question = question
        self.open_files([Path(path)])

    # What is shown

    def _open(self, content_hash: str) -> None:
        self.show_centre(self.document)
        self.shown.show(content_hash)
        self.library.show_current(content_hash)

    def _open_hit(self, content_hash: str, page: int, words: Iterable[str]) -> None:
        self.show_centre(self.document)
        self.shown.show(content_hash, page=page, find=next(iter(words), ""))
        self.library.show_current(content_hash)

    def _go(self, document: int, start: int, end: int, _page: int) -> None:
        content_hash = self.shown.hash_of(document)
        if content_hash:
            self.show_centre(self.document)
            self.toggles[2].setChecked(True)
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
            self.show_centre(self.document)  # the welcome is for who has no document yet

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

    def show_welcome(self) -> None:
        """Show the welcome again."""
        self.show_centre(self.welcome)

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

    def new_question(self) -> None:
        """Put the reading away, and the cursor into the question box."""
        self.toggles[1].setChecked(True)
        if not self.readings.is_busy:
            self.readings.put_away()
        self.reading.ask.box.setFocus()

    def _ask_about(self, text: str) -> None:
        self.new_question()
        if not self.readings.is_busy:
            self.reading.ask.set_questions([text])

    # Settings

    def _dress(self, value: Preferences) -> None:
        app = QApplication.instance()
        if isinstance(app, QApplication):
            apply_look(app, scheme=value.colour_scheme, text_scale=value.text_scale)

    def _take_preferences(self, value: Preferences, names: frozenset[str]) -> None:
        if names & {"scheme", "text_scale"}:
            self._dress(value)
        self.watched.set_folders(value.watched_folders, value.ignored_files)
        self.library.set_watched(value.watched_folders)
        is_served = value.model_kind is ModelKind.SERVER
        self.say_model(
            model_name(value) or self.tr("bundled model"),
            self.tr("server: %1").replace("%1", value.server_address) if is_served else self.tr("offline"),
        )

    def show_settings(self, page: str = "") -> None:
        """Open the settings, at a page."""
        from app.gui.settings.dialog import SettingsDialog  # the window is there sooner without it

        dialog = SettingsDialog(self._keeper, self._folder, parent=self)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        if page:
            dialog.show_page(page)
        dialog.open()

    # Small things

    def search_library(self) -> None:
        """Put the cursor into the search over all documents."""
        self.show_left(self.library)
        self.library.focus_search()

    def show_history(self) -> None:
        """Show all readings."""
        self.show_left(self.history)
        self.history.setFocus()

    def _report(self, error: PalimpsestError) -> None:
        dialog = ErrorDialog(error.message, error.hint, parent=self)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.open()
