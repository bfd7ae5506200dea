"""Markers lie exactly on their text: measured against another PDF library and against the pixels."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPointF
from PySide6.QtGui import QImage
from PySide6.QtPdf import QPdfDocument
from pytestqt.qtbot import QtBot

from app.gui.document.page_characters import PageCharacters, Rect
from app.gui.document.pdf_thread import Lane, PdfThread, PictureKey
from engine.documents.model import Document
from engine.locate import locate
from tests.app.gui.document.conftest import DATA, QUESTIONS, MakePdf, read


def bare(text: str) -> str:
    """Text without whitespace and hyphens, which lines may end with."""
    return re.sub(r"[\s\u00ad\ufffe-]+", "", text)


def fetch(
    qtbot: QtBot, path: Path, index: int, *, width: int = 0, height: int = 0
) -> tuple[PageCharacters, QImage]:
    """The characters of a page and its picture, from the thread that the view uses."""
    thread = PdfThread(path, None)
    characters: list[PageCharacters] = []
    images: list[QImage] = []
    thread.characters_ready.connect(characters.append)
    thread.picture_ready.connect(lambda _, image: images.append(image))
    thread.want(Lane.CHARACTERS, [index])
    if width:
        thread.want(Lane.VISIBLE, [PictureKey(index, width, height, 0, 0, width, height)])
    thread.start()
    try:
        qtbot.waitUntil(lambda: len(characters) == 1 and len(images) == bool(width), timeout=10_000)
    finally:
        thread.stop()
        assert thread.wait(10_000)
    return characters[0], images[0] if images else QImage()


def is_below(document: QPdfDocument, index: int, rects: list[Rect], text: str) -> bool:
    """Whether Qt's PDF module finds a text in rectangles, one after the other.

    A marker stands over its letters by a fraction of a point, where the other library may pick up a narrow sign of
    the neighbour; drawn in by as much it may miss one of its own. One of the two must be exact.
    """
    return any(bare(_text_below(document, index, rects, inset)) == bare(text) for inset in (0.0, 0.4, 0.8))


def _text_below(document: QPdfDocument, index: int, rects: list[Rect], inset: float) -> str:
    found = []
    for rect in rects:
        middle = (rect.top + rect.bottom) / 2
        left, right = QPointF(rect.left + inset, middle), QPointF(rect.right - inset, middle)
        found.append(document.getSelection(index, left, right).text())
    return "".join(found)


def test_quotes_of_the_sample_are_below_their_markers(qtbot: QtBot, sample: Document) -> None:
    other = QPdfDocument()
    assert other.load(str(sample.path)) is QPdfDocument.Error.None_
    num_checked = 0
    for line in QUESTIONS.read_text(encoding="utf-8").splitlines():
        quote = json.loads(line)["quote"]
        for start, end in locate(quote, sample.text)[:1] if quote else []:
            page = sample.page_at(start)
            if end > page.end:
                continue
            characters, _ = fetch(qtbot, sample.path, page.number - 1)
            rects = characters.rects(start - page.start, end - page.start)
            assert is_below(other, page.number - 1, rects, sample.text[start:end])
            assert len(rects) <= sample.text[start:end].count("\n") + 1, "one rectangle a line"
            num_checked += 1
    other.close()
    assert num_checked >= 10


@pytest.mark.parametrize(
    "name", ["us-fed-EPA2022.pdf", "riscv-privileged-v1.10.pdf", "freeculture_CC-BY-NC.pdf"]
)
def test_lines_of_large_reports_are_below_their_markers(qtbot: QtBot, name: str) -> None:
    path = DATA / "fixtures" / "pdf" / "large" / name
    if not path.is_file():
        pytest.skip(f"the development data {name} is absent")
    document = read(path)
    other = QPdfDocument()
    other.load(str(path))
    num_checked = num_equal = 0
    for page in document.pages[4 :: max(len(document.pages) // 12, 1)]:
        characters, _ = fetch(qtbot, path, page.number - 1)
        assert characters.text == page.text
        for match in re.finditer(r"(?m)^[A-Za-z].{24,}$", page.text):
            rects = characters.rects(*match.span())
            num_checked += 1
            num_equal += is_below(other, page.number - 1, rects, match[0])
    other.close()
    assert num_checked > 100
    # Where letters overlap or a rectangle's edge cuts a letter, the other library may add or lose one.
    assert num_equal >= 0.97 * num_checked, f"{num_equal} of {num_checked}"


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("crop", [None, (90, 380, 480, 730)])
def test_the_marker_covers_all_ink_of_its_words_and_no_other(
    qtbot: QtBot, make_pdf: MakePdf, rotation: int, crop: tuple[float, float, float, float] | None
) -> None:
    path = make_pdf(
        [
            [
                (120, 650, "Nothing to see here at all"),
                (160, 500, "!Needle in gypsy hay"),
                (120, 486, "more hay"),
            ]
        ],
        rotation=rotation,
        crop=crop,
    )
    page = read(path).pages[0]
    width, height = (crop[2] - crop[0], crop[3] - crop[1]) if crop else (595.276, 841.89)
    if rotation in (90, 270):
        width, height = height, width
    scale = 2
    characters, image = fetch(qtbot, path, 0, width=round(width * scale), height=round(height * scale))
    start = page.text.index("Needle")
    rects = characters.rects(start, start + len("Needle in gypsy hay"))
    assert len(rects) == 1
    red, black = _inks(image)
    assert len(red) > 100
    assert len(black) > 100
    rect = rects[0]
    inside = [
        rect.left * scale - 1 <= x <= rect.right * scale + 1
        and rect.top * scale - 1 <= y <= rect.bottom * scale + 1
        for x, y in red
    ]
    assert all(inside), f"{inside.count(False)} of {len(inside)} pixels are outside"
    tight = [
        rect.left * scale + 3 < x < rect.right * scale - 3
        and rect.top * scale + 3 < y < rect.bottom * scale - 3
        for x, y in black
    ]
    assert not any(tight)


def _inks(image: QImage) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Where a picture is red and where it is black."""
    pixels = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine() // 4, 4)
    blue, green, red = (pixels[:, : image.width(), channel] for channel in range(3))
    places = [np.argwhere((green < 100) & (blue < 100) & wanted) for wanted in (red > 200, red < 100)]
    return tuple([(int(x), int(y)) for y, x in found] for found in places)  # type: ignore[return-value]


