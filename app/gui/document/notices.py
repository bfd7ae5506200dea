"""What stands in the place of a document that cannot be shown, and above one that is not shown as it is."""

from PySide6.QtCore import QEvent, QSize, Qt, Signal
from PySide6.QtGui import QDragEnterEvent, QDragLeaveEvent, QDropEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QLineEdit, QPushButton, QVBoxLayout, QWidget

from app.gui.icons import icon
from app.gui.look import set_role, tones


class Invitation(QWidget):
    """An empty column that says what to do; or, where a document cannot be shown, why."""

    files_dropped = Signal(list)
    """Paths, as strings."""
    open_wanted = Signal()
    """The user wants to choose a file."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAcceptDrops(True)
        self._is_dragged_over = False
        self._picture = QLabel()
        self._picture.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._title = QLabel()
        self._hint = QLabel()
        set_role(self._title, "title")
        set_role(self._hint, "muted")
        for label in (self._title, self._hint):
            label.setAlignment(Qt.AlignmentFlag.AlignCenter)
            label.setTextFormat(Qt.TextFormat.PlainText)
            label.setWordWrap(True)
            label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._open = QPushButton(self.tr("Open a file…"))
        self._open.clicked.connect(self.open_wanted)
        column = QVBoxLayout(self)
        column.setContentsMargins(48, 48, 48, 48)
        column.setSpacing(12)
        column.addStretch(2)
        column.addWidget(self._picture)
        column.addSpacing(4)
        column.addWidget(self._title)
        column.addWidget(self._hint)
        column.addSpacing(8)
        column.addWidget(self._open, 0, Qt.AlignmentFlag.AlignHCenter)
        column.addStretch(3)
        self._name = "file"
        self.invite()

    def invite(self) -> None:
        """Ask for a document."""
        self._show(
            "file",
            self.tr("Drop a document here"),
            self.tr("PDF, EPUB, HTML, Markdown or text, of any length. It stays on this computer."),
        )
        self._open.show()

    def say(self, message: str, hint: str) -> None:
        """Say why there is nothing to see."""
        self._show("warning", message, hint)
        self._open.hide()

    def wait(self, name: str) -> None:
        """Say that a document is being opened."""
        self._show("file", self.tr("Opening %1…").replace("%1", name), "")
        self._open.hide()

    def title(self) -> str:
        """What it says."""
        return self._title.text()

    def hint(self) -> str:
        """What it says below."""
        return self._hint.text()

    def _show(self, name: str, title: str, hint: str) -> None:
        self._name = name
        self._picture.setPixmap(icon(name).pixmap(QSize(44, 44), self.devicePixelRatioF()))
        self._title.setText(title)
        self._hint.setText(hint)
        self._hint.setVisible(bool(hint))

    def changeEvent(self, event: QEvent) -> None:
        """Follow a change of colours."""
        super().changeEvent(event)
        if event.type() is QEvent.Type.PaletteChange:
            self._picture.setPixmap(icon(self._name).pixmap(QSize(44, 44), self.devicePixelRatioF()))

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Take files."""
        if any(url.isLocalFile() for url in event.mimeData().urls()):
            event.acceptProposedAction()
            self._is_dragged_over = True
            self.update()

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:
        """The files went away again."""
        self._is_dragged_over = False
        self.update()

    def dropEvent(self, event: QDropEvent) -> None:
        """Pass the files on."""
        self._is_dragged_over = False
        self.update()
        self.files_dropped.emit([url.toLocalFile() for url in event.mimeData().urls() if url.isLocalFile()])
        event.acceptProposedAction()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the frame that files are dropped into."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        tone = tones(self)
        pen = QPen(tone.accent if self._is_dragged_over else tone.line, 1.5, Qt.PenStyle.DashLine)
        painter.setPen(pen)
        if self._is_dragged_over:
            painter.setBrush(tone.accent_soft)
        painter.drawRoundedRect(self.rect().adjusted(24, 24, -24, -24), 12, 12)


class Notice(QFrame):
    """A strip above the document: a sentence, a hint, and a field for a password where one helps."""

    password_given = Signal(str)
    """What the user typed."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        set_role(self, "banner")
        self._text = QLabel()
        self._text.setWordWrap(True)
        self._text.setTextFormat(Qt.TextFormat.PlainText)
        self._text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._picture = QLabel()
        self.field = QLineEdit()
        self.field.setEchoMode(QLineEdit.EchoMode.Password)
        self.field.setPlaceholderText(self.tr("Password"))
        self.field.setAccessibleName(self.tr("Password of the document"))
        self.field.setMaximumWidth(180)
        self._unlock = QPushButton(self.tr("Show pages"))
        self.field.returnPressed.connect(self._give)
        self._unlock.clicked.connect(self._give)
        row = QHBoxLayout(self)
        row.setContentsMargins(12, 8, 12, 8)
        row.setSpacing(8)
        row.addWidget(self._picture, 0, Qt.AlignmentFlag.AlignTop)
        row.addWidget(self._text, 1)
        row.addWidget(self.field)
        row.addWidget(self._unlock)
        self.hide()

    def say(self, text: str, *, wants_password: bool = False) -> None:
        """Show a sentence."""
        self._text.setText(text)
        self._picture.setPixmap(icon("info").pixmap(QSize(18, 18), self.devicePixelRatioF()))
        self.field.setVisible(wants_password)
        self._unlock.setVisible(wants_password)
        self.field.clear()
        self.show()

    def text(self) -> str:
        """What it says."""
        return self._text.text()

    def _give(self) -> None:
        if self.field.text():
            self.password_given.emit(self.field.text())
