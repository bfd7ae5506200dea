"""Where pages lie and which pictures they need, for any sizes."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtGui import QImage

from app.gui.document.page_layout import (
    GAP,
    MARGIN,
    MAX_ZOOM,
    POINTS_TO_PIXELS,
    PageLayout,
    PageSizes,
    ZoomMode,
)
from app.gui.document.pdf_thread import PictureKey
from app.gui.document.picture_store import WHOLE_PIXELS, PictureStore, keys_for

A4 = (595.0, 842.0)
SIZES = st.lists(st.tuples(st.floats(1, 5000), st.floats(1, 5000)), min_size=1, max_size=30)


def lay_out(sizes: list[tuple[float, float]], mode: ZoomMode = "width", zoom: float = 1.0) -> PageLayout:
    return PageLayout(PageSizes(sizes), mode=mode, zoom=zoom, width=900, height=700)


def test_fit_width_and_page() -> None:
    assert lay_out([A4] * 3).sheet(0, 900).width == pytest.approx(900 - 2 * MARGIN, abs=1)
    sheet = lay_out([A4] * 3, "page").sheet(1, 900)
    assert sheet.height == pytest.approx(700 - 2 * GAP, abs=1)


def test_a_wide_page_is_made_smaller_only_where_the_zoom_is_ours() -> None:
    sizes = [A4, A4, (2400.0, 400.0)]
    fitted = lay_out(sizes)
    assert fitted.width <= 900
    assert fitted.sheet(2, 900).scale < fitted.sheet(0, 900).scale
    free = lay_out(sizes, "free", 1.0)
    assert free.sheet(2, 900).width == round(2400 * POINTS_TO_PIXELS)
    assert free.width > 900


@given(SIZES, st.sampled_from(["width", "page", "free"]), st.floats(0.01, 20))
def test_pages_follow_one_another_and_are_found(
    sizes: list[tuple[float, float]], mode: ZoomMode, zoom: float
) -> None:
    layout = lay_out(sizes, mode, zoom)
    assert layout.zoom <= MAX_ZOOM
    sheets = [layout.sheet(index, 900) for index in range(len(sizes))]
    for before, after in itertools.pairwise(sheets):
        assert after.top == before.top + before.height + GAP
    for index, sheet in enumerate(sheets):
        assert layout.index_at(sheet.top + sheet.height // 2) == index
        assert index in layout.between(sheet.top, sheet.top + 1)
    assert layout.height == sheets[-1].top + sheets[-1].height + GAP
    assert set(layout.between(0, layout.height)) == set(range(len(sizes)))


@given(st.integers(1, 9000), st.integers(1, 9000), st.integers(0, 5000), st.integers(0, 5000))
def test_pictures_cover_what_is_seen(width: int, height: int, left: int, top: int) -> None:
    keys = keys_for(0, width, height, left=left, top=top, right=left + 900, bottom=top + 700)
    if width * height <= WHOLE_PIXELS:
        assert [key.is_whole for key in keys] == [True]
        return
    for x in range(left, min(left + 900, width), 97):
        for y in range(top, min(top + 700, height), 97):
            holding = [
                key
                for key in keys
                if key.left <= x < key.left + key.part_width and key.top <= y < key.top + key.part_height
            ]
            assert len(holding) == 1


def test_the_store_keeps_to_its_budget_and_forgets_the_oldest() -> None:
    store = PictureStore(budget_bytes=3 * 100 * 100 * 4)
    keys = [PictureKey(index, 100, 100, 0, 0, 100, 100) for index in range(5)]
    for key in keys[:3]:
        store.put(key, QImage(100, 100, QImage.Format.Format_RGB32))
    assert store.get(keys[0]) is not None  # used now, so that the second is the oldest
    store.put(keys[3], QImage(100, 100, QImage.Format.Format_RGB32))
    assert [key in store for key in keys] == [True, False, True, True, False]
    assert store.size_bytes == 3 * 100 * 100 * 4
    assert store.stand_in(1) is None
    found = store.stand_in(3)
    assert found is not None
    assert found[0] == keys[3]
