"""The strip shows each chunk at its share, what was found is never hidden, and keys reach everything."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from app.gui.document.strip import ReadingStrip, StripLegend
from app.gui.document.strip_layout import STATES, ChunkState, StripChunk, StripLayout
from app.gui.look import tones


def plan(num_chunks: int, *, pages: int = 2, documents: int = 1) -> list[StripChunk]:
    return [
        StripChunk(document=d, first_page=1 + i * pages, last_page=(i + 1) * pages, tokens=100)
        for d in range(documents)
        for i in range(num_chunks)
    ]


@pytest.fixture
def strip(qtbot: QtBot) -> ReadingStrip:
    made = ReadingStrip()
    made.resize(624, 26)
    qtbot.addWidget(made)
    made.show()
    return made


def colour_at(strip: ReadingStrip, x: int) -> QColor:
    return strip.grab().toImage().pixelColor(x, 14)


def test_colours_follow_states(strip: ReadingStrip) -> None:
    strip.set_plan(plan(6))
    tone = tones(strip)
    assert colour_at(strip, 150) == tone.unread
    strip.set_state(1, "found")
    strip.set_state(2, "nothing")
    strip.set_state(3, "reading")
    strip.set_state(4, "skipped")
    seen = [colour_at(strip, 12 + 50 + 100 * i) for i in range(6)]
    assert seen == [tone.unread, tone.found, tone.nothing, tone.reading, tone.skipped, tone.unread]
    assert strip.counts() == {"unread": 2, "reading": 1, "nothing": 1, "found": 1, "skipped": 1}


def test_share_goes_by_tokens(strip: ReadingStrip) -> None:
    long = StripChunk(document=0, first_page=1, last_page=1, tokens=300)
    short = StripChunk(document=0, first_page=2, last_page=2, tokens=100)
    strip.set_plan([long, short])
    strip.set_state(1, "found")
    assert colour_at(strip, 12 + 440) == tones(strip).unread
    assert colour_at(strip, 12 + 460) == tones(strip).found


def test_one_find_among_thousands_is_seen(strip: ReadingStrip) -> None:
    strip.set_plan(plan(15_000))
    strip.set_states(["nothing"] * 15_000)
    strip.set_state(7_500, "found")
    assert colour_at(strip, 312) == tones(strip).found


@given(st.lists(st.sampled_from(STATES), min_size=1, max_size=60), st.data())
def test_updating_a_chunk_equals_starting_anew(states: list[ChunkState], data: st.DataObject) -> None:
    tokens = data.draw(st.lists(st.integers(0, 50), min_size=len(states), max_size=len(states)))
    chunks = [
        StripChunk(document=i // 20, first_page=i % 20 + 1, last_page=i % 20 + 1, tokens=count)
        for i, count in enumerate(tokens)
    ]
    width = data.draw(st.integers(1, 90))
    layout = StripLayout(chunks, states, width, 3)
    index = data.draw(st.integers(0, len(states) - 1))
    states[index] = data.draw(st.sampled_from(STATES))
    layout.update(index, states)
    assert layout.columns == StripLayout(chunks, states, width, 3).columns


@given(st.integers(1, 40), st.integers(1, 7), st.integers(30, 2000))
def test_a_place_leads_back_to_its_page(num_chunks: int, pages: int, width: int) -> None:
    chunks = plan(num_chunks, pages=pages)
    layout = StripLayout(chunks, ["unread"] * num_chunks, 5000)
    for page in range(1, num_chunks * pages + 1):
        at = layout.x_of(0, page)
        assert at is not None
        assert layout.page_at(at) == (0, page)


def test_click_gives_document_and_page(qtbot: QtBot, strip: ReadingStrip) -> None:
    strip.set_plan(plan(10, documents=2), ["one.pdf", "two.pdf"])
    strip.resize(624, 42)
    with qtbot.waitSignal(strip.place_clicked) as caught:
        QTest.mouseClick(strip, Qt.MouseButton.LeftButton, pos=strip.rect().center() / 2)
    assert caught.args is not None
    assert caught.args[0] == 0
    with qtbot.waitSignal(strip.place_clicked) as caught:
        QTest.mouseClick(
            strip, Qt.MouseButton.LeftButton, pos=strip.rect().bottomRight() - strip.rect().center() / 20
        )
    assert caught.args[0] == 1
    assert caught.args[1] >= 18


def test_keys_go_through_what_was_found(qtbot: QtBot, strip: ReadingStrip) -> None:
    strip.set_plan(plan(10))
    strip.set_state(3, "found")
    strip.set_state(8, "found")
    strip.setFocus()
    for _ in range(2):
        QTest.keyClick(strip, Qt.Key.Key_Right, Qt.KeyboardModifier.ControlModifier)
    with qtbot.waitSignal(strip.place_clicked) as caught:
        QTest.keyClick(strip, Qt.Key.Key_Return)
    assert caught.args == [0, 17]
    QTest.keyClick(strip, Qt.Key.Key_Home)
    with qtbot.waitSignal(strip.place_clicked) as caught:
        QTest.keyClick(strip, Qt.Key.Key_Space)
    assert caught.args == [0, 1]


def test_words(strip: ReadingStrip) -> None:
    labels = [[f"A-{n}" for n in range(1, 21)]]
    strip.set_plan(plan(10), ["one.pdf"], labels)
    strip.set_state(5, "found")
    strip.set_state(6, "nothing")
    assert strip.words_for(5) == "pages A-11–A-12 · found"
    assert "8 unread" in strip.accessibleDescription()
    assert "1 found" in strip.accessibleDescription()
    assert strip.accessibleName()


def test_wrong_number_of_states(strip: ReadingStrip) -> None:
    strip.set_plan(plan(3))
    with pytest.raises(ValueError, match="2 states for 3 chunks"):
        strip.set_states(["found", "found"])


def test_fifteen_thousand_chunks_are_cheap(strip: ReadingStrip) -> None:
    """A guard against work per chunk in each update, not a benchmark: the bound is 20 times what was measured."""
    strip.set_plan(plan(15_000))
    strip.grab()
    started = time.perf_counter()
    for index in range(0, 15_000, 15):
        strip.set_state(index, "nothing")
    assert time.perf_counter() - started < 2.0


def test_nothing_to_show(qtbot: QtBot, strip: ReadingStrip) -> None:
    strip.set_plan([])
    assert not strip.grab().isNull()
    QTest.mouseClick(strip, Qt.MouseButton.LeftButton)
    QTest.keyClick(strip, Qt.Key.Key_Return)
    legend = StripLegend()
    qtbot.addWidget(legend)
    assert not legend.grab().isNull()
