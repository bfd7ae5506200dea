"""The document column: header, strip, side pane and the view of pages or of text, told in plain values."""

from collections.abc import Sequence
from dataclasses import replace

from PySide6.QtCore import QEvent, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QCloseEvent, QKeySequence, QShortcut
from PySide6.QtWidgets import QHBoxLayout, QSplitter, QStackedWidget, QVBoxLayout, QWidget

from app.gui.document.document_view import DocumentView
from app.gui.document.find_bar import FindBar
from app.gui.document.finding_session import Findings
from app.gui.document.header import DocumentHeader
from app.gui.document.notices import Invitation, Notice
from app.gui.document.outline_view import OutlineView
from app.gui.document.page_layout import ZoomMode
from app.gui.document.page_view import PageView
from app.gui.document.pdf_thread import PdfThread
from app.gui.document.strip import ReadingStrip
from app.gui.document.strip_layout import StripChunk
from app.gui.document.text_thread import TextThread
from app.gui.document.text_view import TextView
from app.gui.document.threads import Threads
from app.gui.document.thumbnails import Thumbnails
from app.gui.document.values import Highlight, OpenedDocument, Span

_PANE_WIDTH = 220
_PATIENCE_MS = 500
_MAX_STRIP_CHUNKS = 400


class DocumentColumn(QWidget):
    """Shows one document at a time.

    Args:
        parent: owner.
    """

    page_changed = Signal(int)
    """Physical number of the page that is looked at."""
    highlight_clicked = Signal(int)
    """Index among the highlights."""
    text_selected = Signal(str)
    """What is selected; "" = nothing."""
    ask_about_selection = Signal(str)
    """The user wants to ask about this text."""
    open_failed = Signal(str, str)
    """The file cannot be shown as it is: a sentence and a hint. Its text is shown if there is one."""
    document_shown = Signal(str)
    """A document, given by its content hash, can be seen."""
    files_dropped = Signal(list)
    """Paths, as strings."""
    open_wanted = Signal()
    """The user wants to choose a file."""
    place_clicked = Signal(int, int)
    """Document and page on the strip, if that document is not the open one; the column goes to its own."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.document: OpenedDocument | None = None
        self._text: str | None = None
        self._highlights: list[Highlight] = []
        self._wish: Span | int | None = None
        self._pdf: PdfThread | None = None
        self._reader: TextThread | None = None
        self._threads = Threads(self)
        self._strip_document = 0
        self._patience = QTimer(self, singleShot=True, interval=_PATIENCE_MS)
        self._patience.timeout.connect(self._ask_for_patience)
        self.header = DocumentHeader()
        self.strip = ReadingStrip()
        self.find_bar = FindBar()
        self.notice = Notice()
        self.invitation = Invitation()
        self.pages = PageView()
        self.text_view = TextView()
        self.outline = OutlineView()
        self.thumbnails = Thumbnails()
        self.findings = Findings(self.find_bar, self)
        self._arrange()
        self._connect()
        self._add_shortcuts()
        self.close_document()

    def _arrange(self) -> None:
        self._side = QStackedWidget()
        self._side.addWidget(self.outline)
        self._side.addWidget(self.thumbnails)
        self._views = QStackedWidget()
        for view in (self.invitation, self.pages, self.text_view):
            self._views.addWidget(view)
        self._splitter = QSplitter(Qt.Orientation.Horizontal)
        self._splitter.addWidget(self._side)
        self._splitter.addWidget(self._views)
        self._splitter.setStretchFactor(1, 1)
        self._splitter.setChildrenCollapsible(False)
        self._splitter.setSizes([_PANE_WIDTH, 600])
        self._side.setMinimumWidth(150)
        self._side.hide()
        self._notice_row = QWidget()
        row = QHBoxLayout(self._notice_row)
        row.setContentsMargins(12, 0, 12, 8)
        row.addWidget(self.notice)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.header)
        column.addWidget(self.strip)
        column.addSpacing(4)
        column.addWidget(self.find_bar)
        column.addWidget(self._notice_row)
        column.addWidget(self._splitter, 1)
        self.find_bar.hide()
        self._notice_row.hide()

    def _connect(self) -> None:
        for view in (self.pages, self.text_view):
            view.page_changed.connect(self._page_changed)
            view.zoom_changed.connect(self._zoom_changed)
            view.highlight_clicked.connect(self.highlight_clicked)
            view.text_selected.connect(self.text_selected)
            view.ask_about_selection.connect(self.ask_about_selection)
        self.pages.changed.connect(self._file_changed)
        self.header.page_wanted.connect(self._go_to_page)
        self.header.zoom_wanted.connect(self._set_zoom)
        self.header.zoom_step_wanted.connect(lambda step: self.view().step_zoom(step))
        self.header.find_wanted.connect(self._show_find)
        self.header.pane_wanted.connect(self._show_pane)
        self.header.dim_wanted.connect(self.pages.set_dimmed)
        self.outline.page_wanted.connect(self._go_to_page)
        self.thumbnails.page_wanted.connect(self._go_to_page)
        self.strip.place_clicked.connect(self._strip_clicked)
        self.find_bar.closed.connect(lambda: self.header.find_toggle.setChecked(False))
        self.findings.found.connect(self._mark_hits)
        self.findings.place_wanted.connect(self._show_hit)
        self.notice.password_given.connect(self._retry)
        self.invitation.files_dropped.connect(self.files_dropped)
        self.invitation.open_wanted.connect(self.open_wanted)

    def _add_shortcuts(self) -> None:
        for keys, action in (
            (QKeySequence(QKeySequence.StandardKey.Find), self._find_selected),
            (QKeySequence(Qt.Key.Key_F3), lambda: self.findings.step(1)),
            (QKeySequence(Qt.Modifier.SHIFT | Qt.Key.Key_F3), lambda: self.findings.step(-1)),
            (QKeySequence(Qt.Modifier.CTRL | Qt.Key.Key_G), self.header.focus_place),
            (QKeySequence(Qt.Modifier.CTRL | Qt.Key.Key_Plus), lambda: self.view().step_zoom(1)),
            (QKeySequence(Qt.Modifier.CTRL | Qt.Key.Key_Minus), lambda: self.view().step_zoom(-1)),
        ):
            shortcut = QShortcut(keys, self)
            shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            shortcut.activated.connect(action)

    # What the window asks for.

    def open_document(self, document: OpenedDocument) -> None:
        """Show a document; it appears by and by, nothing waits for it.

        `show_span`, `show_page` and `set_highlights` may be called at once: they are kept until it is there.
        """
        self.close_document()
        self.document = document
        self.header.show_document(document)
        self._show_frame(True)
        self.strip.set_plan(_plan_of_pages(document), (), [[page.label for page in document.pages]])
        self.outline.set_lines(document.outline)
        self.text_view.set_document(document)
        self._patience.start()
        self._reader = TextThread(document.text)
        self._reader.loaded.connect(self._take_text)
        self._reader.failed.connect(self._take_text_failure)
        self._reader.found.connect(self.findings.take)
        self.findings.set_thread(self._reader)
        self._threads.start(self._reader)
        if document.format == "pdf":
            self._views.setCurrentWidget(self.pages)
            self._open_pdf(document)
        else:
            self._show_text()

    def close_document(self) -> None:
        """Show none; what works in the background is asked to end and is not waited for."""
        self.document, self._text, self._wish = None, None, None
        self._highlights = []
        self._patience.stop()
        self.pages.clear()
        self.thumbnails.clear()
        self.text_view.clear()
        self.findings.set_thread(None)
        for thread in (self._pdf, self._reader):
            if thread is not None:
                self._threads.retire(thread)
        self._pdf = self._reader = None
        self._strip_document = 0
        self.strip.set_plan(())
        self.outline.set_lines(())
        self.header.show_document(None)
        self._say_nothing()
        self.invitation.invite()
        self._views.setCurrentWidget(self.invitation)
        self.header.find_toggle.setChecked(False)
        self.header.show_kind(has_pages=True)
        self._show_frame(False)

    def shut_down(self, timeout_ms: int = 10_000) -> bool:
        """Close the document and wait until no thread is left; call it before the column is destroyed.

        Returns:
            False if a thread did not end in time.
        """
        self.close_document()
        return self._threads.wait(timeout_ms)

    def show_span(self, start: int, end: int) -> None:
        """Go to the characters [start, end) of the document's text and mark them strongly."""
        self._wish = Span(start, end)
        self.view().show_span(Span(start, end))

    def clear_span(self) -> None:
        """Mark no place strongly any more."""
        self.view().clear_current()

    def show_page(self, number: int) -> None:
        """Go to a page given by its physical number."""
        self._wish = number
        self.view().show_page(number)

    def set_highlights(self, highlights: Sequence[Highlight]) -> None:
        """Mark these places, none else."""
        self._highlights = list(highlights)
        self.view().set_highlights(self._highlights)

    def use_strip_of(self, document: int) -> None:
        """The open document is the one with this index in the plan that `strip` shows."""
        self._strip_document = document
        if self.view().page_number:
            self.strip.set_cursor(document, self.view().page_number)

    def view(self) -> DocumentView:
        """The view that shows the document now, or will."""
        if self._views.currentWidget() is self.text_view:
            return self.text_view
        return self.pages if self.document is None or self.document.format == "pdf" else self.text_view

    def find_text(self, query: str) -> None:
        """Open the find bar and search."""
        self.header.find_toggle.setChecked(True)
        self.find_bar.begin(query)

    def _show_frame(self, is_on: bool) -> None:
        """Show what belongs to a document around it."""
        for part in (self.header, self.strip):
            part.setVisible(is_on)
        self._side.setVisible(
            is_on and (self.header.outline.isChecked() or self.header.thumbnails.isChecked())
        )

    # The file.

    def _ask_for_patience(self) -> None:
        """It takes long enough for the user to wonder."""
        if self.document is not None:
            self.invitation.wait(self.document.name)
            self._views.setCurrentWidget(self.invitation)

    def _open_pdf(self, document: OpenedDocument) -> None:
        self._pdf = PdfThread(document.path, document.password)
        self._pdf.opened.connect(self._pdf_opened)
        self._pdf.failed.connect(self._pdf_failed)
        self._threads.start(self._pdf)

    @Slot(object)
    def _pdf_opened(self, sizes: list[tuple[float, float]]) -> None:
        if self.sender() is not self._pdf or self._pdf is None or self.document is None:
            return
        if len(sizes) != len(self.document.pages):
            self._file_changed()
            return
        self._patience.stop()
        self._views.setCurrentWidget(self.pages)
        self.header.show_kind(has_pages=True)
        self.pages.set_document(self.document, self._pdf, sizes)
        self.thumbnails.set_document(self.document.pages, self._pdf, sizes)
        self._hand_over(self.pages)

    @Slot(str, str, bool)
    def _pdf_failed(self, message: str, hint: str, wants_password: bool) -> None:
        if self.sender() is self._pdf and self.document is not None:
            shown = self.tr("This is the text that was read from it.")
            self._fall_back(" ".join(filter(None, (message, shown, hint))), wants_password=wants_password)
            self.open_failed.emit(message, hint)

    @Slot()
    def _file_changed(self) -> None:
        if self.document is None:
            return
        name = self.document.name
        message = self.tr("%1 has changed since it was read.").replace("%1", name)
        hint = self.tr("Import it again to see its pages.")
        shown = self.tr("This is the text that was read from it.")
        self._fall_back(f"{message} {shown} {hint}")
        self.open_failed.emit(message, hint)

    def _fall_back(self, notice: str, *, wants_password: bool = False) -> None:
        """Show the text that the store holds in place of the pages."""
        current = self.pages.current
        self._patience.stop()
        self.pages.clear()
        self.thumbnails.clear()
        self.header.thumbnails.setChecked(False)
        if self._pdf is not None:
            self._threads.retire(self._pdf)
            self._pdf = None
        self.notice.say(notice, wants_password=wants_password)
        self._notice_row.show()
        if current is not None:
            self._wish = current
        self._show_text()

    def _show_text(self) -> None:
        self._views.setCurrentWidget(self.text_view)
        self.header.show_kind(has_pages=False)
        if self._text is not None and not self.text_view.text:
            self.text_view.set_text(self._text)
            self.document_shown.emit(self.document.content_hash if self.document else "")
        self._hand_over(self.text_view)

    def _retry(self, password: str) -> None:
        if self.document is None:
            return
        self.document = replace(self.document, password=password)
        self._say_nothing()
        self._open_pdf(self.document)

    def _say_nothing(self) -> None:
        self.notice.hide()
        self._notice_row.hide()

    @Slot(str)
    def _take_text(self, text: str) -> None:
        if self.sender() is not self._reader:
            return
        self._text = text
        if self.view() is self.text_view:
            self._patience.stop()
            self._views.setCurrentWidget(self.text_view)
            self.text_view.set_text(text)
            self._hand_over(self.text_view)
            self.document_shown.emit(self.document.content_hash if self.document else "")
        else:
            self.pages.set_text(text)
        self.findings.restart()

    @Slot(str, str)
    def _take_text_failure(self, message: str, hint: str) -> None:
        if self.sender() is not self._reader:
            return
        if self.view() is self.text_view:
            self._patience.stop()
            self.invitation.say(message, hint)
            self._views.setCurrentWidget(self.invitation)
        self.open_failed.emit(message, hint)

    def _hand_over(self, view: DocumentView) -> None:
        """Tell a view that shows the document now what is wanted."""
        if self._text is not None and not view.text and view is self.pages:
            view.set_text(self._text)
        view.set_highlights(self._highlights)
        view.set_hits(self.findings.hits)
        wish = self._wish
        if isinstance(wish, Span):
            view.show_span(wish)
        elif wish is not None:
            view.show_page(wish)
        self._zoom_changed(view.zoom())
        self._page_changed(view.page_number)
        if view is self.pages and self.document is not None:
            self.document_shown.emit(self.document.content_hash)

    # Moving about.

    def _page_changed(self, number: int) -> None:
        if self.document is None or not number:
            return
        self.header.show_page(number)
        self.strip.set_cursor(self._strip_document, number)
        self.outline.show_page(number)
        self.thumbnails.show_page(number)
        self.view().setAccessibleDescription(self._words_for(number))
        self.page_changed.emit(number)

    def _words_for(self, number: int) -> str:
        """Where one is, for a screen reader."""
        if self.document is None:
            return ""
        page = self.document.pages[number - 1]
        place = (
            self.tr("Page %1 of %2").replace("%1", page.label).replace("%2", str(len(self.document.pages)))
        )
        return f"{place}: {page.heading}" if page.heading else place

    def _go_to_page(self, number: int) -> None:
        self.show_page(number)
        self.view().setFocus(Qt.FocusReason.OtherFocusReason)

    def _strip_clicked(self, document: int, page: int) -> None:
        if document == self._strip_document:
            self.show_page(page)
        else:
            self.place_clicked.emit(document, page)

    def _set_zoom(self, mode: ZoomMode, zoom: float) -> None:
        self.view().set_zoom(mode, zoom)

    def _zoom_changed(self, zoom: float) -> None:
        mode: ZoomMode = self.pages.zoom_mode() if self.view() is self.pages else "free"
        self.header.show_zoom(zoom, mode)

    def _show_pane(self, name: str) -> None:
        self._side.setVisible(bool(name))
        if name:
            self._side.setCurrentWidget(self.outline if name == "outline" else self.thumbnails)

    # Finding.

    def _find_selected(self) -> None:
        selected = self.view().selected_text()
        self.header.find_toggle.setChecked(True)
        self.find_bar.begin(" ".join(selected.split()) if len(selected) <= 100 else "")

    def _show_find(self, is_on: bool) -> None:
        self.find_bar.setVisible(is_on)
        if is_on:
            if self.document is not None and self.view().page_number:
                self.findings.start_from(self.document.pages[self.view().page_number - 1].start)
            self.find_bar.begin()
            self.findings.restart()
        else:
            self.findings.forget()
            self.view().setFocus(Qt.FocusReason.OtherFocusReason)

    @Slot()
    def _mark_hits(self) -> None:
        self.view().set_hits(self.findings.hits)

    def _show_hit(self, span: Span) -> None:
        self.view().show_span(span)

    def closeEvent(self, event: QCloseEvent) -> None:
        """End what works in the background."""
        self.shut_down()
        super().closeEvent(event)

    def changeEvent(self, event: QEvent) -> None:
        """Follow a change of colours."""
        super().changeEvent(event)
        if event.type() is QEvent.Type.PaletteChange:
            self.strip.update()


def _plan_of_pages(document: OpenedDocument) -> list[StripChunk]:
    """The strip of a document that nobody has read yet: its pages, by their length, several together if many."""
    step = -(-len(document.pages) // _MAX_STRIP_CHUNKS)
    groups = [document.pages[first : first + step] for first in range(0, len(document.pages), step)]
    return [
        StripChunk(
            document=0,
            first_page=group[0].number,
            last_page=group[-1].number,
            tokens=sum(page.length for page in group) + 1,
        )
        for group in groups
    ]
