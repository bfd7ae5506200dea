"""Cuts a text into pieces that are laid out one by one, and pieces into blocks as they are set on paper.

All of it keeps offsets: what is shown has as many characters as the text has.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from app.gui.document.values import PagePlace

PIECE_CHARS = 4000
"""About as many characters are laid out at once: 3 ms."""

_LONGEST_LINE = 2 * PIECE_CHARS
_BLANK = re.compile(r"\n[ \t]*(?:\n[ \t]*)+")
_WRAPPED_LINE = range(45, 95)
_LONG_LINE = 100
_ROLE_LINES = {"heading": 0.9, "line": 0.0, "long": 0.4, "end": 0.75}

BlockRole = Literal["heading", "text"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A run of text within one page or section.

    Attributes:
        start: offset of its first character.
        end: offset behind its last one.
        page: index of the page, from 0.
        is_first: whether the page begins with it.
    """

    start: int
    end: int
    page: int
    is_first: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A paragraph or line.

    Attributes:
        start: offset of its first character.
        shown: its characters as they are shown, one for each of the text.
        role: what it is.
        space_below: in lines.
    """

    start: int
    shown: str
    role: BlockRole
    space_below: float


def cut(text: str, pages: Sequence[PagePlace]) -> Iterator[Piece]:
    """Pieces of all pages, in order; a page without text has an empty one."""
    for index, page in enumerate(pages):
        start = page.start
        while page.end - start > PIECE_CHARS + PIECE_CHARS // 2:
            end = _cut_at(text, start, page.end)
            yield Piece(start=start, end=end, page=index, is_first=start == page.start)
            start = end
        yield Piece(start=start, end=page.end, page=index, is_first=start == page.start)


def _cut_at(text: str, start: int, stop: int) -> int:
    """Where to end a piece: at a blank line, else at a line end, else at a space, else anywhere."""
    near, far = start + PIECE_CHARS, min(start + _LONGEST_LINE, stop)
    for mark in ("\n\n", "\n", " "):
        found = text.find(mark, near, far)
        if found >= 0:
            return found + len(mark)
    return far


def blocks(text: str, piece: Piece, heading: str) -> Iterator[Block]:
    """The blocks of a piece.

    Args:
        text: the document's text.
        piece: a piece of it.
        heading: what its section stands under; a first line that ends it is set as a heading.
    """
    start = piece.start
    is_first = piece.is_first
    for end, following in _paragraphs(text, piece):
        yield from _lines(text[start:end], start, heading if is_first else "")
        is_first = False
        start = following


def _paragraphs(text: str, piece: Piece) -> Iterator[tuple[int, int]]:
    for match in _BLANK.finditer(text, piece.start, piece.end):
        if match.start() > piece.start:
            yield match.start(), match.end()
    yield piece.end, piece.end


def _lines(paragraph: str, start: int, heading: str) -> Iterator[Block]:
    if not paragraph.strip():
        return
    lines = paragraph.split("\n")
    if heading and heading.casefold().endswith(lines[0].strip().casefold()) and lines[0].strip():
        yield Block(start=start, shown=_plain(lines[0]), role="heading", space_below=_ROLE_LINES["heading"])
        start += len(lines[0]) + 1
        lines = lines[1:]
    elif _is_wrapped(lines):
        lines = [" ".join(lines)]
    for index, line in enumerate(lines):
        space = "end" if index == len(lines) - 1 else "long" if len(line) > _LONG_LINE else "line"
        if line.strip():
            yield Block(start=start, shown=_plain(line), role="text", space_below=_ROLE_LINES[space])
        start += len(line) + 1


def _is_wrapped(lines: Sequence[str]) -> bool:
    """Whether the line ends of a paragraph are those of a typewriter, and not of verses, lists or code."""
    return len(lines) > 1 and all(
        len(line) in _WRAPPED_LINE and not line[:1].isspace() for line in lines[:-1]
    )


def _plain(line: str) -> str:
    """A line without characters that would end it or change its direction unseen."""
    return line.replace("\u2028", " ").replace("\u2029", " ").replace("\0", " ").replace("\ufffc", " ")
