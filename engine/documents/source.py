"""What a reader is given, what readers of text files share: encodings, line ends, forbidden characters."""

import codecs
import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import CorruptDocumentError, UnsupportedFormatError

if TYPE_CHECKING:
    from charset_normalizer import CharsetMatch

Progress = Callable[[int, int], None]
"""Called with (pages or parts done, of how many)."""

MAX_TEXT_BYTES = 512 * 1024 * 1024
"""A text file beyond this is refused: its text and offsets would not fit an ordinary machine's memory."""

_SAMPLE_BYTES = 64 * 1024
_SEARCHED_BYTES = 4 * 1024 * 1024
_NEAR_CHAOS = 0.1
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16: its mark begins with that of UTF-16
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

_LINE_ENDS = re.compile("\r\n?|\u2028|\x85")
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f\ufeff\ufffe\uffff]")
_SURROGATES = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A file to be read.

    Attributes:
        path: where it is.
        password: for encrypted documents.
        progress: see `Progress`.
    """

    path: Path
    password: str | None = None
    progress: Progress | None = None

    def report(self, done: int, total: int) -> None:
        """Tell how far reading has come."""
        if self.progress is not None:
            self.progress(done, total)

    def read_bytes(self, limit_bytes: int = MAX_TEXT_BYTES) -> bytes:
        """The whole file.

        Raises:
            UnsupportedFormatError: it is larger than `limit_bytes`.
            CorruptDocumentError: the medium failed.
        """
        try:
            if self.path.stat().st_size > limit_bytes:
                raise UnsupportedFormatError(
                    f"{self.path.name} is larger than {limit_bytes // 2**20} MB.", hint="Split it into parts."
                )
            return self.path.read_bytes()
        except OSError as exc:
            raise CorruptDocumentError(f"{self.path.name} cannot be read: {exc.strerror or exc}.") from exc

    def read_text(self) -> str:
        """The whole file as clean text; see `decode` and `clean`.

        Raises:
            UnsupportedFormatError: it is binary or too large.
        """
        return clean(decode(self.read_bytes(), self.path.name))


def decode(data: bytes, name: str) -> str:
    """Bytes to text: by byte order mark, else UTF-8, else the encoding that charset-normalizer finds.

    Args:
        data: content of a file.
        name: of the file, for the message.

    Raises:
        UnsupportedFormatError: the bytes are not text.
    """
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return data.decode(encoding, "replace")
    if b"\x00" in data[:_SAMPLE_BYTES]:
        raise _binary(name)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as exc:
        if exc.start > _SAMPLE_BYTES and not data[: exc.start].isascii():
            return data.decode("utf-8", "replace")  # a bad byte far into a file that is UTF-8 otherwise
    # A sample around the first bytes that are not ASCII is enough, and fast for large files.
    first = next((index for index, byte in enumerate(data[:_SEARCHED_BYTES]) if byte > 127), 0)
    sample = data[max(0, first - _SAMPLE_BYTES // 2) : first + _SAMPLE_BYTES]
    import charset_normalizer  # only files that are not UTF-8 need its tables

    matches = list(charset_normalizer.from_bytes(sample))
    if not matches:
        raise _binary(name)
    near = [match for match in matches if match.chaos <= matches[0].chaos + _NEAR_CHAOS]
    return data.decode(min(near, key=_implausibility).encoding, "replace")


def _implausibility(match: "CharsetMatch") -> tuple[float, bool, bool]:
    """Tells apart encodings that charset-normalizer finds about equally good; smaller is better.

    Capitals within words betray KOI8 and Windows Cyrillic taken for each other; hiragana are in all Japanese.
    """
    text = str(match)
    flips = sum(1 for before, char in pairwise(text) if before.islower() and char.isupper())
    hiragana = sum(1 for char in text if "\u3040" <= char <= "\u309f")
    return round(flips / len(text), 2), hiragana < 0.1 * len(text), match.encoding != "cp1252"


def _binary(name: str) -> UnsupportedFormatError:
    return UnsupportedFormatError(
        f"{name} is not a text file.", hint="Palimpsest reads PDF, EPUB, HTML, Markdown and plain text."
    )


def clean(text: str) -> str:
    r"""Make text safe to store and show: line ends "\n", no control characters, no lone surrogates.

    Tabs and form feeds stay. Surrogates become U+FFFD, one for one.
    """
    text = _LINE_ENDS.sub("\n", text).replace("\u2029", "\n\n")
    return _SURROGATES.sub("\ufffd", _FORBIDDEN.sub("", text))
