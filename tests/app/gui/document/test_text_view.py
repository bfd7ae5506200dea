"""The text view: places are exact, a long book opens at once, and what is read stays in place."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytestqt.qtbot import QtBot

from app.gui.document.column import DocumentColumn
from app.gui.document.text_blocks import Piece, blocks, cut
from app.gui.document.values import Highlight, OpenedDocument, PagePlace, Span, opened
from engine.documents.model import Document, Page, PageDraft, lay_out

WORDS = (
    "the quick brown fox jumps over the lazy dog and goes on until the evening comes over the hills".split()
)


def book(num_sections: int, paragraphs: int = 12) -> Document:
    """A made book whose sections are not alike."""
    drafts = []
    for section in range(num_sections):
        body = [f"Chapter {section + 1}"]
        for number in range(paragraphs + section % 5):
            words = [
                WORDS[(section * 7 + number * 3 + i * i) % len(WORDS)] for i in range(40 + (number * 13) % 90)
            ]
            body.append(f"S{section + 1}P{number + 1} " + " ".join(words) + ".")
        drafts.append(PageDraft(text="\n\n".join(body), heading=f"Chapter {section + 1}"))
    return Document(
        name="book.md", path=Path("book.md"), format="markdown", kind="section", pages=lay_out(drafts)
    )


@pytest.fixture
def shown(qtbot: QtBot, column: DocumentColumn) -> OpenedDocument:
    document = opened(book(200))
    with qtbot.waitSignal(column.document_shown, timeout=10_000):
        column.open_document(document)
    return document


def test_a_place_is_brought_into_view(qtbot: QtBot, column: DocumentColumn, shown: OpenedDocument) -> None:
    text = column.text_view.text
    start = text.index("S150P7 ")
    column.show_span(start, start + 6)
    qtbot.wait(400)
    rects = column.text_view.rects_of(Span(start, start + 6))
    assert len(rects) == 1
    viewport = column.text_view.viewport()
    assert viewport.rect().contains(rects[0].center().toPoint())
    assert column.text_view.page_number == 150
    assert column.header.place.text() == "150"
    colour = viewport.grab().toImage().pixelColor(rects[0].topLeft().toPoint())
    assert colour.blue() < colour.red()


def test_the_character_below_a_point_is_the_one_that_is_there(
    qtbot: QtBot, column: DocumentColumn, shown: OpenedDocument
) -> None:
    text = column.text_view.text
    column.show_page(30)
    qtbot.wait(400)
    section = shown.pages[29]
    num_checked = 0
    for offset in range(section.start, section.start + 900):
        rects = column.text_view.rects_of(Span(offset, offset + 1))
        if text[offset].isspace() or not rects:
            continue
        num_checked += 1
        assert column.text_view.offset_at(rects[0].center().toPoint(), exact=True) == offset
    assert num_checked > 500


def test_scrolling_back_and_forth_returns_to_the_same_words(
    qtbot: QtBot, column: DocumentColumn, shown: OpenedDocument
) -> None:
    view = column.text_view
    column.show_page(60)
    qtbot.wait(400)

    def at_line() -> int | None:
        return view.offset_at(view.viewport().rect().center(), exact=False)

    before = at_line()
    assert before is not None
    bar = view.verticalScrollBar()
    for _ in range(40):
        bar.setValue(bar.value() - 300)
    for _ in range(40):
        bar.setValue(bar.value() + 300)
    after = at_line()
    assert after is not None
    # Sections above are set on the way; the sum of small steps must not be moved by their true heights.
    assert abs(after - before) < 400


def test_pages_follow_one_another_while_scrolling(
    qtbot: QtBot, column: DocumentColumn, shown: OpenedDocument
) -> None:
    numbers: list[int] = []
    column.page_changed.connect(numbers.append)
    bar = column.text_view.verticalScrollBar()
    for _ in range(60):
        bar.setValue(bar.value() + 400)
    assert numbers == sorted(numbers)
    assert len(numbers) > 3
    bar.setValue(bar.maximum())
    bar.setValue(bar.maximum())
    assert column.text_view.page_number == 200


def test_zoom_keeps_the_words_in_place(qtbot: QtBot, column: DocumentColumn, shown: OpenedDocument) -> None:
    view = column.text_view
    start = view.text.index("S100P4 ")
    column.show_span(start, start + 6)
    qtbot.wait(400)
    for _ in range(3):
        view.step_zoom(1)
        near = view.offset_at(view.viewport().rect().center(), exact=False)
        assert near is not None
        assert abs(near - start) < 1500
    column.resize(500, 700)
    qtbot.wait(400)
    assert view.page_number in (99, 100, 101)


def test_highlights_hits_and_find(qtbot: QtBot, column: DocumentColumn, shown: OpenedDocument) -> None:
    column.set_highlights([Highlight(start=0, end=9)])
    column.find_text("s77p")
    qtbot.waitUntil(lambda: bool(column.findings.hits), timeout=10_000)
    qtbot.waitUntil(lambda: column.text_view.page_number == 77, timeout=5_000)
    assert column.text_view.hits == column.findings.hits
    assert not column.text_view.viewport().grab().isNull()


def test_markup_in_a_text_is_text(qtbot: QtBot, column: DocumentColumn) -> None:
    drafts = [
        PageDraft(text="<img src='http://example.org/x.png'><b>bold</b>\u2028next\0end", heading="<i>h</i>")
    ]
    document = Document(
        name="a.txt", path=Path("a.txt"), format="text", kind="section", pages=lay_out(drafts)
    )
    with qtbot.waitSignal(column.document_shown, timeout=10_000):
        column.open_document(opened(document))
    start = document.text.index("<b>")
    assert len(column.text_view.rects_of(Span(start, start + 3))) == 1
    assert not column.text_view.viewport().grab().isNull()


def _places(pages: tuple[Page, ...]) -> tuple[PagePlace, ...]:
    return tuple(PagePlace(number=p.number, label=p.label, start=p.start, length=len(p.text)) for p in pages)


@given(st.lists(st.text(alphabet="ab .\n\t", max_size=12_000), min_size=1, max_size=4))
def test_pieces_and_blocks_lose_nothing(texts: list[str]) -> None:
    pages = lay_out(PageDraft(text=text) for text in texts)
    document = Document(name="a", path=Path("a"), format="text", kind="section", pages=pages)
    pieces = list(cut(document.text, _places(pages)))
    for index, page in enumerate(pages):
        own = [piece for piece in pieces if piece.page == index]
        assert own[0].is_first
        assert "".join(document.text[piece.start : piece.end] for piece in own) == page.text
    for piece in pieces:
        _check_blocks(document.text, piece)


def _check_blocks(text: str, piece: Piece) -> None:
    position = piece.start
    for block in blocks(text, piece, "a"):
        assert not text[position : block.start].strip()
        assert len(block.shown) == len(text[block.start : block.start + len(block.shown)])
        position = block.start + len(block.shown)
    assert not text[position : piece.end].strip()
