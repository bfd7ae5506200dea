"""The line above a document: what it is, where one is, and how it is shown."""

from PySide6.QtCore import QLocale, QSize, Qt, Signal
from PySide6.QtGui import QFontMetrics, QKeyEvent, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QLineEdit, QSizePolicy, QToolButton, QToolTip, QWidget

from app.gui.document.page_layout import ZoomMode
from app.gui.document.tips import plain_tip
from app.gui.document.values import OpenedDocument
from app.gui.icons import icon
from app.gui.look import set_role

_ICON = QSize(18, 18)
_NARROW, _NARROWER, _NARROWEST = 640, 440, 340


class ElidedLabel(QLabel):
    """A label that shortens its text with dots, and shows all of it in its tooltip."""

    def minimumSizeHint(self) -> QSize:
        """Hardly any width."""
        return QSize(40, super().minimumSizeHint().height())

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint as much as fits."""
        painter = QPainter(self)
        text = QFontMetrics(self.font()).elidedText(
            self.text(), Qt.TextElideMode.ElideMiddle, self.contentsRect().width()
        )
        painter.setPen(self.palette().color(self.foregroundRole()))
        painter.setFont(self.font())
        painter.drawText(self.contentsRect(), int(self.alignment()), text)


class PlaceField(QLineEdit):
    """Shows the page one is on, and goes to the page that is typed."""

    left = Signal()
    """Escape: nothing was meant."""

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Give up with Escape."""
        if event.key() == Qt.Key.Key_Escape:
            self.left.emit()
        else:
            super().keyPressEvent(event)

    def sizeHint(self) -> QSize:
        """Room for a label of seven characters."""
        width = self.fontMetrics().horizontalAdvance("0000000") + 18
        return QSize(width, super().sizeHint().height())


