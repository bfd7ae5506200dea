"""Thousands of documents in the list."""

from PySide6.QtTest import QAbstractItemModelTester
from pytestqt.qtbot import QtBot

from app.gui.library.model import LibraryModel, Order
from app.gui.library.values import Entry


def make(number: int) -> Entry:
    return Entry(
        key=f"{number:064x}",
        name=f"Report {number % 97} of {number}.pdf",
        path=f"/nowhere/{number}.pdf",
        content_hash=f"{number:064x}",
        format="pdf",
        num_pages=number % 300,
        used_at=float(number),
    )


def test_five_thousand_documents_in_every_order(qtbot: QtBot) -> None:
    model = LibraryModel()
    QAbstractItemModelTester(model, QAbstractItemModelTester.FailureReportingMode.Fatal, model)
    entries = [make(number) for number in range(5000)]
    model.set_stored(entries)
    assert [entry.used_at for entry in model.entries] == [float(n) for n in reversed(range(5000))]
    model.set_order(Order.NAME)
    assert model.entries[0].name == "Report 0 of 0.pdf"
    model.set_order(Order.LENGTH)
    assert model.entries[0].num_pages == 299
    model.set_coming("/x/a.pdf", "a.pdf", 0.5)
    assert model.rowCount() == 5001
    assert model.entries[0].name == "a.pdf"
    model.drop_importing()
    assert model.rowCount() == 5000


def test_a_document_that_is_gone_is_no_longer_chosen(qtbot: QtBot) -> None:
    model = LibraryModel()
    entries = [make(number) for number in range(3)]
    model.set_stored(entries)
    model.set_chosen([entries[2].key, entries[0].key, "unknown"])
    assert model.chosen == [entries[2].key, entries[0].key]
    with qtbot.waitSignal(model.chosen_changed):
        model.set_stored(entries[:2])
    assert model.chosen == [entries[0].key]
