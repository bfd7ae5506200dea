"""Cards of excerpts: many of them, clicked, entered, copied."""

import time

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.gui.reading.evidence import EvidenceView, FateRole, PlaceRole
from app.gui.reading.state import ReadingState
from tests.app.gui.reading import made


@pytest.fixture
def view(qtbot: QtBot) -> EvidenceView:
    made_view = EvidenceView()
    qtbot.addWidget(made_view)
    made_view.resize(460, 500)
    made_view.show()
    return made_view


def state_with(count: int) -> ReadingState:
    state = ReadingState(["What was found?"])
    made.give_plan(state, max(count, 1))
    state.apply("started", made.started())
    for chunk in range(1, count + 1):
        state.apply(
            "evidence_found", made.evidence(chunk, f"On page {chunk} it was decided. " * (chunk % 9 + 1))
        )
    return state


def test_cards_come_in_while_it_reads(view: EvidenceView) -> None:
    state = state_with(2)
    view.show_question(state, 0)
    state.apply("evidence_found", made.evidence(3, "A third."))
    view.catch_up()
    assert view.count == 3
    assert [each.quote for each in view.excerpts()][-1] == "A third."


def test_cards_are_painted_while_a_reading_goes_on_from_an_earlier_chunk(
    view: EvidenceView, qtbot: QtBot
) -> None:
    """A progress bar that is set paints the window at once: after the record was cut, before all is drawn anew."""
    state = state_with(3)
    view.show_question(state, 0)
    qtbot.wait(50)
    painted: list[int] = []

    def paint(_: int) -> None:
        view._list.viewport().repaint()
        painted.append(len(state.questions[0].excerpts))

    state.status_changed.connect(paint)
    run = {"run_id": "run", "question": "What was found?", "next_chunk": 1}
    state.apply("planned", made.planned(3) | {"runs": [run]})
    assert painted == [1], "the second and the third are read again"
    assert view.count == 3
    view.show_question(state, 0)
    assert view.count == 1


def test_a_click_and_enter_show_the_place(view: EvidenceView, qtbot: QtBot) -> None:
    view.show_question(state_with(5), 0)
    qtbot.wait(50)
    index = view._model.index(1)
    with qtbot.waitSignal(view.place_wanted) as wanted:
        QTest.mouseClick(
            view._list.viewport(), Qt.MouseButton.LeftButton, pos=view._list.visualRect(index).center()
        )
    assert wanted.args is not None
    assert wanted.args[0].page == 2
    QTest.keyClick(view._list, Qt.Key.Key_Down)
    with qtbot.waitSignal(view.place_wanted) as wanted:
        QTest.keyClick(view._list, Qt.Key.Key_Return)
    assert wanted.args is not None
    assert wanted.args[0].page == 3


def test_the_quote_is_copied_whole_with_its_page(view: EvidenceView) -> None:
    state = state_with(0)
    quote = "A long sentence. " * 200
    state.apply("evidence_found", made.evidence(1, quote))
    view.show_question(state, 0)
    view._list.setCurrentIndex(view._model.index(0))
    view.copy()
    assert QApplication.clipboard().text() == f"“{quote}” (p. 1)"


def test_what_the_answer_rests_on_is_said(view: EvidenceView) -> None:
    state = state_with(3)
    view.show_question(state, 0)
    claim = {**made.claim("It was decided.", verified=True), "start": 2010, "end": 2100}
    state.apply("answer_finished", made.answer("It was.", claim))
    view.answered()
    assert [view._model.index(row).data(FateRole) for row in range(3)] == [
        "found at step 1",
        "found at step 2",
        "in the answer",
    ]
    assert view._model.index(2).data(PlaceRole) == "p. 3"


def test_five_hundred_cards_are_smooth(view: EvidenceView, qtbot: QtBot) -> None:
    state = state_with(500)
    began = time.thread_time()
    view.show_question(state, 0)
    taken = [time.thread_time() - began]
    bar = view._list.verticalScrollBar()
    for _ in range(40):
        began = time.thread_time()
        QApplication.processEvents()
        bar.setValue(bar.value() + 200)
        view._list.viewport().repaint()
        taken.append(time.thread_time() - began)
    view.resize(700, 500)
    began = time.thread_time()
    QApplication.processEvents()
    taken.append(time.thread_time() - began)
    # Far from what is measured: cards that are all laid out would take seconds.
    assert max(taken) < 1.0, sorted(taken)[-3:]


def test_nothing_found_is_said(view: EvidenceView) -> None:
    view.show_question(ReadingState(["What?"]), 0)
    assert view._empty.isVisible()
    assert not view._list.isVisible()
