"""What went wrong, what can be done, and the way back."""

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFrame, QWidget

from app.gui.look import set_role
from app.gui.reading.parts import button, column, label, row


class ProblemBanner(QFrame):
    """One sentence, a hint, and buttons.

    Attributes:
        resume_wanted: go on from the last finished step.
        again_wanted: ask the same anew.
    """

    resume_wanted = Signal()
    again_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        set_role(self, "banner-bad")
        self._says = label("", "heading")
        self._hint = label("", "")
        self._where = label("", "muted")
        self.resume = button(self.tr("Go on reading"), "resume", "primary")
        self.again = button(self.tr("Ask again"), "regenerate")
        layout = column(self, margin=12)
        for widget in (self._says, self._hint, self._where):
            layout.addWidget(widget)
        layout.addLayout(row(self.resume, self.again, None))
        self.resume.clicked.connect(self.resume_wanted)
        self.again.clicked.connect(self.again_wanted)

    def show_problem(
        self, message: str, hint: str = "", where: str = "", *, can_resume: bool, is_bad: bool = True
    ) -> None:
        """Show what happened.

        Args:
            message: one sentence.
            hint: what can be done.
            where: how far it had come.
            can_resume: whether it can go on.
            is_bad: whether it is an error, not a wish.
        """
        set_role(self, "banner-bad" if is_bad else "banner")
        for widget, text in ((self._says, message), (self._hint, hint), (self._where, where)):
            widget.setText(text)
            widget.setVisible(bool(text))
        self.resume.setVisible(can_resume)
        self.show()
