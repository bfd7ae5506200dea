"""The plan before the start, and how far the reading is after it."""

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFrame, QProgressBar, QWidget

from app.gui.look import set_role
from app.gui.reading.parts import Section, TextView, button, column, icon_button, label, row
from app.gui.reading.record import QuestionRecord
from app.gui.reading.values import ChunkInfo, Plan, Progress, Status
from app.gui.reading.words import (
    clock,
    fill,
    mode_name,
    number,
    one_line,
    pages_label,
    plural,
    rough_duration,
    size,
    translate,
)

_MOST_WARNINGS = 200


class PlanCard(QFrame):
    """What will be read, how long it takes, what is to be known before; Start or Change.

    Attributes:
        start_wanted: read now.
        change_wanted: back to the question.
    """

    start_wanted = Signal()
    change_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        set_role(self, "card")
        self._facts = label("", "heading")
        self._way = label("", "caption")
        self._warnings = TextView(140)
        self._warnings_part = Section("", self._warnings)
        self.start = button(self.tr("Start"), "play", "primary")
        self._change = button(self.tr("Change"), "edit", "quiet")
        layout = column(self, margin=14)
        layout.addWidget(self._facts)
        layout.addWidget(self._way)
        layout.addWidget(self._warnings_part)
        layout.addLayout(row(self.start, self._change, None))
        self.start.clicked.connect(self.start_wanted)
        self._change.clicked.connect(self.change_wanted)

    def show_plan(self, plan: Plan, num_questions: int) -> None:
        """Show a plan."""
        self._facts.setText(facts(plan))
        parts = [mode_name(plan.mode), one_line(plan.model, 80)]
        if num_questions > 1:
            parts.insert(
                0,
                plural(
                    num_questions,
                    translate("Reading", "1 question"),
                    translate("Reading", "%1 questions in one pass", None, num_questions),
                ),
            )
        if plan.tokens_per_s:
            parts.append(
                fill(translate("Reading", "%1 tokens a second, measured just now"), number(plan.tokens_per_s))
            )
        self._way.setText(" · ".join(part for part in parts if part))
        warnings = plan.warnings[:_MOST_WARNINGS]
        self._warnings_part.setVisible(bool(warnings))
        self._warnings_part.set_title(
            plural(
                len(plan.warnings),
                translate("Reading", "1 thing to know"),
                translate("Reading", "%1 things to know", None, len(plan.warnings)),
            )
        )
        self._warnings_part.set_open(len(warnings) <= 3)
        self._warnings.setPlainText("\n".join("⚠ " + one_line(line, 300) for line in warnings))


def facts(plan: Plan) -> str:
    """ "121 pages · 61 sections · 38,000 tokens · about 40 s · 0.2 GB memory"."""
    is_paged = all(document.kind == "page" for document in plan.documents)
    left = sum(chunk.number >= plan.next_chunk for chunk in plan.chunks)
    parts = [
        plural(plan.pages, translate("Reading", "1 page"), translate("Reading", "%1 pages", None, plan.pages))
        if is_paged
        else plural(
            plan.pages, translate("Reading", "1 part"), translate("Reading", "%1 parts", None, plan.pages)
        ),
        plural(left, translate("Reading", "1 step"), translate("Reading", "%1 steps", None, left)),
        plural(
            plan.tokens, translate("Reading", "1 token"), translate("Reading", "%1 tokens", None, plan.tokens)
        ),
    ]
    if plan.wall_s is not None:
        parts.append(fill(translate("Reading", "about %1"), rough_duration(plan.wall_s)))
    if plan.memory_bytes:
        parts.append(fill(translate("Reading", "%1 memory"), size(plan.memory_bytes)))
    return " · ".join(parts)


