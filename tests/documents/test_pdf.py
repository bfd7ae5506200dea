"""PDF: text, labels, headings, encryption, and boxes that belong to the characters of the text."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from reportlab.pdfgen import canvas

from engine.documents.model import OutlineEntry
from engine.documents.pdf_text import Box, page_boxes
from engine.documents.reader import open_document
from engine.errors import CorruptDocumentError, NoTextError, PasswordNeededError

MakePdf = Callable[..., Path]


def test_text_labels_headings_and_title(make_pdf: MakePdf) -> None:
    path = make_pdf(
        [[(72, 700, "Preface text.")], [(72, 700, "First chapter.")], [(72, 700, "It goes on.")]],
        title="The Made Report",
        outline=[(0, "Preface", 0), (0, "Chapter One", 1), (1, "1.1", 1)],
        labels={0: ("ROMAN_LOWER", 1), 1: ("ARABIC", 1)},
    )
    seen: list[tuple[int, int]] = []
    document = open_document(path, progress=lambda done, total: seen.append((done, total)))
    assert document.format == "pdf"
    assert document.kind == "page"
    assert document.title == "The Made Report"
    assert [page.text for page in document.pages] == ["Preface text.", "First chapter.", "It goes on."]
    assert [page.label for page in document.pages] == ["i", "1", "2"]
    assert [page.heading for page in document.pages] == ["Preface", "Chapter One", "Chapter One, 1.1"]
    assert document.outline[2] == OutlineEntry(title="1.1", level=2, page_number=2)
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert document.warnings == ()


def test_line_ends_and_hyphens_stay_visible(make_pdf: MakePdf) -> None:
    path = make_pdf([[(72, 700, "The excep-"), (72, 686, "tions are stock-"), (72, 672, "based.")]])
    assert open_document(path).pages[0].text == "The excep-\ntions are stock-\nbased."


def test_empty_pages_stay_and_are_counted(make_pdf: MakePdf) -> None:
    document = open_document(make_pdf([[(72, 700, "one")], [], [(72, 700, "three")]]))
    assert [page.text for page in document.pages] == ["one", "", "three"]
    assert document.warnings == ("1 of 3 pages holds no text.",)


def test_without_any_text(make_pdf: MakePdf) -> None:
    with pytest.raises(NoTextError, match=r"No page of made\.pdf has text") as caught:
        open_document(make_pdf([[], []]))
    assert "OCR" in caught.value.hint


@pytest.mark.parametrize("password", ["user", "owner"])
@pytest.mark.parametrize("encryption", ["RC4-40", "RC4-128", "AES-128", "AES-256"])
def test_decrypts_with_user_and_owner_password(make_pdf: MakePdf, password: str, encryption: str) -> None:
    path = make_pdf([[(72, 700, "Secret words.")]], outline=[(0, "Start", 0)], encryption=encryption)
    document = open_document(path, password=password)
    assert document.text == "Secret words."
    assert document.pages[0].heading == "Start"
    assert len(page_boxes(path, 1, password)) == len(document.text)


@pytest.mark.parametrize(("password", "problem"), [(None, "is encrypted"), ("wrong", "with this password")])
def test_password_missing_or_wrong(make_pdf: MakePdf, password: str | None, problem: str) -> None:
    path = make_pdf([[(72, 700, "Secret.")]], encryption="AES-256")
    with pytest.raises(PasswordNeededError, match=problem):
        open_document(path, password=password)


@pytest.mark.parametrize(
    "data", [b"%PDF-1.7\n", b"%PDF-1.4\nnothing of the kind\n%%EOF", b"%PDF-" + bytes(5000)]
)
def test_damaged_file(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "broken.pdf"
    path.write_bytes(data)
    with pytest.raises(CorruptDocumentError, match=r"broken\.pdf is damaged"):
        open_document(path)


def test_truncated_file_is_repaired_or_refused(make_pdf: MakePdf) -> None:
    path = make_pdf([[(72, 700, f"Page {number}.")] for number in range(5)])
    data = path.read_bytes()
    for share in (0.3, 0.6, 0.9, 0.99):
        path.write_bytes(data[: int(len(data) * share)])
        try:
            assert "Page" in open_document(path).text
        except (CorruptDocumentError, NoTextError):
            pass


def _box_of(path: Path, word: str) -> Box:
    text = open_document(path).pages[0].text
    boxes = page_boxes(path, 1)
    assert len(boxes) == len(text)
    assert all((box is None) == char.isspace() for char, box in zip(text, boxes, strict=True))
    start = text.index(word)
    chosen = [box for box in boxes[start : start + len(word)] if box is not None]
    assert len(chosen) == len(word)
    return Box(
        min(box.left for box in chosen),
        min(box.bottom for box in chosen),
        max(box.right for box in chosen),
        max(box.top for box in chosen),
    )


def test_boxes_stand_where_the_word_was_put(make_pdf: MakePdf) -> None:
    path = make_pdf(
        [[(100, 700, "stretched"), (72, 600, "a hyphen-"), (72, 586, "ated"), (250, 300, "Needle")]]
    )
    box = _box_of(path, "Needle")
    assert box.left == pytest.approx(250, abs=2)
    assert box.bottom == pytest.approx(300, abs=2)
    assert 30 < box.right - box.left < 45  # six letters of Helvetica 12
    assert 7 < box.top - box.bottom < 13
    first = _box_of(path, "ated")
    assert first.left == pytest.approx(72, abs=2)
    assert first.bottom == pytest.approx(586, abs=2)


@pytest.mark.parametrize(
    ("rotation", "left", "bottom"),
    [(90, 300, 595.28 - 250 - 40), (180, 595.28 - 250 - 40, 841.89 - 300 - 9), (270, 841.89 - 300 - 9, 250)],
)
def test_boxes_of_a_rotated_page_are_as_displayed(
    make_pdf: MakePdf, rotation: int, left: float, bottom: float
) -> None:
    box = _box_of(make_pdf([[(250, 300, "Needle")]], rotation=rotation), "Needle")
    assert box.left == pytest.approx(left, abs=3)
    assert box.bottom == pytest.approx(bottom, abs=3)
    assert box.left < box.right
    assert box.bottom < box.top


def test_what_is_written_into_a_form_is_read(tmp_path: Path) -> None:
    path = tmp_path / "form.pdf"
    pdf = canvas.Canvas(str(path))
    pdf.drawString(72, 700, "Name:")
    pdf.acroForm.textfield(name="n", value="Ada Lovelace", x=200, y=690, width=200, height=24)
    pdf.save()
    assert open_document(path).text.split() == ["Name:", "Ada", "Lovelace"]
    box = _box_of(path, "Lovelace")
    assert 200 < box.left < box.right < 400
    assert 690 < box.bottom < box.top < 714


def test_boxes_of_a_page_that_is_not_there(make_pdf: MakePdf) -> None:
    with pytest.raises(CorruptDocumentError, match="Page 7"):
        page_boxes(make_pdf([[(72, 700, "one")]]), 7)


def test_threads_take_turns(make_pdf: MakePdf) -> None:
    path = make_pdf([[(72, 700, f"Page {number}.")] for number in range(30)])
    results: list[int] = []

    def work() -> None:
        results.append(len(open_document(path).text))
        results.append(len(page_boxes(path, 3)))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(set(results)) == [7, len(open_document(path).text)]
