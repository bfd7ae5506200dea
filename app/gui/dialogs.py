"""Small dialogs of the window: what went wrong, shortcuts, about, a password, closing while a reading runs."""

from collections.abc import Sequence
from enum import Enum
from pathlib import Path

import PySide6
from PySide6.QtCore import QCoreApplication, QSize, Qt, QUrl
from PySide6.QtGui import QDesktopServices, QGuiApplication, QKeySequence, QPixmap
from PySide6.QtWidgets import (
    QApplication,
    QCheckBox,
    QDialog,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QPushButton,
    QScrollArea,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from app.gui.icons import icon
from app.gui.look import set_role
from app.gui.reading.parts import button, label
from app.gui.reading.words import one_line, safe_text

_LICENCES: tuple[tuple[str, str, str], ...] = (
    ("llama.cpp, llama-cpp-python", "MIT", "runs the models"),
    ("Qt, PySide6 and Shiboken6", "LGPL-3.0, linked dynamically", "the window"),
    ("PDFium, pypdfium2", "BSD-3-Clause, Apache-2.0", "text and pictures of PDF pages"),
    ("pypdf", "BSD-3-Clause", "structure and repair of PDFs"),
    ("cryptography", "Apache-2.0 or BSD-3-Clause", "encrypted PDFs"),
    ("fonttools", "MIT", "fonts in PDFs"),
    ("lxml", "BSD-3-Clause", "EPUB and HTML"),
    ("markdown-it-py", "MIT", "Markdown"),
    ("charset-normalizer", "MIT", "encodings of text files"),
    ("sqlite-utils", "Apache-2.0", "the database of readings"),
    ("NumPy", "BSD-3-Clause", "arithmetic"),
    ("Jinja2", "BSD-3-Clause", "chat templates of models"),
    ("httpx2", "BSD-3-Clause", "models behind a server"),
    ("FastAPI, uvicorn, python-multipart", "MIT, BSD-3-Clause, Apache-2.0", "the local API"),
    ("platformdirs, psutil", "MIT, BSD-3-Clause", "folders and memory of the machine"),
    ("Typer, rich", "MIT", "the command line"),
)
"""As docs/licences.md states them; what these bring in themselves is listed there."""


class ErrorDialog(QDialog):
    """What went wrong, in one sentence, what to do about it, and the details to copy.

    Args:
        message: one sentence.
        hint: what the user can do; may be empty.
        details: for those who help; may be empty.
        folder: a folder worth opening, such as that of the logs.
        parent: the window.
    """

    _shown: "ErrorDialog | None" = None

    def __init__(
        self,
        message: str,
        hint: str = "",
        details: str = "",
        *,
        folder: Path | None = None,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle(self.tr("Something went wrong"))
        self.setMinimumWidth(460)
        self._details = details
        layout = _column(self)
        layout.addLayout(_headed("error", safe_text(message)))
        if hint:
            layout.addWidget(label(safe_text(hint), "muted"))
        self.details = QPlainTextEdit(safe_text(details))
        if details:
            self.details.setReadOnly(True)
            self.details.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
            self.details.setAccessibleName(self.tr("Details"))
            self.details.setMinimumHeight(180)
            layout.addWidget(self.details, 1)
        else:
            self.details.hide()
        buttons = QHBoxLayout()
        self.copy_button = button(self.tr("Copy details"), "copy")
        self.copy_button.clicked.connect(self._copy)
        buttons.addWidget(self.copy_button)
        if folder is not None:
            opener = button(self.tr("Open the folder of the logs"), "folder")
            opener.clicked.connect(lambda: QDesktopServices.openUrl(QUrl.fromLocalFile(str(folder))))
            buttons.addWidget(opener)
        buttons.addStretch(1)
        buttons.addWidget(_closing_button(self, self.tr("Close")))
        layout.addLayout(buttons)
        self._text = "\n\n".join(part for part in (message, hint, details) if part)

    @classmethod
    def show_bug(cls, details: str, folder: Path | None = None) -> "ErrorDialog":
        """Tell of a bug; does not wait. Several bugs in a row share one dialog, or nobody could close them all."""
        shown = cls._shown
        if shown is not None:
            shown.details.appendPlainText("\n" + safe_text(details))
            shown._text += "\n\n" + details
            return shown
        translate = QCoreApplication.translate
        dialog = cls(
            translate("ErrorDialog", "A mistake in the program: something did not work that should have."),
            translate(
                "ErrorDialog",
                "Finished readings are safe. Nothing was sent anywhere; if you report this, paste the details below.",
            ),
            details,
            folder=folder,
            parent=QApplication.activeWindow(),
        )
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        cls._shown = dialog
        dialog.finished.connect(cls._forget)
        dialog.open()
        return dialog

    @classmethod
    def _forget(cls, _: int) -> None:
        cls._shown = None

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(self._text)


class ShortcutsDialog(QDialog):
    """All keys at a glance.

    Args:
        groups: (heading, ((keys, what they do), ...)); keys as QKeySequence writes them portably.
        parent: the window.
    """

    def __init__(
        self,
        groups: Sequence[tuple[str, Sequence[tuple[str, str]]]] | None = None,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle(self.tr("Keyboard shortcuts"))
        layout = _column(self)
        title = label(self.tr("Keyboard shortcuts"), "title")
        layout.addWidget(title)
        grid = QGridLayout()
        grid.setHorizontalSpacing(40)
        grid.setVerticalSpacing(20)
        for index, (heading, keys) in enumerate(groups if groups is not None else default_shortcuts()):
            grid.addLayout(self._group(heading, keys), index // 2, index % 2, Qt.AlignmentFlag.AlignTop)
        layout.addLayout(grid)
        layout.addStretch(1)
        layout.addWidget(_closing_button(self, self.tr("Close")), 0, Qt.AlignmentFlag.AlignRight)
        self.setMinimumWidth(620)

    def _group(self, heading: str, keys: Sequence[tuple[str, str]]) -> QGridLayout:
        lines = QGridLayout()
        lines.setHorizontalSpacing(16)
        lines.setVerticalSpacing(6)
        lines.addWidget(label(heading, "heading"), 0, 0, 1, 2)
        for row, (sequence, meaning) in enumerate(keys, start=1):
            shown = QLabel(
                QKeySequence(sequence).toString(QKeySequence.SequenceFormat.NativeText) or sequence
            )
            set_role(shown, "mono")
            shown.setMinimumWidth(110)
            lines.addWidget(shown, row, 0, Qt.AlignmentFlag.AlignTop)
            lines.addWidget(label(meaning, "muted"), row, 1)
        lines.setColumnStretch(1, 1)
        return lines


def default_shortcuts() -> tuple[tuple[str, tuple[tuple[str, str], ...]], ...]:
    """The keys of the window, in groups."""

    def text(source: str) -> str:
        return QCoreApplication.translate("ShortcutsDialog", source)

    return (
        (
            text("Library"),
            (
                ("Ctrl+O", text("Open documents")),
                ("Ctrl+Shift+O", text("Open a folder")),
                ("Ctrl+Shift+F", text("Search all documents")),
                ("Return", text("Open the chosen document")),
                ("Space", text("Add it to the next reading")),
                ("Del", text("Remove it from the library")),
            ),
        ),
        (
            text("Document"),
            (
                ("Ctrl+F", text("Find in the document")),
                ("F3", text("Next place that was found")),
                ("Ctrl+G", text("Go to a page")),
                ("Ctrl++", text("Larger")),
                ("Ctrl+-", text("Smaller")),
                ("Ctrl+0", text("Fit the width")),
            ),
        ),
        (
            text("Reading"),
            (
                ("Ctrl+N", text("New question")),
                ("Ctrl+Return", text("Read")),
                ("Esc", text("Stop; what was read is kept")),
                ("Ctrl+H", text("History")),
            ),
        ),
        (
            text("Window"),
            (
                ("F7", text("Show or hide the library")),
                ("F8", text("Show or hide the reading")),
                ("F9", text("Show or hide the document")),
                ("Ctrl+,", text("Settings")),
                ("F1", text("This overview")),
                ("Ctrl+Q", text("Quit")),
            ),
        ),
    )


class AboutDialog(QDialog):
    """What this program is, and whose work is in it.

    Args:
        parent: the window.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(self.tr("About Palimpsest"))
        self.setMinimumSize(560, 480)
        layout = _column(self)
        head = QHBoxLayout()
        head.setSpacing(16)
        picture = QLabel()
        picture.setPixmap(_picture("palimpsest", 48, picture))
        head.addWidget(picture, 0, Qt.AlignmentFlag.AlignTop)
        words = QVBoxLayout()
        words.setSpacing(4)
        words.addWidget(label("Palimpsest", "title"))
        words.addWidget(label(self.tr("Version %1").replace("%1", program_version()), "muted"))
        head.addLayout(words, 1)
        layout.addLayout(head)
        tabs = QTabWidget()
        tabs.addTab(self._about(), self.tr("About"))
        tabs.addTab(self._licences(), self.tr("Licences"))
        tabs.addTab(self._system(), self.tr("This installation"))
        layout.addWidget(tabs, 1)
        layout.addWidget(_closing_button(self, self.tr("Close")), 0, Qt.AlignmentFlag.AlignRight)

    def _about(self) -> QWidget:
        page, layout = _page()
        for text in (
            self.tr(
                "Answers questions about documents of any length by reading all of them, page by page, with a small "
                "memory. Every claim of an answer is looked up in the document."
            ),
            self.tr(
                "Everything happens on this computer. The network is used only if you choose a model behind a server."
            ),
            self.tr("The way of reading follows MemAgent (arXiv 2507.02259)."),
            self.tr("Copyright 2026 The Palimpsest authors. Apache License 2.0."),
        ):
            layout.addWidget(label(text))
        layout.addStretch(1)
        return page

    def _licences(self) -> QWidget:
        page = QWidget()
        set_role(page, "panel")
        grid = QGridLayout(page)
        grid.setContentsMargins(0, 12, 12, 12)
        grid.setHorizontalSpacing(16)
        grid.setVerticalSpacing(8)
        for row, (name, licence, purpose) in enumerate(_LICENCES):
            grid.addWidget(label(name), row, 0, Qt.AlignmentFlag.AlignTop)
            grid.addWidget(label(licence), row, 1, Qt.AlignmentFlag.AlignTop)
            grid.addWidget(label(purpose, "muted"), row, 2, Qt.AlignmentFlag.AlignTop)
        for column, stretch in enumerate((5, 5, 4)):
            grid.setColumnStretch(column, stretch)
        grid.setRowStretch(len(_LICENCES), 1)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setWidget(page)
        return scroll

    def _system(self) -> QWidget:
        import platform

        page, layout = _page()
        for line in (
            f"Palimpsest {program_version()}",
            f"Python {platform.python_version()}",
            f"Qt {PySide6.__version__}",
            f"{platform.system()} {platform.release()}, {platform.machine()}",
        ):
            layout.addWidget(label(line, "mono"))
        layout.addStretch(1)
        return page


class PasswordDialog(QDialog):
    """Asks for the password of a document. `password` holds it after the dialog was accepted.

    Args:
        name: of the document.
        is_wrong: whether the last one did not open it.
        parent: the window.
    """

    def __init__(self, name: str, *, is_wrong: bool = False, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(self.tr("Password needed"))
        self.setMinimumWidth(400)
        layout = _column(self)
        layout.addLayout(_headed("file", self.tr("%1 is encrypted.").replace("%1", one_line(name, 120))))
        self.complaint = label(self.tr("This password does not open it."), "error")
        self.complaint.setVisible(is_wrong)
        layout.addWidget(self.complaint)
        self._field = QLineEdit()
        self._field.setEchoMode(QLineEdit.EchoMode.Password)
        self._field.setPlaceholderText(self.tr("Password"))
        self._field.setAccessibleName(self.tr("Password"))
        layout.addWidget(self._field)
        shown = QCheckBox(self.tr("Show it"))
        shown.toggled.connect(
            lambda on: self._field.setEchoMode(
                QLineEdit.EchoMode.Normal if on else QLineEdit.EchoMode.Password
            )
        )
        layout.addWidget(shown)
        layout.addWidget(
            label(
                self.tr("It is used to open this file and not kept. The text goes into the library."),
                "caption",
            )
        )
        accept = button(self.tr("Open"), role="primary")
        accept.setDefault(True)
        accept.setEnabled(False)
        accept.clicked.connect(self.accept)
        self._field.textChanged.connect(lambda text: accept.setEnabled(bool(text)))
        skip = button(self.tr("Leave it out"))
        skip.clicked.connect(self.reject)
        layout.addStretch(1)
        layout.addLayout(_buttons(skip, accept))

    @property
    def password(self) -> str:
        """What was typed."""
        return self._field.text()


class CloseChoice(Enum):
    """What to do with a reading when the window is to be closed."""

    STAY = "stay"
    STOP = "stop"


class CloseDialog(QDialog):
    """Asks before the window closes while it reads. `choice` holds the answer.

    Args:
        question: what is being read for.
        parent: the window.
    """

    def __init__(self, question: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(self.tr("A reading is running"))
        self.setMinimumWidth(420)
        self.choice = CloseChoice.STAY
        layout = _column(self)
        layout.addLayout(_headed("question", self.tr("Stop reading and close?")))
        if question.strip():
            layout.addWidget(label("“" + one_line(question, 200) + "”"))
        layout.addWidget(
            label(
                self.tr("What was read is kept. You can go on from there in the history, at any time."),
                "muted",
            )
        )
        stay = button(self.tr("Keep reading"), role="primary")
        stay.setDefault(True)
        stay.clicked.connect(self.reject)
        stop = button(self.tr("Stop and close"))
        stop.clicked.connect(self._stop)
        layout.addStretch(1)
        layout.addLayout(_buttons(stop, stay))

    def _stop(self) -> None:
        self.choice = CloseChoice.STOP
        self.accept()


class ConfirmDialog(QDialog):
    """Asks before something that cannot be undone; "no" is the default.

    Args:
        title: of the dialog, a question.
        text: what will happen, in one or two sentences.
        action: the button that does it.
        option: text of a box to tick; "" = none.
        needs_option: whether it is possible only with the box ticked.
        parent: the window.
    """

    def __init__(
        self,
        title: str,
        text: str,
        action: str,
        *,
        option: str = "",
        needs_option: bool = False,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle(title)
        self.setMinimumWidth(420)
        layout = _column(self)
        layout.addLayout(_headed("warning", title))
        layout.addWidget(label(text, "muted"))
        self.box = QCheckBox(option.replace("&", "&&"))
        if option:
            layout.addWidget(self.box)
        else:
            self.box.hide()
        self.action_button = button(action, role="danger")
        self.action_button.clicked.connect(self.accept)
        if needs_option:
            self.action_button.setEnabled(False)
            self.box.toggled.connect(self.action_button.setEnabled)
        keep = button(self.tr("Cancel"))
        keep.setDefault(True)
        keep.clicked.connect(self.reject)
        layout.addStretch(1)
        layout.addLayout(_buttons(keep, self.action_button))


def program_version() -> str:
    """The version that is installed."""
    from importlib.metadata import PackageNotFoundError, version  # a tenth of a second, and rarely wanted

    try:
        return version("palimpsest")
    except PackageNotFoundError:
        return QCoreApplication.translate("AboutDialog", "not installed")


def _column(dialog: QDialog) -> QVBoxLayout:
    layout = QVBoxLayout(dialog)
    layout.setContentsMargins(24, 24, 24, 20)
    layout.setSpacing(12)
    return layout


def _page() -> tuple[QWidget, QVBoxLayout]:
    page = QWidget()
    layout = QVBoxLayout(page)
    layout.setContentsMargins(0, 12, 0, 0)
    layout.setSpacing(12)
    return page, layout


def _headed(name: str, text: str) -> QHBoxLayout:
    layout = QHBoxLayout()
    layout.setSpacing(12)
    picture = QLabel()
    picture.setPixmap(_picture(name, 24, picture))
    layout.addWidget(picture, 0, Qt.AlignmentFlag.AlignTop)
    layout.addWidget(label(text, "heading"), 1)
    return layout


def _picture(name: str, side: int, widget: QWidget) -> QPixmap:
    return icon(name).pixmap(QSize(side, side), widget.devicePixelRatio())


def _buttons(*wanted: QPushButton) -> QHBoxLayout:
    layout = QHBoxLayout()
    layout.addStretch(1)
    for each in wanted:
        layout.addWidget(each)
    return layout


def _closing_button(dialog: QDialog, text: str) -> QPushButton:
    made = button(text)
    made.setDefault(True)
    made.clicked.connect(dialog.accept)
    return made
