"""The merged PDF has as many pages as were asked for, two kinds of labels and an outline entry for each part."""

from pathlib import Path

import pypdf
import pytest

from benchmarks.merge_pdfs import merge
from engine.documents.reader import open_document
from engine.paths import RESOURCES

SAMPLE = RESOURCES / "samples" / "kestrelmouth-report.pdf"


def test_pages_labels_and_outline(tmp_path: Path) -> None:
    out = tmp_path / "merged.pdf"
    merge([SAMPLE], out, 250)
    document = open_document(out)
    assert len(document.pages) == 250
    assert [page.label for page in document.pages[8:12]] == ["ix", "x", "1", "2"]
    assert [entry.page_number for entry in document.outline] == [1, 122, 243]
    assert document.pages[10].text == document.pages[131].text


def test_files_without_pages(tmp_path: Path) -> None:
    empty = tmp_path / "empty.pdf"
    pypdf.PdfWriter().write(empty)
    with pytest.raises(ValueError, match="no pages"):
        merge([empty], tmp_path / "out.pdf", 3)
