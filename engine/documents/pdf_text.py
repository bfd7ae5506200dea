"""Text and character boxes of PDF pages, by PDFium.

One function, `extract_page`, makes the text of a page for the model, the store and the viewer; it keeps for
every character the index that PDFium knows it by, so that boxes always belong to exactly these characters.

PDFium joins a word that is hyphenated at a line end and leaves a mark (U+FFFE, in other calls U+0002) where
hyphen and line end were. That decision is wrong for "stock-\\nbased", so the mark is put back as "-" and a
newline, as it stands on the page; `engine.text` undoes hyphenation where text is compared or shown to a
model.
"""

import re
import threading
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any, NamedTuple

import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_raw

from engine.errors import CorruptDocumentError, DocumentNotFoundError, PasswordNeededError

PDFIUM_LOCK = threading.RLock()
"""PDFium is not thread-safe: every call into it is made under this lock, objects are closed under it too."""

_NO_CHARACTER = -1

_SPECIAL = re.compile(
    "\r\n?"  # PDFium's line end
    "|[\x02\ufffe]"  # its mark for a hyphen at a line end
    "|[\ud800-\udbff][\udc00-\udfff]"  # a pair of surrogates that came as two characters
    "|[\x00\x01\x03-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufeff\uffff]"
    "|[\ud800-\udfff]"
    "|[\uf0a7\uf0b7\uf0d8]"
)
_WRITTEN_ANNOTATIONS = (
    pdfium_raw.FPDF_ANNOT_WIDGET,
    pdfium_raw.FPDF_ANNOT_FREETEXT,
    pdfium_raw.FPDF_ANNOT_STAMP,
)

_BULLETS = "\uf0a7\uf0b7\uf0d8"
"""Bullets of the Symbol and Wingdings fonts, which have no Unicode of their own."""


@dataclass(frozen=True, slots=True)
class PageText:
    """Text of one page.

    Attributes:
        text: line ends as "\\n", no control characters, no lone surrogates.
        char_indices: for each character of `text` its index in PDFium's page, [len(text)]; -1 = none.
    """

    text: str
    char_indices: "array[int]"


class Box(NamedTuple):
    """A rectangle in points of 1/72 inch, origin at the lower left corner of the page as it is displayed."""

    left: float
    bottom: float
    right: float
    top: float


def open_pdfium(path: Path, password: str | None, data: bytes | None = None) -> pdfium.PdfDocument:
    """Open a PDF; the caller holds `PDFIUM_LOCK` and closes it.

    Args:
        path: the file.
        password: user or owner password.
        data: contents to use instead of those of the file.

    Raises:
        DocumentNotFoundError: there is no such file.
        PasswordNeededError: password missing or wrong.
        CorruptDocumentError: PDFium cannot open it.
    """
    try:
        return pdfium.PdfDocument(data if data is not None else path, password=password)
    except FileNotFoundError as exc:
        raise DocumentNotFoundError(f"There is no file {path.name}.") from exc
    except pdfium.PdfiumError as exc:
        if exc.err_code == pdfium_raw.FPDF_ERR_PASSWORD:
            problem = "is encrypted" if password is None else "cannot be opened with this password"
            raise PasswordNeededError(
                f"{path.name} {problem}.", hint="Enter the document's password."
            ) from exc
        if exc.err_code == pdfium_raw.FPDF_ERR_SECURITY:
            raise CorruptDocumentError(f"{path.name} is encrypted in a way that cannot be read.") from exc
        raise CorruptDocumentError(
            f"{path.name} is damaged or no PDF.", hint="Open it in a PDF viewer and save it again."
        ) from exc


def load_page(document: pdfium.PdfDocument, index: int) -> pdfium.PdfPage:
    """Load a page with what is written into its forms and text annotations; under `PDFIUM_LOCK`.

    PDFium's text leaves out form fields, free text and stamps. They are made part of the page in memory,
    which changes nothing else, and the page is loaded anew.

    Args:
        document: an open document.
        index: of the page, from 0.

    Raises:
        pypdfium2.PdfiumError: the page cannot be loaded.
    """
    page = document[index]
    if not any(subtype in _WRITTEN_ANNOTATIONS for subtype in _annotation_subtypes(page)):
        return page
    result = pdfium_raw.FPDFPage_Flatten(page.raw, pdfium_raw.FLAT_NORMALDISPLAY)
    if result != pdfium_raw.FLATTEN_SUCCESS:
        return page
    page.close()
    return document[index]


