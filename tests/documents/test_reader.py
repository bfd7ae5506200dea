"""Which reader opens a file, and what is said where none can."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from engine.documents.reader import FORMATS, SUFFIXES, find_format, open_document
from engine.errors import CorruptDocumentError, DocumentNotFoundError, NoTextError, UnsupportedFormatError


@pytest.mark.parametrize(
    ("name", "head", "expected"),
    [
        ("a.txt", b"plain", "text"),
        ("a.pdf", b"%PDF-1.7", "pdf"),
        ("a.txt", b"\n%PDF-1.7", "pdf"),
        ("a.pdf", b"no header", "pdf"),
        ("a.zip", b"PK\x03\x04" + bytes(26) + b"mimetypeapplication/epub+zip", "epub"),
        ("a.epub", b"PK\x03\x04" + bytes(26) + b"META-INF", "epub"),
        ("a.xml", b"<?xml version='1.0'?>\n<html>", "html"),
        ("a", b"\xef\xbb\xbf <!DOCTYPE html>", "html"),
        ("README.MD", b"# Title", "markdown"),
        ("a.unknown", b"plain", "text"),
    ],
)
def test_format_by_content_then_by_suffix(name: str, head: bytes, expected: str) -> None:
    assert find_format(Path(name), head).name == expected


def test_office_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "letter.docx"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("word/document.xml", "<w:document/>")
    with pytest.raises(UnsupportedFormatError, match=r"letter\.docx is an archive or office file"):
        open_document(path)


def test_files_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(DocumentNotFoundError, match=r"There is no file gone\.txt"):
        open_document(tmp_path / "gone.txt")
    with pytest.raises(DocumentNotFoundError, match="is a folder"):
        open_document(tmp_path)
    with pytest.raises(DocumentNotFoundError, match="no valid file name"):
        open_document(tmp_path / "a\x00b")
    (tmp_path / "empty.txt").touch()
    with pytest.raises(NoTextError, match=r"empty\.txt is empty"):
        open_document(tmp_path / "empty.txt")
    (tmp_path / "a.pdf").write_text("not a PDF at all")
    with pytest.raises(CorruptDocumentError):
        open_document(tmp_path / "a.pdf")


def test_every_format_has_a_module_and_suffixes() -> None:
    assert len({known.name for known in FORMATS}) == len(FORMATS)
    assert {".pdf", ".epub", ".md", ".html", ".txt"} <= set(SUFFIXES)


def test_a_text_file_loads_no_pdf_library(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Some text.")
    code = (
        "import sys; from pathlib import Path; from engine.documents.reader import open_document; "
        f"open_document(Path({str(tmp_path / 'a.txt')!r})); "
        "print(sorted({'pypdfium2', 'pypdf', 'lxml', 'markdown_it'} & set(sys.modules)))"
    )
    root = Path(__file__).parents[2]
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True
    )
    assert result.stdout.strip() == "[]"
