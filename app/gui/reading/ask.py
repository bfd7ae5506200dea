"""Asking: the question, or several, the documents that will be read, and how."""

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QMimeData, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QFileDialog, QFrame, QPlainTextEdit, QSizePolicy, QToolButton, QWidget

from app.gui.icons import icon
from app.gui.look import set_role
from app.gui.reading.options import OptionsForm
from app.gui.reading.parts import FlowLayout, Section, button, card, column, icon_button, label, row
from app.gui.reading.questions import read_questions, split_lines
from app.gui.reading.values import DocumentInfo
from app.gui.reading.words import number, one_line, plural, translate
from app.worker.protocol import Options
from engine.errors import PlanError

_LEAST_LINES = 2
_MOST_LINES = 5
_LIST_LINES = 9
_MOST_CHIPS = 12


class QuestionBox(QPlainTextEdit):
    """A text box that grows with what is in it.

    Attributes:
        submitted: Ctrl+Enter.
    """

    submitted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._most_lines = _MOST_LINES
        set_role(self, "plain")
        self.document().setDocumentMargin(0)
        font = self.font()
        font.setPointSizeF(font.pointSizeF() * 1.1)
        self.setFont(font)
        self.setTabChangesFocus(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.document().documentLayout().documentSizeChanged.connect(lambda _: self._fit())
        self._fit()

    def set_most_lines(self, lines: int) -> None:
        """How high it may grow."""
        self._most_lines = lines
        self._fit()

    def keyPressEvent(self, event: QKeyEvent, /) -> None:
        """Ctrl+Enter reads."""
        is_enter = event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter)
        if is_enter and event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            self.submitted.emit()
            return
        super().keyPressEvent(event)

    def insertFromMimeData(self, source: QMimeData, /) -> None:
        """Files are for the window, which opens them; here only text is taken."""
        if source.hasText() and not source.hasUrls():
            super().insertFromMimeData(source)

    def _fit(self) -> None:
        lines = int(self.document().size().height())
        lines = max(_LEAST_LINES, min(lines, self._most_lines))
        height = lines * self.fontMetrics().lineSpacing() + 2 * int(self.document().documentMargin()) + 12
        if height != self.height():
            self.setFixedHeight(height)


