"""Preferences: kept, read back, and safe against what others wrote into them."""

import json
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QSettings, Qt
from pytestqt.qtbot import QtBot

from app.gui.settings.preferences import (
    GROUP,
    MAX_REMEMBERED,
    ModelKind,
    PreferenceKeeper,
    Preferences,
    Scheme,
    load_preferences,
    save_preferences,
)


@pytest.fixture
def settings(tmp_path: Path) -> QSettings:
    return QSettings(str(tmp_path / "p.ini"), QSettings.Format.IniFormat)


CHOSEN = Preferences(
    model_kind=ModelKind.FILE,
    model_path="/models/a b, c=d.gguf",
    chunk_tokens=1000,
    num_gpu_layers=0,
    scheme=Scheme.DARK,
    text_scale=1.15,
    watched_folders=("/one, two", "/drei ü"),
)


def test_what_is_kept_comes_back_after_a_restart(settings: QSettings) -> None:
    save_preferences(CHOSEN, settings)
    again = QSettings(settings.fileName(), QSettings.Format.IniFormat)
    assert load_preferences(again) == CHOSEN
    assert CHOSEN.colour_scheme is Qt.ColorScheme.Dark


def test_nothing_kept_gives_the_defaults(settings: QSettings) -> None:
    assert load_preferences(settings) == Preferences()


@pytest.mark.parametrize("kept", ["{", "[]", "null", "3", '"x"', "\x00"])
def test_what_is_no_preferences_gives_the_defaults(settings: QSettings, kept: str) -> None:
    settings.setValue(GROUP, kept)
    assert load_preferences(settings) == Preferences()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("model_kind", "telepathy"),
        ("model_path", 7),
        ("chunk_tokens", 3),
        ("chunk_tokens", True),
        ("chunk_tokens", "1000"),
        ("memory_tokens", 10**9),
        ("num_threads", 0),
        ("mode", "psychic"),
        ("scheme", None),
        ("text_scale", 40),
        ("watched_folders", [1, 2]),
        ("watched_folders", "abc"),
    ],
)
def test_a_value_that_does_not_fit_falls_back_alone(settings: QSettings, name: str, value: Any) -> None:
    values = {**CHOSEN.to_dict(), name: value, "of_a_newer_version": 1}
    settings.setValue(GROUP, json.dumps(values))
    loaded = load_preferences(settings)
    assert getattr(loaded, name) == getattr(Preferences(), name)
    others = {**CHOSEN.to_dict(), name: None}
    assert {**loaded.to_dict(), name: None} == others


def test_a_value_that_does_not_fit_cannot_be_set(settings: QSettings) -> None:
    keeper = PreferenceKeeper(settings)
    with pytest.raises(ValueError, match="num_threads"):
        keeper.update(num_threads=-1)
    assert keeper.value == Preferences()


def test_changes_are_told_by_name_and_only_if_there_are_any(qtbot: QtBot, settings: QSettings) -> None:
    keeper = PreferenceKeeper(settings)
    with qtbot.waitSignal(keeper.changed) as caught:
        keeper.update(scheme=Scheme.LIGHT, num_threads=2)
    assert caught.args == [keeper.value, frozenset({"scheme", "num_threads"})]
    with qtbot.assertNotEmitted(keeper.changed):
        keeper.update(num_threads=2)
    assert PreferenceKeeper(settings).value == keeper.value


def test_removed_files_are_ignored_until_they_are_added_again(settings: QSettings) -> None:
    keeper = PreferenceKeeper(settings)
    keeper.ignore_files(("/a", "/b"))
    keeper.ignore_files(("/b", "/c"))
    keeper.welcome_files(("/b",))
    assert keeper.value.ignored_files == ("/a", "/c")
    keeper.ignore_files(tuple(f"/{number}" for number in range(2 * MAX_REMEMBERED)))
    assert len(keeper.value.ignored_files) == MAX_REMEMBERED
