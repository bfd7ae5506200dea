"""The settings over real preferences, a real folder and the bundled model."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QSettings, Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from app.gui.settings.dialog import SettingsDialog
from app.gui.settings.model_test import ModelReport, ModelTest, sentence_of
from app.gui.settings.preferences import ModelKind, PreferenceKeeper, Preferences, Scheme
from engine.models.catalogue import BUNDLED

WAIT_MS = 120_000


@pytest.fixture
def keeper(tmp_path: Path) -> PreferenceKeeper:
    return PreferenceKeeper(QSettings(str(tmp_path / "p.ini"), QSettings.Format.IniFormat))


def kind_of(keeper: PreferenceKeeper) -> ModelKind:
    return keeper.value.model_kind


@pytest.fixture
def dialog(qtbot: QtBot, keeper: PreferenceKeeper, tmp_path: Path) -> Iterator[SettingsDialog]:
    folder = tmp_path / "data"
    (folder / "models").mkdir(parents=True)
    (folder / "models" / "mine.gguf").write_bytes(b"GGUF" + bytes(3_000_000))
    made = SettingsDialog(keeper, folder, home=tmp_path)
    qtbot.addWidget(made)
    made.show()
    yield made
    made.close()


def test_a_found_file_is_chosen_with_a_click(
    qtbot: QtBot, dialog: SettingsDialog, keeper: PreferenceKeeper, tmp_path: Path
) -> None:
    page = dialog.model_page
    qtbot.waitUntil(lambda: page.models.count() == 1)
    where = page.models.visualItemRect(page.models.item(0)).center()
    QTest.mouseClick(page.models.viewport(), Qt.MouseButton.LeftButton, pos=where)
    assert kind_of(keeper) is ModelKind.FILE
    assert keeper.value.model_path == str(tmp_path / "data" / "models" / "mine.gguf")
    assert page.file.isChecked()
    page.bundled.click()
    assert kind_of(keeper) is ModelKind.BUNDLED


def test_a_server_counts_once_it_has_an_address(
    qtbot: QtBot, dialog: SettingsDialog, keeper: PreferenceKeeper
) -> None:
    page = dialog.model_page
    page.server.click()
    assert kind_of(keeper) is ModelKind.BUNDLED
    QTest.keyClicks(page.address, "http://127.0.0.1:9")
    page.address.editingFinished.emit()
    assert kind_of(keeper) is ModelKind.SERVER
    assert keeper.value.server_address == "http://127.0.0.1:9"
    page.address.clear()
    page.address.editingFinished.emit()
    assert kind_of(keeper) is ModelKind.BUNDLED


@pytest.mark.skipif(not BUNDLED.is_file(), reason="the bundled model is not in this checkout")
def test_the_bundled_model_passes_its_test(qtbot: QtBot, dialog: SettingsDialog) -> None:
    page = dialog.model_page
    with qtbot.waitSignal(page.test.passed, timeout=WAIT_MS) as caught:
        QTest.mouseClick(page.test_button, Qt.MouseButton.LeftButton)
    (report,) = caught.args
    assert isinstance(report, ModelReport)
    assert report.context_tokens > 256
    assert report.prompt_tokens_per_s > 0
    assert f"{report.name} works." in page.test_state.text()
    assert page.test_button.isEnabled()


def test_a_file_that_is_no_model_is_refused_in_one_sentence(qtbot: QtBot, tmp_path: Path) -> None:
    bad = tmp_path / "bad.gguf"
    bad.write_bytes(b"not a model")
    test = ModelTest(tmp_path / "data")
    with qtbot.waitSignal(test.failed, timeout=WAIT_MS) as caught:
        test.start(Preferences(model_kind=ModelKind.FILE, model_path=str(bad)))
    message, hint = caught.args
    assert message == "bad.gguf is not a GGUF file."
    assert "GGUF" in hint
    assert not test.is_running


def test_a_server_that_is_not_there_is_said(qtbot: QtBot, tmp_path: Path) -> None:
    test = ModelTest(tmp_path / "data")
    with qtbot.waitSignal(test.failed, timeout=WAIT_MS) as caught:
        test.start(Preferences(model_kind=ModelKind.SERVER, server_address="http://127.0.0.1:9"))
    assert "127.0.0.1:9" in caught.args[0]


def test_a_test_can_be_stopped(qtbot: QtBot, tmp_path: Path) -> None:
    test = ModelTest(tmp_path / "data")
    with qtbot.assertNotEmitted(test.failed), qtbot.assertNotEmitted(test.passed):
        test.start(Preferences())
        assert test.is_running
        test.stop()
        qtbot.wait(100)
    assert not test.is_running


def test_numbers_may_be_left_to_the_program(dialog: SettingsDialog, keeper: PreferenceKeeper) -> None:
    page = dialog.reading_page
    page.threads.setValue(4)
    page.layers.setValue(0)
    page.mode.setCurrentIndex(page.mode.findData("parallel"))
    assert (keeper.value.num_threads, keeper.value.num_gpu_layers, keeper.value.mode) == (4, 0, "parallel")
    page.threads.setValue(page.threads.minimum())
    page.layers.setValue(page.layers.minimum())
    assert (keeper.value.num_threads, keeper.value.num_gpu_layers) == (None, None)
    assert page.threads.text() == "Automatic"


def test_colours_and_text_size(dialog: SettingsDialog, keeper: PreferenceKeeper) -> None:
    page = dialog.appearance_page
    next(each for each in page.schemes.buttons() if each.text() == "Dark").click()
    page.scale.setCurrentIndex(page.scale.findText("130 %"))
    assert (keeper.value.scheme, keeper.value.text_scale) == (Scheme.DARK, 1.3)


def test_watched_folders(dialog: SettingsDialog, keeper: PreferenceKeeper) -> None:
    page = dialog.library_page
    page.add_folder("/one")
    page.add_folder("/two")
    page.add_folder("/one")
    assert keeper.value.watched_folders == ("/one", "/two")
    page.folders.setCurrentRow(0)
    page.remove_button.click()
    assert list(keeper.value.watched_folders) == ["/two"]


def test_the_size_on_disk_is_measured(qtbot: QtBot, dialog: SettingsDialog) -> None:
    dialog.show_page("storage")
    line = dialog.storage_page.size_line
    qtbot.waitUntil(lambda: line.text().endswith("on disk"))
    assert line.text().startswith("3 MB")


@pytest.mark.parametrize(
    ("errors", "found"),
    [
        ("Error: No.\nDo that.\n", ("No.", "Do that.")),
        ("WARNING x: y\nError: No.", ("No.", "")),
        ("Traceback\nValueError: x", ("ValueError: x", "")),
        ("", ("", "")),
    ],
)
def test_the_sentence_of_a_command(errors: str, found: tuple[str, str]) -> None:
    assert sentence_of(errors) == found
