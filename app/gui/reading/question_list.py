"""Several questions of one reading, each with how it stands."""

from PySide6.QtCore import QEvent, QSize, Qt, Signal
from PySide6.QtWidgets import QAbstractItemView, QListWidget, QListWidgetItem, QWidget

from app.gui.reading.parts import is_new_look, list_icon
from app.gui.reading.record import QuestionRecord
from app.gui.reading.state import ReadingState
from app.gui.reading.values import Status
from app.gui.reading.words import number, one_line, plural, translate

_ROWS = 5


class QuestionList(QListWidget):
    """The questions; the current one is what the sections show.

    Attributes:
        chosen: index of a question.
    """

    chosen = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName(self.tr("Questions"))
        self.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setUniformItemSizes(True)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setIconSize(QSize(18, 18))
        self.currentRowChanged.connect(self._choose)

    def show_state(self, state: ReadingState | None) -> None:
        """List a reading's questions; hidden where there is only one."""
        questions = state.questions if state is not None else ()
        self.blockSignals(True)
        self.clear()
        for index, question in enumerate(questions):
            self.addItem(QListWidgetItem())
            self._fill(index, question)
        if questions:
            self.setCurrentRow(0)
        self.blockSignals(False)
        self.setVisible(len(questions) > 1)
        if len(questions) > 1:
            self.setFixedHeight(min(len(questions), _ROWS) * self.sizeHintForRow(0) + 6)

    def set_current(self, index: int) -> None:
        """Mark the question that is shown, without telling anybody."""
        self.blockSignals(True)
        self.setCurrentRow(index)
        self.blockSignals(False)

    def refresh(self, state: ReadingState, index: int) -> None:
        """A question stands otherwise."""
        if index < self.count():
            self._fill(index, state.questions[index])

    def _fill(self, index: int, question: QuestionRecord) -> None:
        item = self.item(index)
        text = f"{number(index + 1)}. {one_line(question.text, 200)}\n{describe(question)}"
        if item.text() != text:
            item.setText(text)
            item.setToolTip(one_line(question.text, 600))
        name = _icon_name(question)
        if item.data(Qt.ItemDataRole.UserRole) != name:
            item.setData(Qt.ItemDataRole.UserRole, name)
            item.setIcon(list_icon(name))

    def changeEvent(self, event: QEvent, /) -> None:
        """The icons' ink follows the scheme."""
        super().changeEvent(event)
        if is_new_look(event):
            for index in range(self.count()):
                item = self.item(index)
                item.setIcon(list_icon(item.data(Qt.ItemDataRole.UserRole)))

    def _choose(self, index: int) -> None:
        if index >= 0:
            self.chosen.emit(index)


def describe(question: QuestionRecord) -> str:
    """How a question stands, in a few words."""
    if question.answer is not None:
        return (
            one_line(question.answer.text, 120)
            if question.answer.answered
            else translate("Reading", "The document does not say")
        )
    if question.status is Status.FAILED and question.problem is not None:
        return one_line(question.problem.message, 120)
    names = {
        Status.PLANNING: translate("Reading", "being planned"),
        Status.PLANNED: translate("Reading", "planned"),
        Status.PAUSED: translate("Reading", "paused"),
        Status.STOPPED: translate("Reading", "stopped"),
        Status.INTERRUPTED: translate("Reading", "interrupted"),
    }
    if question.status in names:
        return names[question.status]
    return plural(
        len(question.excerpts),
        translate("Reading", "1 excerpt so far"),
        translate("Reading", "%1 excerpts so far", None, len(question.excerpts)),
    )


def _icon_name(question: QuestionRecord) -> str:
    if question.answer is not None:
        return "check" if question.answer.answered else "info"
    names = {
        Status.FAILED: "error",
        Status.STOPPED: "stop",
        Status.INTERRUPTED: "warning",
        Status.PAUSED: "pause",
    }
    return names.get(question.status, "clock")
