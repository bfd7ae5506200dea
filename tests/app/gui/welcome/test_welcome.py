"""The welcome: one click to the sample, a place to drop files, and the small dialogs."""

from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent, QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLabel, QLineEdit
from pytestqt.qtbot import QtBot

from app.gui.dialogs import (
    AboutDialog,
    CloseChoice,
    CloseDialog,
    ErrorDialog,
    PasswordDialog,
    ShortcutsDialog,
)
from app.gui.welcome import SAMPLE_QUESTION, Welcome


@pytest.mark.parametrize("width", [360, 480, 900])
def test_one_click_tries_the_sample(qtbot: QtBot, width: int) -> None:
    welcome = Welcome()
    qtbot.addWidget(welcome)
    welcome.resize(width, 700)
    welcome.show()
    with qtbot.waitSignal(welcome.try_sample) as caught:
        QTest.mouseClick(welcome.sample_button, Qt.MouseButton.LeftButton)
    path, question = caught.args
    assert Path(path).read_bytes().startswith(b"%PDF-")
    assert question == SAMPLE_QUESTION
    inner = welcome.widget()
    assert inner is not None
    qtbot.waitUntil(lambda: welcome.widget().size().width() <= welcome.viewport().width())  # type: ignore[union-attr]
    for each in inner.findChildren(QLabel):
        right = each.mapTo(inner, each.rect().topRight()).x()
        assert right <= inner.width(), each.text()


def test_files_can_be_dropped(qtbot: QtBot, tmp_path: Path) -> None:
    welcome = Welcome()
    qtbot.addWidget(welcome)
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(tmp_path / "a.pdf"))])
    event = QDropEvent(
        QPointF(9, 9),
        Qt.DropAction.CopyAction,
        data,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    with qtbot.waitSignal(welcome.files_dropped) as caught:
        welcome.drop_area.dropEvent(event)
    assert caught.args == [[str(tmp_path / "a.pdf")]]


def test_an_error_can_be_copied_whole(qtbot: QtBot) -> None:
    dialog = ErrorDialog("It broke <b>badly</b>.", "Try again.", "line 1\nline 2")
    qtbot.addWidget(dialog)
    dialog.copy_button.click()
    assert QGuiApplication.clipboard().text() == "It broke <b>badly</b>.\n\nTry again.\n\nline 1\nline 2"
    assert "It broke <b>badly</b>." in [each.text() for each in dialog.findChildren(QLabel)]


def test_bugs_in_a_row_share_one_dialog(qtbot: QtBot) -> None:
    first = ErrorDialog.show_bug("first trace")
    assert ErrorDialog.show_bug("second trace") is first
    assert "first trace" in first.details.toPlainText()
    assert "second trace" in first.details.toPlainText()
    first.accept()
    other = ErrorDialog.show_bug("third trace")
    assert other is not first
    other.accept()


def test_a_password_is_asked_for(qtbot: QtBot) -> None:
    dialog = PasswordDialog("a\n<b>.pdf", is_wrong=True)
    qtbot.addWidget(dialog)
    dialog.show()
    assert dialog.complaint.isVisible()
    field = dialog.findChild(QLineEdit)
    assert field is not None
    assert field.echoMode() is QLineEdit.EchoMode.Password
    QTest.keyClicks(field, "heron 7")
    with qtbot.waitSignal(dialog.accepted):
        QTest.keyClick(field, Qt.Key.Key_Return)
    assert dialog.password == "heron 7"


def test_closing_while_reading_stays_unless_told(qtbot: QtBot) -> None:
    dialog = CloseDialog("Who?")
    qtbot.addWidget(dialog)
    dialog.show()
    QTest.keyClick(dialog, Qt.Key.Key_Escape)
    assert dialog.choice is CloseChoice.STAY


def test_the_licences_are_those_of_the_documentation(qtbot: QtBot) -> None:
    dialog = AboutDialog()
    qtbot.addWidget(dialog)
    shown = " ".join(each.text() for each in dialog.findChildren(QLabel)).casefold()
    text = (Path(__file__).parents[4] / "docs" / "licences.md").read_text("utf-8")
    section = text.split("## Needed to run")[1].split("Pulled in by these")[0]
    rows = [line.split("|")[1].strip() for line in section.splitlines() if line.startswith("| ")][1:]
    names = [row.split(" (")[0] for row in rows]
    assert len(names) > 15
    assert [name for name in names if name.casefold() not in shown] == []


def test_shortcuts_are_shown(qtbot: QtBot) -> None:
    dialog = ShortcutsDialog()
    qtbot.addWidget(dialog)
    texts = [each.text() for each in dialog.findChildren(QLabel)]
    assert {"Ctrl+O", "Esc", "F1"} <= set(texts)