class AskPanel(QWidget):
    """The question and everything that belongs to it.

    Attributes:
        read_wanted: questions and `app.worker.protocol.Options`.
        document_removed: content hash of a document that is not to be read.
    """

    read_wanted = Signal(list, object)
    document_removed = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._documents: tuple[DocumentInfo, ...] = ()
        self.box = QuestionBox()
        self._many = QToolButton()
        self._many.setCheckable(True)
        self._many.setIcon(icon("list"))
        self._many.setText(self.tr("Several"))
        self._many.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self._many.setToolTip(self.tr("Several questions, one a line, read for in one pass"))
        self._load = icon_button("folder", self.tr("Questions from a text or CSV file"))
        self._count = label("", "caption")
        self._trouble = label("", "error")
        self._trouble.hide()
        self._chips = FlowLayout(6)
        self._chip_area = QWidget()
        self._chip_area.setLayout(self._chips)
        self._no_documents = label(
            self.tr(
                "Open a document, or choose some in the library: they are read from the first page to the last."
            ),
            "muted",
        )
        self.options_form = OptionsForm()
        form, form_inside = card(margin=14)
        form_inside.addWidget(self.options_form)
        self._options = Section(self.tr("Settings"), form)
        self._options.set_open(False)
        self._read = button(self.tr("Read"), "play", "primary")
        self._read.setToolTip(self.tr("Make the plan (Ctrl+Enter)"))
        self._lay_out()
        self._connect()
        self._take_mode(is_many=False)
        self.set_documents(())

    def _lay_out(self) -> None:
        frame, inside = card(margin=14)
        inside.addWidget(self.box)
        inside.addWidget(self._trouble)
        inside.addWidget(self._chip_area)
        inside.addWidget(self._no_documents)
        inside.addLayout(row(self._many, self._load, self._count, self._read, spacing=4))
        layout = column(self)
        layout.addWidget(frame)
        layout.addWidget(self._options)

    def _connect(self) -> None:
        self.box.submitted.connect(self.submit)
        self.box.textChanged.connect(self._refresh)
        self._many.toggled.connect(self._take_mode)
        self._load.clicked.connect(self._choose_file)
        self._read.clicked.connect(self.submit)
        self._options.folded.connect(lambda _: self._options.set_note(self.options_form.summary))
        self._options.set_note(self.options_form.summary)

    # What is there

    @property
    def questions(self) -> list[str]:
        """What is asked: the whole text, or each of its lines."""
        text = self.box.toPlainText()
        return split_lines(text) if self._many.isChecked() else ([text.strip()] if text.strip() else [])

    @property
    def options(self) -> Options:
        """How to read."""
        return self.options_form.options

    def set_questions(self, questions: Sequence[str]) -> None:
        """Put questions into the box."""
        self._many.setChecked(len(questions) > 1)
        self.box.setPlainText("\n".join(questions))
        self.box.selectAll()

    def set_documents(self, documents: Sequence[DocumentInfo]) -> None:
        """Say what will be read."""
        self._documents = tuple(documents)
        while (item := self._chips.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.deleteLater()
        for document in self._documents[:_MOST_CHIPS]:
            self._chips.addWidget(self._chip(document))
        left = len(self._documents) - _MOST_CHIPS
        if left > 0:
            self._chips.addWidget(
                label(
                    plural(
                        left,
                        translate("Reading", "and 1 more"),
                        translate("Reading", "and %1 more", None, left),
                    ),
                    "muted",
                )
            )
        self._chip_area.setVisible(bool(self._documents))
        self._no_documents.setVisible(not self._documents)
        self._refresh()

    def load_file(self, path: Path) -> None:
        """Take questions from a file, or say why not."""
        try:
            questions = read_questions(path)
        except PlanError as exc:
            self.say_trouble(str(exc))
            return
        self._many.setChecked(True)
        self.box.setPlainText("\n".join(questions))

    def say_trouble(self, text: str) -> None:
        """One sentence below the box; "" = none."""
        self._trouble.setText(text)
        self._trouble.setVisible(bool(text))

    def submit(self) -> None:
        """Ask, if there is something to ask and something to read."""
        if self._read.isEnabled():
            self.say_trouble("")
            self.read_wanted.emit(self.questions, self.options)

    # How

    def _chip(self, document: DocumentInfo) -> QFrame:
        frame, layout = card("banner", spacing=0)
        layout.setContentsMargins(10, 2, 4, 2)
        name = label(one_line(document.name, 44), selectable=False)
        name.setWordWrap(False)
        name.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        name.setToolTip(one_line(document.name, 300))
        pages = label(_extent(document), "caption", selectable=False)
        pages.setWordWrap(False)
        pages.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        gone = icon_button("close", self.tr("Do not read %1").replace("%1", one_line(document.name, 80)))
        gone.clicked.connect(lambda: self.document_removed.emit(document.content_hash))
        layout.addLayout(row(name, pages, gone, spacing=6))
        set_role(frame, "banner")
        return frame

    def _take_mode(self, is_many: bool) -> None:
        self.box.set_most_lines(_LIST_LINES if is_many else _MOST_LINES)
        self.box.setPlaceholderText(
            self.tr("One question a line") if is_many else self.tr("What do you want to know?")
        )
        self.box.setAccessibleName(self.tr("Questions, one a line") if is_many else self.tr("Question"))
        self._refresh()

    def _refresh(self) -> None:
        count = len(self.questions)
        is_many = self._many.isChecked()
        self._count.setText(
            plural(
                count, translate("Reading", "1 question"), translate("Reading", "%1 questions", None, count)
            )
            if is_many and count
            else ""
        )
        self._read.setEnabled(bool(count and self._documents))
        self.options_form.apart.setEnabled(is_many)

    def _choose_file(self) -> None:
        name, _ = QFileDialog.getOpenFileName(
            self,
            self.tr("Questions from a file"),
            "",
            self.tr("Questions (*.txt *.csv *.tsv);;All files (*)"),
        )
        if name:
            self.load_file(Path(name))


def _extent(document: DocumentInfo) -> str:
    if document.kind == "page":
        return plural(
            document.pages,
            translate("Reading", "1 page"),
            translate("Reading", "%1 pages", None, document.pages),
        )
    return (
        plural(
            document.pages,
            translate("Reading", "1 section"),
            translate("Reading", "%1 sections", None, document.pages),
        )
        if document.pages
        else number(0)
    )