class ProgressPanel(QWidget):
    """How far the reading is, with what holds it.

    Attributes:
        pause_wanted: hold still.
        resume_wanted: go on, after a pause.
        stop_wanted: end; what was read is kept.
    """

    pause_wanted = Signal()
    resume_wanted = Signal()
    stop_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._bar = QProgressBar()
        self._bar.setTextVisible(False)
        self._bar.setAccessibleName(self.tr("Progress of the reading"))
        self._place = label("", "")
        self._rate = label("", "caption")
        self.pause = icon_button("pause", self.tr("Pause"))
        self.resume = icon_button("play", self.tr("Go on"))
        self.stop = icon_button("stop", self.tr("Stop; what was read is kept (Esc)"))
        layout = column(self, spacing=4)
        layout.addLayout(row(self._place, self.pause, self.resume, self.stop, spacing=4))
        layout.addWidget(self._bar)
        layout.addWidget(self._rate)
        self.pause.clicked.connect(self.pause_wanted)
        self.resume.clicked.connect(self.resume_wanted)
        self.stop.clicked.connect(self.stop_wanted)

    def say_waiting(self, text: str) -> None:
        """What is being waited for."""
        self._place.setText(text)
        self._rate.setText("")

    def show_progress(
        self, status: Status, plan: Plan | None, progress: Progress, chunk: ChunkInfo | None
    ) -> None:
        """Show how far it is.

        Args:
            status: of the reading.
            plan: None while it is made.
            progress: as the worker tells it.
            chunk: the one at work.
        """
        self.pause.setVisible(status is Status.READING)
        self.resume.setVisible(status is Status.PAUSED)
        total = progress.tokens_total
        if plan is None or not total:
            self._bar.setRange(0, 0 if status.is_active and status is not Status.PAUSED else 1)
            self._rate.setText("")
            if plan is None:
                self._place.setText(self.tr("Making the plan: pages are counted, speed is measured…"))
            return
        self._bar.setRange(0, total)
        self._bar.setValue(progress.tokens_done)
        self._place.setText(self._describe(status, progress, plan, chunk))
        self._rate.setText(rates(progress))

    def _describe(self, status: Status, progress: Progress, plan: Plan, chunk: ChunkInfo | None) -> str:
        if status is Status.PAUSED:
            return fill(
                translate("Reading", "Paused after step %1 of %2"),
                number(progress.chunks_done),
                number(progress.chunks_total),
            )
        if progress.chunks_done >= progress.chunks_total:
            return self.tr("All read; the answer is being written")
        parts = [
            fill(
                translate("Reading", "Step %1 of %2"),
                number(progress.chunks_done + 1),
                number(progress.chunks_total),
            )
        ]
        if chunk is not None:
            if len(plan.documents) > 1:
                parts.append(one_line(plan.documents[chunk.document].name, 40))
            parts.append(pages_label(chunk.labels))
        return " · ".join(parts)


def rates(progress: Progress) -> str:
    """ "1,240 tokens/s · 2:10 left"."""
    parts = []
    if progress.tokens_per_s:
        parts.append(fill(translate("Reading", "%1 tokens/s"), number(progress.tokens_per_s)))
    if progress.eta_s is not None:
        parts.append(fill(translate("Reading", "%1 left"), clock(progress.eta_s)))
    return " · ".join(parts)


def status_line(progress: Progress) -> str:
    """The same for a status bar, with the memory in use."""
    parts = [rates(progress)]
    if progress.rss_bytes:
        parts.append(fill(translate("Reading", "RAM %1"), size(progress.rss_bytes)))
    if progress.vram_bytes:
        parts.append(fill(translate("Reading", "VRAM %1"), size(progress.vram_bytes)))
    return " · ".join(part for part in parts if part)


def end_line(question: QuestionRecord, plan: Plan | None) -> str:
    """Where a reading that did not come to its end stands."""
    total = plan.chunks_total if plan else 0
    done = question.next_chunk - 1
    where = fill(
        translate("Reading", "Step %1 of %2 is read, and nothing of it is lost."), number(done), number(total)
    )
    heads = {
        Status.STOPPED: translate("Reading", "Stopped."),
        Status.INTERRUPTED: translate("Reading", "The reading was interrupted."),
        Status.FAILED: translate("Reading", "The reading failed."),
    }
    head = "" if question.problem else heads.get(question.status, "")
    return f"{head} {where if done and total else ''}".strip()
