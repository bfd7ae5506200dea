"""Connections to a server that closes them when it likes."""

import asyncio
import socket
import threading
from collections.abc import Iterator

import pytest

from engine.backends.http.address import parse_address
from engine.backends.http.client import Client

_REPLY = b'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 16\r\n\r\ndata: {"a": 1}\n\n'


class _OneReplyEach:
    """Answers the first request of a connection as if more were welcome, and closes it when the second one comes."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            with connection:
                if connection.recv(65536):
                    connection.sendall(_REPLY)
                    connection.recv(65536)

    def close(self) -> None:
        """Nobody is answered any more."""
        self._server.close()


@pytest.fixture
def client() -> Iterator[Client]:
    server = _OneReplyEach()
    made = Client(parse_address(f"http://127.0.0.1:{server.port}"))
    yield made
    made.close()
    server.close()


def test_no_request_meets_a_connection_that_its_server_is_closing(client: Client) -> None:
    async def thrice() -> list[dict[str, int]]:
        try:
            return [event for _ in range(3) async for event in client.stream("/completion", {"prompt": "x"})]
        finally:
            await client.close_streams()

    assert asyncio.run(thrice()) == [{"a": 1}] * 3
