"""Live memory: what the reader knows after each step, what the step changed, what was forgotten; to edit and branch."""

from PySide6.QtCore import QEvent, Qt, QTimer, Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QProgressBar, QToolButton, QWidget

from app.gui.icons import icon
from app.gui.reading.forgotten import ForgottenList
from app.gui.reading.memory_edit import MemoryEdit
from app.gui.reading.memory_text import MemoryText
from app.gui.reading.parts import Section, button, card, column, icon_button, is_new_look, label, row
from app.gui.reading.record import QuestionRecord
from app.gui.reading.state import ReadingState
from app.gui.reading.step_slider import StepSlider
from app.gui.reading.values import Step
from app.gui.reading.words import fill, number, outcome_name, pages_label, plural, translate

_DRAW_EVERY_MS = 100
"""However fast steps arrive, the memory is drawn so often."""


class MemoryView(QWidget):
    """The memory of one question of a reading.

    Attributes:
        place_wanted: a `Place`.
        branch_wanted: run id, number of the step, the edited memory.
        step_shown: number of the chunk whose memory is shown.
    """

    place_wanted = Signal(object)
    branch_wanted = Signal(str, int, str)
    step_shown = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state: ReadingState | None = None
        self._index = 0
        self._position = -1
        self._says = label("", "muted")
        self._live = QToolButton()
        self._live.setText(self.tr("Live"))
        self._live.setIcon(icon("eye"))
        self._live.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self._live.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._live.setCheckable(True)
        self._live.setChecked(True)
        self._live.setToolTip(self.tr("Follow the reading: always show the latest step"))
        self._steps = StepSlider()
        self._fill = QProgressBar()
        self._fill.setTextVisible(False)
        self._fill.setAccessibleName(self.tr("Memory budget filled"))
        self._weight = label("", "caption")
        self._text = MemoryText()
        self._changed = label("", "caption")
        self._marks = icon_button("compare", self.tr("Mark what the last change added and removed"))
        self._marks.setCheckable(True)
        self._marks.setChecked(True)
        self._copy = icon_button("copy", self.tr("Copy the memory"))
        self._edit_button = button(self.tr("Edit and branch"), "edit", "quiet")
        self._edit = MemoryEdit()
        self._edit.hide()
        self._forgotten = ForgottenList()
        self._lost = Section(self.tr("Forgotten"), self._forgotten)
        self._lost.set_open(False)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_DRAW_EVERY_MS)
        self._lay_out()
        self._connect()

    def _lay_out(self) -> None:
        layout = column(self)
        layout.addLayout(row(self._says, self._live))
        layout.addWidget(self._steps)
        frame, inside = card()
        inside.addWidget(self._text)
        inside.addLayout(row(self._changed, self._marks, self._copy, spacing=4))
        inside.addWidget(self._fill)
        inside.addWidget(self._weight)
        layout.addWidget(frame)
        layout.addLayout(row(self._edit_button, None))
        layout.addWidget(self._edit)
        layout.addWidget(self._lost)

    def _connect(self) -> None:
        self._timer.timeout.connect(self.draw)
        self._steps.chosen.connect(self._choose)
        self._steps.previous.clicked.connect(lambda: self._jump(forward=False))
        self._steps.next.clicked.connect(lambda: self._jump(forward=True))
        self._live.toggled.connect(self._follow)
        self._marks.toggled.connect(self.draw)
        self._copy.clicked.connect(self._copy_memory)
        self._text.place_wanted.connect(self.place_wanted)
        self._forgotten.place_wanted.connect(self.place_wanted)
        self._forgotten.restore.connect(self._restore)
        self._edit_button.clicked.connect(self.edit)
        self._edit.cancelled.connect(self._edit.hide)
        self._edit.branch.connect(self._branch)
        self._lost.folded.connect(lambda _: self.draw())

    # What is shown

    @property
    def position(self) -> int:
        """Position of the step that is shown; -1 = none."""
        return self._position

    @property
    def is_live(self) -> bool:
        """Whether it follows the reading."""
        return self._live.isChecked()

    def show_question(self, state: ReadingState | None, index: int) -> None:
        """Show a question of a reading, at its last step."""
        self._state, self._index = state, index
        self._text.forget()
        self._edit.hide()
        self._live.setChecked(True)
        self.draw()

    def step_added(self) -> None:
        """There is one more step; it is drawn soon."""
        if not self._timer.isActive():
            self._timer.start()

    def go_to(self, position: int) -> None:
        """Show the step at a position and stay there."""
        self._live.setChecked(False)
        self._position = position
        self.draw()

    def go_to_chunk(self, number_: int) -> None:
        """Show the memory after a chunk, if it was read."""
        question = self._question
        for position, step in enumerate(question.steps if question else ()):
            if step.chunk == number_:
                self.go_to(position)
                return

    def edit(self) -> None:
        """Begin to edit the memory of the step that is shown."""
        step, state = self._step, self._state
        if step is None or state is None or state.plan is None:
            return
        self._live.setChecked(False)
        self._edit.show()
        self._edit.begin(
            step.after,
            step.chunk,
            budget=state.plan.memory_tokens,
            tokens_per_character=state.tokens_per_character,
        )

    def draw(self) -> None:
        """Draw the step anew."""
        question = self._question
        count = len(question.steps) if question else 0
        if self.is_live or self._position >= count:
            self._position = count - 1
        self._live.setVisible(bool(question and question.status.is_active))
        is_there = question is not None and self._position >= 0
        for widget in (self._steps, self._fill, self._copy, self._marks, self._edit_button, self._lost):
            widget.setVisible(is_there)
        if question is None or not is_there:
            self._says.setText(self.tr("Each step of the reading will appear here."))
            self._text.forget()
            self._text.setPlainText("")
            self._changed.setText("")
            self._weight.setText("")
            return
        self._draw_step(question, question.steps[self._position])

    def changeEvent(self, event: QEvent, /) -> None:
        """Colours are part of the text."""
        super().changeEvent(event)
        if is_new_look(event) and self._state is not None:
            self._text.forget()
            self._timer.start()

    # How

    @property
    def _question(self) -> QuestionRecord | None:
        if self._state is None or self._index >= len(self._state.questions):
            return None
        return self._state.questions[self._index]

    @property
    def _step(self) -> Step | None:
        question = self._question
        return (
            question.steps[self._position] if question and 0 <= self._position < len(question.steps) else None
        )

    def _draw_step(self, question: QuestionRecord, step: Step) -> None:
        assert self._state is not None
        plan = self._state.plan
        assert plan is not None, "steps belong to a plan"
        says = self._describe(step)
        self._says.setText(says)
        self._steps.show_steps(len(question.steps), question.changes, self._position, says)
        with_changes = self._marks.isChecked()
        added, removed = self._text.show_memory(
            question, self._position, self._state.chunks, with_changes=with_changes
        )
        self._changed.setText(self._describe_change(question, added, removed) if with_changes else "")
        self._draw_weight(question, step, plan.memory_tokens, self._state.tokens_per_character)
        lost = (
            self._forgotten.show_lost(question, self._position, self._state.chunks)
            if self._lost.is_open
            else len(question.forgotten(self._position, 200))
        )
        self._lost.set_note(
            self.tr("200 or more") if lost >= 200 else number(lost) if lost else self.tr("nothing")
        )
        self.step_shown.emit(step.chunk)

    def _describe(self, step: Step) -> str:
        assert self._state is not None
        plan = self._state.plan
        total = plan.chunks_total if plan else step.chunk
        chunk = self._state.chunk(step.chunk)
        parts = [
            fill(translate("Reading", "Step %1 of %2"), number(step.chunk), number(max(total, step.chunk)))
        ]
        if chunk is not None:
            parts.append(pages_label(chunk.labels))
            if chunk.is_repeat:
                parts.append(self.tr("read once more"))
        return " · ".join([*parts, outcome_name(step.outcome)])

    def _describe_change(self, question: QuestionRecord, added: int, removed: int) -> str:
        at = question.last_change(self._position)
        if at is None:
            return self.tr("No step has changed the memory so far.")
        parts = [fill(translate("Reading", "Last changed at step %1"), number(question.steps[at].chunk))]
        if added:
            parts.append(
                plural(
                    added,
                    translate("Reading", "1 word added"),
                    translate("Reading", "%1 words added", None, added),
                )
            )
        if removed:
            parts.append(
                plural(
                    removed,
                    translate("Reading", "1 word removed"),
                    translate("Reading", "%1 words removed", None, removed),
                )
            )
        return " · ".join(parts)

    def _draw_weight(self, question: QuestionRecord, step: Step, budget: int, per_character: float) -> None:
        exact = question.memory_tokens.get(step.after)
        tokens = round(len(step.after) * per_character) if exact is None else exact
        self._fill.setVisible(budget > 0)
        self._fill.setRange(0, max(1, budget))
        self._fill.setValue(min(tokens, budget))
        used = (
            translate("Reading", "about %1 of %2 tokens of memory used")
            if exact is None
            else translate("Reading", "%1 of %2 tokens of memory used")
        )
        self._weight.setText(fill(used, number(tokens), number(budget)) if budget else "")

    def _choose(self, position: int) -> None:
        question = self._question
        is_last = question is not None and position == len(question.steps) - 1
        self._position = position
        self._live.setChecked(is_last)
        self.draw()

    def _jump(self, *, forward: bool) -> None:
        question = self._question
        if question is None:
            return
        target = question.change_after(self._position) if forward else question.change_before(self._position)
        if target is not None:
            self.go_to(target)

    def _follow(self, is_live: bool) -> None:
        if is_live:
            self.draw()

    def _copy_memory(self) -> None:
        if self._step is not None:
            QGuiApplication.clipboard().setText(self._step.after)

    def _restore(self, text: str) -> None:
        if self._edit.isHidden():
            self.edit()
        self._edit.add(text)

    def _branch(self, text: str) -> None:
        question, step = self._question, self._step
        if question is not None and question.run_id and step is not None:
            self._edit.hide()
            self.branch_wanted.emit(question.run_id, step.chunk, text)
