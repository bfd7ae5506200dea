"""The plot of a report: strict match by length, and what was found by where it stands."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.errors import PlanError
from engine.evaluation.bootstrap import Estimate
from engine.evaluation.canvas import Canvas, PngCanvas, Point, SvgCanvas
from engine.evaluation.report import Report, SystemReport

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe and Ito's, which people who see few colours can tell apart."""

_WIDTH, _HEIGHT = 920, 380
_TOP, _BOTTOM = 56, 320
_PANELS = ((64, 440), (520, 896))
_GREY = "#d0d0d0"


@dataclass(frozen=True, slots=True)
class _Axes:
    """Where a panel's values come to lie; y is a share in [0, 1]."""

    left: float
    right: float
    x: Callable[[float], float]
    """From a value to a share of the width."""

    def at(self, x: float, y: float) -> Point:
        return self.left + self.x(x) * (self.right - self.left), _BOTTOM - y * (_BOTTOM - _TOP)


def save_plot(report: Report, path: Path) -> None:
    """Draw a report; the suffix says how, ``.svg`` or ``.png``.

    Raises:
        PlanError: another suffix, or PNG without Pillow.
    """
    suffix = path.suffix.lower()
    if suffix not in (".svg", ".png"):
        raise PlanError(
            f"A plot cannot be written as '{path.suffix}'.", hint="Name a file that ends in .svg or .png."
        )
    canvas: Canvas = SvgCanvas(_WIDTH, _HEIGHT) if suffix == ".svg" else PngCanvas(_WIDTH, _HEIGHT)
    draw(report, canvas)
    canvas.save(path)


def draw(report: Report, canvas: Canvas) -> None:
    """Draw a report on a surface."""
    canvas.text((_PANELS[0][0], 24), f"{report.scope.task.name}, 95 % bootstrap intervals", size=15)
    lengths = sorted({length for system in report.systems for length in system.by_length})
    _draw_lengths(canvas, report.systems, lengths)
    _draw_positions(canvas, report.systems)
    for number, system in enumerate(report.systems):
        x = _PANELS[0][0] + 150 * number
        canvas.dot((x + 4, _HEIGHT - 18), 4, _COLOURS[number % len(_COLOURS)])
        canvas.text((x + 14, _HEIGHT - 14), system.name)


def _draw_lengths(canvas: Canvas, systems: Sequence[SystemReport], lengths: Sequence[int]) -> None:
    low, high = math.log(lengths[0]), math.log(lengths[-1])
    axes = _Axes(
        *_PANELS[0],
        x=lambda value: 0.5 if high == low else 0.04 + 0.92 * (math.log(value) - low) / (high - low),
    )
    _frame(canvas, axes, "exact, by length in tokens")
    for length in lengths:
        x, y = axes.at(length, 0)
        canvas.text((x, y + 18), short_number(length), size=11, anchor="middle")
    band = [(length, one) for length, one in sorted(systems[0].predicted.items())]
    if len(band) > 1:
        edge = [axes.at(length, one.upper) for length, one in band]
        edge += [axes.at(length, one.lower) for length, one in reversed(band)]
        canvas.area(edge, _COLOURS[0], opacity=0.15)
    for number, system in enumerate(systems):
        points = [(float(length), one.metrics["em"]) for length, one in system.by_length.items()]
        _series(canvas, axes, points, number, len(systems))


def _draw_positions(canvas: Canvas, systems: Sequence[SystemReport]) -> None:
    if not any(system.by_position for system in systems):
        return
    axes = _Axes(*_PANELS[1], x=lambda share: share)
    _frame(canvas, axes, "found, by place of the evidence in the document")
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        x, y = axes.at(share, 0)
        canvas.text((x, y + 18), f"{share:.0%}", size=11, anchor="middle")
    for number, system in enumerate(systems):
        points = [((part.low + part.high) / 2, part.found) for part in system.by_position]
        _series(canvas, axes, points, number, len(systems))


def _frame(canvas: Canvas, axes: _Axes, title: str) -> None:
    canvas.text((axes.left, _TOP - 10), title)
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = _BOTTOM - tick * (_BOTTOM - _TOP)
        canvas.line([(axes.left, y), (axes.right, y)], _GREY)
        canvas.text((axes.left - 8, y + 4), f"{tick:.0%}", size=11, anchor="end")


def _series(
    canvas: Canvas, axes: _Axes, points: Sequence[tuple[float, Estimate | None]], number: int, of: int
) -> None:
    """Points with their intervals; side by side where several systems share a place."""
    colour = _COLOURS[number % len(_COLOURS)]
    shift = 5.0 * (number - (of - 1) / 2)
    known = [(x, one) for x, one in points if one is not None]
    placed = [axes.at(x, one.value) for x, one in known]
    canvas.line([(x + shift, y) for x, y in placed], colour, width=1.5)
    for (x, one), (px, py) in zip(known, placed, strict=True):
        canvas.line(
            [(px + shift, axes.at(x, one.low)[1]), (px + shift, axes.at(x, one.high)[1])], colour, width=1.2
        )
        canvas.dot((px + shift, py), 3.5, colour)


def short_number(number: int) -> str:
    """ "8k", "3.5M"."""
    for size, letter in ((1_000_000, "M"), (1_000, "k")):
        if number >= size:
            return f"{number / size:.3g}{letter}"
    return str(number)
