"""How text becomes bytes in the database and comes back bit for bit.

Text of documents may hold NULs and lone surrogates (PDFs with broken fonts, file names that are not UTF-8).
All bodies are therefore UTF-8 with surrogates passed through, in BLOBs.

Prompts and replies are deflated against a dictionary of what the database holds anyway: the chunk's text, the
memory, the wording. Measured on English books in chunks of 20,000 characters: a prompt of 23 KB takes 7.6 KB
compressed alone, 0.6 KB in the faithful mode and 1.2 KB in the extractive mode with the dictionary; a whole step
takes 2.9 KB and 2.1 KB. Deflate looks back 32 KiB, so that longer chunks gain less.
"""

import hashlib
import zlib

from engine.backends.base import Prompt, Segment

_DATA, _OURS = b"\xff", b"\xfe"
"""Mark the start of a segment. Neither byte occurs in UTF-8, so no text can forge one."""
_MIN_COMPRESSED_BYTES = 128
_WINDOW_BYTES = 32 * 1024


def to_bytes(text: str) -> bytes:
    """UTF-8; lone surrogates pass."""
    return text.encode("utf-8", "surrogatepass")


def to_text(data: bytes) -> str:
    """Inverse of `to_bytes`."""
    return data.decode("utf-8", "surrogatepass")


def digest(data: bytes) -> bytes:
    """sha256, 32 bytes."""
    return hashlib.sha256(data).digest()


def to_column(text: str) -> str | bytes:
    """Value for a text column: bytes where SQLite's own UTF-8 cannot hold it."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return to_bytes(text)
    return text


def pack(data: bytes) -> tuple[bytes, bool]:
    """Compress if that saves anything; returns the body and whether it is compressed."""
    if len(data) >= _MIN_COMPRESSED_BYTES:
        body = zlib.compress(data, 6)
        if len(body) < len(data):
            return body, True
    return data, False


def unpack(body: bytes, is_compressed: bool) -> bytes:
    """Inverse of `pack`."""
    return zlib.decompress(body) if is_compressed else body


def deflate(data: bytes, dictionary: bytes) -> bytes:
    """Compress against a dictionary; the most useful part of it stands at its end."""
    known = dictionary[-_WINDOW_BYTES:]
    packer = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS, 9, zlib.Z_DEFAULT_STRATEGY, known)
    return packer.compress(data) + packer.flush()


def inflate(body: bytes, dictionary: bytes) -> bytes:
    """Inverse of `deflate`.

    Raises:
        zlib.error: the body is damaged or the dictionary is another one.
    """
    unpacker = zlib.decompressobj(zlib.MAX_WBITS, dictionary[-_WINDOW_BYTES:])
    data = unpacker.decompress(body) + unpacker.flush()
    if not unpacker.eof or unpacker.unused_data:
        raise zlib.error("incomplete or trailing data")
    return data


def frame(prompt: Prompt) -> bytes:
    """A prompt as bytes, segment boundaries and their kind kept. This is what a prompt's hash is taken of."""
    return b"".join((_DATA if piece.is_data else _OURS) + to_bytes(piece.text) for piece in prompt)


def unframe(data: bytes) -> Prompt:
    """Inverse of `frame`."""
    pieces: list[Segment] = []
    for part in data.replace(_OURS, _DATA + _OURS).split(_DATA)[1:]:
        if part.startswith(_OURS):
            pieces.append(Segment(to_text(part[1:])))
        else:
            pieces.append(Segment(to_text(part), is_data=True))
    return tuple(pieces)
