"""Servers: llama.cpp's own with a tiny model, and a stub for what real servers do only when they break."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from engine.backends.http.backend import ServerBackend
from engine.backends.http.opening import open_server
from tests.backends.http.llama_server import serve

CARD = {"id": "some-model", "owned_by": "somebody"}

Answer = Callable[["Exchange"], None]


class Exchange:
    """One request to the stub, and the ways to answer it."""

    def __init__(self, handler: BaseHTTPRequestHandler, body: Any) -> None:
        self.body = body
        self.headers = dict(handler.headers)
        self._handler = handler

    def raw(self, status: int, kind: str, body: bytes, **headers: str) -> None:
        """Send these bytes."""
        self._handler.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **headers}.items():
            self._handler.send_header(name, value)
        self._handler.end_headers()
        self._handler.wfile.write(body)

    def json(self, value: Any, status: int = 200) -> None:
        """Send JSON."""
        self.raw(status, "application/json", json.dumps(value).encode())

    def events(self, *events: Any, cut: bool = False) -> None:
        """Stream events; `cut` breaks the connection before the announced end."""
        text = "".join(
            f"data: {event if isinstance(event, str) else json.dumps(event)}\n\n" for event in events
        )
        body = text.encode()
        self._handler.send_response(200)
        self._handler.send_header("Content-Type", "text/event-stream")
        self._handler.send_header("Content-Length", str(len(body) + (100 if cut else 0)))
        self._handler.end_headers()
        self._handler.wfile.write(body)
        self._handler.wfile.flush()
        if cut:
            self._handler.connection.close()


class Stub:
    """Answers by path; what it has no answer for is status 404. Keeps what it was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {"/v1/models": lambda exchange: exchange.json({"data": [CARD]})}
        self.asked: list[tuple[str, Mapping[str, str], Any]] = []
        self.address = ""

    def handle(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer one request."""
        size = int(handler.headers.get("Content-Length") or 0)
        body = json.loads(handler.rfile.read(size)) if size else None
        exchange = Exchange(handler, body)
        self.asked.append((handler.path, exchange.headers, body))
        answer = self.answers.get(handler.path)
        if answer is None:
            exchange.json({"error": {"message": "no such path"}}, 404)
        else:
            answer(exchange)


@pytest.fixture(scope="session")
def served_tiny_address(tiny_path: Path) -> Iterator[str]:
    """A model with random weights: it rambles over bytes, parts of characters and labels alike."""
    with serve(tiny_path) as address:
        yield address


@pytest.fixture(scope="session")
def served_tiny(served_tiny_address: str) -> Iterator[ServerBackend]:
    with closing(open_server(served_tiny_address)) as backend:
        yield backend


@pytest.fixture
def stub() -> Iterator[Stub]:
    served = Stub()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.handle(self)

        def do_POST(self) -> None:
            served.handle(self)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            """Clients that hang up are what some tests are about."""

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    served.address = f"http://127.0.0.1:{server.server_address[1]}"
    yield served
    server.shutdown()
    thread.join()
    server.server_close()
