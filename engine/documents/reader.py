"""Opens a document: finds out what a file is from its first bytes and its suffix, and calls that format's
reader.

A format is one module with a function ``read(source: Source) -> Document`` and one line in `FORMATS`. Modules
are imported when a file of theirs is opened, so that opening a text file does not load PDFium.
"""

import importlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from engine.documents.model import Document
from engine.documents.source import Progress, Source
from engine.errors import CorruptDocumentError, DocumentNotFoundError, NoTextError, UnsupportedFormatError

logger = logging.getLogger(__name__)

_HEAD_BYTES = 4096
_ZIP_MAGIC = b"PK\x03\x04"


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One file format and where its reader is.

    Attributes:
        name: as in `Document.format`.
        module: dotted name of the module with the function ``read``.
        suffixes: of file names, lower case, with dot.
        recognises: tells from the first 4,096 bytes that a file is of this format, whatever its name.
    """

    name: str
    module: str
    suffixes: tuple[str, ...]
    recognises: Callable[[bytes], bool]


def _is_pdf(head: bytes) -> bool:
    return b"%PDF-" in head[:1024]


def _is_epub(head: bytes) -> bool:
    return head.startswith(_ZIP_MAGIC) and b"application/epub+zip" in head[:128]


def _is_html(head: bytes) -> bool:
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:512].lower()
    return start.startswith((b"<!doctype html", b"<html")) or (
        start.startswith(b"<?xml") and b"<html" in start
    )


def _never(head: bytes) -> bool:
    return False


FORMATS: tuple[Format, ...] = (
    Format(name="pdf", module="engine.documents.pdf", suffixes=(".pdf",), recognises=_is_pdf),
    Format(name="epub", module="engine.documents.epub", suffixes=(".epub",), recognises=_is_epub),
    Format(
        name="html",
        module="engine.documents.html",
        suffixes=(".html", ".htm", ".xhtml"),
        recognises=_is_html,
    ),
    Format(
        name="markdown",
        module="engine.documents.markdown",
        suffixes=(".md", ".markdown", ".mkd"),
        recognises=_never,
    ),
    Format(
        name="text", module="engine.documents.plain", suffixes=(".txt", ".text", ".log"), recognises=_never
    ),
)
"""Every format, the first that recognises a file reads it; else the suffix decides, else it is plain text."""

SUFFIXES: tuple[str, ...] = tuple(suffix for known in FORMATS for suffix in known.suffixes)
"""For file dialogs and folder scans."""


def open_document(path: Path, *, password: str | None = None, progress: Progress | None = None) -> Document:
    """Read a whole document.

    Args:
        path: the file.
        password: user or owner password of an encrypted document.
        progress: called with (pages or parts done, of how many) now and then.

    Raises:
        DocumentNotFoundError: there is no such file, or it may not be read.
        UnsupportedFormatError: no reader knows this format.
        CorruptDocumentError: the file is damaged or is not what its name says.
        PasswordNeededError: it is encrypted and the password is missing or wrong.
        NoTextError: it holds no extractable text.
    """
    head = _read_head(path)
    known = find_format(path, head)
    logger.info("reading %s as %s", path.name, known.name)
    read = cast("Callable[[Source], Document]", importlib.import_module(known.module).read)
    document = read(Source(path=path, password=password, progress=progress))
    if not any(page.text.strip() for page in document.pages):
        raise NoTextError(
            f"{path.name} holds no text.",
            hint="If it is a scan, run text recognition (OCR) on it first." if known.name == "pdf" else "",
        )
    return document


def find_format(path: Path, head: bytes) -> Format:
    """Choose the format of a file.

    Args:
        path: its name counts where the content does not tell.
        head: its first 4,096 bytes.

    Raises:
        UnsupportedFormatError: an archive that is not an EPUB.
    """
    for known in FORMATS:
        if known.recognises(head):
            return known
    suffix = path.suffix.lower()
    by_suffix = next((known for known in FORMATS if suffix in known.suffixes), FORMATS[-1])
    if head.startswith(_ZIP_MAGIC) and by_suffix.name != "epub":
        raise UnsupportedFormatError(
            f"{path.name} is an archive or office file, and these cannot be read.",
            hint="Save it as PDF, EPUB, HTML, Markdown or plain text.",
        )
    return by_suffix


def _read_head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except FileNotFoundError as exc:
        raise DocumentNotFoundError(
            f"There is no file {path.name}.", hint="Was it moved or renamed?"
        ) from exc
    except IsADirectoryError as exc:
        raise DocumentNotFoundError(f"{path.name} is a folder.", hint="Choose the files in it.") from exc
    except PermissionError as exc:
        raise DocumentNotFoundError(f"{path.name} may not be read.", hint="Check its permissions.") from exc
    except OSError as exc:
        raise CorruptDocumentError(f"{path.name} cannot be read: {exc.strerror or exc}.") from exc
    except ValueError as exc:  # a NUL character in the name
        raise DocumentNotFoundError("This is no valid file name.") from exc
    if not head:
        raise NoTextError(f"{path.name} is empty.")
    return head
