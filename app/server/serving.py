"""The process: address, token, signals."""

import ipaddress
import os
import secrets
import signal
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import FrameType

import uvicorn
from fastapi import FastAPI

from app.server.guard import HostRule
from engine.errors import PlanError

_GRACE_S = 10
"""How long answers that are being written may take once the reading at work has stopped."""


class AddressError(PlanError):
    """The server cannot listen where it was told to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where the server listens.

    Attributes:
        listener: bound, not yet listening.
        url: for people.
        hosts: names that requests may call it by.
    """

    listener: socket.socket
    url: str
    hosts: HostRule

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return self.hosts.is_loopback


def new_token() -> str:
    """256 bits from the system's generator."""
    return secrets.token_urlsafe(32)


def bind(host: str, port: int) -> Address:
    """Take an address; port 0 = any that is free.

    Raises:
        AddressError: there is no such host, or the port is taken or not allowed.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.create_server((str(address[0]), port), family=family)
    except OSError as exc:
        raise AddressError(
            f"The server cannot listen on port {port} of {host}: {exc.strerror or exc}.",
            hint="Choose another port with --port; 0 takes any that is free.",
        ) from exc
    is_loopback = ipaddress.ip_address(str(address[0]).partition("%")[0]).is_loopback
    names = {host.lower(), socket.gethostname().lower()} if not is_loopback else {host.lower()}
    shown = f"[{host}]" if ":" in host else host
    return Address(
        listener=listener,
        url=f"http://{shown}:{listener.getsockname()[1]}",
        hosts=HostRule(is_loopback=is_loopback, names=frozenset(names)),
    )


class _Server(uvicorn.Server):
    """Stops the readings before it waits for answers: a stream lasts as long as its reading."""

    def __init__(self, config: uvicorn.Config, stop: Callable[[], Awaitable[None]]) -> None:
        super().__init__(config)
        self._stop = stop

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A second Ctrl-C ends the program at once: what is not in the trace by now is lost, and nothing else."""
        if self.should_exit and sig == signal.SIGINT:
            os._exit(128 + sig)
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self._stop()
        await super().shutdown(sockets)


def serve(app: FastAPI, address: Address, stop: Callable[[], Awaitable[None]]) -> None:
    """Answer requests until SIGINT or SIGTERM.

    Args:
        app: the application.
        address: where.
        stop: ends all readings; awaited before open connections are.
    """
    config = uvicorn.Config(
        app,
        http="h11",
        ws="none",
        loop="asyncio",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_GRACE_S,
    )
    _Server(config, stop).run(sockets=[address.listener])
