"""The frame of the window: three columns, a status bar, and where they stood last time."""

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QByteArray, QSettings, QSize, Qt, Signal
from PySide6.QtGui import QAction, QDragEnterEvent, QDropEvent, QKeySequence
from PySide6.QtWidgets import (
    QLabel,
    QMainWindow,
    QSplitter,
    QStackedWidget,
    QStatusBar,
    QTabWidget,
    QToolButton,
    QWidget,
)

from app.gui.icons import icon
from app.gui.library.dropping import paths_of
from app.gui.look import set_role
from app.gui.reading.parts import icon_button

_WIDTHS = (280, 620, 460)
_SIZE = (1360, 860)
_GEOMETRY = "window/geometry"
_COLUMNS = "window/columns"
_NOTE_MS = 6000


class Frame(QMainWindow):
    """Holds the parts; knows nothing of what they do.

    Attributes:
        toggles: actions that show and hide the columns: library, reading, document.
    """

    files_dropped = Signal(list)
    """Paths (`Path`) of files and folders that were dropped anywhere."""

    def __init__(self) -> None:
        super().__init__()
        self.setWindowTitle("Palimpsest")
        self.setAcceptDrops(True)
        self._left = QTabWidget()
        self._left.setDocumentMode(True)
        self._left.tabBar().setExpanding(False)
        self._centre = QStackedWidget()
        self._columns = QSplitter(Qt.Orientation.Horizontal)
        self._model_line, self._rate_line, self._place_line = QLabel(), QLabel(), QLabel()
        self.toggles: tuple[QAction, ...] = ()

    def arrange(self, left: Sequence[tuple[QWidget, str]], centre: Sequence[QWidget], right: QWidget) -> None:
        """Put the parts in their places.

        Args:
            left: tabs of the left column with their titles.
            centre: what takes turns in the middle.
            right: the right column.
        """
        for widget, title in left:
            self._left.addTab(widget, title)
        for widget in centre:
            self._centre.addWidget(widget)
        for column in (self._left, self._centre, right):
            self._columns.addWidget(column)
        self._columns.setStretchFactor(1, 1)
        self._columns.setChildrenCollapsible(False)
        self._columns.setSizes(list(_WIDTHS))
        self.setCentralWidget(self._columns)
        self.toggles = (
            self._toggle(self.tr("&Library"), self._left, "F7", "sidebar"),
            self._toggle(self.tr("&Reading"), right, "F8", "sidebar-right"),
            self._toggle(self.tr("&Document"), self._centre, "F9", "page"),
        )
        self._fill_bar()
        self.resize(*_SIZE)

    def show_left(self, widget: QWidget) -> None:
        """Bring a tab of the left column to the front."""
        self.toggles[0].setChecked(True)
        self._left.setCurrentWidget(widget)

    def show_centre(self, widget: QWidget) -> None:
        """Bring this into the middle."""
        self._centre.setCurrentWidget(widget)

    def say_model(self, model: str, place: str) -> None:
        """Name the model, and where it is."""
        self._model_line.setText(model)
        self._place_line.setText(place)

    def say_rate(self, text: str) -> None:
        """How a reading gets on; "" = there is none."""
        self._rate_line.setText(text)

    def say(self, text: str) -> None:
        """Say something for a few seconds."""
        self.statusBar().showMessage(text, _NOTE_MS)

    def restore_places(self) -> None:
        """Stand where the window stood last time."""
        settings = QSettings()
        geometry, columns = settings.value(_GEOMETRY), settings.value(_COLUMNS)
        if isinstance(geometry, QByteArray):
            self.restoreGeometry(geometry)
        if isinstance(columns, QByteArray):
            self._columns.restoreState(columns)

    def keep_places(self) -> None:
        """Remember where the window stands."""
        settings = QSettings()
        settings.setValue(_GEOMETRY, self.saveGeometry())
        settings.setValue(_COLUMNS, self._columns.saveState())

    def add_to_bar(self, button: QToolButton) -> None:
        """A small button at the right end of the status bar."""
        button.setIconSize(QSize(16, 16))
        button.setMaximumSize(26, 22)
        self.statusBar().addPermanentWidget(button)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Files may be dropped anywhere."""
        if paths_of(event.mimeData()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        """Take them in."""
        paths = paths_of(event.mimeData())
        if paths:
            event.acceptProposedAction()
            self.files_dropped.emit([Path(path) for path in paths])

    def _toggle(self, text: str, column: QWidget, keys: str, picture: str) -> QAction:
        action = QAction(icon(picture), text, self, checkable=True, checked=True)
        action.setShortcut(QKeySequence(keys))
        action.toggled.connect(column.setVisible)
        return action

    def _fill_bar(self) -> None:
        bar = QStatusBar()
        self.setStatusBar(bar)
        for line in (self._model_line, self._rate_line, self._place_line):
            set_role(line, "caption")
            line.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            line.setContentsMargins(8, 0, 8, 0)
        bar.addWidget(self._model_line)
        bar.addWidget(self._rate_line, 1)
        bar.addPermanentWidget(self._place_line)
        for action, picture in zip(self.toggles, ("sidebar", "sidebar-right"), strict=False):
            button = icon_button(picture, action.text().replace("&", ""))
            button.setCheckable(True)
            button.setChecked(True)
            button.clicked.connect(action.setChecked)
            action.toggled.connect(button.setChecked)
            self.add_to_bar(button)
