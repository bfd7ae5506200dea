"""Small parts that the sections of the reading column share."""

from PySide6.QtCore import QEvent, QPoint, QRect, QSize, Qt, QTimer, QUrl, Signal
from PySide6.QtGui import (
    QAccessible,
    QAccessibleAnnouncementEvent,
    QColor,
    QIcon,
    QResizeEvent,
    QTextCharFormat,
    QTextOption,
)
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QLayout,
    QLayoutItem,
    QPushButton,
    QSizePolicy,
    QTextBrowser,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app.gui.icons import icon
from app.gui.look import set_role, tones
from app.gui.reading.words import translate

ANNOUNCE_EVERY_MS = 4000


def label(text: str = "", role: str = "", *, selectable: bool = True) -> QLabel:
    """A label of plain text that wraps; hostile text stays text."""
    made = QLabel(text)
    made.setTextFormat(Qt.TextFormat.PlainText)
    made.setWordWrap(True)
    if selectable:
        made.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        made.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
    made.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
    if role:
        set_role(made, role)
    return made


def button(text: str, icon_name: str = "", role: str = "") -> QPushButton:
    """A push button with an icon of the family."""
    made = QPushButton(text)
    if icon_name:
        made.setIcon(icon(icon_name, on_accent=role == "primary"))
    if role:
        set_role(made, role)
    made.setAutoDefault(False)
    return made


def icon_button(icon_name: str, name: str) -> QToolButton:
    """A button of an icon alone, named for those who do not see it."""
    made = QToolButton()
    made.setIcon(icon(icon_name))
    made.setToolTip(name)
    made.setAccessibleName(name)
    made.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    return made


def list_icon(name: str) -> QIcon:
    """An icon for a list, where what is selected has a soft ground and so the same ink. Made anew for a new look."""
    picture = icon(name).pixmap(18, 18)
    made = QIcon()
    for mode in (QIcon.Mode.Normal, QIcon.Mode.Selected, QIcon.Mode.Active):
        made.addPixmap(picture, mode)
    return made


def row(*widgets: QWidget | None, spacing: int = 8) -> QHBoxLayout:
    """Widgets side by side; None is a stretch."""
    layout = QHBoxLayout()
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(spacing)
    for widget in widgets:
        if widget is None:
            layout.addStretch(1)
        else:
            layout.addWidget(widget, 1 if isinstance(widget, QLabel) else 0)
    return layout


def column(parent: QWidget | None = None, *, margin: int = 0, spacing: int = 8) -> QVBoxLayout:
    """A layout from top to bottom."""
    layout = QVBoxLayout(parent) if parent is not None else QVBoxLayout()
    layout.setContentsMargins(margin, margin, margin, margin)
    layout.setSpacing(spacing)
    return layout


def card(role: str = "card", *, margin: int = 12, spacing: int = 8) -> tuple[QFrame, QVBoxLayout]:
    """A frame with a role, and its layout."""
    frame = QFrame()
    set_role(frame, role)
    return frame, column(frame, margin=margin, spacing=spacing)


