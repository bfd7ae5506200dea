"""PDF files: text and structure from PDFium; pypdf completes the outline and repairs what PDFium refuses.

Structure is an extra: whatever goes wrong there is a warning, the text is never lost for it.
"""

import logging

import pypdfium2 as pdfium

from engine.documents.model import Document, PageDraft, lay_out
from engine.documents.outline import headings_by_page
from engine.documents.pdf_structure import Structure, complete_outline, read_structure, repaired
from engine.documents.pdf_text import PDFIUM_LOCK, extract_page, load_page, open_pdfium
from engine.documents.source import Source
from engine.errors import CorruptDocumentError, NoTextError

logger = logging.getLogger(__name__)


def read(source: Source) -> Document:
    """Read a PDF.

    Raises:
        PasswordNeededError: it is encrypted and the password is missing or wrong.
        CorruptDocumentError: neither PDFium nor pypdf can open it.
        NoTextError: no page has text.
    """
    path = source.path
    warnings: list[str] = []
    try:
        texts, structure = _read_pages(source, None, warnings)
    except CorruptDocumentError:
        data = repaired(path, source.password)
        if data is None:
            raise
        warnings = ["The file is damaged and was repaired for reading; parts of it may be missing."]
        texts, structure = _read_pages(source, data, warnings)
    num_empty = sum(1 for text in texts if not text.strip())
    if num_empty == len(texts):
        raise NoTextError(
            f"No page of {path.name} has text.",
            hint="It may be a scan: run text recognition (OCR) on it first.",
        )
    if num_empty:
        warnings.append(f"{num_empty} of {len(texts)} pages {'holds' if num_empty == 1 else 'hold'} no text.")
    structure = complete_outline(structure, path, source.password)
    headings = headings_by_page(structure.outline, len(texts))
    return Document(
        name=path.name,
        path=path,
        format="pdf",
        kind="page",
        title=structure.title,
        pages=lay_out(
            PageDraft(text=text, label=label, heading=heading)
            for text, label, heading in zip(texts, structure.labels, headings, strict=True)
        ),
        outline=structure.outline,
        warnings=(*warnings, *structure.warnings),
    )


def _read_pages(source: Source, data: bytes | None, warnings: list[str]) -> tuple[list[str], Structure]:
    """Text of every page, and the structure; a page that cannot be loaded is empty and named in a warning."""
    with PDFIUM_LOCK:
        document = open_pdfium(source.path, source.password, data)
    texts: list[str] = []
    failed: list[str] = []
    try:
        with PDFIUM_LOCK:
            structure = read_structure(document)
        num_pages = len(structure.labels)
        for index in range(num_pages):
            with PDFIUM_LOCK:  # page by page, so that a viewer can get its turn
                text = _page_text(document, index)
            if text is None:
                failed.append(str(index + 1))
            texts.append(text or "")
            source.report(index + 1, num_pages)
    finally:
        with PDFIUM_LOCK:
            document.close()
    if failed:
        warnings.append(f"Damaged pages that could not be read: {', '.join(failed)[:200]}.")
    return texts, structure


def _page_text(document: pdfium.PdfDocument, index: int) -> str | None:
    try:
        page = load_page(document, index)
    except pdfium.PdfiumError as exc:
        logger.warning("page %d cannot be loaded: %s", index + 1, exc)
        return None
    try:
        textpage = page.get_textpage()
        try:
            return extract_page(textpage).text
        finally:
            textpage.close()
    except pdfium.PdfiumError as exc:
        logger.warning("page %d has no text layer that can be read: %s", index + 1, exc)
        return None
    finally:
        page.close()