def test_a_space_at_the_end_of_a_line_has_no_marker(qtbot: QtBot, make_pdf: MakePdf) -> None:
    path = make_pdf([[(100, 700, "one line"), (100, 680, "another line")]])
    characters, _ = fetch(qtbot, path, 0)
    end_of_line = characters.text.index("\n")
    assert characters.rects(end_of_line, end_of_line + 1) == []
    assert len(characters.rects(0, len(characters.text))) == 2


def test_columns_are_not_bridged(qtbot: QtBot, make_pdf: MakePdf) -> None:
    path = make_pdf([[(60, 700, "left column"), (360, 700, "right column")]])
    characters, _ = fetch(qtbot, path, 0)
    rects = characters.rects(0, len(characters.text))
    assert len(rects) == 2
    assert rects[0].right < 200 < 350 < rects[1].left


def test_the_character_below_a_point(qtbot: QtBot, make_pdf: MakePdf) -> None:
    path = make_pdf([[(100, 700, "Wiring"), (100, 640, "Second")]])
    characters, _ = fetch(qtbot, path, 0)
    for index, char in enumerate(characters.text):
        box = characters.box(index)
        if box is not None:
            middle = ((box.left + box.right) / 2, (box.top + box.bottom) / 2)
            assert characters.text[characters.character_at(*middle) or 0] == char
            assert characters.character_at(*middle) == index
    assert characters.character_at(500, 50, reach=2.0) is None
    assert characters.character_at(500, 50) == characters.text.index("g")
