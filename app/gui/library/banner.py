"""A strip that says what happened and what can be done about it."""

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QVBoxLayout, QWidget

from app.gui.look import set_role
from app.gui.reading.parts import icon_button, label
from app.gui.reading.words import safe_text


class Banner(QFrame):
    """Hidden until there is something to say.

    Args:
        parent: the panel.
    """

    closed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(12, 8, 4, 8)
        words = QVBoxLayout()
        words.setSpacing(2)
        self.text = label()
        self.hint = label(role="caption")
        words.addWidget(self.text)
        words.addWidget(self.hint)
        layout.addLayout(words, 1)
        close = icon_button("close", self.tr("Dismiss"))
        close.clicked.connect(self.hide)
        close.clicked.connect(self.closed)
        layout.addWidget(close)
        self.hide()

    def say(self, text: str, hint: str = "", *, is_bad: bool = False) -> None:
        """Show a sentence and what can be done."""
        set_role(self, "banner-bad" if is_bad else "banner")
        self.text.setText(safe_text(text))
        self.hint.setText(safe_text(hint))
        self.hint.setVisible(bool(hint))
        self.show()
