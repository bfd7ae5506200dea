"""Where a server is: checked once, so that no document leaves this machine by a slip of the keyboard."""

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from engine.errors import ServerError

_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://")
_API_SUFFIX = re.compile(r"/v1/?$")
_HINT = "Write it like http://127.0.0.1:8000."


@dataclass(frozen=True, slots=True)
class Address:
    """A server's root.

    Attributes:
        url: scheme, host, port and path prefix, without a trailing slash and without ``/v1``.
        is_loopback: whether it is on this machine.
        is_encrypted: whether it is reached by TLS.
    """

    url: str
    is_loopback: bool
    is_encrypted: bool

    def __str__(self) -> str:
        return self.url


def parse_address(text: str) -> Address:
    """Read an address as people write it: ``8000``, ``localhost:8000``, ``http://host:8000/v1``.

    A number alone is a port on this machine; without a scheme it is plain HTTP.

    Raises:
        ServerError: it is no address, or holds a password.
    """
    text = text.strip()
    if text.isascii() and text.lstrip(":").isdigit():
        text = f"127.0.0.1:{text.lstrip(':')}"
    if not _SCHEME.match(text):
        text = f"http://{text}"
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError as exc:
        raise ServerError(f"'{text}' is not the address of a server.", hint=_HINT) from exc
    if parts.username is not None or parts.password is not None:
        raise ServerError(
            "The address of a server must not hold a password.",
            hint="Put the key into the environment variable PALIMPSEST_API_KEY.",
        )
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment or port == 0:
        raise ServerError(f"'{text}' is not the address of a server.", hint=_HINT)
    name = f"[{host}]" if ":" in host else host
    path = _API_SUFFIX.sub("", parts.path).rstrip("/")
    url = f"{parts.scheme}://{name}{f':{port}' if port else ''}{path}"
    return Address(url, _is_loopback(host), parts.scheme == "https")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