class DocumentHeader(QWidget):
    """Title, place, zoom, find and the toggles of the side pane."""

    page_wanted = Signal(int)
    """Go to this physical page."""
    zoom_wanted = Signal(str, float)
    """A `ZoomMode`, and the zoom for "free"."""
    zoom_step_wanted = Signal(int)
    """In (1) or out (-1)."""
    find_wanted = Signal(bool)
    """Show the find bar, or hide it."""
    pane_wanted = Signal(str)
    """Show "outline" or "thumbnails" at the side, or "" for nothing."""
    dim_wanted = Signal(bool)
    """Show paper less bright."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._document: OpenedDocument | None = None
        self._number = 0
        self._has_pages = True
        self._title = ElidedLabel()
        set_role(self._title, "heading")
        self._title.setTextFormat(Qt.TextFormat.PlainText)
        self._title.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.place = PlaceField()
        self.place.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.place.setAlignment(Qt.AlignmentFlag.AlignRight)
        self.place.setAccessibleName(self.tr("Go to page"))
        self.place.setToolTip(self.tr("Go to a page: its printed label, or its number in the file"))
        self.place.returnPressed.connect(self._go)
        self.place.editingFinished.connect(self._show_place)
        self.place.left.connect(self._show_place)
        self._of = QLabel()
        set_role(self._of, "muted")
        self._of.setTextFormat(Qt.TextFormat.PlainText)
        self.outline = self._toggle("outline", self.tr("Table of contents"))
        self.thumbnails = self._toggle("thumbnails", self.tr("Pages in small"))
        self.outline.toggled.connect(lambda on: self._switch_pane("outline", on))
        self.thumbnails.toggled.connect(lambda on: self._switch_pane("thumbnails", on))
        self.zoom_out = self._button("zoom-out", self.tr("Smaller (-)"), self.tr("Zoom out"))
        self.zoom_in = self._button("zoom-in", self.tr("Larger (+)"), self.tr("Zoom in"))
        self.zoom_out.clicked.connect(lambda: self.zoom_step_wanted.emit(-1))
        self.zoom_in.clicked.connect(lambda: self.zoom_step_wanted.emit(1))
        self._percent = QLabel()
        set_role(self._percent, "muted")
        self._percent.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.fit_width = self._toggle("fit-width", self.tr("Fit the width"))
        self.fit_page = self._toggle("fit-page", self.tr("Fit the page"))
        self.fit_width.clicked.connect(lambda: self.zoom_wanted.emit("width", 1.0))
        self.fit_page.clicked.connect(lambda: self.zoom_wanted.emit("page", 1.0))
        self.dim = self._toggle("moon", self.tr("Dim the pages"))
        self.dim.toggled.connect(self.dim_wanted)
        self.find_toggle = self._toggle("search", self.tr("Find in the document (Ctrl+F)"), self.tr("Find"))
        self.find_toggle.toggled.connect(self.find_wanted)
        self._arrange()
        self.show_document(None)

    def _arrange(self) -> None:
        row = QHBoxLayout(self)
        row.setContentsMargins(12, 8, 12, 8)
        row.setSpacing(2)
        row.addWidget(self.outline)
        row.addWidget(self.thumbnails)
        row.addSpacing(8)
        row.addWidget(self._title, 1)
        row.addSpacing(8)
        row.addWidget(self.place)
        row.addSpacing(4)
        row.addWidget(self._of)
        row.addSpacing(8)
        row.addWidget(self.zoom_out)
        row.addWidget(self._percent)
        row.addWidget(self.zoom_in)
        row.addWidget(self.fit_width)
        row.addWidget(self.fit_page)
        row.addWidget(self.dim)
        row.addSpacing(4)
        row.addWidget(self.find_toggle)
        self._percent.setMinimumWidth(self.fontMetrics().horizontalAdvance("0000 %"))

    def _button(self, name: str, tip: str, spoken: str = "") -> QToolButton:
        button = QToolButton(self)
        button.setIcon(icon(name))
        button.setIconSize(_ICON)
        button.setToolTip(tip)
        button.setAccessibleName(spoken or tip)
        button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        return button

    def _toggle(self, name: str, tip: str, spoken: str = "") -> QToolButton:
        button = self._button(name, tip, spoken)
        button.setCheckable(True)
        return button

    def show_document(self, document: OpenedDocument | None) -> None:
        """Say what is open; None = nothing."""
        self._document = document
        self._number = 0
        name = (document.title or document.name) if document is not None else ""
        self._title.setText(name)
        tip = "" if document is None else f"{document.title}\n{document.name}".strip()
        self._title.setToolTip(plain_tip(tip))
        for widget in (
            self.place,
            self.outline,
            self.thumbnails,
            self.find_toggle,
            self.zoom_in,
            self.zoom_out,
        ):
            widget.setEnabled(document is not None)
        self.outline.setEnabled(document is not None and bool(document.outline))
        self._show_place()

    def show_page(self, number: int) -> None:
        """Say which physical page is looked at."""
        self._number = number
        if not self.place.hasFocus() or not self.place.isModified():
            self._show_place()

    def show_zoom(self, zoom: float, mode: ZoomMode) -> None:
        """Say how large it is shown."""
        self._percent.setText(self.tr("%1 %").replace("%1", QLocale().toString(round(zoom * 100))))
        self.fit_width.setChecked(mode == "width")
        self.fit_page.setChecked(mode == "page")

    def show_kind(self, *, has_pages: bool) -> None:
        """Offer what a view of pages or of text can do."""
        self._has_pages = has_pages
        self._fit_in()

    def focus_place(self) -> None:
        """Let the user type a page."""
        self.place.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.place.selectAll()

    def _show_place(self) -> None:
        document = self._document
        if document is None or not self._number:
            self.place.clear()
            self._of.clear()
            return
        page = document.pages[self._number - 1]
        self.place.setText(page.label)
        self.place.setModified(False)
        locale = QLocale()
        total = locale.toString(len(document.pages))
        if page.label == str(page.number):
            self._of.setText(self.tr("of %1").replace("%1", total))
        else:
            number = locale.toString(page.number)
            self._of.setText(self.tr("(%1 of %2)").replace("%1", number).replace("%2", total))

    def _go(self) -> None:
        if self._document is None:
            return
        wanted = self.place.text()
        page = self._document.find_page(wanted)
        if page is None:
            text = self.tr("There is no page %1.").replace("%1", wanted)
            QToolTip.showText(
                self.place.mapToGlobal(self.place.rect().bottomLeft()), plain_tip(text), self.place
            )
            self.place.selectAll()
            return
        self.place.setModified(False)
        self.page_wanted.emit(page.number)

    def _switch_pane(self, name: str, is_on: bool) -> None:
        other = self.thumbnails if name == "outline" else self.outline
        if is_on:
            other.setChecked(False)
            self.pane_wanted.emit(name)
        elif not other.isChecked():
            self.pane_wanted.emit("")

    def _fit_in(self) -> None:
        """Leave out what matters least where there is little room."""
        width = self.width()
        for button in (self.fit_width, self.fit_page, self.dim):
            button.setVisible(self._has_pages and width >= _NARROW)
        self._percent.setVisible(width >= _NARROW)
        for button in (self.zoom_in, self.zoom_out):
            button.setVisible(width >= _NARROWER)
        self.thumbnails.setVisible(self._has_pages and width >= _NARROWEST)
        self._of.setVisible(width >= _NARROWEST)

    def minimumSizeHint(self) -> QSize:
        """Narrow: much is left out then."""
        return QSize(260, super().minimumSizeHint().height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Fit in."""
        super().resizeEvent(event)
        self._fit_in()
