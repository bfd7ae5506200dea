"""Readings as the window conducts them: one job at a time in a child process, shown in the reading column."""

import os
from collections.abc import Callable, Sequence
from typing import Any

from PySide6.QtCore import QObject, Signal

from app.gui.background import Background
from app.gui.jobs import Job
from app.gui.reading.column import ReadingColumn
from app.gui.reading.state import ReadingState, Recording
from app.gui.reading.values import DocumentInfo, Problem, Status
from app.worker import protocol
from app.worker.protocol import (
    BranchJob,
    Command,
    FollowUpJob,
    Model,
    Options,
    Pause,
    ReadJob,
    Resume,
    ResumeJob,
    Start,
    Stop,
)
from engine.errors import PalimpsestError

_FRESH_TEMPERATURE = 0.7
"""With which an answer is drawn anew; at the run's own, mostly 0, it would come out the same."""


class ReadingDesk(QObject):
    """Starts, steers and ends readings, and tells the column what there is to see.

    Args:
        folder: the data folder.
        background: reaches the store.
        column: shows the reading.
        model: gives the model of the moment.
        complete: fills in what the user left open of a new reading.
        parent: owner.
    """

    state_changed = Signal(object)
    """The `ReadingState` that is shown now, or None."""
    started = Signal(list)
    """A reading of documents with these content hashes has begun."""
    progressed = Signal(float)
    """The share of the reading that is done."""
    ended = Signal(str, dict)
    """How a job ended, as `Job.ended`."""

    def __init__(
        self,
        folder: str,
        background: Background,
        column: ReadingColumn,
        model: Callable[[], Model],
        complete: Callable[[Options], Options],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._folder = folder
        self._background = background
        self._column = column
        self._model = model
        self._complete = complete
        self._documents: list[DocumentInfo] = []
        self._job: Job | None = None
        self._state: ReadingState | None = None
        self._waiting_runs: list[str] = []
        self._starts_at_once = False
        self.passwords: dict[str, str] = {}
        column.plan_wanted.connect(self.plan)
        column.start_wanted.connect(lambda: self._send(Start()))
        column.change_wanted.connect(lambda: self._send(Stop()))
        column.pause_wanted.connect(lambda: self._send(Pause()))
        column.continue_wanted.connect(lambda: self._send(Resume()))
        column.stop_wanted.connect(self.stop)
        column.resume_wanted.connect(self.resume)
        column.branch_wanted.connect(self._branch)
        column.follow_up_wanted.connect(self._follow_up)
        column.reread_wanted.connect(self._reread)
        column.regenerate_wanted.connect(self._regenerate)
        column.dismissed.connect(self.put_away)

    # What there is

    @property
    def state(self) -> ReadingState | None:
        """The reading that is shown."""
        return self._state

    @property
    def is_busy(self) -> bool:
        """Whether a child process is at work on a reading, or holds a plan."""
        return self._job is not None

    @property
    def is_reading(self) -> bool:
        """Whether something would be interrupted."""
        return self._job is not None and bool(self._job.run_ids)

    @property
    def question(self) -> str:
        """The first question of the reading that is shown."""
        return self._state.questions[0].text if self._state is not None and self._state.questions else ""

    def set_documents(self, documents: Sequence[DocumentInfo]) -> None:
        """What the next question is asked about, in reading order."""
        self._documents = list(documents)
        self._column.set_documents(documents)

    # What is wanted

    def plan(self, questions: Sequence[str], options: Options, *, starts_at_once: bool = False) -> None:
        """Plan a reading of the chosen documents; it begins when the user says so."""
        if not self._documents:
            self._column.say_problem(
                self.tr("There is no document to read."), self.tr("Choose one on the left.")
            )
            return
        self._plan(self._documents, questions, options, starts_at_once=starts_at_once)

    def resume(self, run_ids: Sequence[str]) -> None:
        """Go on with runs, one after the other."""
        if self._refuse_second() or not run_ids:
            return
        first, *self._waiting_runs = run_ids
        state = self._state
        if state is None or len(state.questions) != 1 or state.run_ids != [first]:
            self.open_run(first, then=lambda: self._start_resumption(first))
        else:
            self._start_resumption(first)

    def open_run(self, run_id: str, *, then: Callable[[], None] | None = None) -> None:
        """Show a past reading. One that is being read here is not taken off the screen for it."""

        def load(store: Any) -> Recording:
            from app.gui.reading.loading import load

            return load(store, run_id)

        def show(recording: Recording) -> None:
            state = ReadingState(parent=self)
            state.adopt(recording)
            self._show(state)
            if then is not None:
                then()

        if self._state is not None and self.is_busy:
            if run_id not in self._state.run_ids:
                self._column.say_problem(
                    self.tr("A reading is going on."), self.tr("Wait for it, or stop it, to look at another.")
                )
            return
        self._background.call(load, show, self._say, key="run")

    def stop(self) -> None:
        """Stop the reading; what is finished is saved."""
        self._waiting_runs = []
        self._send(Stop())

    def put_away(self) -> None:
        """Show no reading; a plan that was not started is given up."""
        self.stop()
        self._show(None)

    def close(self) -> None:
        """End the child process, for the end of the program."""
        if self._job is not None:
            self._job.close()

    # How

    def _plan(
        self,
        documents: Sequence[DocumentInfo],
        questions: Sequence[str],
        options: Options,
        *,
        starts_at_once: bool = False,
    ) -> None:
        if self._refuse_second():
            return
        self._starts_at_once = starts_at_once
        self._show(ReadingState(questions, self))
        self._run(
            ReadJob(
                data=self._folder,
                documents=tuple(document.content_hash for document in documents),
                questions=tuple(questions),
                options=self._complete(options),
                model=self._model(),
                passwords=self.passwords,
                confirm=True,
            )
        )

    def _start_resumption(self, run_id: str) -> None:
        self._run(ResumeJob(data=self._folder, run_id=run_id))

    def _branch(self, run_id: str, step: int, memory: str) -> None:
        lines = tuple(line for line in (line.strip() for line in memory.splitlines()) if line)
        self._take_over(BranchJob(data=self._folder, run_id=run_id, step=step, memory=lines))

    def _regenerate(self, run_id: str) -> None:
        self._take_over(
            BranchJob(
                data=self._folder,
                run_id=run_id,
                seed=int.from_bytes(os.urandom(4), "big") >> 1,
                temperature=_FRESH_TEMPERATURE,
            )
        )

    def _follow_up(self, run_id: str, question: str) -> None:
        job = FollowUpJob(data=self._folder, run_id=run_id, question=question)
        self._take_over(job, question=question)

    def _reread(self, question: str, options: Options) -> None:
        plan = self._state.plan if self._state is not None else None
        if plan is not None:
            self._plan(plan.documents, [question], options)

    def _take_over(self, job: BranchJob | FollowUpJob, *, question: str | None = None) -> None:
        """A new run that begins with what another one knows."""
        if self._refuse_second():
            return
        texts = (
            [record.text for record in self._state.questions if record.run_id == job.run_id]
            if (self._state is not None)
            else []
        )
        self._show(ReadingState([question] if question is not None else texts, self))
        self._run(job)

    def _refuse_second(self) -> bool:
        if self._job is None:
            return False
        self._column.say_problem(
            self.tr("A reading is going on."),
            self.tr("Wait for it, or stop it first; what was read is kept."),
        )
        return True

    def _run(self, job: protocol.Job) -> None:
        child = Job(job, self)
        child.message.connect(self._take)
        child.ended.connect(self._end)
        self._job = child
        child.start()

    def _show(self, state: ReadingState | None) -> None:
        before, self._state = self._state, state
        if state is not None:
            state.history_wanted.connect(self._load_history)
        self._column.set_state(state)
        self.state_changed.emit(state)
        if before is not None:
            before.deleteLater()

    def _send(self, command: Command) -> None:
        if self._job is not None:
            self._job.send(command)

    def _take(self, name: str, values: dict[str, Any]) -> None:
        state, job = self._state, self._job
        if state is None or job is None:
            return
        state.apply(name, values)
        if name == "planned" and self._starts_at_once and values.get("needs_start"):
            self._starts_at_once = False
            job.send(Start())
        elif name == "started" and state.plan is not None:
            self.started.emit([document.content_hash for document in state.plan.documents])
        elif name == "progress" and state.progress.tokens_total:
            self.progressed.emit(state.progress.tokens_done / state.progress.tokens_total)

    def _end(self, how: str, values: dict[str, Any]) -> None:
        job, self._job = self._job, None
        self._starts_at_once = False
        if self._state is not None:
            if how == "crashed":
                problem = Problem(message=values["message"], hint=values["hint"], code="crashed")
                self._state.fail(problem, Status.INTERRUPTED)
            else:
                self._state.apply(how, values)
        if job is not None:
            job.retire()
        self.ended.emit(how, values)
        if self._waiting_runs and how == "result":
            self.resume(self._waiting_runs)

    def _load_history(self, run_id: str) -> None:
        """The earlier steps of a run that goes on."""

        def load(store: Any) -> Recording:
            from app.gui.reading.loading import load

            return load(store, run_id)

        def merge(recording: Recording) -> None:
            if self._state is not None and run_id in self._state.run_ids:
                self._state.merge(recording)

        self._background.call(load, merge, self._say, key="history")

    def _say(self, error: PalimpsestError) -> None:
        self._column.say_problem(error.message, error.hint)