class Section(QWidget):
    """A part with a heading that folds it away.

    Args:
        title: its heading.
        body: what it holds.

    Attributes:
        folded: it was folded or unfolded, by hand or not.
    """

    folded = Signal(bool)

    def __init__(self, title: str, body: QWidget, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._body = body
        self._is_open = True
        self._head = QToolButton()
        self._head.setText(title)
        self._head.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self._head.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._head.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        font = self._head.font()
        font.setBold(True)
        self._head.setFont(font)
        self._note = label("", "caption", selectable=False)
        self._note.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self._head.setAutoRaise(True)
        layout = column(self, spacing=4)
        layout.addLayout(row(self._head, self._note))
        layout.addWidget(body)
        self._head.clicked.connect(lambda: self.set_open(not self._is_open))
        self.set_open(True)

    @property
    def is_open(self) -> bool:
        """Whether its body is shown."""
        return self._is_open

    def set_open(self, is_open: bool) -> None:
        """Unfold or fold it."""
        self._is_open = is_open
        self._body.setVisible(is_open)
        self._head.setIcon(icon("down" if is_open else "next"))
        self._name()
        self.folded.emit(not is_open)

    def set_note(self, text: str) -> None:
        """A few words beside the heading."""
        self._note.setText(text)
        self._head.setAccessibleDescription(text)

    def set_title(self, text: str) -> None:
        """Change the heading."""
        self._head.setText(text)
        self._name()

    def _name(self) -> None:
        way = translate("Reading", "folds away") if self._is_open else translate("Reading", "unfolds")
        self._head.setAccessibleName(f"{self._head.text()}, {way}")


class FlowLayout(QLayout):
    """Widgets in lines, as words are."""

    def __init__(self, spacing: int = 8) -> None:
        super().__init__()
        self._items: list[QLayoutItem] = []
        self.setSpacing(spacing)
        self.setContentsMargins(0, 0, 0, 0)

    def addItem(self, item: QLayoutItem, /) -> None:
        """Put an item at the end."""
        self._items.append(item)

    def count(self) -> int:
        """Number of items."""
        return len(self._items)

    def itemAt(self, index: int, /) -> QLayoutItem | None:
        """An item, or None behind the last."""
        return self._items[index] if 0 <= index < len(self._items) else None

    def takeAt(self, index: int, /) -> QLayoutItem | None:
        """Remove an item."""
        return self._items.pop(index) if 0 <= index < len(self._items) else None

    def hasHeightForWidth(self) -> bool:
        """Lines break with the width."""
        return True

    def heightForWidth(self, width: int, /) -> int:
        """Height of all lines."""
        return self._arrange(QRect(0, 0, width, 0), move=False)

    def setGeometry(self, rect: QRect, /) -> None:
        """Place all items."""
        super().setGeometry(rect)
        self._arrange(rect, move=True)

    def sizeHint(self) -> QSize:
        """As small as it may be."""
        return self.minimumSize()

    def minimumSize(self) -> QSize:
        """The largest item's height; items narrower than they like are cut."""
        height = max((item.sizeHint().height() for item in self._items), default=0)
        return QSize(40, height)

    def _arrange(self, rect: QRect, *, move: bool) -> int:
        x, y, line = rect.x(), rect.y(), 0
        for item in self._items:
            hint = item.sizeHint()
            width = min(hint.width(), max(rect.width(), 40))
            if x > rect.x() and x + width > rect.right() + 1:
                x, y, line = rect.x(), y + line + self.spacing(), 0
            if move:
                item.setGeometry(QRect(QPoint(x, y), QSize(width, hint.height())))
            x += width + self.spacing()
            line = max(line, hint.height())
        return y + line - rect.y()


class TextView(QTextBrowser):
    """Real text that can be selected and read aloud, as high as it is long, up to a limit. Nothing is ever loaded.

    Args:
        most_height: pixels; beyond, it scrolls.
    """

    def __init__(self, most_height: int = 100_000, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._most_height = most_height
        self.setOpenLinks(False)
        self.setOpenExternalLinks(False)
        self.setUndoRedoEnabled(False)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWordWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextBrowserInteraction | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        self.viewport().setAutoFillBackground(False)
        self.document().setDocumentMargin(0)
        self.document().documentLayout().documentSizeChanged.connect(self._fit)
        self._fit()

    def loadResource(self, type_: int, name: QUrl | str, /) -> None:
        """Nothing: documents are untrusted, and the program does not talk to anybody."""

    def resizeEvent(self, event: QResizeEvent, /) -> None:
        """The text breaks otherwise."""
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        height = int(self.document().documentLayout().documentSize().height()) + 4
        height = max(self.fontMetrics().height() + 4, min(height, self._most_height))
        if height != self.height() or height != self.minimumHeight():
            self.setFixedHeight(height)

    def ink(
        self,
        colour: QColor | None = None,
        *,
        bold: bool = False,
        scale: float = 1.0,
        href: str = "",
    ) -> QTextCharFormat:
        """A format of characters; with `href` a link, which nothing in a document can be by itself."""
        made = QTextCharFormat()
        made.setFont(self.font())
        made.setFontPointSize(self.font().pointSizeF() * scale)
        tone = tones(self)
        made.setForeground(colour or (tone.accent if href else tone.text))
        if bold:
            made.setFontWeight(600)
        if href:
            made.setAnchor(True)
            made.setAnchorHref(href)
        return made


def is_new_look(event: QEvent) -> bool:
    """Whether colours or fonts changed, so that text with formats must be made anew."""
    return event.type() in (QEvent.Type.PaletteChange, QEvent.Type.FontChange, QEvent.Type.StyleChange)


class Announcer:
    """Tells screen readers what happens by itself, not more often than every few seconds; the latest counts.

    Args:
        widget: in whose name.
        every_ms: shortest time between two.
    """

    def __init__(self, widget: QWidget, every_ms: int = ANNOUNCE_EVERY_MS) -> None:
        self._widget = widget
        self._next = ""
        self._is_important = False
        self._timer = QTimer(widget)
        self._timer.setSingleShot(True)
        self._timer.setInterval(every_ms)
        self._timer.timeout.connect(self._speak)
        self.spoken: list[str] = []

    def say(self, text: str, *, important: bool = False) -> None:
        """Announce now, or when the time has come; what is important is not replaced by what is not."""
        if self._is_important and not important and self._next:
            return
        self._next, self._is_important = text, important
        if not self._timer.isActive():
            self._speak()

    def _speak(self) -> None:
        if not self._next:
            return
        event = QAccessibleAnnouncementEvent(self._widget, self._next)
        if self._is_important:
            event.setPoliteness(QAccessible.AnnouncementPoliteness.Assertive)
        QAccessible.updateAccessibility(event)
        self.spoken = [*self.spoken[-31:], self._next]
        self._next, self._is_important = "", False
        self._timer.start()
