"""The reading column: asks, shows the plan, the memory as it grows, the evidence and the answer."""

from collections.abc import Callable, Sequence

from PySide6.QtCore import QTimer, Signal, SignalInstance
from PySide6.QtWidgets import QFrame, QScrollArea, QSizePolicy, QWidget

from app.gui.look import set_role
from app.gui.reading.answer import AnswerView
from app.gui.reading.ask import AskPanel
from app.gui.reading.evidence import EvidenceView
from app.gui.reading.memory_view import MemoryView
from app.gui.reading.parts import Announcer, Section, button, column, label, row
from app.gui.reading.plan_card import PlanCard, ProgressPanel, end_line, status_line
from app.gui.reading.problem import ProblemBanner
from app.gui.reading.question_list import QuestionList
from app.gui.reading.record import QuestionRecord
from app.gui.reading.state import ReadingState
from app.gui.reading.values import DocumentInfo, Place, Problem, Status
from app.gui.reading.words import fill, page_label, plural, safe_text, translate

_DRAW_EVERY_MS = 120
_MOST_QUESTION_CHARACTERS = 2000
_MARGIN = 16


class ReadingColumn(QWidget):
    """All of one reading; usable alone at 480 pixels. It knows no process and no store: it says what is wanted.

    Attributes:
        plan_wanted: questions (list of str) and `app.worker.protocol.Options`.
        start_wanted: read what was planned.
        change_wanted: give the plan up; the question is in the box again.
        pause_wanted: hold still.
        continue_wanted: go on after a pause.
        stop_wanted: end; what was read is kept.
        resume_wanted: run ids that go on from their last finished step, in a new job.
        place_wanted: document index, start, end, physical page.
        branch_wanted: run id, number of the step, memory, one item a line.
        follow_up_wanted: run id, question.
        reread_wanted: a question that is read for anew in the same documents, with the options of the form.
        regenerate_wanted: run id.
        export_wanted: run id, kind: "md", "html", "pdf" or "json".
        step_shown: number of the chunk whose memory is shown.
        question_shown: index of the question whose memory, evidence and answer are shown.
        document_removed: content hash of a document that is not to be read.
        dismissed: the reading is put away for a new question.
        status_text: for a status bar; "" = nothing to say.
    """

    plan_wanted = Signal(list, object)
    start_wanted = Signal()
    change_wanted = Signal()
    pause_wanted = Signal()
    continue_wanted = Signal()
    stop_wanted = Signal()
    resume_wanted = Signal(list)
    place_wanted = Signal(int, int, int, int)
    branch_wanted = Signal(str, int, str)
    follow_up_wanted = Signal(str, str)
    reread_wanted = Signal(str, object)
    regenerate_wanted = Signal(str)
    export_wanted = Signal(str, str)
    step_shown = Signal(int)
    question_shown = Signal(int)
    document_removed = Signal(str)
    dismissed = Signal()
    status_text = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state: ReadingState | None = None
        self._index = 0
        self._loose_problem: Problem | None = None
        self.ask = AskPanel()
        self._head = QWidget()
        self._question = label("", "title")
        self._new = button(self.tr("New question"), "add", "quiet")
        self.plan = PlanCard()
        self.progress = ProgressPanel()
        self.problem = ProblemBanner()
        self.questions = QuestionList()
        self.answer = AnswerView()
        self.memory = MemoryView()
        self.evidence = EvidenceView()
        self._answer_part = Section(self.tr("Answer"), self.answer)
        self._memory_part = Section(self.tr("Memory"), self.memory)
        self._evidence_part = Section(self.tr("Evidence"), self.evidence)
        self._announcer = Announcer(self)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_DRAW_EVERY_MS)
        self._timer.timeout.connect(self._catch_up)
        self._lay_out()
        self._connect()
        self._draw_status()

    def _lay_out(self) -> None:
        head = column(self._head, spacing=4)
        head.addWidget(self._question)
        head.addLayout(row(self._new, None))
        body = QWidget()
        set_role(body, "panel")
        inside = column(body, margin=_MARGIN, spacing=12)
        for widget in (
            self.ask,
            self._head,
            self.problem,
            self.plan,
            self.progress,
            self.questions,
            self._answer_part,
            self._memory_part,
            self._evidence_part,
        ):
            inside.addWidget(widget)
        inside.addStretch(1)
        self._scroll = QScrollArea()
        self._scroll.setWidget(body)
        self._scroll.setWidgetResizable(True)
        self._scroll.setFrameShape(QFrame.Shape.NoFrame)
        self._scroll.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        column(self).addWidget(self._scroll)
        self.setMinimumWidth(320)

    def _connect(self) -> None:
        self.ask.read_wanted.connect(self._ask)
        self.ask.document_removed.connect(self.document_removed)
        self._new.clicked.connect(self._dismiss)
        self.plan.start_wanted.connect(self.start_wanted)
        self.plan.change_wanted.connect(self._change)
        self.progress.pause_wanted.connect(self.pause_wanted)
        self.progress.resume_wanted.connect(self.continue_wanted)
        self.progress.stop_wanted.connect(self.stop_wanted)
        self.problem.resume_wanted.connect(self._resume)
        self.problem.again_wanted.connect(self._again)
        self.questions.chosen.connect(self.show_question)
        for view in (self.answer, self.memory, self.evidence):
            view.place_wanted.connect(self._go)
        self.memory.branch_wanted.connect(self.branch_wanted)
        self.memory.step_shown.connect(self.step_shown)
        self.answer.follow_up_wanted.connect(self._follow_up)
        self.answer.regenerate_wanted.connect(self.regenerate_wanted)
        self.answer.export_wanted.connect(self.export_wanted)

    # What the window says

    @property
    def state(self) -> ReadingState | None:
        """The reading that is shown."""
        return self._state

    @property
    def current_question(self) -> int:
        """Index of the question that is shown."""
        return self._index

    def set_documents(self, documents: Sequence[DocumentInfo]) -> None:
        """What a new question is asked about."""
        self.ask.set_documents(documents)

    def set_state(self, state: ReadingState | None) -> None:
        """Show a reading, or none: then there is the question box."""
        if self._state is not None:
            for signal, slot in self._slots(self._state):
                signal.disconnect(slot)
        self._state = state
        self._loose_problem = None
        if state is not None:
            for signal, slot in self._slots(state):
                signal.connect(slot)
        self._draw_all()

    def say_problem(self, message: str, hint: str = "") -> None:
        """Something went wrong before there was a reading, or beside it."""
        self._loose_problem = Problem(message=message, hint=hint)
        self._draw_status()
        self._announcer.say(message, important=True)

    def show_question(self, index: int) -> None:
        """Show memory, evidence and answer of another question."""
        self._index = index
        self.questions.set_current(index)
        state = self._state
        self.answer.show_question(state, index)
        self.memory.show_question(state, index)
        self.evidence.show_question(state, index)
        record = self._record
        self._question.setText(safe_text(record.text[:_MOST_QUESTION_CHARACTERS]) if record else "")
        self._draw_status()
        self.question_shown.emit(index)

    # What the reading says

    def _slots(self, state: ReadingState) -> list[tuple[SignalInstance, Callable[..., object]]]:
        return [
            (state.reset, self._draw_all),
            (state.planned, self._draw_all),
            (state.step_added, self._on_step),
            (state.evidence_added, self._on_evidence),
            (state.incident_added, self._on_incident),
            (state.chunk_started, self._on_chunk),
            (state.progress_changed, self._soon),
            (state.streamed, self._on_stream),
            (state.answered, self._on_answer),
            (state.completed, self._on_complete),
            (state.status_changed, self._on_status),
            (state.waiting, self.progress.say_waiting),
        ]

    def _on_step(self, index: int, _position: int) -> None:
        if index == self._index:
            self.memory.step_added()
        self._soon()

    def _on_evidence(self, index: int, at: int) -> None:
        assert self._state is not None
        place = self._state.questions[index].excerpts[at].place
        self._announcer.say(
            fill(translate("Reading", "Found evidence on %1"), page_label(place.label, place.page))
        )
        self._soon()

    def _on_incident(self, index: int) -> None:
        if index == self._index:
            self.answer.draw_incidents()
            self._show_answer_part()

    def _on_chunk(self, _index: int, _chunk: int) -> None:
        self._soon()

    def _on_stream(self, index: int, piece: str) -> None:
        if index == self._index:
            self.answer.streamed(piece)
            if piece and self._answer_part.isHidden():
                self._show_answer_part()

    def _on_answer(self, index: int) -> None:
        assert self._state is not None
        if index == self._index:
            self.answer.draw()
            self.evidence.answered()
            self._show_answer_part()
        answer = self._state.questions[index].answer
        is_there = answer is not None and answer.answered
        words = self.tr("The answer is ready") if is_there else self.tr("The document does not say")
        self._announcer.say(words, important=True)
        self.questions.refresh(self._state, index)

    def _on_complete(self, index: int) -> None:
        if index == self._index:
            self.answer.draw()

    def _on_status(self, index: int) -> None:
        assert self._state is not None
        self.questions.refresh(self._state, index)
        problem = self._state.questions[index].problem
        if problem is not None and index == self._index:
            self._announcer.say(problem.message, important=True)
        if index == self._index and not self._state.questions[index].status.is_active:
            self.answer.draw()
            self.memory.draw()
        self._draw_status()

    def _soon(self) -> None:
        if not self._timer.isActive():
            self._timer.start()

    def _catch_up(self) -> None:
        """Draw what may change with every step, once for all steps since."""
        state, record = self._state, self._record
        if state is None or record is None:
            return
        self.evidence.catch_up()
        self._draw_notes(record)
        self._draw_progress(state, record)
        for index in range(min(len(state.questions), self.questions.count())):
            if not self.questions.isHidden():
                self.questions.refresh(state, index)
        self.status_text.emit(status_line(state.progress) if state.status.is_active else "")

    # How it is drawn

    @property
    def _record(self) -> QuestionRecord | None:
        if self._state is None or self._index >= len(self._state.questions):
            return None
        return self._state.questions[self._index]

    def _draw_all(self) -> None:
        state = self._state
        count = len(state.questions) if state is not None else 0
        self._index = min(self._index, max(0, count - 1)) if state is not None else 0
        self.questions.show_state(state)
        if state is not None and state.plan is not None:
            self.plan.show_plan(state.plan, count)
        self.show_question(self._index)
        self._catch_up()

    def _draw_status(self) -> None:
        state, record = self._state, self._record
        status = state.status if state is not None else None
        is_planned = status is Status.PLANNED and bool(state and state.plan and state.plan.needs_start)
        is_working = status is not None and status.is_active and not is_planned
        self.ask.setVisible(state is None)
        self._head.setVisible(state is not None)
        self._new.setVisible(status is not None and not status.is_active)
        self.plan.setVisible(is_planned)
        self.progress.setVisible(is_working)
        has_steps = bool(record and record.steps)
        is_reading = status in (Status.READING, Status.PAUSED)
        self._memory_part.setVisible(has_steps or is_reading)
        self._evidence_part.setVisible(has_steps or is_reading)
        self._show_answer_part()
        self._draw_problem(record)
        if state is not None and record is not None:
            self._draw_progress(state, record)
            self._draw_notes(record)
        if status is None or not status.is_active:
            self.status_text.emit("")

    def _show_answer_part(self) -> None:
        self._answer_part.setVisible(self.answer.has_something)
        self._answer_part.set_title(self.tr("Answer") if self.answer.has_answer else self.tr("Replies"))

    def _draw_problem(self, record: QuestionRecord | None) -> None:
        if self._loose_problem is not None:
            self.problem.show_problem(self._loose_problem.message, self._loose_problem.hint, can_resume=False)
            self.problem.again.setVisible(False)
            return
        self.problem.again.setVisible(True)
        is_over = record is not None and record.status.can_resume
        self.problem.setVisible(is_over)
        if record is None or not is_over:
            return
        plan = self._state.plan if self._state else None
        where = end_line(record, plan)
        can_resume = record.run_id is not None
        if record.problem is None:
            is_bad = record.status is not Status.STOPPED
            self.problem.show_problem(where, can_resume=can_resume, is_bad=is_bad)
        else:
            problem = record.problem
            self.problem.show_problem(problem.message, problem.hint, where, can_resume=can_resume)

    def _draw_progress(self, state: ReadingState, record: QuestionRecord) -> None:
        if self.progress.isHidden():
            return
        chunk = state.chunk(record.reading_chunk) if record.reading_chunk is not None else None
        self.progress.show_progress(state.status, state.plan, state.progress, chunk)

    def _draw_notes(self, record: QuestionRecord) -> None:
        found = len(record.excerpts)
        self._evidence_part.set_note(
            plural(found, translate("Reading", "1 excerpt"), translate("Reading", "%1 excerpts", None, found))
            if found
            else ""
        )
        changes = len(record.changes)
        self._memory_part.set_note(
            plural(
                changes,
                translate("Reading", "changed once"),
                translate("Reading", "changed %1 times", None, changes),
            )
            if changes
            else ""
        )

    # What people do

    def _ask(self, questions: list[str], options: object) -> None:
        self._loose_problem = None
        self._draw_problem(None)
        self.plan_wanted.emit(questions, options)

    def _change(self) -> None:
        self.change_wanted.emit()
        self._put_away()

    def _dismiss(self) -> None:
        self._put_away()
        self.dismissed.emit()

    def _put_away(self) -> None:
        self.set_state(None)
        self._scroll.verticalScrollBar().setValue(0)
        self.ask.box.setFocus()
        self.ask.box.selectAll()

    def _resume(self) -> None:
        if self._state is not None:
            left = [each.run_id for each in self._state.questions if each.run_id and each.status.can_resume]
            self.resume_wanted.emit(left)

    def _again(self) -> None:
        if self._state is not None:
            self.ask.set_questions([question.text for question in self._state.questions])
        self._dismiss()

    def _go(self, place: Place) -> None:
        self.place_wanted.emit(place.document, place.start, place.end, place.page)

    def _follow_up(self, run_id: str, question: str, reread: bool) -> None:
        if reread:
            self.reread_wanted.emit(question, self.ask.options)
        else:
            self.follow_up_wanted.emit(run_id, question)
