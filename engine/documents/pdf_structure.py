"""Structure of PDF files by pypdf: printed page labels, outline, title; and repair of damaged files."""

import io
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeVar

import pypdf
from pypdf.errors import PyPdfError
from pypdf.generic import Destination

from engine.documents.markup import one_line
from engine.documents.model import OutlineEntry

logger = logging.getLogger(__name__)

# pypdf logs every oddity of a file and would write to stderr through logging's last resort.
logging.getLogger("pypdf").addHandler(logging.NullHandler())

T = TypeVar("T")

_MAX_OUTLINE_ENTRIES = 20_000
_MAX_OUTLINE_LEVEL = 16
_FAILURES = (
    PyPdfError, ArithmeticError, AssertionError, AttributeError, LookupError, MemoryError, NotImplementedError, OSError,
    RecursionError, TypeError, ValueError,
)  # fmt: skip
"""pypdf lets Python's own errors through where a file is broken in a way it did not expect."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Structure:
    """What pypdf knows of a file.

    Attributes:
        labels: printed number of each page, [num_pages].
        outline: table of contents.
        title: from the metadata.
        warnings: sentences on what could not be read.
    """

    labels: tuple[str, ...]
    outline: tuple[OutlineEntry, ...] = ()
    title: str = ""
    warnings: tuple[str, ...] = ()


def read_structure(file: BinaryIO, password: str | None, num_pages: int) -> Structure:
    """Read the structure of a file of `num_pages` pages; never fails."""
    numbers = tuple(str(number) for number in range(1, num_pages + 1))
    reader = _attempt(lambda: _open(file, password), None)
    if reader is None:
        return Structure(
            labels=numbers, warnings=("Printed page numbers and table of contents could not be read.",)
        )
    labels = _attempt(lambda: tuple(reader.page_labels), None)
    outline = _attempt(lambda: tuple(_entries(reader)), None)
    title = _attempt(lambda: str((reader.metadata or {}).get("/Title", "") or ""), "")
    warnings = []
    if labels is None:
        warnings.append("The printed page numbers could not be read; physical ones are shown.")
    if outline is None:
        warnings.append("The table of contents could not be read.")
    if labels is None or len(labels) != num_pages:
        labels = numbers
    return Structure(
        labels=tuple(one_line(label) or number for label, number in zip(labels, numbers, strict=True)),
        outline=outline or (),
        title=one_line(title.replace("\x00", "")),
        warnings=tuple(warnings),
    )


def repaired(path: Path, password: str | None) -> bytes | None:
    """The file as pypdf writes it anew, for files that PDFium refuses; None if pypdf finds no page either."""

    def rewrite() -> bytes | None:
        reader = _open(io.BytesIO(path.read_bytes()), password)
        if not len(reader.pages):
            return None
        buffer = io.BytesIO()
        pypdf.PdfWriter(clone_from=reader).write(buffer)
        return buffer.getvalue()

    return _attempt(rewrite, None)


def _open(file: BinaryIO, password: str | None) -> pypdf.PdfReader:
    reader = pypdf.PdfReader(file, strict=False)
    if reader.is_encrypted:
        reader.decrypt(password or "")
    return reader


def _attempt(read: Callable[[], T], otherwise: T) -> T:
    try:
        return read()
    except _FAILURES as exc:
        logger.info("structure of a PDF could not be read: %s: %s", type(exc).__name__, exc)
        return otherwise


def _entries(reader: pypdf.PdfReader) -> Iterator[OutlineEntry]:
    """Outline as a flat list; pypdf nests children as a list behind their parent."""
    stack: list[Iterator[object]] = [iter(reader.outline)]
    num_entries = 0
    while stack and num_entries < _MAX_OUTLINE_ENTRIES:
        item = next(stack[-1], None)
        if item is None:
            stack.pop()
        elif isinstance(item, list):
            if len(stack) < _MAX_OUTLINE_LEVEL:
                stack.append(iter(item))
        elif isinstance(item, Destination):
            num_entries += 1
            yield OutlineEntry(
                title=one_line(str(item.title or "")),
                level=len(stack),
                page_number=_attempt(lambda item=item: _page_number(reader, item), None),
            )


def _page_number(reader: pypdf.PdfReader, item: Destination) -> int | None:
    index = reader.get_destination_page_number(item)
    return None if index is None or index < 0 else index + 1
