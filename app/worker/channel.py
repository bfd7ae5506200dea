"""The child's end of the two pipes: messages up, commands down."""

import logging
import os
import queue
import threading
from collections.abc import Iterator
from typing import Any

from app.worker.protocol import (
    Command,
    Message,
    Password,
    Pause,
    ProtocolError,
    Resume,
    Start,
    Stop,
    decode_command,
    encode_message,
)
from engine.cancel import PausableToken

_log = logging.getLogger(__name__)

_BLOCK_BYTES = 1 << 16
_LOOK_S = 0.05


class Lines:
    """The lines of a file descriptor.

    Read without Python's buffered files: a thread that waits in one keeps the interpreter from ending.

    Args:
        descriptor: where they come from.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._rest = b""

    def __iter__(self) -> Iterator[bytes]:
        while (line := self.next()) is not None:
            yield line

    def next(self) -> bytes | None:
        """The next line; None at the end. What follows the last line end was cut off and does not count."""
        while b"\n" not in self._rest:
            block = os.read(self._descriptor, _BLOCK_BYTES)
            if not block:
                return None
            self._rest += block
        line, _, self._rest = self._rest.partition(b"\n")
        return line


class Channel:
    """Says what happens, and does what the window commands.

    Args:
        lines: the commands.
        out: descriptor for messages; nothing else may write to it.

    Attributes:
        token: stops and pauses the job; the end of the commands stops it too, for then the window has died.
    """

    def __init__(self, lines: Lines, out: int) -> None:
        self.token = PausableToken(on_hold=self._tell_hold)
        self._lines = lines
        self._out = out
        self._lock = threading.Lock()
        self._is_broken = False
        self._may_start = threading.Event()
        self._passwords: queue.SimpleQueue[Password] = queue.SimpleQueue()

    def listen(self) -> None:
        """Take commands from now on, in a thread that ends with the process."""
        threading.Thread(target=self._listen, name="commands", daemon=True).start()

    def send(self, name: str, /, **values: Any) -> None:
        """Say something; once nobody listens any more, the job is stopped and nothing more is said."""
        line = encode_message(Message(name=name, values=values))
        with self._lock:
            if self._is_broken:
                return
            try:
                while line:
                    line = line[os.write(self._out, line) :]
            except OSError as exc:  # the window is gone
                _log.warning("nobody listens any more: %s", exc.strerror)
                self._is_broken = True
        if self._is_broken:
            self.token.cancel()

    def wait_for_start(self) -> None:
        """Wait until the window wants what was planned.

        Raises:
            engine.cancel.Cancelled: it does not.
        """
        while not self._may_start.wait(_LOOK_S):
            self.token.check()
        self.token.check()

    def wait_for_password(self) -> Password:
        """The next password that comes in.

        Raises:
            engine.cancel.Cancelled: the job was stopped instead.
        """
        while True:
            self.token.check()
            try:
                return self._passwords.get(timeout=_LOOK_S)
            except queue.Empty:
                continue

    def _listen(self) -> None:
        for line in self._lines:
            try:
                self._obey(decode_command(line))
            except ProtocolError as exc:  # a bug of the window's; what is being read is worth more
                _log.error("a command was left out: %s", exc)
        self.token.cancel()

    def _obey(self, command: Command) -> None:
        match command:
            case Start():
                self._may_start.set()
            case Pause():
                self.token.pause()
            case Resume():
                self.token.resume()
            case Stop():
                self.token.cancel()
            case Password():
                self._passwords.put(command)

    def _tell_hold(self, is_held: bool) -> None:
        self.send("paused" if is_held else "resumed")
