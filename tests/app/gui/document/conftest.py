"""Documents to show: the bundled sample, PDFs made by reportlab, and a column that leaves no thread behind."""

import os
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import pypdf
import pytest
from pypdf.generic import RectangleObject
from pytestqt.qtbot import QtBot
from reportlab.lib.pagesizes import A4
from reportlab.pdfgen import canvas

from app.gui.document.column import DocumentColumn
from app.gui.document.values import OpenedDocument, opened
from engine.documents.model import Document
from engine.documents.reader import open_document
from engine.paths import RESOURCES

SAMPLE = RESOURCES / "samples" / "kestrelmouth-report.pdf"
QUESTIONS = RESOURCES / "samples" / "questions.jsonl"
DATA = Path(__file__).parents[5] / "shared" / "data"

Line = tuple[float, float, str]
MakePdf = Callable[..., Path]


@cache
def read(path: Path) -> Document:
    """A document as the engine reads it, once for all tests."""
    return open_document(path)


@pytest.fixture
def sample() -> Document:
    """The bundled report: 121 pages, the first ones numbered i, ii, ..."""
    return read(SAMPLE)


@pytest.fixture
def shown_sample(sample: Document) -> OpenedDocument:
    """The bundled report, to be shown."""
    return opened(sample)


@pytest.fixture
def make_pdf(tmp_path: Path) -> MakePdf:
    """Writes a PDF; a line whose text begins with "!" is red."""

    def make(
        pages: Sequence[Sequence[Line]],
        *,
        name: str = "made.pdf",
        rotation: int = 0,
        crop: tuple[float, float, float, float] | None = None,
        password: str = "",
    ) -> Path:
        path = tmp_path / name
        pdf = canvas.Canvas(str(path), pagesize=A4)
        for lines in pages:
            for x, y, text in lines:
                pdf.setFillColorRGB(1 if text.startswith("!") else 0, 0, 0)
                pdf.drawString(x, y, text.removeprefix("!"))
            pdf.showPage()
        pdf.save()
        writer = pypdf.PdfWriter(clone_from=path)
        for page in writer.pages:
            page.rotate(rotation)
            if crop is not None:
                page.cropbox = RectangleObject(crop)
        if password:
            writer.encrypt(password, algorithm="AES-256")
        writer.write(path)
        return path

    return make


@pytest.fixture
def column(qtbot: QtBot) -> Iterator[DocumentColumn]:
    """A column on the screen; afterwards none of its threads may be left."""
    made = DocumentColumn()
    made.resize(900, 900)
    qtbot.addWidget(made)
    made.show()
    qtbot.waitExposed(made)
    yield made
    assert made.shut_down()
