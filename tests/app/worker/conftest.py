"""Real child processes, with the bundled model, real documents and a real store."""

import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from app.worker.protocol import (
    Command,
    Job,
    Message,
    Model,
    decode_message,
    encode_command,
    encode_job,
)
from engine.models.catalogue import BUNDLED

needs_model = pytest.mark.skipif(not BUNDLED.is_file(), reason="the bundled model is not in this checkout")

QUESTION = "Who built the granite quay of Osterhaven?"
FACT = "The granite quay of Osterhaven was built by Ansel Brodersen."
ONE_THREAD = Model(num_threads=1)
WAIT_S = 120.0


def make_text(num_sentences: int) -> str:
    """Filler with one fact near its beginning."""
    filler = [
        f"On day {n} the wind came from the north and the boats stayed in the harbour."
        for n in range(num_sentences)
    ]
    return " ".join([*filler[:20], FACT, *filler[20:]])


def write_book(folder: Path) -> Path:
    """A text of some sixty chunks."""
    path = folder / "book.txt"
    path.write_text(make_text(300), "utf-8")
    return path


class Child:
    """`python -m app.worker`.

    Attributes:
        messages: what it said so far, with the time at which it came.
    """

    def __init__(self, first_line: bytes, **how: Any) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "app.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.getcwd()},
            **how,
        )
        self.messages: list[tuple[float, Message]] = []
        self.errors = b""
        self._queue: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=self._read, daemon=True),
            threading.Thread(target=self._read_errors, daemon=True),
        ]
        for thread in self._threads:
            thread.start()
        if first_line:
            self.write(first_line)

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            message = decode_message(line)
            self.messages.append((time.monotonic(), message))
            self._queue.put(message)
        self._queue.put(None)

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        self.errors = self.process.stderr.read()

    def write(self, line: bytes) -> None:
        """Send bytes as they are."""
        assert self.process.stdin is not None
        self.process.stdin.write(line)
        self.process.stdin.flush()

    def send(self, command: Command) -> None:
        """Send a command."""
        self.write(encode_command(command))

    def hang_up(self) -> None:
        """Close its input, as a window that dies does."""
        assert self.process.stdin is not None
        self.process.stdin.close()

    def wait_for(self, name: str, timeout_s: float = WAIT_S) -> Message:
        """The next message of this name; what comes before it is passed over."""
        end = time.monotonic() + timeout_s
        while True:
            message = self._queue.get(timeout=max(end - time.monotonic(), 0.01))
            assert message is not None, f"it ended without {name}: {self.names()} {self.errors.decode()}"
            if message.name == name:
                return message

    def wait_for_chunk(self, number: int) -> Message:
        """The message that this chunk (from 1) or a later one is read."""
        while True:
            message = self.wait_for("chunk_finished")
            if message.values["chunk"] >= number:
                return message

    def end(self, timeout_s: float = WAIT_S) -> Message | None:
        """Wait until it is gone; its last message."""
        self.process.wait(timeout_s)
        for thread in self._threads:
            thread.join()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()
        return self.messages[-1][1] if self.messages else None

    def names(self) -> list[str]:
        """Names of all messages so far."""
        return [message.name for _, message in self.messages]

    def all(self, name: str) -> list[dict[str, Any]]:
        """Values of all messages of this name."""
        return [message.values for _, message in self.messages if message.name == name]

    def kill(self) -> None:
        """End it, whatever it does."""
        if self.process.poll() is None:
            self.process.kill()


StartChild = Callable[..., Child]


@pytest.fixture
def start_raw() -> Iterator[StartChild]:
    """Start children with a first line of bytes; those that still run are killed at the end."""
    with ExitStack() as stack:

        def start(line: bytes, **how: Any) -> Child:
            child = Child(line, **how)
            stack.callback(child.kill)
            return child

        yield start


@pytest.fixture
def start(start_raw: StartChild) -> StartChild:
    """Start children with a job."""

    def start_job(job: Job, **how: Any) -> Child:
        return start_raw(encode_job(job), **how)

    return start_job


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder."""
    return tmp_path / "data"


@pytest.fixture
def book(tmp_path: Path) -> Path:
    """See `write_book`."""
    return write_book(tmp_path)
