"""What goes wrong on the way to a server, as errors of ours: the only place that reads foreign messages."""

import json
import re
from typing import Any

import httpx2

from engine.backends.http.address import Address
from engine.errors import (
    BackendDiedError,
    ContextOverflowError,
    ForeignServerError,
    GenerationError,
    OutOfMemoryError,
    PalimpsestError,
    ServedModelError,
    ServerAuthError,
    ServerError,
    ServerReplyError,
    ServerTimeoutError,
    ServerUnreachableError,
)

MEMORY = re.compile(
    r"out of memory|outofmemory|bad_alloc|failed to allocate|cannot allocate|can't allocate memory"
    r"|no available memory for the cache|larger than the available kv cache|free memory on device"
    r"|requires more (?:system )?memory|insufficient memory",
    re.IGNORECASE,
)
"""How servers and allocators say that memory ran out."""

_WINDOW = re.compile(
    r"context (?:size|length|window)|maximum (?:model )?(?:context )?length|max_model_len", re.IGNORECASE
)
_MODEL = re.compile(
    r"model\b.*\b(?:not found|does not exist|not exist|no such)|no such model", re.IGNORECASE | re.DOTALL
)
_MAX_MESSAGE_CHARS = 300


def unreachable(address: Address, error: httpx2.TransportError) -> PalimpsestError:
    """Nobody answered when the server was opened."""
    if isinstance(error, httpx2.TimeoutException):
        return ServerUnreachableError(
            f"The server at {address} does not answer.", hint="Check the address, or wait until it is up."
        )
    if isinstance(error, httpx2.RemoteProtocolError | httpx2.UnsupportedProtocol):
        return ForeignServerError(
            f"What listens at {address} does not speak HTTP.", hint="Check scheme (http or https) and port."
        )
    return ServerUnreachableError(
        f"No server can be reached at {address}.",
        hint="Start it, or check host and port; see docs/servers.md.",
    )


def broken(address: Address, error: httpx2.TransportError) -> PalimpsestError:
    """The connection failed while the model was at work."""
    if isinstance(error, httpx2.TimeoutException):
        return ServerTimeoutError(
            f"The server at {address} sent nothing for too long.",
            hint="It may be overloaded: read smaller chunks, fewer requests at once, or allow it more time.",
        )
    return BackendDiedError(
        f"The connection to the server at {address} was cut.",
        hint="The reading is saved: see the server's log, start it again and resume.",
    )


def refused(address: Address, status: int, body: bytes) -> PalimpsestError:
    """The server answered with an error status."""
    message = error_message(body)
    said = f": {message}" if message else ""
    if status in (401, 403):
        return ServerAuthError(
            f"The server at {address} refuses the API key, or wants one.",
            hint="Put the key into the environment variable PALIMPSEST_API_KEY.",
        )
    if 300 <= status < 400:
        return ForeignServerError(
            f"The server at {address} points to another address.", hint="Name that address itself."
        )
    if MEMORY.search(message):
        return OutOfMemoryError(
            f"The server at {address} ran out of memory{said}",
            hint="Start it with a smaller window, fewer parallel requests or a smaller model.",
        )
    if status == 503:
        return ServerError(
            f"The server at {address} is not ready yet{said}", hint="Wait until it has loaded its model."
        )
    if status >= 500:
        return BackendDiedError(
            f"The server at {address} failed with status {status}{said}",
            hint="Its log holds the reason; the reading is saved and can be resumed.",
        )
    if status == 413 or (status in (400, 422) and _WINDOW.search(message)):
        return ContextOverflowError(
            f"The server at {address} finds the prompt too long{said}",
            hint="Read smaller chunks, or start the server with a larger window.",
        )
    if status == 404 and _MODEL.search(message):
        return ServedModelError(f"The server at {address} does not have the model{said}", hint="")
    return GenerationError(f"The server at {address} refused a request with status {status}{said}")


def error_message(body: bytes) -> str:
    """The sentence in an error body, in any of the shapes that servers use; cut to a bounded length."""
    text = body.decode("utf-8", "replace").strip()
    try:
        value: Any = json.loads(text)
    except ValueError:
        value = "" if text.startswith("<") else text
    for key in ("error", "detail", "message"):
        if isinstance(value, dict) and key in value:
            value = value[key]
    if isinstance(value, dict):
        value = value.get("message", "")
    message = " ".join(str(value).split())[:_MAX_MESSAGE_CHARS]
    return message if not message or message.endswith((".", "!")) else message + "."


def not_json(address: Address) -> ServerReplyError:
    """A body or an event that is not JSON."""
    return ServerReplyError(
        f"The server at {address} sent something that is not JSON.",
        hint="Check that the address is the API itself and not a web page in front of it.",
    )


def bad_reply(address: Address, what: str) -> ServerReplyError:
    """JSON, but not what the API promises."""
    return ServerReplyError(
        f"The server at {address} {what}.", hint="Update the server, or use another; see docs/servers.md."
    )
