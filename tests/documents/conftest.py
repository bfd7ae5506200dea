"""Documents made for the tests: real PDFs by reportlab, EPUBs zipped from strings."""

import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pypdf
import pytest
from reportlab.lib.pagesizes import A4
from reportlab.pdfgen import canvas

CONTAINER = (
    '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
    '<rootfile full-path="OPS/book.opf" media-type="application/oebps-package+xml"/></rootfiles></container>'
)

MakePdf = Callable[..., Path]
MakeEpub = Callable[..., Path]


@pytest.fixture
def make_pdf(tmp_path: Path) -> MakePdf:
    """Writes a PDF; each page is a list of (x, y, line)."""

    def make(
        pages: Sequence[Sequence[tuple[float, float, str]]],
        *,
        name: str = "made.pdf",
        title: str = "",
        outline: Sequence[tuple[int, str, int]] = (),
        labels: Mapping[int, tuple[str, int]] | None = None,
        encryption: str = "",
        rotation: int = 0,
    ) -> Path:
        path = tmp_path / name
        pdf = canvas.Canvas(str(path), pagesize=A4)
        if title:
            pdf.setTitle(title)
        for index, lines in enumerate(pages):
            for level, text, target in outline:
                if target == index:
                    pdf.bookmarkPage(text)
                    pdf.addOutlineEntry(text, text, level=level)
            for x, y, line in lines:
                pdf.drawString(x, y, line)
            pdf.showPage()
        for index, (style, start) in (labels or {}).items():
            pdf.addPageLabel(index, style=style, start=start)
        pdf.save()
        if encryption or rotation:
            writer = pypdf.PdfWriter(clone_from=path)
            for page in writer.pages:
                page.rotate(rotation)
            if encryption:
                writer.encrypt("user", "owner", algorithm=encryption)
            writer.write(path)
        return path

    return make


@pytest.fixture
def make_epub(tmp_path: Path) -> MakeEpub:
    """Writes an EPUB; `chapters` are bodies of XHTML, `files` go into the archive as they are."""

    def make(
        chapters: Mapping[str, str],
        *,
        name: str = "made.epub",
        nav: str = "",
        ncx: str = "",
        files: Mapping[str, str | bytes] | None = None,
        spine: Sequence[str] | None = None,
    ) -> Path:
        items = "".join(
            f'<item id="{key}" href="{key}" media-type="application/xhtml+xml"/>' for key in chapters
        )
        if nav:
            items += '<item id="nav" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>'
        if ncx:
            items += '<item id="ncx" href="toc.ncx" media-type="application/x-dtbncx+xml"/>'
        refs = "".join(f'<itemref idref="{key}"/>' for key in (spine if spine is not None else chapters))
        opf = (
            '<package xmlns="http://www.idpf.org/2007/opf" version="3.0">'
            '<metadata xmlns:dc="http://purl.org/dc/elements/1.1/">'
            "<dc:title>A Made Book</dc:title></metadata>"
            f'<manifest>{items}</manifest><spine toc="ncx">{refs}</spine></package>'
        )
        path = tmp_path / name
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("mimetype", "application/epub+zip", zipfile.ZIP_STORED)
            archive.writestr("META-INF/container.xml", CONTAINER)
            archive.writestr("OPS/book.opf", opf)
            for key, body in chapters.items():
                archive.writestr(f"OPS/{key}", xhtml(body))
            if nav:
                archive.writestr("OPS/nav.xhtml", xhtml(nav))
            if ncx:
                archive.writestr("OPS/toc.ncx", ncx)
            for key, data in (files or {}).items():
                archive.writestr(key, data)
        return path

    return make


def xhtml(body: str) -> str:
    """A whole content document, unless `body` is one."""
    if body.startswith("<?xml") or not body.startswith("<"):
        return body
    return (
        '<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml" '
        'xmlns:epub="http://www.idpf.org/2007/ops"><head><title>not shown</title></head>'
        f"<body>{body}</body></html>"
    )