def _annotation_subtypes(page: pdfium.PdfPage) -> Iterator[int]:
    for number in range(pdfium_raw.FPDFPage_GetAnnotCount(page.raw)):
        annotation = pdfium_raw.FPDFPage_GetAnnot(page.raw, number)
        if annotation:
            yield pdfium_raw.FPDFAnnot_GetSubtype(annotation)
            pdfium_raw.FPDFPage_CloseAnnot(annotation)


def extract_page(textpage: pdfium.PdfTextPage) -> PageText:
    """Text of a page and where each character comes from; under `PDFIUM_LOCK`."""
    raw = _raw_text(textpage)
    pieces: list[str] = []
    indices = array("i")
    position = 0
    for match in _SPECIAL.finditer(raw):
        pieces.append(raw[position : match.start()])
        indices.extend(range(position, match.start()))
        replacement = _replacement(match[0])
        pieces.append(replacement)
        indices.extend(repeat(match.start(), len(replacement)))
        if replacement.endswith("\n"):
            indices[-1] = _NO_CHARACTER
        position = match.end()
    pieces.append(raw[position:])
    indices.extend(range(position, len(raw)))
    return PageText("".join(pieces), indices)


def _raw_text(textpage: pdfium.PdfTextPage) -> str:
    """The page's characters, one for each of PDFium's indices."""
    num_chars = textpage.count_chars()
    text: str = textpage.get_text_range()
    if len(text) == num_chars:
        return text
    # PDFium leaves characters out of its text that count in its indices: take them one by one, slower but
    # exact.
    codes = map(pdfium_raw.FPDFText_GetUnicode, repeat(textpage.raw, num_chars), range(num_chars))
    return "".join(chr(code) if code <= 0x10FFFF else "\ufffd" for code in codes)


def _replacement(special: str) -> str:
    if special[0] == "\r":
        return "\n"
    if special in "\x02\ufffe":
        return "-\n"
    if len(special) == 2:
        return special.encode("utf-16", "surrogatepass").decode("utf-16")
    if special in _BULLETS:
        return "•"
    return "\ufffd" if "\ud800" <= special <= "\udfff" else ""


def page_boxes(path: Path, page_number: int, password: str | None = None) -> tuple[Box | None, ...]:
    """Where on a page each character of `Page.text` stands.

    Args:
        path: the PDF.
        page_number: physical number, from 1.
        password: user or owner password.

    Returns:
        A box for each character, [len(Page.text)]; None for line ends and spaces that are not on the page.

    Raises:
        DocumentError: as `open_document` does.
    """
    with PDFIUM_LOCK:
        document = open_pdfium(path, password)
        try:
            return characters_on_page(document, page_number - 1)[1]
        except (IndexError, pdfium.PdfiumError) as exc:
            raise CorruptDocumentError(f"Page {page_number} of {path.name} cannot be read.") from exc
        finally:
            document.close()


def characters_on_page(document: pdfium.PdfDocument, index: int) -> tuple[str, tuple[Box | None, ...]]:
    """Text of a page of an open document and where its characters stand; under `PDFIUM_LOCK`.

    Args:
        document: an open document.
        index: of the page, from 0.

    Returns:
        The text, and the boxes as `page_boxes` gives them, [len(text)].

    Raises:
        IndexError: there is no such page.
        pypdfium2.PdfiumError: the page cannot be loaded.
    """
    page = load_page(document, index)
    try:
        textpage = page.get_textpage()
        try:
            place = _Placement(page)
            extracted = extract_page(textpage)
            boxes = tuple(
                None if source == _NO_CHARACTER or char.isspace() else place(textpage.get_charbox(source))
                for char, source in zip(extracted.text, extracted.char_indices, strict=True)
            )
            return extracted.text, boxes
        finally:
            textpage.close()
    finally:
        page.close()


class _Placement:
    """From the page's own coordinates to those of the page as displayed: crop box and rotation applied."""

    def __init__(self, page: Any) -> None:
        self._crop = page.get_bbox()
        self._rotation = page.get_rotation()

    def __call__(self, box: tuple[float, float, float, float]) -> Box:
        x0, y0, x1, y1 = self._crop
        left, bottom, right, top = box[0] - x0, box[1] - y0, box[2] - x0, box[3] - y0
        width, height = x1 - x0, y1 - y0
        if self._rotation == 90:
            return Box(bottom, width - right, top, width - left)
        if self._rotation == 180:
            return Box(width - right, height - top, width - left, height - bottom)
        if self._rotation == 270:
            return Box(height - top, left, height - bottom, right)
        return Box(left, bottom, right, top)
