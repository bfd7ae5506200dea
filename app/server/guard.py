"""The door: what is checked of every request before anything of it is parsed.

A program on loopback is reachable by every page that the user's browser shows. Three checks keep those out:

- *Host*: a page can give its own name the address 127.0.0.1 (DNS rebinding) and would then be same-origin with us; its
  requests carry that name, which is not ours.
- *Origin*: browsers send it with every cross-origin POST, also with the kinds that need no preflight. Nothing that we
  serve makes such requests, so that a foreign one is refused even if no token is asked for.
- *Token*: a bearer token in `Authorization`, compared in constant time.

There are no CORS headers, so that browsers let no page read an answer. Bodies are counted while they come in.
"""

import hmac
import ipaddress
import re
from dataclasses import dataclass

from fastapi.exceptions import HTTPException
from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.server.problems import Refused, status_and_code, to_problem

DOCUMENTS_PATH = "/v1/documents"
MAX_JSON_BYTES = 1 << 20
"""Any request but an upload: a question and a list of hashes."""
_HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[\w.-]+)(:[0-9]{1,5})?", re.ASCII)
_FORM_OVERHEAD_BYTES = 1 << 16
"""Boundaries, part headers and the other fields of an upload."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostRule:
    """Which names this server answers to.

    Attributes:
        is_loopback: only names of this machine's loopback interface.
        names: further names, in lower case.
    """

    is_loopback: bool
    names: frozenset[str] = frozenset()

    def allows(self, host: str) -> bool:
        """Whether a Host header (with or without port) names this server.

        An address cannot be rebound, a name can: on a network interface every address is let through.
        """
        match = _HOST.fullmatch(host)
        if match is None:
            return False
        name = match["name"].strip("[]").lower()
        if name in self.names or name == "localhost":
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return address.is_loopback or not self.is_loopback


class Guard:
    """ASGI middleware that refuses strangers and bodies that are too large.

    Args:
        app: what is guarded.
        hosts: names that are ours.
        token: what a client must know; None = nothing.
        max_upload_bytes: of a document.
    """

    def __init__(self, app: ASGIApp, *, hosts: HostRule, token: str | None, max_upload_bytes: int) -> None:
        self._app = app
        self._hosts = hosts
        self._token = None if token is None else token.encode()
        self._max_upload_bytes = max_upload_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        limit = self._limit_bytes(scope)
        refusal = self._refusal(headers, limit)
        if refusal is None:
            await self._app(scope, _counted(receive, limit), send)
            return
        status, _ = status_and_code(refusal)
        challenge = {"WWW-Authenticate": "Bearer"} if status == 401 else None
        await JSONResponse(to_problem(refusal), status, challenge)(scope, receive, send)

    def _limit_bytes(self, scope: Scope) -> int:
        if scope["path"] == DOCUMENTS_PATH:
            return self._max_upload_bytes + _FORM_OVERHEAD_BYTES
        return MAX_JSON_BYTES

    def _refusal(self, headers: Headers, limit_bytes: int) -> Refused | None:
        if not self._hosts.allows(headers.get("host", "")):
            return Refused(
                421,
                "wrong_host",
                "This server does not answer to that host name.",
                hint="Use the address that `palimpsest serve` printed.",
            )
        if not _is_same_origin(headers):
            return Refused(403, "cross_origin", "Requests from web pages are refused.")
        if not self._knows_token(headers.get("authorization", "")):
            return Refused(
                401,
                "unauthorized",
                "The token is missing or wrong.",
                hint="Send the header 'Authorization: Bearer TOKEN' with the token that `palimpsest serve` printed.",
            )
        length = headers.get("content-length", "")
        if length.isascii() and length.isdigit() and int(length) > limit_bytes:
            return _too_large(limit_bytes)
        return None

    def _knows_token(self, authorization: str) -> bool:
        if self._token is None:
            return True
        scheme, _, given = authorization.partition(" ")
        return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), self._token)


def _is_same_origin(headers: Headers) -> bool:
    origin = headers.get("origin")
    return origin is None or origin.partition("://")[2].lower() == headers.get("host", "").lower()


def _counted(receive: Receive, limit_bytes: int) -> Receive:
    """`receive` that stops a body which does not say how long it is, or lied."""
    total = 0

    async def counting() -> Message:
        nonlocal total
        message = await receive()
        total += len(message.get("body", b""))
        if total > limit_bytes:
            refusal = _too_large(limit_bytes)
            # FastAPI lets this one pass where it reads bodies; everything else would become "cannot be parsed".
            raise HTTPException(refusal.status, to_problem(refusal))
        return message

    return counting


def _too_large(limit_bytes: int) -> Refused:
    return Refused(
        413,
        "too_large",
        f"The request is larger than {limit_bytes / 2**20:,.0f} MiB.",
        hint="Start the server with a larger --max-upload-mb, or name the file by its path.",
    )
