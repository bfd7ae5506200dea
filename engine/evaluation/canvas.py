"""Two surfaces for the few shapes that a plot needs: SVG, written here, and PNG, through Pillow if it is installed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Protocol
from xml.sax.saxutils import escape

from engine.errors import PlanError

Point = tuple[float, float]
Anchor = Literal["start", "middle", "end"]
_SCALE = 2
_SUPERSAMPLING = 2


class Canvas(Protocol):
    """A surface; units are pixels from the upper left corner, colours "#rrggbb"."""

    def line(self, points: Sequence[Point], colour: str, *, width: float = 1.0) -> None:
        """A line through the points."""
        ...

    def area(self, points: Sequence[Point], colour: str, *, opacity: float = 1.0) -> None:
        """A filled polygon."""
        ...

    def dot(self, centre: Point, radius: float, colour: str) -> None:
        """A filled circle."""
        ...

    def text(self, at: Point, text: str, *, size: float = 12, anchor: Anchor = "start") -> None:
        """A line of text; `at` is on its base line."""
        ...

    def save(self, path: Path) -> None:
        """Write the file."""
        ...


class SvgCanvas:
    """SVG as text.

    Args:
        width: in pixels.
        height: in pixels.
    """

    def __init__(self, width: int, height: int) -> None:
        self._parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
            f'viewBox="0 0 {width} {height}" font-family="sans-serif">',
            f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        ]

    def line(self, points: Sequence[Point], colour: str, *, width: float = 1.0) -> None:
        """See `Canvas`."""
        self._parts.append(
            f'<polyline points="{_points(points)}" fill="none" stroke="{colour}" stroke-width="{width:g}"/>'
        )

    def area(self, points: Sequence[Point], colour: str, *, opacity: float = 1.0) -> None:
        """See `Canvas`."""
        self._parts.append(
            f'<polygon points="{_points(points)}" fill="{colour}" fill-opacity="{opacity:g}"/>'
        )

    def dot(self, centre: Point, radius: float, colour: str) -> None:
        """See `Canvas`."""
        x, y = centre
        self._parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}" fill="{colour}"/>')

    def text(self, at: Point, text: str, *, size: float = 12, anchor: Anchor = "start") -> None:
        """See `Canvas`."""
        x, y = at
        self._parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:g}" text-anchor="{anchor}" fill="#222222">'
            f"{escape(text)}</text>"
        )

    def save(self, path: Path) -> None:
        """See `Canvas`."""
        path.write_text("\n".join([*self._parts, "</svg>", ""]), encoding="utf-8")


def _points(points: Sequence[Point]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


class PngCanvas:
    """PNG, at twice the size for sharp screens, through Pillow.

    Args:
        width: in pixels.
        height: in pixels.

    Raises:
        PlanError: Pillow is not installed.
    """

    def __init__(self, width: int, height: int) -> None:
        try:
            from PIL import Image, ImageDraw, ImageFont
        except ImportError as exc:
            raise PlanError(
                "A plot as PNG needs the package Pillow, which is not installed.",
                hint="Install palimpsest[plots], or ask for SVG.",
            ) from exc
        self._factor = _SCALE * _SUPERSAMPLING
        self._size = (width * _SCALE, height * _SCALE)
        self._image = Image.new("RGB", (width * self._factor, height * self._factor), "#ffffff")
        self._draw = ImageDraw.Draw(self._image, "RGBA")
        self._font: Any = ImageFont.load_default

    def _scaled(self, points: Sequence[Point]) -> list[Point]:
        return [(x * self._factor, y * self._factor) for x, y in points]

    def line(self, points: Sequence[Point], colour: str, *, width: float = 1.0) -> None:
        """See `Canvas`."""
        self._draw.line(self._scaled(points), fill=colour, width=round(width * self._factor), joint="curve")

    def area(self, points: Sequence[Point], colour: str, *, opacity: float = 1.0) -> None:
        """See `Canvas`."""
        self._draw.polygon(self._scaled(points), fill=f"{colour}{round(opacity * 255):02x}")

    def dot(self, centre: Point, radius: float, colour: str) -> None:
        """See `Canvas`."""
        x, y = centre
        corners = self._scaled([(x - radius, y - radius), (x + radius, y + radius)])
        self._draw.ellipse([corners[0], corners[1]], fill=colour)

    def text(self, at: Point, text: str, *, size: float = 12, anchor: Anchor = "start") -> None:
        """See `Canvas`."""
        (place,) = self._scaled([at])
        letters = {"start": "ls", "middle": "ms", "end": "rs"}
        font = self._font(size * self._factor)
        self._draw.text(place, text, fill="#222222", anchor=letters[anchor], font=font)

    def save(self, path: Path) -> None:
        """See `Canvas`."""
        self._image.resize(self._size, resample=1).save(path, format="PNG")
