"""The first thing a new user sees: what this is, a place to drop a document, and one click to a first answer."""

from collections.abc import Sequence

from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QDragEnterEvent,
    QDragLeaveEvent,
    QDropEvent,
    QPainter,
    QPainterPath,
    QPaintEvent,
    QPen,
    QResizeEvent,
    QShowEvent,
)
from PySide6.QtWidgets import QBoxLayout, QFrame, QHBoxLayout, QLabel, QScrollArea, QVBoxLayout, QWidget

from app.gui.icons import icon
from app.gui.library.dropping import paths_of
from app.gui.look import reading_font, tones
from app.gui.reading.parts import button, label
from engine.paths import RESOURCES

SAMPLE = RESOURCES / "samples" / "kestrelmouth-report.pdf"
SAMPLE_QUESTION = "What length of the North Mole was breached?"

_NARROW = 520


class Welcome(QScrollArea):
    """Stands where documents will be shown while there is none.

    Args:
        parent: the document column.
    """

    try_sample = Signal(str, str)
    """(path of the sample document, question to ask of it)."""
    open_wanted = Signal()
    """The user wants to choose files."""
    files_dropped = Signal(list)
    """Paths of files and folders."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        inner = QWidget()
        outer = QHBoxLayout(inner)
        outer.setContentsMargins(24, 24, 24, 24)
        outer.addStretch(1)
        column = QWidget()
        column.setMaximumWidth(560)
        outer.addWidget(column, 100)
        outer.addStretch(1)
        layout = QVBoxLayout(column)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        layout.addStretch(2)
        self._title = label(
            self.tr("Ask a document anything.\nIt is read to the last page."), selectable=False
        )
        self._title.setSizePolicy(column.sizePolicy())
        layout.addWidget(self._title)
        layout.addSpacing(4)
        layout.addWidget(
            label(
                self.tr(
                    "Palimpsest reads every page of a document, however long, and keeps what matters to your question "
                    "in a small memory that you can watch. Each claim of the answer leads to the sentence it came from."
                ),
                "muted",
                selectable=False,
            )
        )
        layout.addSpacing(20)
        self.drop_area = _DropArea(_describe())
        self.drop_area.open_wanted.connect(self.open_wanted)
        self.drop_area.files_dropped.connect(self.files_dropped)
        layout.addWidget(self.drop_area)
        layout.addSpacing(20)
        layout.addWidget(self._sample())
        layout.addSpacing(12)
        layout.addWidget(
            label(
                self.tr("Everything stays on this computer. Nothing is sent anywhere."),
                "caption",
                selectable=False,
            )
        )
        layout.addStretch(3)
        self.setWidget(inner)

    def showEvent(self, event: QShowEvent) -> None:
        """The heading goes by the text size of the moment."""
        font = reading_font(self, 1.9)
        self._title.setFont(font)
        super().showEvent(event)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """In a narrow column the button of the sample goes below its words."""
        super().resizeEvent(event)
        direction = QBoxLayout.Direction
        is_narrow = event.size().width() < _NARROW
        self._sample_layout.setDirection(direction.TopToBottom if is_narrow else direction.LeftToRight)

    def _sample(self) -> QWidget:
        card = QFrame()
        card.setProperty("role", "card")
        outer = self._sample_layout = QBoxLayout(QBoxLayout.Direction.LeftToRight, card)
        outer.setContentsMargins(16, 12, 12, 12)
        outer.setSpacing(12)
        layout = QHBoxLayout()
        layout.setSpacing(12)
        outer.addLayout(layout, 1)
        picture = QLabel()
        picture.setPixmap(icon("book").pixmap(QSize(24, 24), self.devicePixelRatio()))
        layout.addWidget(picture, 0, Qt.AlignmentFlag.AlignTop)
        words = QVBoxLayout()
        words.setSpacing(2)
        words.addWidget(label(self.tr("No document at hand?"), "heading", selectable=False))
        words.addWidget(
            label(
                self.tr("The annual report of a harbour, 121 pages: “%1”").replace("%1", SAMPLE_QUESTION),
                "muted",
            )
        )
        layout.addLayout(words, 1)
        self.sample_button = button(self.tr("Try it with the sample"), "play")
        self.sample_button.setEnabled(SAMPLE.is_file())
        self.sample_button.clicked.connect(lambda: self.try_sample.emit(str(SAMPLE), SAMPLE_QUESTION))
        outer.addWidget(self.sample_button, 0, Qt.AlignmentFlag.AlignVCenter)
        return card


class _DropArea(QFrame):
    """A dashed field that takes files and folders."""

    open_wanted = Signal()
    files_dropped = Signal(list)

    def __init__(self, formats: str) -> None:
        super().__init__()
        self.setAcceptDrops(True)
        self._is_over = False
        layout = QVBoxLayout(self)
        layout.setContentsMargins(24, 32, 24, 32)
        layout.setSpacing(8)
        centre = Qt.AlignmentFlag.AlignHCenter
        self._headline = QLabel(self.tr("Drop documents or folders here"))
        self._headline.setProperty("role", "heading")
        layout.addWidget(self._headline, 0, centre)
        hint = QLabel(formats)
        hint.setProperty("role", "caption")
        hint.setWordWrap(True)
        hint.setAlignment(centre)
        layout.addWidget(hint)
        layout.addSpacing(8)
        opener = button(self.tr("Open a document…"), "add", "primary")
        opener.clicked.connect(self.open_wanted)
        layout.addWidget(opener, 0, centre)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Take what holds files."""
        if paths_of(event.mimeData()):
            event.acceptProposedAction()
            self._mark(True)

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:
        """Not here after all."""
        self._mark(False)

    def dropEvent(self, event: QDropEvent) -> None:
        """Hand the files over."""
        self._mark(False)
        paths = paths_of(event.mimeData())
        if paths:
            event.acceptProposedAction()
            self.files_dropped.emit(paths)

    def paintEvent(self, event: QPaintEvent) -> None:
        """A dashed outline, in the accent colour while files hover over it."""
        tone = tones(self)
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        shape = QPainterPath()
        shape.addRoundedRect(QRectF(self.rect()).adjusted(1, 1, -1, -1), 12, 12)
        painter.fillPath(shape, tone.accent_soft if self._is_over else tone.surface)
        pen = QPen(tone.accent if self._is_over else tone.faint, 1.5, Qt.PenStyle.CustomDashLine)
        pen.setDashPattern([4, 4])
        painter.setPen(pen)
        painter.drawPath(shape)
        painter.end()

    def _mark(self, is_over: bool) -> None:
        self._is_over = is_over
        self.update()


def _describe() -> str:
    names: Sequence[str] = ("PDF", "EPUB", "HTML", "Markdown", "text")
    return " · ".join(names)
