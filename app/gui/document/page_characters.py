"""Where the characters of a page stand: from the engine's boxes to lines, rectangles of quotes and back.

All lengths are points of 1/72 inch with the origin at the page's upper left corner, y downwards, as they are
painted.
"""

from array import array
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

_MIN_OVERLAP = 0.35
"""Of the smaller of two heights: as much lines of one run overlap; superscripts do, the next line does not."""

_MAX_GAP = 4.0
"""Times the line's height: a wider gap is that between columns or cells, and is not painted over."""

_BREATH = 0.12
"""Times the line's height: as much a marker stands over the letters at each side."""


class Rect(NamedTuple):
    """A rectangle, y downwards."""

    left: float
    top: float
    right: float
    bottom: float


@dataclass(slots=True)
class _Run:
    """Characters [start, end) that stand side by side, or one above the other where a text is turned."""

    start: int
    end: int
    left: float
    top: float
    right: float
    bottom: float
    is_upright: bool | None = None

    def goes_on(self, box: Rect) -> bool:
        """Whether a character is the next of a line, as nearly all are; `takes` looks closer."""
        left, top, _, bottom = box
        if self.is_upright is not False or not top < (self.top + self.bottom) / 2 < bottom:
            return False
        return self.right - 1.0 < left < self.right + self.bottom - self.top

    def takes(self, box: Rect) -> bool:
        """Whether a character that follows goes on with this run."""
        for is_upright in (False, True) if self.is_upright is None else (self.is_upright,):
            if self._follows(box, is_upright, is_sure=self.is_upright is not None):
                self.is_upright = is_upright
                return True
        return False

    def _follows(self, box: Rect, is_upright: bool, *, is_sure: bool) -> bool:
        run_across, run_along = (self.top, self.bottom), (self.left, self.right)
        box_across, box_along = (box.top, box.bottom), (box.left, box.right)
        if is_upright:
            run_across, run_along, box_across, box_along = run_along, run_across, box_along, box_across
        run_height, box_height = run_across[1] - run_across[0], box_across[1] - box_across[0]
        overlap = min(run_across[1], box_across[1]) - max(run_across[0], box_across[0])
        height = max(run_height, box_height, 1.0)
        gap = max(run_along[0], box_along[0]) - min(run_along[1], box_along[1])
        if overlap >= _MIN_OVERLAP * max(min(run_height, box_height), 0.1):
            return gap <= _MAX_GAP * height
        # Signs with nothing in common but the line, such as a full stop behind a quotation mark, lie close.
        is_near = gap < 0.5 * height and overlap > -0.6 * height
        return is_near and (is_sure or gap > -0.1 * height)

    def add(self, index: int, box: Rect) -> None:
        self.end = index + 1
        left, top, right, bottom = box
        if left < self.left:
            self.left = left
        if top < self.top:
            self.top = top
        if right > self.right:
            self.right = right
        if bottom > self.bottom:
            self.bottom = bottom


class PageCharacters:
    """The characters of one page.

    Args:
        number: physical number of the page, from 1.
        text: its text.
        boxes: where each character stands, [len(text)]; None = nowhere.
    """

    def __init__(self, number: int, text: str, boxes: Sequence[Rect | None]) -> None:
        self.number = number
        self.text = text
        nowhere = (0.0, 0.0, 0.0, 0.0)
        self._boxes = array("f", chain.from_iterable(box or nowhere for box in boxes))
        self._known = bytes(box is not None for box in boxes)
        self._runs = _find_runs(text, boxes)
        self._starts = [run.start for run in self._runs]

    @property
    def size_bytes(self) -> int:
        """About as much memory it takes."""
        return 20 * len(self._known) + 200 * len(self._runs)

    def box(self, index: int) -> Rect | None:
        """Where a character stands."""
        return Rect(*self._boxes[4 * index : 4 * index + 4]) if self._known[index] else None

    def rects(self, start: int, end: int) -> list[Rect]:
        """Rectangles over the characters [start, end), one for each line, as high as that line.

        Empty if none of them is on the page.
        """
        found: list[Rect] = []
        for run in self._runs[max(bisect_right(self._starts, start) - 1, 0) :]:
            if run.start >= end:
                break
            low, high = max(start, run.start), min(end, run.end)
            boxes = [box for index in range(low, high) if (box := self.box(index)) is not None]
            if boxes:
                found.append(_cover(run, boxes))
        return found

    def character_at(self, x: float, y: float, *, reach: float | None = None) -> int | None:
        """Index of the character at a point, or of the nearest.

        Args:
            x: from the left.
            y: from the top.
            reach: how far away it may be at most; None = however far.
        """
        best, best_distance = None, float("inf") if reach is None else reach
        for run in self._runs:
            distance = _distance(Rect(run.left, run.top, run.right, run.bottom), x, y)
            if distance > best_distance:
                continue
            for index in range(run.start, run.end):
                box = self.box(index)
                if box is None:
                    continue
                # Within a line the nearest by x counts, whatever the letter's height.
                across = max(run.top - y, 0.0, y - run.bottom)
                if run.is_upright:
                    across = max(run.left - x, 0.0, x - run.right)
                    along = max(box.top - y, 0.0, y - box.bottom)
                else:
                    along = max(box.left - x, 0.0, x - box.right)
                apart = (across * across + along * along) ** 0.5
                if apart < best_distance or (best is None and apart <= best_distance):
                    best, best_distance = index, apart
        return best


def _find_runs(text: str, boxes: Sequence[Rect | None]) -> list[_Run]:
    """Characters that stand side by side; line ends in the text end a run."""
    runs: list[_Run] = []
    run: _Run | None = None
    for index, (char, box) in enumerate(zip(text, boxes, strict=True)):
        if box is None:
            if char == "\n":
                run = None
        elif run is not None and (run.goes_on(box) or run.takes(box)):
            run.add(index, box)
        else:
            run = _Run(index, index + 1, *box)
            runs.append(run)
    return runs


def _cover(run: _Run, boxes: list[Rect]) -> Rect:
    left, right = min(box.left for box in boxes), max(box.right for box in boxes)
    top, bottom = min(box.top for box in boxes), max(box.bottom for box in boxes)
    if run.is_upright:
        breath = _BREATH * (run.right - run.left)
        return Rect(run.left - breath, top - breath / 2, run.right + breath, bottom + breath / 2)
    breath = _BREATH * (run.bottom - run.top)
    return Rect(left - breath / 2, run.top - breath, right + breath / 2, run.bottom + breath)


def _distance(rect: Rect, x: float, y: float) -> float:
    across = max(rect.left - x, 0.0, x - rect.right)
    down = max(rect.top - y, 0.0, y - rect.bottom)
    return float((across * across + down * down) ** 0.5)
