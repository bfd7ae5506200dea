"""Where the pages lie below one another: a column of sheets of known sizes at some zoom."""

from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate
from statistics import median_low
from typing import Literal

ZoomMode = Literal["width", "page", "free"]

POINTS_TO_PIXELS = 96 / 72
"""Pixels of a point at a zoom of 1."""

MIN_ZOOM, MAX_ZOOM = 0.1, 8.0
MAX_FIT_ZOOM = 2.0
MARGIN, GAP = 16, 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """A page's place, in pixels that do not depend on the screen's density.

    Attributes:
        left: from the left edge of the column.
        top: from its top.
        width: of the page.
        height: of the page.
        scale: pixels of a point.
    """

    left: float
    top: int
    width: int
    height: int
    scale: float


class PageLayout:
    """Places of all pages; made anew for each zoom and width, which takes a few milliseconds for 3,000.

    Args:
        sizes: width and height of each page in points.
        mode: fit the usual width, fit the usual page, or the zoom given.
        zoom: for the mode "free".
        width: of the view, in pixels.
        height: of the view, in pixels.
    """

    def __init__(
        self, sizes: list[tuple[float, float]], *, mode: ZoomMode, zoom: float, width: int, height: int
    ) -> None:
        self.mode: ZoomMode = mode
        room = max(width - 2 * MARGIN, 40)
        usual_width = max(median_low(size[0] for size in sizes), 1.0)
        usual_height = max(median_low(size[1] for size in sizes), 1.0)
        if mode == "width":
            zoom = min(room / usual_width / POINTS_TO_PIXELS, MAX_FIT_ZOOM)
        elif mode == "page":
            zoom = min(room / usual_width, max(height - 2 * GAP, 40) / usual_height) / POINTS_TO_PIXELS
        self.zoom = min(max(zoom, MIN_ZOOM), MAX_ZOOM)
        self._scale = self.zoom * POINTS_TO_PIXELS
        # A page wider than the others is made smaller where the zoom is ours, so that none needs sideways scrolling.
        self._limit = room if mode != "free" else None
        self._scales = [self._scale_of(size[0]) for size in sizes]
        self._widths = [
            max(round(size[0] * scale), 1) for size, scale in zip(sizes, self._scales, strict=True)
        ]
        self._heights = [
            max(round(size[1] * scale), 1) for size, scale in zip(sizes, self._scales, strict=True)
        ]
        self._tops = list(accumulate((height + GAP for height in self._heights), initial=GAP))
        self.width = max(*self._widths, 0) + 2 * MARGIN if len(sizes) > 1 else self._widths[0] + 2 * MARGIN
        self.height = self._tops.pop()

    def _scale_of(self, width: float) -> float:
        if self._limit is None or width * self._scale <= self._limit:
            return self._scale
        return max(self._limit / width, MIN_ZOOM * POINTS_TO_PIXELS / 4)

    def __len__(self) -> int:
        return len(self._tops)

    def sheet(self, index: int, view_width: int) -> Sheet:
        """Place of a page, given by its index from 0, centred in the view or in the column if that is wider."""
        across = max(view_width, self.width)
        return Sheet(
            left=(across - self._widths[index]) / 2,
            top=self._tops[index],
            width=self._widths[index],
            height=self._heights[index],
            scale=self._scales[index],
        )

    def index_at(self, y: float) -> int:
        """Index of the page at a height; the gap below a page belongs to it."""
        return max(bisect_right(self._tops, y) - 1, 0)

    def between(self, top: float, bottom: float) -> range:
        """Indices of the pages that can be seen between two heights."""
        first = self.index_at(top)
        if top > self._tops[first] + self._heights[first] and first + 1 < len(self._tops):
            first += 1
        return range(first, max(self.index_at(bottom), first) + 1)
