"""Where one types what to find in a document."""

from PySide6.QtCore import QLocale, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QLineEdit, QToolButton, QWidget

from app.gui.icons import icon
from app.gui.look import set_role

_TYPING_MS = 180


class FindBar(QFrame):
    """A field, how many hits there are, and the ways to the next and the previous one."""

    query_changed = Signal(str)
    """Search for this; "" = for nothing."""
    step_wanted = Signal(int)
    """To the next hit (1) or the previous one (-1)."""
    closed = Signal()
    """The user is done."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        set_role(self, "panel")
        self.field = QLineEdit()
        set_role(self.field, "search")
        self.field.setPlaceholderText(self.tr("Find in the document"))
        self.field.setAccessibleName(self.tr("Find in the document"))
        self.field.setClearButtonEnabled(True)
        self.count = QLabel()
        set_role(self.count, "muted")
        self.count.setAccessibleName(self.tr("Hits"))
        self.previous = self._button("up", self.tr("Previous hit (Shift+F3)"))
        self.next = self._button("down", self.tr("Next hit (F3)"))
        self._close = self._button("close", self.tr("Close (Esc)"))
        row = QHBoxLayout(self)
        row.setContentsMargins(12, 0, 12, 8)
        row.setSpacing(4)
        row.addWidget(self.field, 1)
        row.addSpacing(4)
        row.addWidget(self.count)
        row.addSpacing(4)
        for button in (self.previous, self.next, self._close):
            row.addWidget(button)
        self._typing = QTimer(self, singleShot=True, interval=_TYPING_MS)
        self._typing.timeout.connect(self._say)
        self.field.textChanged.connect(lambda: self._typing.start())
        self.previous.clicked.connect(lambda: self.step_wanted.emit(-1))
        self.next.clicked.connect(lambda: self.step_wanted.emit(1))
        self._close.clicked.connect(self.closed)
        self.show_count(None, 0)

    def _button(self, name: str, tip: str) -> QToolButton:
        button = QToolButton()
        button.setIcon(icon(name))
        button.setIconSize(QSize(16, 16))
        button.setToolTip(tip)
        button.setAccessibleName(tip)
        button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        return button

    def begin(self, text: str = "") -> None:
        """Take the keyboard; `text` is searched for if there is any."""
        if text:
            self.field.setText(text)
        self.field.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.field.selectAll()

    def query(self) -> str:
        """What is typed, without space at its ends."""
        return self.field.text().strip()

    def show_count(self, current: int | None, total: int, *, is_more: bool = False) -> None:
        """Say how many hits there are.

        Args:
            current: index of the one that is looked at.
            total: of them; -1 while it is not known.
            is_more: whether there are more that were not looked for.
        """
        locale = QLocale()
        self.previous.setEnabled(total > 0)
        self.next.setEnabled(total > 0)
        if not self.query() or total < 0:
            self.count.setText("")
            return
        if total == 0:
            self.count.setText(self.tr("Not found"))
            return
        number = locale.toString(total) + ("+" if is_more else "")
        if current is None:
            self.count.setText(self.tr("%1 hit(s)", "", total).replace("%1", number))
        else:
            place = locale.toString(current + 1)
            self.count.setText(self.tr("%1 of %2").replace("%1", place).replace("%2", number))

    def _say(self) -> None:
        self.query_changed.emit(self.query())

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Go on with Return, close with Escape."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            if self._typing.isActive():
                self._typing.stop()
                self._say()
            back = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
            self.step_wanted.emit(-1 if back else 1)
        elif event.key() == Qt.Key.Key_Escape:
            self.closed.emit()
        else:
            super().keyPressEvent(event)
