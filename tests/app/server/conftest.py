"""A real server process on loopback with the bundled model, and documents to ask it about."""

import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest

from engine.models.catalogue import BUNDLED

TOKEN = "a-token-that-only-the-tests-know"
QUESTION = "Who built the granite quay of Osterhaven?"
FACT = "The granite quay of Osterhaven was built by Ansel Brodersen."
_TRIED_URL = re.compile(r"Try: curl .*?(http://\S+)/v1/health")

needs_model = pytest.mark.skipif(not BUNDLED.is_file(), reason="the bundled model is not in this checkout")


def make_text(num_sentences: int) -> str:
    """Filler with one fact in its middle."""
    filler = [
        f"On day {n} the wind came from the north and the boats stayed in the harbour."
        for n in range(num_sentences)
    ]
    half = num_sentences // 2
    return " ".join([*filler[:half], FACT, *filler[half:]])


class Server:
    """`palimpsest serve` as a child process.

    Attributes:
        lines: what it printed on standard error so far.
        url: where it answers.
    """

    def __init__(self, *arguments: str, environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "palimpsest", "serve", "--port", "0", "--threads", "1", *arguments],
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        self.lines: list[str] = []
        self._is_up = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        assert self._is_up.wait(120), "the server did not come up"
        match = _TRIED_URL.search("".join(self.lines))
        assert match, f"no address in {self.lines}"
        self.url = match.group(1)

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line)
            if line.startswith("Try:"):
                self._is_up.set()
        self._is_up.set()

    def client(self, token: str | None = TOKEN) -> httpx2.Client:
        """An HTTP client that knows the token."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        return httpx2.Client(base_url=f"{self.url}/v1", headers=headers, timeout=240)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to stop; returns its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            code = self.process.wait(60)
        finally:
            self.process.kill()  # nothing happens to one that has ended
        self._reader.join()
        assert self.process.stderr is not None
        self.process.stderr.close()
        return code


Serve = Callable[..., Server]


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """Start servers; those that still run are stopped at the end of the module."""
    import os

    with ExitStack() as stack:

        def start(*arguments: str, folder: Path | None = None, token: str | None = TOKEN) -> Server:
            environment = {**os.environ}
            environment.pop("PALIMPSEST_TOKEN", None)
            if token is not None:
                environment["PALIMPSEST_TOKEN"] = token
            folder = folder or tmp_path_factory.mktemp("data")
            server = Server("--data-dir", str(folder), *arguments, environment=environment)
            stack.callback(server.stop)
            return server

        yield start


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data folder of the module's shared server."""
    return tmp_path_factory.mktemp("shared")


@pytest.fixture(scope="module")
def server(serve: Serve, folder: Path) -> Server:
    """One server for all tests of a module."""
    return serve("--max-upload-mb", "1", folder=folder)


@pytest.fixture
def client(server: Server) -> Iterator[httpx2.Client]:
    """A client of the shared server."""
    with server.client() as opened:
        yield opened


def upload(client: httpx2.Client, text: str, name: str = "book.txt") -> str:
    """Add a document; returns its content hash."""
    response = client.post("/documents", files={"file": (name, text.encode())})
    assert response.status_code == 201, response.text
    content_hash = response.json()["content_hash"]
    assert isinstance(content_hash, str)
    return content_hash


def events(response: httpx2.Response) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Name, id and data of each event of a stream, by a parser that is not ours."""
    assert response.status_code == 200, response.read()
    assert response.headers["content-type"].startswith("text/event-stream")
    last_id = ""
    for event in httpx2.EventSource(response):
        number = event.id if event.id != last_id else ""  # the parser repeats the last one, as browsers do
        last_id = event.id
        yield event.event, number, dict(event.json())  # type: ignore[call-overload]


def problem(response: httpx2.Response) -> str:
    """The code of a refusal, which has just these fields."""
    body = response.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"code", "message", "hint"}
    assert "Traceback" not in response.text
    assert body["error"]["message"].endswith(".")
    code = body["error"]["code"]
    assert isinstance(code, str)
    return code
