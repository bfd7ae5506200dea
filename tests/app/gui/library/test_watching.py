"""Watched folders: real files on a real disk."""

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from app.gui.library.scanning import SETTLED_S, scan
from app.gui.library.watching import WatchedFolders

WAIT_MS = 20_000


def put(path: Path, text: str = "Some text.", age_s: float = 60) -> Path:
    """A file that was last written a while ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    then = time.time() - age_s
    os.utime(path, (then, then))
    return path


@pytest.fixture
def watched(qtbot: QtBot) -> Iterator[WatchedFolders]:
    made = WatchedFolders()
    yield made
    made.close()


def test_new_and_changed_files_are_reported_once_each(
    qtbot: QtBot, watched: WatchedFolders, tmp_path: Path
) -> None:
    first = put(tmp_path / "in" / "deep" / "first.txt")
    stat = (old := put(tmp_path / "in" / "old.txt")).stat()
    put(tmp_path / "in" / "picture.png")
    put(tmp_path / "in" / ".hidden" / "h.txt")
    ignored = put(tmp_path / "in" / "ignored.txt")
    found: list[list[str]] = []
    watched.files_found.connect(found.append)
    watched.set_folders([str(tmp_path / "in")], [str(ignored)])
    qtbot.wait(50)
    assert found == []  # what the library holds is not known yet
    with qtbot.waitSignal(watched.files_found, timeout=WAIT_MS):
        watched.set_known({str(old): (stat.st_size, stat.st_mtime)})
    assert found == [[str(first)]]
    # The system reports the folder, nobody calls.
    with qtbot.waitSignal(watched.files_found, timeout=WAIT_MS):
        second = put(tmp_path / "in" / "deep" / "second.md")
    assert found[-1] == [str(second)]
    put(old, "It says something else now.", age_s=30)
    with qtbot.waitSignal(watched.files_found, timeout=WAIT_MS):
        watched.rescan()
    assert found[-1] == [str(old)]
    assert len(found) == 3


def test_a_file_that_is_being_written_waits_until_it_is_whole(
    qtbot: QtBot, watched: WatchedFolders, tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    watched.set_folders([str(folder)])
    watched.set_known({})
    path = folder / "growing.txt"
    path.write_text("half", "utf-8")
    assert scan([str(folder)], threading.Event()).unsettled
    with qtbot.waitSignal(watched.files_found, timeout=WAIT_MS) as caught:
        pass
    assert caught.args == [[str(path)]]
    assert time.time() - path.stat().st_mtime >= SETTLED_S


def test_a_folder_that_is_gone_is_told(qtbot: QtBot, watched: WatchedFolders, tmp_path: Path) -> None:
    watched.set_folders([str(tmp_path / "nowhere")])
    with qtbot.waitSignal(watched.folders_missing, timeout=WAIT_MS) as caught:
        watched.set_known({})
    assert caught.args == [[str(tmp_path / "nowhere")]]


def test_a_scan_stops_when_it_is_told_to(tmp_path: Path) -> None:
    for number in range(30):
        put(tmp_path / f"{number}" / "a.txt")
    stop = threading.Event()
    stop.set()
    assert scan([str(tmp_path)], stop).files == {}


def test_links_are_not_followed_in_circles(tmp_path: Path) -> None:
    path = put(tmp_path / "a" / "a.txt")
    (tmp_path / "a" / "loop").symlink_to(tmp_path / "a")
    assert list(scan([str(tmp_path)], threading.Event()).files) == [str(path)]
