"""The column as people use it: plan, live memory, evidence, answer, what goes wrong; with a real reading's messages."""

import gc
import itertools
import re
import time
from collections.abc import Iterator

import pytest
from PySide6.QtCore import Qt, QTimer
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QApplication, QComboBox, QLineEdit, QWidget
from pytestqt.qtbot import QtBot

from app.gui.reading.column import ReadingColumn
from app.gui.reading.loading import load
from app.gui.reading.state import ReadingState
from app.gui.reading.values import DocumentInfo, Problem, Status
from engine.traces.store import TraceStore
from tests.app.gui.reading import made
from tests.app.gui.reading.conftest import ANSWERED, QUESTIONS, SILENT, Recorded, feed

DOCUMENT = DocumentInfo(content_hash="0" * 64, name="report.pdf", kind="page", pages=14)


@pytest.fixture
def young_heap() -> Iterator[None]:
    """Leave what other tests hold out of the garbage collector's rounds: a full one takes longer than a turn may."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def column(qtbot: QtBot) -> Iterator[ReadingColumn]:
    made_column = ReadingColumn()
    qtbot.addWidget(made_column)
    made_column.resize(480, 900)
    made_column.set_documents([DOCUMENT])
    made_column.show()
    yield made_column
    made_column.set_state(None)


def running(column: ReadingColumn, num_chunks: int) -> ReadingState:
    state = ReadingState(["What was found?"])
    column.set_state(state)
    made.give_plan(state, num_chunks)
    state.apply("started", made.started())
    return state


def test_asking_tells_what_is_asked_and_how(column: ReadingColumn, qtbot: QtBot) -> None:
    column.ask.box.setPlainText("Who built the quay?")
    with qtbot.waitSignal(column.plan_wanted) as asked:
        QTest.keyClick(column.ask.box, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    assert asked.args is not None
    questions, options = asked.args
    assert questions == ["Who built the quay?"]
    assert options.mode is None


def test_the_plan_comes_before_the_start(column: ReadingColumn, qtbot: QtBot) -> None:
    state = ReadingState(["What was found?"])
    column.set_state(state)
    assert column.progress.isVisible()
    assert not column.ask.isVisible()
    warnings = ["long.pdf: 2 pages hold no text"]
    made.give_plan(state, 61, needs_start=True, warnings=warnings)
    assert column.plan.isVisible()
    assert not column.progress.isVisible()
    with qtbot.waitSignal(column.start_wanted):
        column.plan.start.click()
    state.apply("started", made.started())
    assert not column.plan.isVisible()
    assert column.progress.isVisible()


def test_changing_the_plan_brings_the_question_back(column: ReadingColumn, qtbot: QtBot) -> None:
    column.ask.box.setPlainText("What was found?")
    state = ReadingState(["What was found?"])
    column.set_state(state)
    made.give_plan(state, 61, needs_start=True)
    with qtbot.waitSignal(column.change_wanted):
        column.plan.findChildren(QAbstractButton)[-1].click()
    assert column.ask.isVisible()
    assert column.ask.questions == ["What was found?"]


def test_a_real_reading_ends_with_answer_quote_and_certificate(
    column: ReadingColumn, qtbot: QtBot, recorded: Recorded
) -> None:
    state = ReadingState(QUESTIONS)
    column.set_state(state)
    feed(state, recorded.messages)
    assert state.status is Status.FINISHED
    column.show_question(ANSWERED)
    qtbot.wait(150)
    assert "Marlow & Finch" in column.answer._text.toPlainText()
    assert "Verified" in column.answer._claims.toPlainText()
    assert column.evidence.count >= 1
    with qtbot.waitSignal(column.place_wanted) as wanted:
        column.answer._claims.anchorClicked.emit("place:0")
    assert wanted.args is not None
    assert wanted.args[0] == 0
    assert wanted.args[3] == 10
    column.show_question(SILENT)
    assert column.answer._silent.isVisible()
    assert not column.answer._claims_card.isVisible()


def test_a_past_reading_looks_as_it_did(
    column: ReadingColumn, qtbot: QtBot, recorded: Recorded, store: TraceStore
) -> None:
    run_id = recorded.run_ids[ANSWERED]
    live = ReadingState([QUESTIONS[ANSWERED]])
    column.set_state(live)
    feed(live, recorded.of(run_id).messages)
    qtbot.wait(200)
    before = _picture_in_words(column)
    past = ReadingState()
    past.adopt(load(store, run_id))
    column.set_state(past)
    qtbot.wait(200)
    after = _picture_in_words(column)
    assert before["answer"] == after["answer"]
    assert before["memory"] == after["memory"]
    assert before["evidence"] == after["evidence"]


def _picture_in_words(column: ReadingColumn) -> dict[str, object]:
    return {
        "answer": (column.answer._text.toPlainText(), column.answer._claims.toPlainText()),
        "memory": (column.memory._text.toHtml(), column.memory._says.text(), column.memory._changed.text()),
        "evidence": column.evidence.excerpts(),
    }


def test_pause_and_stop_are_said_and_offered(column: ReadingColumn, qtbot: QtBot) -> None:
    state = running(column, 20)
    with qtbot.waitSignal(column.pause_wanted):
        column.progress.pause.click()
    state.apply("paused", {})
    assert not column.progress.pause.isVisible()
    with qtbot.waitSignal(column.continue_wanted):
        column.progress.resume.click()
    state.apply("resumed", {})
    with qtbot.waitSignal(column.stop_wanted):
        column.progress.stop.click()
    for name, values in made.steps(5):
        state.apply(name, values)
    state.apply("stopped", {"run_ids": ["run"]})
    assert column.problem.isVisible()
    assert column.problem.property("role") == "banner"
    with qtbot.waitSignal(column.resume_wanted) as wanted:
        column.problem.resume.click()
    assert wanted.args == [["run"]]


def test_a_killed_reading_is_one_sentence_and_can_go_on(column: ReadingColumn, qtbot: QtBot) -> None:
    state = running(column, 20)
    for name, values in made.steps(5):
        state.apply(name, values)
    state.fail(Problem(message="The reading process was killed.", hint="Go on."), Status.INTERRUPTED)
    assert column.problem.isVisible()
    assert column.problem.resume.isVisible()
    assert column.memory.position == 4, "what was read is still there"
    assert column._announcer.spoken


def test_a_failure_before_the_run_offers_to_ask_again(column: ReadingColumn, qtbot: QtBot) -> None:
    state = ReadingState(["Too long?"])
    column.set_state(state)
    state.apply("error", {"code": "plan", "message": "It does not fit.", "hint": "Lower it.", "run_ids": []})
    assert column.problem.isVisible()
    assert not column.problem.resume.isVisible()
    column.problem.again.click()
    assert column.ask.isVisible()
    assert column.ask.questions == ["Too long?"]


def test_what_goes_wrong_beside_a_reading_is_said(column: ReadingColumn) -> None:
    column.say_problem("The disk is full.", "Make room.")
    assert column.problem.isVisible()
    column.set_state(ReadingState(["What?"]))
    assert not column.problem.isVisible()


def test_announcements_do_not_come_in_crowds(column: ReadingColumn, qtbot: QtBot) -> None:
    state = running(column, 400)
    for name, values in made.steps(400, every=2):
        state.apply(name, values)
    assert len(column._announcer.spoken) == 1
    state.apply("answer_finished", made.answer("Yes.", made.claim("Yes.", verified=False)))
    state.apply(
        "incident", {"run_id": "run", "chunk": 1, "kind": "empty reply", "detail": "Asked once more."}
    )
    column._announcer._speak()
    assert column._announcer.spoken[-1] == "The answer is ready"


def test_status_text_tells_rate_and_memory(column: ReadingColumn, qtbot: QtBot) -> None:
    state = running(column, 30)
    lines: list[str] = []
    column.status_text.connect(lines.append)
    for name, values in itertools.islice(made.steps(30), 40):
        state.apply(name, values)
    qtbot.waitUntil(lambda: bool(lines))
    assert re.fullmatch(r"1,240 tokens/s · 0:0[1-5] left · RAM 1\.1 GB", lines[-1])
    state.apply("stopped", {"run_ids": ["run"]})
    assert lines[-1] == ""


@pytest.mark.usefixtures("young_heap")
def test_five_thousand_steps_hold_nobody_up(column: ReadingColumn, qtbot: QtBot) -> None:
    """Messages as the job delivers them: some milliseconds of them a turn of the event loop."""
    state = running(column, 5000)
    events = made.steps(5000)
    turns: list[float] = []
    done: list[bool] = []
    last = [time.thread_time()]

    def turn() -> None:
        began = time.thread_time()
        turns.append(began - last[0])  # what everybody else took since
        while time.thread_time() - began < 0.004:
            event = next(events, None)
            if event is None:
                done.append(True)
                timer.stop()
                return
            state.apply(*event)
        last[0] = time.thread_time()

    timer = QTimer()
    timer.timeout.connect(turn)
    timer.start(0)
    qtbot.waitUntil(lambda: bool(done), timeout=60_000)
    qtbot.wait(200)
    assert len(state.questions[0].steps) == 5000
    assert column.memory.position == 4999
    assert column.evidence.count == 500
    # Far from what is measured (benchmarks/window.py): what grows with the steps that were read would be seconds.
    assert max(turns) < 1.0, sorted(turns)[-4:]


@pytest.mark.parametrize("text", made.HOSTILE)
def test_hostile_text_stays_text(column: ReadingColumn, qtbot: QtBot, text: str) -> None:
    state = ReadingState([text])
    column.set_state(state)
    plan = made.planned(3, warnings=[text], needs_start=True)
    plan["documents"][0]["name"] = text
    plan["model"] = text
    plan["runs"][0]["question"] = text
    state.apply("plan_chunks", made.plan_chunks(3))
    state.apply("planned", plan)
    state.apply("started", made.started())
    state.apply("evidence_found", made.evidence(1, text))
    state.apply("chunk_finished", made.chunk_finished(1, [], [text]))
    state.apply("chunk_finished", made.chunk_finished(2, [text], ["gone"]))
    state.apply("incident", {"run_id": "run", "chunk": 1, "kind": "empty reply", "detail": text})
    state.apply("token_delta", {"run_id": "run", "chunk": None, "text": text})
    qtbot.wait(50)
    claims = [made.claim(text, verified=True), made.claim(text, verified=False)]
    state.apply("answer_finished", made.answer(text, *claims))
    state.apply("result", made.result(text, *claims))
    column.memory._lost.set_open(True)
    column.set_documents([DocumentInfo(content_hash="1", name=text, kind="page", pages=1)])
    column.say_problem(text, text)
    qtbot.wait(150)
    column.answer.copy()
    column.grab()
    if text.startswith("<b>"):
        assert "<b>bold</b>" in column.answer._text.toPlainText()
        assert "<b>bold</b>" in column.answer._claims.toPlainText()
        assert "<script>" not in QApplication.clipboard().mimeData().html()
    assert "\u202e" not in column.answer._text.toPlainText()
    assert column.width() == 480, "nothing forces the column wider"


def test_everything_that_can_be_clicked_has_a_name_and_a_key(
    column: ReadingColumn, finished: ReadingState
) -> None:
    column.set_state(finished)
    for widget in column.findChildren(QWidget):
        if (
            isinstance(widget, QAbstractButton | QComboBox | QLineEdit)
            and widget.objectName() != "qt_spinbox_lineedit"
        ):
            if widget.objectName().startswith("qt_"):
                continue
            named = widget.accessibleName() or (widget.text() if isinstance(widget, QAbstractButton) else "")
            assert named, widget
            assert widget.focusPolicy() & Qt.FocusPolicy.TabFocus, (widget, named)


def test_it_fits_into_480_pixels(column: ReadingColumn, finished: ReadingState, qtbot: QtBot) -> None:
    column.set_state(finished)
    qtbot.wait(100)
    body = column._scroll.widget()
    assert body is not None
    assert body.width() <= 480
    assert column._scroll.horizontalScrollBar().maximum() == 0
