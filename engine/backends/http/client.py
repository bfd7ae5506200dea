"""The connection to one server: JSON in and out, streams of events, every failure an error of ours.

Documents travel through it, so it goes nowhere by itself: no proxies, passwords or certificates from the
environment, no redirects, and an API key only to the address that the user named.
"""

import json
import logging
from collections.abc import AsyncGenerator
from typing import Any

import httpx2

from engine.backends.http import failures
from engine.backends.http.address import Address
from engine.errors import ServerAuthError, ServerReplyError

logger = logging.getLogger(__name__)

DEFAULT_TIMEOUT_S = 600.0
"""Longest silence of a server, in seconds: a long prompt is computed before the first byte comes."""

_CONNECT_TIMEOUT_S = 10.0
_PROBE_TIMEOUT_S = 20.0
_LIMITS = httpx2.Limits(max_connections=None, max_keepalive_connections=0)
"""A connection for each request: a kept one may be met while its server closes it, and a reply takes far longer."""


class Client:
    """Talks to one server. Calls may come from any thread; streams run in the caller's event loop.

    Args:
        address: where the server is.
        api_key: sent as a bearer token; None = none.
        timeout_s: longest silence while a reply is awaited.
    """

    def __init__(
        self, address: Address, *, api_key: str | None = None, timeout_s: float = DEFAULT_TIMEOUT_S
    ) -> None:
        if api_key and not (api_key.isascii() and api_key.isprintable()):
            raise ServerAuthError(
                "The API key holds characters that no key has.", hint="Check PALIMPSEST_API_KEY."
            )
        if api_key and not address.is_encrypted and not address.is_loopback:
            logger.warning("the API key goes to %s unencrypted", address)
        self.address = address
        self._options: dict[str, Any] = {
            "base_url": address.url,
            "headers": {"Authorization": f"Bearer {api_key}"} if api_key else {},
            "timeout": httpx2.Timeout(timeout_s, connect=_CONNECT_TIMEOUT_S),
            "limits": _LIMITS,
            "trust_env": False,
            "verify": address.is_encrypted,  # loading certificates takes longer than all else here
            "follow_redirects": False,
        }
        self._client = httpx2.Client(**self._options)
        self._streams: httpx2.AsyncClient | None = None

    def probe(self, path: str) -> Any | None:
        """The JSON that a server has at a path; None if it has none there.

        Raises:
            ServerUnreachableError: nobody answers.
            ServerAuthError: the key is refused.
            ServerError: the server is still loading.
        """
        try:
            response = self._client.get(path, timeout=_PROBE_TIMEOUT_S)
        except httpx2.TransportError as exc:
            raise failures.unreachable(self.address, exc) from exc
        if response.status_code in (401, 403, 503) or response.is_redirect:
            raise failures.refused(self.address, response.status_code, response.content)
        if not response.is_success:
            return None
        try:
            return response.json()
        except ValueError:
            return None

    def post(self, path: str, body: object) -> Any:
        """Send JSON, return JSON.

        Raises:
            engine.errors.PalimpsestError: whatever went wrong.
        """
        try:
            response = self._client.post(path, json=body)
        except httpx2.TransportError as exc:
            raise failures.broken(self.address, exc) from exc
        if not response.is_success:
            raise failures.refused(self.address, response.status_code, response.content)
        try:
            return response.json()
        except ValueError as exc:
            raise failures.not_json(self.address) from exc

    async def stream(self, path: str, body: object) -> AsyncGenerator[dict[str, Any], None]:
        """Send JSON, yield the events of the reply; closing the generator closes the connection.

        All streams must run in one event loop.

        Raises:
            engine.errors.PalimpsestError: whatever went wrong.
        """
        if self._streams is None:
            self._streams = httpx2.AsyncClient(**self._options)
        try:
            async with self._streams.stream("POST", path, json=body) as response:
                if not response.is_success:
                    raise failures.refused(self.address, response.status_code, await response.aread())
                async for event in httpx2.EventSource(response):
                    if event.data == "[DONE]":
                        return
                    yield self._event(event.data)
        except httpx2.SSEError as exc:
            raise failures.bad_reply(self.address, "does not stream its reply as events") from exc
        except httpx2.TransportError as exc:
            raise failures.broken(self.address, exc) from exc

    def _event(self, data: str) -> dict[str, Any]:
        try:
            value = json.loads(data)
        except ValueError as exc:
            raise failures.not_json(self.address) from exc
        if not isinstance(value, dict):
            raise failures.not_json(self.address)
        error = value.get("error")
        if error:
            code = error.get("code") if isinstance(error, dict) else None
            raise failures.refused(self.address, code if isinstance(code, int) else 500, data.encode())
        return value

    def field(self, value: Any, name: str, kind: type[Any]) -> Any:
        """A field of a reply, checked.

        Raises:
            ServerReplyError: it is missing, or of another type.
        """
        found = value.get(name) if isinstance(value, dict) else None
        if not isinstance(found, kind) or isinstance(found, bool):
            raise ServerReplyError(
                f"The server at {self.address} sent a reply without '{name}'.",
                hint="Update the server, or use another; see docs/servers.md.",
            )
        return found

    async def close_streams(self) -> None:
        """Close the connections of streams, in their event loop."""
        if self._streams is not None:
            await self._streams.aclose()

    def close(self) -> None:
        """Close the other connections."""
        self._client.close()
