"""Editing the memory of a step, from which a new reading branches off."""

from PySide6.QtCore import Signal
from PySide6.QtGui import QTextCursor
from PySide6.QtWidgets import QPlainTextEdit, QWidget

from app.gui.reading.parts import button, column, label, row
from app.gui.reading.words import fill, number, translate


class MemoryEdit(QWidget):
    """The memory, one item a line, to be changed.

    Attributes:
        branch: go on from here with this text.
        cancelled: leave it.
    """

    branch = Signal(str)
    cancelled = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._budget = 0
        self._tokens_per_character = 0.25
        self._says = label("", "muted")
        self.text = QPlainTextEdit()
        self.text.setAccessibleName(self.tr("Edited memory, one item a line"))
        self.text.setTabChangesFocus(True)
        self.text.setMinimumHeight(140)
        self._weight = label("", "caption")
        self._branch = button(self.tr("Read on from here"), "branch", "primary")
        cancel = button(self.tr("Cancel"), role="quiet")
        layout = column(self)
        for widget in (self._says, self.text, self._weight):
            layout.addWidget(widget)
        layout.addLayout(row(self._branch, cancel, None))
        self.text.textChanged.connect(self._weigh)
        self._branch.clicked.connect(lambda: self.branch.emit(self.text.toPlainText()))
        cancel.clicked.connect(self.cancelled)

    def begin(self, memory: str, step: int, *, budget: int, tokens_per_character: float) -> None:
        """Edit the memory after a step.

        Args:
            memory: its text.
            step: the chunk's number.
            budget: most tokens of the memory.
            tokens_per_character: by which its tokens are judged.
        """
        self._budget, self._tokens_per_character = budget, tokens_per_character
        self._says.setText(
            fill(
                translate(
                    "Reading",
                    "Change what the reader knows after step %1, one item a line. A new reading goes on from there "
                    "with this memory; this one stays as it is.",
                ),
                number(step),
            )
        )
        self._branch.setText(fill(translate("Reading", "Read on from step %1"), number(step)))
        self.text.setPlainText(memory)
        self.text.setFocus()

    def add(self, item: str) -> None:
        """Put a line at the end."""
        text = self.text.toPlainText()
        self.text.setPlainText(f"{text}\n{item}" if text.strip() else item)
        self.text.moveCursor(QTextCursor.MoveOperation.End)
        self.text.ensureCursorVisible()

    def _weigh(self) -> None:
        tokens = len(self.text.toPlainText()) * self._tokens_per_character
        line = fill(translate("Reading", "about %1 of %2 tokens"), number(tokens), number(self._budget))
        if self._budget and tokens > self._budget:
            line += " · " + self.tr("more than the memory may hold: the reader will have to shorten it")
        self._weight.setText(line)
