"""One window a user and data folder: a second start hands its files to the first and ends."""

import getpass
import hashlib
import json
import logging
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from PySide6.QtCore import QLockFile, QObject, QStandardPaths, Signal
from PySide6.QtNetwork import QLocalServer, QLocalSocket

_log = logging.getLogger(__name__)

_CONNECT_MS = 500
_ANSWER_MS = 2000
_MAX_BYTES = 1 << 20
_TAKEN = b"taken\n"


class SingleInstance(QObject):
    """Takes files over from later starts.

    Signals:
        files_arrived: absolute paths (list of Path) that a later start was given; [] = it just wants the window.

    Args:
        folder: the data folder.
        parent: owner.
    """

    files_arrived = Signal(list)

    def __init__(self, folder: Path, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._name = server_name(folder)
        self._visitors: list[_Visitor] = []
        self._server = QLocalServer(self)
        self._server.setSocketOptions(QLocalServer.SocketOption.UserAccessOption)
        self._server.newConnection.connect(self._welcome)

    def hand_over(self, files: Sequence[Path]) -> bool:
        """Give files to the window that is open already; without one, become it.

        Returns:
            whether another window took them.
        """
        # Two starts at one time must not both find that nobody is there.
        lock = QLockFile(_lock_path(self._name))
        lock.setStaleLockTime(10_000)
        lock.tryLock(_CONNECT_MS + _ANSWER_MS)
        try:
            if self._send(files):
                return True
            self._listen()
            return False
        finally:
            lock.unlock()

    def close(self) -> None:
        """Let later starts open windows of their own."""
        self._server.close()

    def _send(self, files: Sequence[Path]) -> bool:
        socket = QLocalSocket()
        socket.connectToServer(self._name)
        if not socket.waitForConnected(_CONNECT_MS):
            return False
        socket.write(json.dumps([os.fspath(path) for path in files]).encode("ascii") + b"\n")
        answer = b""
        while not answer.endswith(b"\n") and socket.waitForReadyRead(_ANSWER_MS):
            answer += bytes(socket.readAll().data())
        socket.disconnectFromServer()
        if answer != _TAKEN:
            _log.warning("the window that is open does not answer; this one opens beside it")
        return answer == _TAKEN

    def _listen(self) -> None:
        if self._server.listen(self._name):
            return
        # What a window that was killed left behind, or one that hangs: later starts shall find this one.
        QLocalServer.removeServer(self._name)
        if not self._server.listen(self._name):
            _log.warning("later starts cannot hand files over: %s", self._server.errorString())

    def _welcome(self) -> None:
        while (socket := self._server.nextPendingConnection()) is not None:
            # A closed socket stays with the server, whose child it is: they are few, and a `deleteLater` of ours on
            # an object that the server owns ends the program.
            self._visitors.append(_Visitor(socket, self.files_arrived.emit))


class _Visitor(QObject):
    """A later start, from its connection to its end."""

    def __init__(self, socket: QLocalSocket, take: Callable[[list[Path]], None]) -> None:
        super().__init__()
        self._socket = socket
        self._take = take
        self._received = b""
        socket.readyRead.connect(self._read)
        self._read()

    def _read(self) -> None:
        self._received += bytes(self._socket.readAll().data())
        if len(self._received) > _MAX_BYTES:
            self._received = b""
            self._socket.abort()
        if not self._received.endswith(b"\n"):
            return
        files = _parse(self._received)
        self._received = b""
        if files is None:
            self._socket.abort()
            return
        self._socket.write(_TAKEN)
        self._socket.flush()
        self._take(files)


def server_name(folder: Path) -> str:
    """Name of the socket: one a user and data folder, short enough for every system."""
    key = f"{getpass.getuser()}\0{os.path.realpath(folder)}"
    name = f"palimpsest-{hashlib.sha256(key.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"
    if sys.platform == "win32":
        return name
    # Not in the folder for everybody's temporary files, where somebody else could lie in wait under this name.
    own = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.RuntimeLocation)
    return os.path.join(own, name) if own else name


def _lock_path(name: str) -> str:
    folder = os.path.dirname(name) or tempfile.gettempdir()
    return os.path.join(folder, os.path.basename(name) + ".lock")


def _parse(received: bytes) -> list[Path] | None:
    """The paths of a message; None = it is none."""
    try:
        found = json.loads(received)
    except ValueError:
        return None
    if not isinstance(found, list) or not all(isinstance(path, str) for path in found):
        return None
    return [Path(path) for path in found]
