"""The answer: streamed, then with its quotes and pages, its certificate, and what can be done with it."""

from PySide6.QtCore import QEvent, QMimeData, QTimer, Signal
from PySide6.QtGui import QAction, QGuiApplication
from PySide6.QtWidgets import QComboBox, QLineEdit, QMenu, QWidget

from app.gui.reading.answer_text import AnswerText, ClaimList, as_html, as_plain
from app.gui.reading.coverage_card import CoverageCard, incident_lines
from app.gui.reading.parts import Section, TextView, button, card, column, is_new_look, label, row
from app.gui.reading.record import QuestionRecord
from app.gui.reading.state import ReadingState
from app.gui.reading.values import Answer, DocumentInfo, Status
from app.gui.reading.words import duration, fill, mode_name, number, one_line, plural, translate

_DRAW_EVERY_MS = 33
_MOST_INCIDENTS = 500


class AnswerView(QWidget):
    """The answer to one question of a reading.

    Attributes:
        place_wanted: a `Place` whose page was clicked.
        follow_up_wanted: run id, question, whether to read everything again for it.
        regenerate_wanted: run id.
        export_wanted: run id, kind: "md", "html", "pdf" or "json".
    """

    place_wanted = Signal(object)
    follow_up_wanted = Signal(str, str, bool)
    regenerate_wanted = Signal(str)
    export_wanted = Signal(str, str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state: ReadingState | None = None
        self._index = 0
        self._waiting_text = ""
        self._writes = label(self.tr("Writing the answer…"), "caption")
        self._silent, inside = card("banner", margin=10)
        inside.addWidget(label(self.tr("The document does not say."), "heading"))
        inside.addWidget(label(self.tr("All of it was read, and no sentence answers the question."), "muted"))
        self._text = AnswerText()
        self._claims = ClaimList()
        self._claims_card, claims_inside = card()
        claims_inside.addWidget(self._claims)
        self._coverage = CoverageCard()
        self._incidents = TextView(160)
        self._incidents_part = Section("", self._incidents)
        self._incidents_part.set_open(False)
        self._facts = label("", "caption")
        self._copy = button(self.tr("Copy"), "copy", "quiet")
        self._export = button(self.tr("Export"), "export", "quiet")
        self._again = button(self.tr("Again"), "regenerate", "quiet")
        self._again.setToolTip(self.tr("Write the answer anew from the same memory"))
        self._follow = QLineEdit()
        self._follow.setPlaceholderText(self.tr("Ask a further question"))
        self._follow.setAccessibleName(self.tr("Further question"))
        self._way = QComboBox()
        self._way.setAccessibleName(self.tr("How the further question is answered"))
        self._way.addItem(self.tr("From the memory"), userData=False)
        self._way.addItem(self.tr("Read everything again"), userData=True)
        self._ask = button(self.tr("Ask"), role="primary")
        self._actions = QWidget()
        self._further = QWidget()
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_DRAW_EVERY_MS)
        self._lay_out()
        self._connect()

    def _lay_out(self) -> None:
        frame, inside = card(margin=14)
        for widget in (self._writes, self._silent, self._text):
            inside.addWidget(widget)
        self._text_card = frame
        self._actions.setLayout(row(self._copy, self._export, self._again, None, spacing=0))
        further = column(self._further)
        further.addWidget(self._follow)
        further.addLayout(row(self._way, None, self._ask))
        layout = column(self, spacing=8)
        parts: tuple[QWidget, ...] = (
            frame,
            self._claims_card,
            self._coverage,
            self._incidents_part,
            self._facts,
            self._actions,
            self._further,
        )
        for part in parts:
            layout.addWidget(part)
        menu = QMenu(self._export)
        kinds = {
            "md": self.tr("Markdown"),
            "html": self.tr("Web page (HTML)"),
            "pdf": self.tr("PDF"),
            "json": self.tr("Everything, for audits (JSON)"),
        }
        for kind, name in kinds.items():
            action = QAction(name, menu)
            action.setData(kind)
            menu.addAction(action)
        menu.triggered.connect(self._export_as)
        self._export.setMenu(menu)

    def _connect(self) -> None:
        self._timer.timeout.connect(self._draw_stream)
        self._claims.place_wanted.connect(self.place_wanted)
        self._copy.clicked.connect(self.copy)
        self._again.clicked.connect(self._regenerate)
        self._ask.clicked.connect(self._follow_up)
        self._follow.returnPressed.connect(self._follow_up)
        self._follow.textChanged.connect(lambda text: self._ask.setEnabled(bool(text.strip())))
        self._ask.setEnabled(False)

    # What is shown

    def show_question(self, state: ReadingState | None, index: int) -> None:
        """Show a question of a reading."""
        self._state, self._index = state, index
        self.draw()

    def streamed(self, piece: str) -> None:
        """There is more of the reply; drawn soon, "" = it begins anew."""
        question = self._question
        if question is None or question.answer is not None:
            return
        if not piece:
            self._waiting_text = ""
            self._text.clear()
        elif question.streamed_chunk is None:
            self._waiting_text += piece
            if not self._timer.isActive():
                self._timer.start()

    def draw(self) -> None:
        """Draw everything anew."""
        question = self._question
        answer = question.answer if question else None
        documents = self._documents
        is_writing = question is not None and answer is None and bool(self._streamed_answer)
        self._text_card.setVisible(answer is not None or is_writing)
        self._writes.setVisible(is_writing)
        self._silent.setVisible(answer is not None and not answer.answered)
        self._claims_card.setVisible(bool(answer and answer.claims and answer.answered))
        self._waiting_text = ""
        self._text.setVisible(answer is None or answer.answered or not _only_says_so(answer))
        if answer is not None:
            self._text.show_answer(answer)
            self._claims.show_claims(answer.claims, documents)
        elif question is not None:
            self._text.show_stream(self._streamed_answer)
        self._draw_end(question)

    @property
    def has_something(self) -> bool:
        """Whether there is an answer, or the beginning of one, or replies that needed handling."""
        question = self._question
        return self.has_answer or bool(question and question.incidents)

    @property
    def has_answer(self) -> bool:
        """Whether there is an answer, or the beginning of one."""
        question = self._question
        return question is not None and bool(question.answer or self._streamed_answer)

    def copy(self) -> None:
        """Put question, answer and quotes on the clipboard, formatted and plain."""
        question = self._question
        if question is None or question.answer is None:
            return
        data = QMimeData()
        data.setText(as_plain(question.text, question.answer, self._documents))
        data.setHtml(as_html(question.text, question.answer, self._documents))
        QGuiApplication.clipboard().setMimeData(data)

    def changeEvent(self, event: QEvent, /) -> None:
        """Colours are part of the text."""
        super().changeEvent(event)
        if is_new_look(event) and self._state is not None:
            QTimer.singleShot(0, self, self.draw)

    # How

    @property
    def _question(self) -> QuestionRecord | None:
        if self._state is None or self._index >= len(self._state.questions):
            return None
        return self._state.questions[self._index]

    @property
    def _documents(self) -> tuple[DocumentInfo, ...]:
        return self._state.plan.documents if self._state and self._state.plan else ()

    @property
    def _streamed_answer(self) -> str:
        question = self._question
        return question.streamed if question and question.streamed_chunk is None else ""

    def _draw_stream(self) -> None:
        if self._waiting_text:
            self._text_card.show()
            self._writes.show()
            self._text.append_stream(self._waiting_text)
            self._waiting_text = ""

    def _draw_end(self, question: QuestionRecord | None) -> None:
        coverage = question.coverage if question else None
        self._coverage.setVisible(coverage is not None)
        if coverage is not None:
            self._coverage.show_coverage(coverage)
        self.draw_incidents()
        self._facts.setText(self._describe(question) if question else "")
        is_finished = question is not None and question.status is Status.FINISHED
        self._facts.setVisible(is_finished)
        self._actions.setVisible(is_finished)
        self._further.setVisible(is_finished)

    def draw_incidents(self) -> None:
        """Draw what needed handling anew."""
        question = self._question
        incidents = question.incidents if question else []
        self._incidents_part.setVisible(bool(incidents))
        self._incidents_part.set_title(
            plural(
                len(incidents),
                translate("Reading", "1 reply needed handling"),
                translate("Reading", "%1 replies needed handling", None, len(incidents)),
            )
        )
        self._incidents.setPlainText(
            incident_lines(
                [
                    (
                        self.tr("Answer")
                        if each.chunk is None
                        else fill(translate("Reading", "Step %1"), number(each.chunk)),
                        each.kind,
                        each.detail,
                    )
                    for each in incidents[:_MOST_INCIDENTS]
                ]
            )
        )

    def _describe(self, question: QuestionRecord) -> str:
        plan = self._state.plan if self._state else None
        parts = [one_line(plan.model, 80), mode_name(plan.mode)] if plan else []
        if question.cost is not None:
            parts.append(duration(question.cost.wall_s))
            parts.append(
                fill(translate("Reading", "%1 tokens read, %2 written"), *map(number, _tokens(question)))
            )
        if question.run_id:
            parts.append(fill(translate("Reading", "reading %1"), question.run_id))
        return " · ".join(part for part in parts if part)

    def _regenerate(self) -> None:
        question = self._question
        if question is not None and question.run_id:
            self.regenerate_wanted.emit(question.run_id)

    def _follow_up(self) -> None:
        text = self._follow.text().strip()
        question = self._question
        if text and question is not None and question.run_id:
            self.follow_up_wanted.emit(question.run_id, text, bool(self._way.currentData()))
            self._follow.clear()

    def _export_as(self, action: QAction) -> None:
        question = self._question
        if question is not None and question.run_id:
            self.export_wanted.emit(question.run_id, str(action.data()))


def _only_says_so(answer: Answer) -> bool:
    """Whether an answer says no more than that there is none."""
    return answer.text.strip().rstrip(".").casefold() == "the document does not say"


def _tokens(question: QuestionRecord) -> tuple[int, int]:
    return (question.cost.prefill_tokens, question.cost.decode_tokens) if question.cost else (0, 0)
