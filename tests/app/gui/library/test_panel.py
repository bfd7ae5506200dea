"""The library over a real store: list, search and count, what is to be read, failures, removal."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QApplication, QLineEdit
from pytestqt.qtbot import QtBot

from app.gui.background import Background
from app.gui.dialogs import ConfirmDialog, ErrorDialog
from app.gui.library.delegate import mark_rect, retry_rect
from app.gui.library.panel import LibraryPanel
from app.gui.library.search import HIT_ROLE
from app.gui.library.values import Entry, PageHit, State
from app.gui.library.wording import state_line, tip
from engine.documents.reader import open_document
from engine.errors import DocumentError
from engine.paths import trace_database
from engine.traces.store import TraceStore

WAIT_MS = 30_000
REPORT = "kestrelmouth-report.pdf"
HashOf = Callable[[str], str]


def row_of(panel: LibraryPanel, name: str) -> int:
    return next(row for row, entry in enumerate(panel.model.entries) if entry.name == name)


def search(qtbot: QtBot, panel: LibraryPanel, text: str) -> list[Any]:
    """Type, and wait until the hits are there and the count is exact."""
    panel.search.setText(text)
    done = panel.results
    qtbot.waitUntil(
        lambda: done._found is not None and done._found.query == text and not done._tally.remaining,
        timeout=WAIT_MS,
    )
    return [done.model.index(row).data(HIT_ROLE) for row in range(done.model.rowCount())]


def fail(path: Path) -> dict[str, Any]:
    """What an import says of a file that cannot be read."""
    with pytest.raises(DocumentError) as caught:
        open_document(path)
    error = caught.value
    return {
        "path": str(path),
        "name": path.name,
        "code": type(error).__name__,
        "message": error.message,
        "hint": error.hint,
    }


def remove(qtbot: QtBot, *, tick: bool = False) -> str:
    """Say yes to the question that is open; returns the text of its box."""
    dialog = next(each for each in QApplication.topLevelWidgets() if isinstance(each, ConfirmDialog))
    if tick:
        assert not dialog.action_button.isEnabled()
        dialog.box.setChecked(True)
    assert dialog.action_button.isEnabled()
    text = dialog.box.text()
    QTest.mouseClick(dialog.action_button, Qt.MouseButton.LeftButton)
    return text


def test_documents_are_listed_with_what_is_known_of_them(panel: LibraryPanel) -> None:
    entry = panel.model.entries[row_of(panel, REPORT)]
    assert state_line(entry).startswith("121 pages · PDF · ")
    book = panel.model.entries[row_of(panel, "book.txt")]
    assert book.num_runs == 1
    assert book.num_tokens is None or book.num_tokens > 500
    assert panel.model.entries[0].name == "book.txt"  # read last


def test_hostile_names_stay_text_on_one_line(panel: LibraryPanel) -> None:
    entry = next(each for each in panel.model.stored if each.name.startswith("<b>"))
    index = panel.model.index(panel.model.row_of(entry.key))
    shown = str(index.data(Qt.ItemDataRole.DisplayRole))
    assert "\n" not in shown
    assert "\u202e" not in shown
    assert shown == "<b>bold<b> next gnp.exe.txt"
    assert "<b>bold" not in tip(entry)
    assert "&lt;b&gt;bold" in tip(entry)
    panel.grab()


def test_search_finds_pages_and_counts_exactly(qtbot: QtBot, panel: LibraryPanel, folder: Path) -> None:
    hits = search(qtbot, panel, "north mole")
    with TraceStore(trace_database(folder)) as store:
        counts = store.count("north mole")
        times = sum(each.count for each in counts)
        pages = sum(len(each.pages) for each in counts)
    assert times > 20
    line = panel.results.summary.text().replace(",", "")
    assert line.startswith(f"{times} times on {pages} pages in {len(counts)} documents")
    assert all(isinstance(hit, PageHit) for hit in hits)
    assert {hit.document for hit in hits} >= {REPORT, "letters.md"}


def test_a_hit_leads_to_its_page(qtbot: QtBot, panel: LibraryPanel, hash_of: HashOf, folder: Path) -> None:
    search(qtbot, panel, '"repair of the North Mole"')
    with qtbot.waitSignal(panel.place_wanted) as caught:
        QTest.keyClick(panel.search, Qt.Key.Key_Return)
    content_hash, page, words = caught.args
    assert content_hash == hash_of(REPORT)
    assert words == ["repair of the North Mole"]
    with TraceStore(trace_database(folder)) as store:
        text = store.load_document(content_hash).pages[page - 1].text
    assert "repair of the North Mole" in " ".join(text.split())


def test_a_click_on_a_hit_counts_as_well(qtbot: QtBot, panel: LibraryPanel) -> None:
    hits = search(qtbot, panel, "mole")
    view = panel.results.view
    where = view.visualRect(panel.results.model.index(1)).center()
    with qtbot.waitSignal(panel.place_wanted) as caught:
        QTest.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=where)
    assert caught.args == [hits[1].content_hash, hits[1].page, ["mole"]]


def test_names_are_searched_too(qtbot: QtBot, panel: LibraryPanel, hash_of: HashOf) -> None:
    hits = search(qtbot, panel, "letters")
    assert isinstance(hits[0], Entry)
    with qtbot.waitSignal(panel.document_opened) as caught:
        QTest.keyClick(panel.search, Qt.Key.Key_Return)
    assert caught.args == [hash_of("letters.md")]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("Zanzibar", "Nowhere in the library."),
        ("mole north", "Never in exactly these words."),
        ("Brode", "Never as a whole word."),
    ],
)
def test_what_is_not_there_is_said(qtbot: QtBot, panel: LibraryPanel, typed: str, said: str) -> None:
    search(qtbot, panel, typed)
    assert panel.results.summary.text().startswith(said)


def test_escape_ends_a_search(qtbot: QtBot, panel: LibraryPanel) -> None:
    search(qtbot, panel, "mole")
    assert not panel.list.isVisible()
    QTest.keyClick(panel.search, Qt.Key.Key_Escape)
    assert panel.list.isVisible()
    assert panel.search.text() == ""


def test_the_next_reading_is_what_is_shown_or_what_is_ticked_in_order(
    qtbot: QtBot, panel: LibraryPanel, hash_of: HashOf
) -> None:
    report, book, letters = hash_of(REPORT), hash_of("book.txt"), hash_of("letters.md")
    panel.show_current(report)
    assert panel.selection == [report]
    row = row_of(panel, "letters.md")
    rect = panel.list.visualRect(panel.model.index(row))
    with qtbot.waitSignal(panel.selection_changed) as caught:
        QTest.mouseClick(
            panel.list.viewport(),
            Qt.MouseButton.LeftButton,
            pos=mark_rect(rect.adjusted(4, 1, -4, -1)).center(),
        )
    assert caught.args == [[letters]]
    rect = panel.list.visualRect(panel.model.index(row_of(panel, "book.txt")))
    QTest.mouseClick(
        panel.list.viewport(),
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.ControlModifier,
        rect.center(),
    )
    assert panel.selection == [letters, book]
    assert panel.reading_set.isVisible()
    with qtbot.waitSignal(panel.selection_changed) as caught:
        panel.reading_set._list.setCurrentRow(1)
        panel.reading_set._up.click()
    assert caught.args == [[book, letters]]
    panel.choose([])
    assert panel.selection == [report]
    assert not panel.reading_set.isVisible()


def test_the_order_can_be_dragged(qtbot: QtBot, panel: LibraryPanel, hash_of: HashOf) -> None:
    book, letters = hash_of("book.txt"), hash_of("letters.md")
    panel.choose([book, letters])
    inner = panel.reading_set._list
    with qtbot.waitSignal(panel.selection_changed) as caught:
        assert inner.model().moveRow(inner.rootIndex(), 1, inner.rootIndex(), 0)
    assert caught.args == [[letters, book]]
    qtbot.waitUntil(lambda: inner.item(0).text() == "1  letters.md")


def test_keys_open_and_choose(qtbot: QtBot, panel: LibraryPanel, hash_of: HashOf) -> None:
    panel.list.setFocus()
    panel.list.show_current(hash_of("letters.md"))
    with qtbot.waitSignal(panel.document_opened) as caught:
        QTest.keyClick(panel.list, Qt.Key.Key_Return)
    assert caught.args == [hash_of("letters.md")]
    QTest.keyClick(panel.list, Qt.Key.Key_Space)
    assert panel.selection == [hash_of("letters.md")]
    QTest.keyClick(panel.list, Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)
    assert len(panel.selection) == 4


def test_a_damaged_file_says_why_and_can_be_tried_again(
    qtbot: QtBot, panel: LibraryPanel, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.pdf"
    bad.write_bytes(b"%PDF-1.7\nthis is no pdf")
    panel.take_message("import_failed", fail(bad))
    entry = panel.model.entries[0]
    assert entry.state is State.FAILED
    assert "bad.pdf" in state_line(entry)
    rect = panel.list.visualRect(panel.model.index(0))
    where = retry_rect(rect.adjusted(4, 1, -4, -1)).center()
    panel.list.entry_opened.emit(entry)
    dialog = next(each for each in QApplication.topLevelWidgets() if isinstance(each, ErrorDialog))
    assert dialog.details.toPlainText() == str(bad)
    dialog.close()
    with qtbot.waitSignal(panel.import_wanted) as caught:
        QTest.mouseClick(panel.list.viewport(), Qt.MouseButton.LeftButton, pos=where)
    assert caught.args == [[str(bad)]]
    assert len(panel.model.entries) == 4


def test_a_file_that_needs_a_password_asks_for_it(qtbot: QtBot, panel: LibraryPanel) -> None:
    values = {"path": "/x/c.pdf", "name": "c.pdf", "code": "password_needed", "message": "m", "hint": ""}
    panel.take_message("import_failed", values)
    with qtbot.waitSignal(panel.password_wanted) as caught:
        panel.list.entry_opened.emit(panel.model.entries[0])
    assert caught.args == ["/x/c.pdf", "c.pdf"]


def test_progress_of_an_import_is_shown_and_ends(
    qtbot: QtBot, panel: LibraryPanel, folder: Path, tmp_path: Path
) -> None:
    path = tmp_path / "new.txt"
    path.write_text("A new document about herons.", "utf-8")
    values = {
        "path": str(path),
        "name": path.name,
        "file": 2,
        "files": 5,
        "state": "reading",
        "done": 9,
        "of": 20,
    }
    panel.take_message("import_progress", values)
    assert state_line(panel.model.entries[0]) == "Taking in, 45 %"
    assert panel._progress.isVisible()
    with TraceStore(trace_database(folder)) as store:
        store.add_document(open_document(path))
    with qtbot.waitSignal(panel.entries_loaded, timeout=WAIT_MS):
        panel.take_message("imported", {"path": str(path)})
        panel.import_ended()
    assert not panel._progress.isVisible()
    assert [each.name for each in panel.model.entries].count("new.txt") == 1


def test_a_document_that_is_read_says_so_and_stays(
    qtbot: QtBot, panel: LibraryPanel, hash_of: HashOf
) -> None:
    report = hash_of(REPORT)
    panel.set_reading([report], 0.25)
    assert state_line(panel.model.entries[row_of(panel, REPORT)]) == "Being read, 25 %"
    panel.list.entry_removed.emit(panel.model.entries[row_of(panel, REPORT)])
    assert panel.banner.isVisible()
    panel.set_reading(())
    assert panel.model.entries[row_of(panel, REPORT)].state is State.READY


def test_removing_a_document_that_nobody_read(
    qtbot: QtBot, panel: LibraryPanel, folder: Path, hash_of: HashOf
) -> None:
    letters = hash_of("letters.md")
    panel.list.setFocus()
    panel.list.show_current(letters)
    QTest.keyClick(panel.list, Qt.Key.Key_Delete)
    with qtbot.waitSignal(panel.documents_removed, timeout=WAIT_MS) as caught:
        remove(qtbot)
    assert caught.args == [[letters], []]
    qtbot.waitUntil(lambda: len(panel.model.entries) == 3, timeout=WAIT_MS)
    assert (folder / "files" / "letters.md").is_file()


def test_removing_a_document_takes_its_readings_along_only_if_told(
    qtbot: QtBot, panel: LibraryPanel, folder: Path, hash_of: HashOf
) -> None:
    book = hash_of("book.txt")
    with TraceStore(trace_database(folder)) as store:
        (run,) = store.list_heads()
    panel.list.entry_removed.emit(panel.model.entries[row_of(panel, "book.txt")])
    with qtbot.waitSignal(panel.documents_removed, timeout=WAIT_MS) as caught:
        text = remove(qtbot, tick=True)
    assert text == "Delete 1 reading as well"
    assert caught.args == [[book], [run.run_id]]
    with TraceStore(trace_database(folder)) as store:
        assert store.list_heads() == []
        assert store.verify() == []


def test_dropped_files_are_taken_in(qtbot: QtBot, panel: LibraryPanel, tmp_path: Path) -> None:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(tmp_path)), QUrl("https://example.org/a.pdf")])
    event = QDropEvent(
        QPointF(5, 5),
        Qt.DropAction.CopyAction,
        data,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    with qtbot.waitSignal(panel.import_wanted) as caught:
        panel.dropEvent(event)
    assert caught.args == [[str(tmp_path)]]


def test_every_button_has_a_name(panel: LibraryPanel) -> None:
    for each in panel.findChildren(QAbstractButton):
        # A field's own buttons belong to Qt, which names them by their actions.
        if each.isVisible() and not isinstance(each.parent(), QLineEdit):
            assert each.text() or each.accessibleName(), each


def test_menus_fit_the_line(panel: LibraryPanel) -> None:
    entry = panel.model.entries[row_of(panel, REPORT)]
    texts = [action.text() for action in panel.entry_menu(entry).actions()]
    assert "Open" in texts
    assert "Remove…" in texts
    assert panel.childAt(QPoint(60, 20)) is not None


def test_a_damaged_database_is_explained(qtbot: QtBot, tmp_path: Path) -> None:
    database = trace_database(tmp_path)
    database.write_bytes(b"this is no database" * 100)
    background = Background(database)
    panel = LibraryPanel(background.call)
    qtbot.addWidget(panel)
    panel.show()
    panel.refresh()
    qtbot.waitUntil(panel.banner.isVisible, timeout=WAIT_MS)
    assert "database" in panel.banner.text.text()
    assert panel.banner.hint.text()
    background.close()
