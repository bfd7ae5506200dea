"""Where the pages lie below one another: a column of sheets of known sizes at some zoom."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
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


class PageSizes:
    """Sizes of the pages of a document, each kind once: most documents have few, and a layout is made of these.

    Args:
        sizes: width and height of each page in points, [num_pages]; at least one.
    """

    def __init__(self, sizes: Sequence[tuple[float, float]]) -> None:
        numbers: dict[tuple[float, float], int] = {}
        self.kinds = [numbers.setdefault(size, len(numbers)) for size in sizes]
        self.sizes = list(numbers)
        self.usual_width = max(_median(size[0] for size in sizes), 1.0)
        self.usual_height = max(_median(size[1] for size in sizes), 1.0)

    def __len__(self) -> int:
        return len(self.kinds)

    def __getitem__(self, index: int) -> tuple[float, float]:
        return self.sizes[self.kinds[index]]


class PageLayout:
    """Places of all pages; made anew for each zoom and width, which takes 0.5 ms for 3,000.

    Args:
        pages: their sizes.
        mode: fit the usual width, fit the usual page, or the zoom given.
        zoom: for the mode "free".
        width: of the view, in pixels.
        height: of the view, in pixels.
    """

    def __init__(self, pages: PageSizes, *, mode: ZoomMode, zoom: float, width: int, height: int) -> None:
        room = max(width - 2 * MARGIN, 40)
        if mode == "width":
            zoom = min(room / pages.usual_width / POINTS_TO_PIXELS, MAX_FIT_ZOOM)
        elif mode == "page":
            tall = max(height - 2 * GAP, 40) / pages.usual_height
            zoom = min(room / pages.usual_width, tall) / POINTS_TO_PIXELS
        self.zoom = min(max(zoom, MIN_ZOOM), MAX_ZOOM)
        self._kinds = pages.kinds
        # Where the zoom is ours a page wider than the others is made smaller, so that none needs sideways scrolling.
        self._forms = [self._form(size, room if mode != "free" else None) for size in pages.sizes]
        heights = [form[1] + GAP for form in self._forms]
        self._tops = list(accumulate((heights[kind] for kind in self._kinds), initial=GAP))
        self.width = max(form[0] for form in self._forms) + 2 * MARGIN
        self.height = self._tops.pop()

    def _form(self, size: tuple[float, float], limit: int | None) -> tuple[int, int, float]:
        """Width and height in pixels, and pixels of a point."""
        scale = self.zoom * POINTS_TO_PIXELS
        if limit is not None and size[0] * scale > limit:
            scale = limit / size[0]
        return max(round(size[0] * scale), 1), max(round(size[1] * scale), 1), scale

    def __len__(self) -> int:
        return len(self._tops)

    def sheet(self, index: int, view_width: int) -> Sheet:
        """Place of a page, given by its index from 0, centred in the view or in the column if that is wider."""
        width, height, scale = self._forms[self._kinds[index]]
        left = (max(view_width, self.width) - width) / 2
        return Sheet(left=left, top=self._tops[index], width=width, height=height, scale=scale)

    def index_at(self, y: float) -> int:
        """Index of the page at a height; the gap below a page belongs to it."""
        return max(bisect_right(self._tops, y) - 1, 0)

    def between(self, top: float, bottom: float) -> range:
        """Indices of the pages that can be seen between two heights."""
        first = self.index_at(top)
        if top > self._tops[first] + self._forms[self._kinds[first]][1] and first + 1 < len(self._tops):
            first += 1
        return range(first, max(self.index_at(bottom), first) + 1)


def _median(values: Iterable[float]) -> float:
    """The middle one; of two the lower. Python's own brings fractions and decimals with it."""
    ordered = sorted(values)
    return ordered[(len(ordered) - 1) // 2]
