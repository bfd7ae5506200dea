"""Public files that broke other readers: each gives a document or a typed error; known files read well.

Skipped, with the reason printed, where the data that the project was developed with is absent.
"""

import collections
import concurrent.futures
import multiprocessing
from pathlib import Path

import pytest

from engine.documents.reader import open_document
from engine.errors import CorruptDocumentError, DocumentError, NoTextError, PasswordNeededError

DATA = Path(__file__).parents[3] / "shared" / "data"
TIMEOUT_S = 60

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DATA.is_dir(), reason=f"the development data {DATA.name} is absent"),
]


def _outcome(path: Path) -> str:
    """Name of the format or of the typed error; anything else is raised."""
    error: DocumentError | None
    try:
        document = open_document(path)
    except DocumentError as exc:
        error = exc
    else:
        error = None
    if error is not None:
        assert error.message.endswith(".")
        return type(error).__name__
    assert "".join(page.text for page in document.pages).strip()
    assert not any("\ud800" <= char <= "\udfff" for char in document.text)
    return document.format


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("folder", ["pdf/pypdf", "pdf/pdfjs", "pdf/sample-files", "ocr", "epub"])
def test_document_or_typed_error(folder: str) -> None:
    root = DATA / "fixtures" / folder
    paths = sorted(path for path in root.rglob("*") if path.suffix.lower() in (".pdf", ".epub"))
    if not paths:
        pytest.skip(f"no files in {folder}")
    outcomes: collections.Counter[str] = collections.Counter()
    context = multiprocessing.get_context(
        "spawn"
    )  # an abort in native code must fail one file, not the test run
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        for path in paths:
            try:
                outcomes[pool.submit(_outcome, path).result(TIMEOUT_S)] += 1
            except Exception as exc:
                raise AssertionError(f"{path.name}: {type(exc).__name__}: {exc}") from exc
    refused = outcomes["CorruptDocumentError"] + outcomes["UnsupportedFormatError"]
    assert refused <= 0.1 * len(paths), outcomes


def _need(name: str) -> Path:
    path = DATA / name
    if not path.exists():
        pytest.skip(f"{name} is absent")
    return path


def test_a_manual_with_roman_and_arabic_labels() -> None:
    document = open_document(_need("fixtures/pdf/large/riscv-privileged-v1.10.pdf"))
    assert len(document.pages) == 91
    assert [page.label for page in document.pages[:12]] == "1 2 i ii iii iv v vi vii viii 1 2".split()
    assert document.pages[20].heading == "CSR Listing"
    assert "Control and status registers" in " ".join(document.pages[15].text.split()) or document.outline


def test_a_filing_beyond_the_limits_of_pypdf() -> None:
    document = open_document(_need("fixtures/pdf/sec10q/2023 Q1 MSFT.pdf"))
    assert len(document.pages) == 72
    assert document.title == "Form 10-Q for Microsoft Corp filed 01/24/2023"
    assert "STRATEGIC AND COMPETITIVE RISKS" in document.text
    assert not any("could not be read" in warning for warning in document.warnings)


def test_a_large_book() -> None:
    document = open_document(_need("books/epub/war-and-peace_standardebooks.epub"))
    assert len(document.pages) > 360
    assert document.title == "War and Peace"
    assert "Well, Prince, so Genoa and Lucca" in document.text


@pytest.mark.parametrize(
    ("name", "password"),
    [("r6-both-passwords.pdf", "foo"), ("r5-user-password.pdf", "asdfzxcv"), ("encrypted-file.pdf", "test")],
)
def test_encrypted_files_of_others(name: str, password: str) -> None:
    found = list((DATA / "fixtures/pdf/pypdf").rglob(name))
    if not found:
        pytest.skip(f"{name} is absent")
    with pytest.raises(PasswordNeededError):
        open_document(found[0])
    try:
        open_document(found[0], password=password)
    except NoTextError:
        pass
    except CorruptDocumentError:
        pytest.fail("the password was right, the file was refused")
