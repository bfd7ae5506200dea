"""One window a user and data folder."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from PySide6.QtNetwork import QLocalSocket
from pytestqt.qtbot import QtBot

from app.gui.instance import SingleInstance, server_name

SECOND = """
import sys
from pathlib import Path
from PySide6.QtCore import QCoreApplication, QTimer
from app.gui.instance import SingleInstance

app = QCoreApplication([])
instance = SingleInstance(Path(sys.argv[1]))
if instance.hand_over([Path(each) for each in sys.argv[2:]]):
    print("handed over", flush=True)
else:
    print("first", flush=True)
    instance.files_arrived.connect(lambda files: print("got", *files, flush=True))
    QTimer.singleShot(60_000, app.quit)
    app.exec()
"""


def start(folder: Path, *files: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", SECOND, str(folder), *map(str, files)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
    )


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as made:
        yield made


def end(process: "subprocess.Popen[str]") -> None:
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def first_line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_a_second_start_hands_its_files_to_the_first(qtbot: QtBot, tmp_path: Path, stack: ExitStack) -> None:
    instance = SingleInstance(tmp_path)
    stack.callback(instance.close)
    assert not instance.hand_over([])
    files = [tmp_path / "a b.pdf", Path(os.fsdecode(os.fsencode(tmp_path) + b"/half-\xe9.pdf"))]
    with qtbot.waitSignal(instance.files_arrived, timeout=30_000) as arrived:
        second = start(tmp_path, *files)
        stack.callback(end, second)
    assert arrived.args == [files]
    assert first_line(second) == "handed over"
    with qtbot.waitSignal(instance.files_arrived, timeout=30_000) as arrived:
        third = start(tmp_path)
        stack.callback(end, third)
    assert arrived.args == [[]]


def test_other_data_folders_have_windows_of_their_own(qtbot: QtBot, tmp_path: Path, stack: ExitStack) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    assert server_name(tmp_path / "a") != server_name(tmp_path / "b")
    assert server_name(tmp_path / "link") == server_name(tmp_path)
    for name in ("a", "b"):
        instance = SingleInstance(tmp_path / name)
        stack.callback(instance.close)
        assert not instance.hand_over([])


def test_what_a_killed_window_left_behind_is_in_nobodys_way(
    qtbot: QtBot, tmp_path: Path, stack: ExitStack
) -> None:
    killed = start(tmp_path)
    stack.callback(end, killed)
    assert first_line(killed) == "first"
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert os.path.exists(server_name(tmp_path))
    instance = SingleInstance(tmp_path)
    stack.callback(instance.close)
    assert not instance.hand_over([])
    with qtbot.waitSignal(instance.files_arrived, timeout=30_000) as arrived:
        stack.callback(end, start(tmp_path, tmp_path / "x.txt"))
    assert arrived.args == [[tmp_path / "x.txt"]]


def test_a_window_that_hangs_does_not_keep_the_user_waiting(
    qtbot: QtBot, tmp_path: Path, stack: ExitStack
) -> None:
    hung = start(tmp_path)
    stack.callback(end, hung)
    assert first_line(hung) == "first"
    hung.send_signal(signal.SIGSTOP)
    instance = SingleInstance(tmp_path)
    stack.callback(instance.close)
    assert not instance.hand_over([tmp_path / "x.txt"])


@pytest.mark.parametrize("line", [b"garbage\n", b'{"a": 1}\n', b"[1]\n", b"x" * (2 << 20)])
def test_garbage_is_not_taken(qtbot: QtBot, tmp_path: Path, stack: ExitStack, line: bytes) -> None:
    instance = SingleInstance(tmp_path)
    stack.callback(instance.close)
    assert not instance.hand_over([])
    arrived: list[list[Path]] = []
    instance.files_arrived.connect(arrived.append)
    socket = QLocalSocket()
    socket.connectToServer(server_name(tmp_path))
    socket.write(line)
    qtbot.waitUntil(lambda: socket.state() == QLocalSocket.LocalSocketState.UnconnectedState, timeout=10_000)
    assert arrived == []
