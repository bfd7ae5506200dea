"""Two real readings side by side."""

from pathlib import Path

from PySide6.QtWidgets import QLabel
from pytestqt.qtbot import QtBot

from app.gui.background import Background
from app.gui.history import queries
from app.gui.history.compare_dialog import CompareDialog
from app.gui.history.panel import HistoryPanel
from engine.paths import trace_database
from engine.traces.store import TraceStore

WAIT_MS = 30_000


def test_what_differs_is_found(folder: Path) -> None:
    with TraceStore(trace_database(folder)) as store:
        newer, older, *_ = store.list_runs()
        compared = queries.compare(store, newer.run_id, older.run_id)
        found = {
            run.run_id: {(each.evidence.start, each.evidence.end) for each in store.evidence(run.run_id)}
            for run in (newer, older)
        }
    assert (compared.left.run.run_id, compared.right.run.run_id) == (older.run_id, newer.run_id)
    assert [(each.name, each.left) for each in compared.settings] == [("chunk_tokens", "128")]
    common = found[newer.run_id] & found[older.run_id]
    assert compared.num_common == len(common) >= 1
    assert len(compared.left.only) == len(found[older.run_id] - common)
    assert compared.left.coverage.startswith(f"{compared.left.coverage.split()[0]} of ")
    assert compared.right.wall_s > 0
    assert (
        "".join(text for change, text in compared.memory_changes if change != "removed")
        == compared.right.memory
    )
    assert "".join(text for change, text in compared.memory_changes if change != "added").split() == (
        compared.left.memory.split()
    )


def test_runs_of_different_documents_and_states(folder: Path) -> None:
    with TraceStore(trace_database(folder)) as store:
        _, _, other, stopped = store.list_runs()
        compared = queries.compare(store, other.run_id, stopped.run_id)
    assert {"question", "documents"} <= {each.name for each in compared.settings}
    assert compared.left.run.status == "stopped"
    assert compared.left.coverage == ""
    assert compared.num_common == 0


def test_the_dialog_shows_both(qtbot: QtBot, background: Background, panel: HistoryPanel) -> None:
    one, other = panel.model.shown[0], panel.model.shown[2]
    dialog = CompareDialog(background.call, one.run_id, other.run_id)
    qtbot.addWidget(dialog)
    dialog.show()
    qtbot.waitUntil(lambda: dialog.comparison is not None, timeout=WAIT_MS)
    texts = [each.text() for each in dialog.findChildren(QLabel)]
    assert one.question in texts
    assert other.question in texts
    assert one.answer in texts
    dialog.grab()


def test_a_run_that_is_gone_is_said(qtbot: QtBot, background: Background, panel: HistoryPanel) -> None:
    dialog = CompareDialog(background.call, panel.model.shown[0].run_id, "0000gone")
    qtbot.addWidget(dialog)
    dialog.show()
    qtbot.waitUntil(lambda: "0000gone" in dialog.state.text(), timeout=WAIT_MS)
