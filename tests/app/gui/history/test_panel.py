"""The history over real readings: what is listed, filtered, opened, deleted."""

import time
from datetime import datetime
from pathlib import Path

from PySide6.QtCore import QItemSelectionModel, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.gui.dialogs import ConfirmDialog
from app.gui.history.model import HistoryModel
from app.gui.history.panel import HistoryPanel
from app.gui.history.values import Run
from app.gui.history.wording import outcome, progress, tip, when
from engine.paths import trace_database
from engine.traces.store import TraceStore

WAIT_MS = 30_000
QUESTION = "Who built the granite quay of Osterhaven?"
OTHER = "Who lit the lamp of Skagholm?"


def choose(panel: HistoryPanel, *rows: int) -> list[Run]:
    selection = panel.list.selectionModel()
    selection.clear()
    for row in rows:
        selection.select(panel.model.index(row), QItemSelectionModel.SelectionFlag.Select)
    return panel.list.chosen


def test_runs_stand_newest_first_with_how_they_stand(panel: HistoryPanel, folder: Path) -> None:
    shown = panel.model.shown
    assert [run.question for run in shown] == [QUESTION, QUESTION, OTHER, "Which boats stayed?"]
    assert [run.status for run in shown] == ["finished", "finished", "finished", "stopped"]
    with TraceStore(trace_database(folder)) as store:
        rows = store.list_runs()
    assert [(run.run_id, run.chunks_done, run.chunks_total, run.answer) for run in shown] == [
        (row.run_id, row.chunks_done, row.chunks_total, row.answer.text if row.answer else "") for row in rows
    ]
    stopped = shown[-1]
    assert 0 < stopped.chunks_done < stopped.chunks_total
    assert progress(stopped) == f"Stopped at {stopped.chunks_done} of {stopped.chunks_total}"
    assert "Brodersen" in outcome(shown[0])
    assert "&lt;i&gt;" in tip(shown[2], time.time())


def test_filters_by_words_state_and_document(qtbot: QtBot, panel: HistoryPanel) -> None:
    panel.search.setText("QUAY brodersen")
    assert [run.question for run in panel.model.shown] == [QUESTION, QUESTION]
    panel.search.setText("")
    panel._status.setCurrentIndex(panel._status.findData("stopped"))
    assert [run.question for run in panel.model.shown] == ["Which boats stayed?"]
    panel._status.setCurrentIndex(0)
    assert len(panel.model.shown) == 4
    ((lamp, _),) = panel.model.shown[2].documents
    qtbot.waitUntil(lambda: lamp in panel._keys)
    panel.filter_document(lamp)
    assert [run.question for run in panel.model.shown] == [OTHER]
    panel.search.setText("no such words")
    assert not panel.list.isVisible()
    assert panel._nothing.text() == "No reading fits"


def test_a_click_opens_and_return_too(qtbot: QtBot, panel: HistoryPanel) -> None:
    where = panel.list.visualRect(panel.model.index(2)).center()
    with qtbot.waitSignal(panel.run_opened) as caught:
        QTest.mouseClick(panel.list.viewport(), Qt.MouseButton.LeftButton, pos=where)
    assert caught.args == [panel.model.shown[2].run_id]
    QTest.keyClick(panel.list, Qt.Key.Key_Down)
    with qtbot.waitSignal(panel.run_opened) as caught:
        QTest.keyClick(panel.list, Qt.Key.Key_Return)
    assert caught.args == [panel.model.shown[3].run_id]


def test_only_what_is_not_finished_can_be_resumed(qtbot: QtBot, panel: HistoryPanel) -> None:
    choose(panel, 0)
    assert "Go on reading" not in [action.text() for action in panel.run_menu().actions()]
    (stopped,) = choose(panel, 3)
    action = next(each for each in panel.run_menu().actions() if each.text() == "Go on reading")
    with qtbot.waitSignal(panel.resume_wanted) as caught:
        action.trigger()
    assert caught.args == [stopped.run_id]


def test_two_runs_can_be_compared(qtbot: QtBot, panel: HistoryPanel) -> None:
    choose(panel, 0)
    assert not panel.compare_button.isVisible()
    one, other = choose(panel, 0, 1)
    with qtbot.waitSignal(panel.compare_wanted) as caught:
        panel.compare_button.click()
    assert caught.args == [one.run_id, other.run_id]


def test_deleting_asks_first_and_leaves_the_documents(
    qtbot: QtBot, panel: HistoryPanel, folder: Path
) -> None:
    one, other = choose(panel, 1, 3)
    panel.list.setFocus()
    QTest.keyClick(panel.list, Qt.Key.Key_Delete)
    dialog = next(each for each in QApplication.topLevelWidgets() if isinstance(each, ConfirmDialog))
    assert dialog.windowTitle() == "Delete 2 readings?"
    with qtbot.waitSignal(panel.runs_deleted, timeout=WAIT_MS) as caught:
        QTest.mouseClick(dialog.action_button, Qt.MouseButton.LeftButton)
    assert caught.args == [[one.run_id, other.run_id]]
    qtbot.waitUntil(lambda: panel.model.rowCount() == 2, timeout=WAIT_MS)
    with TraceStore(trace_database(folder)) as store:
        assert len(store.list_heads()) == 2
        assert len(store.list_documents()) == 2
        assert store.verify() == []


def test_a_running_reading_shows_progress_and_is_not_deleted(qtbot: QtBot, panel: HistoryPanel) -> None:
    run = panel.model.shown[3]
    panel.set_progress(run.run_id, 2, "running")
    assert progress(panel.model.shown[3]) == f"Running, 2 of {run.chunks_total}"
    choose(panel, 3)
    panel.list.delete_wanted.emit()
    assert panel.banner.isVisible()
    assert not any(
        isinstance(each, ConfirmDialog) and each.isVisible() for each in QApplication.topLevelWidgets()
    )


def test_times_in_words() -> None:
    now = datetime(2026, 3, 18, 12, 0).timestamp()
    assert when(now - 5, now) == "just now"
    assert when(now - 60, now) == "1 minute ago"
    assert when(now - 1500, now) == "25 minutes ago"
    assert when(now - 3 * 3600, now).startswith("today, ")
    assert when(now - 20 * 3600, now).startswith("yesterday, ")
    assert when(now - 3 * 86400, now).startswith("Sunday, ")
    assert "2025" in when(now - 300 * 86400, now)
    assert "2026" in when(now + 86400, now)  # a clock that was set back


def test_five_thousand_runs_are_filtered(qtbot: QtBot) -> None:
    model = HistoryModel()
    runs = [
        Run(
            run_id=f"r{number}",
            status="finished",
            created_at=float(number),
            question=f"Question {number} about héron{number % 7}?",
            documents=(("a" * 64, "a.pdf"),),
            model="m",
            mode="extractive",
            chunks_done=5,
            chunks_total=5,
        )
        for number in range(5000)
    ]
    model.set_runs(runs)
    model.set_filter("heron3", None, "")
    assert len(model.shown) == sum(number % 7 == 3 for number in range(5000))
    model.set_filter("", "failed", "")
    assert model.shown == []
