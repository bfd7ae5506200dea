"""Finds a quote in a document's text exactly, whatever whitespace, hyphens, quotes or ligatures differ.

Both sides are brought to one form: NFKC character by character, case folded, runs of whitespace as one space,
typographic quotes and dashes as plain ones, invisible characters gone, and hyphens between letters gone too,
because a hyphen at a line end may or may not belong to the word. Afterwards a hit is refused if the document
has a hyphen within a line, or the quote has one, where the other has none: "re-sign" is not "resign".
"""

import re
import unicodedata
from bisect import bisect_left, bisect_right
from functools import lru_cache

_QUOTES = str.maketrans(
    {
        **dict.fromkeys("‘’‚‛′ʼ`´", "'"),
        **dict.fromkeys("“”„‟″«»", '"'),
        **dict.fromkeys("‐‑‒–—―−", "-"),
    }
)
_INVISIBLE = "\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"
_DASHES = "\\-\u2010\u2011\u2012\u2013\u2014\u2015\u00ad"
_MARKS = "\u0300-\u036f"

_SPECIAL = re.compile(
    rf"(?P<hyphen>(?<=[^\W\d_]) ?(?:--|[{_DASHES}])\s*+(?=[^\W\d_]))"
    r"|(?P<break>(?<=\w)[-\u2010\u2011\u2012\u2013\u00ad][ \t]*+\n\s*+(?=\w))"
    r"|(?P<space>\s\s++|[^\S ])"
    rf"|(?P<cluster>[^\W_][{_MARKS}]++)"
    rf"|(?P<other>(?:[^\x00-\x7f\s{_DASHES}{_MARKS}](?![{_MARKS}]))++|[{_DASHES[2:]}])"
)
"""What is not copied as it is. Hyphens at line ends between digits stay: "2019-\\n20" is "2019-20"."""

_CACHED_FROM_CHARS = 100_000


class Normalised:
    """A text in the form that is searched, and the way back to offsets in the original.

    Args:
        text: the original.
        keep_case: True to tell "Smith" from "smith".

    Attributes:
        text: the normalised text, [num_normalised_chars].
    """

    def __init__(self, text: str, *, keep_case: bool = False) -> None:
        self._keep_case = keep_case
        self._pieces: list[str] = []
        self._length = 0
        # Segments: within one, either characters correspond one to one or the whole stands for the whole.
        self._starts: list[int] = []
        self._origins: list[int] = []
        self._spans: list[int] = []
        self.hard_hyphens: list[int] = []
        self.soft_hyphens: list[int] = []
        self._build(text)
        self.text = "".join(self._pieces)
        self._pieces.clear()

    def _build(self, text: str) -> None:
        position = 0
        for match in _SPECIAL.finditer(text):
            start, end = match.span()
            if position < start:
                self._append(self._fold_plain(text[position:start]), position, start - position)
            kind, piece = match.lastgroup, match[0]
            if kind == "hyphen":
                (self.soft_hyphens if _is_soft(piece) else self.hard_hyphens).append(self._length)
            elif kind == "break":
                self._append("-", start, end - start)
            elif kind == "space":
                self._append(" ", start, end - start)
            elif kind == "cluster":
                self._append(self._fold(unicodedata.normalize("NFC", piece)), start, end - start)
            else:
                self._append_run(piece, start)
            position = end
        if position < len(text):
            self._append(self._fold_plain(text[position:]), position, len(text) - position)

    def _append_run(self, run: str, start: int) -> None:
        """Characters beyond ASCII: at once if each becomes one character, else one by one."""
        folded = [_fold_character(char, self._keep_case) for char in run]
        joined = "".join(folded)
        if len(joined) == len(run) and "" not in folded:
            self._append(joined, start, len(run))
            return
        for offset, char in enumerate(folded):
            self._append(char, start + offset, 1)

    def _append(self, piece: str, origin: int, span: int) -> None:
        if not piece:
            return
        self._pieces.append(piece)
        self._starts.append(self._length)
        self._origins.append(origin)
        self._spans.append(span)
        self._length += len(piece)

    def _fold(self, text: str) -> str:
        return "".join(_fold_character(char, self._keep_case) for char in text)

    def _fold_plain(self, text: str) -> str:
        text = text.replace("`", "'")
        return text if self._keep_case else text.lower()

    def original(self, start: int, end: int) -> tuple[int, int]:
        """Offsets in the original of a span of `text` that is not empty."""
        first = bisect_right(self._starts, start) - 1
        last = bisect_right(self._starts, end - 1) - 1
        begin = self._origins[first] + (start - self._starts[first] if self._is_linear(first) else 0)
        if self._is_linear(last):
            return begin, self._origins[last] + end - self._starts[last]
        return begin, self._origins[last] + self._spans[last]

    def _is_linear(self, segment: int) -> bool:
        following = self._starts[segment + 1] if segment + 1 < len(self._starts) else self._length
        return following - self._starts[segment] == self._spans[segment]

    def hyphens_between(self, start: int, end: int) -> tuple[set[int], set[int]]:
        """Hyphens taken out of a span, as offsets from `start`: those within a line, those at line ends."""
        found = []
        for offsets in (self.hard_hyphens, self.soft_hyphens):
            low, high = bisect_right(offsets, start), bisect_left(offsets, end)
            found.append({offset - start for offset in offsets[low:high]})
        return found[0], found[1]


def _is_soft(hyphen: str) -> bool:
    """Whether a hyphen, given with the whitespace around it, may be there for the line end only."""
    return hyphen[0] == "\u00ad" or (hyphen[0] in "-\u2010" and hyphen[-1].isspace())


@lru_cache(maxsize=8192)
def _fold_character(char: str, keep_case: bool) -> str:
    if char in _INVISIBLE:
        return ""
    folded = unicodedata.normalize("NFKC", char.translate(_QUOTES)).translate(_QUOTES)
    return folded if keep_case else folded.casefold()


@lru_cache(maxsize=4)
def _cached(text: str, keep_case: bool) -> Normalised:
    return Normalised(text, keep_case=keep_case)


def normalise(text: str) -> str:
    """Text in the form in which quotes are compared."""
    return Normalised(text).text.strip()


def locate(needle: str, haystack: str | Normalised, *, keep_case: bool = False) -> list[tuple[int, int]]:
    """Every place of a quote in a text.

    Args:
        needle: the quote; whitespace at its ends does not count.
        haystack: the text or its normalised form; that of the last long texts is kept.
        keep_case: True to tell "Smith" from "smith"; must agree with the normalised form.

    Returns:
        Spans of the original text, in order, not overlapping; none for an empty quote.
    """
    if isinstance(haystack, str):
        is_long = len(haystack) >= _CACHED_FROM_CHARS
        haystack = _cached(haystack, keep_case) if is_long else Normalised(haystack, keep_case=keep_case)
    wanted = Normalised(needle.strip(), keep_case=keep_case)
    key = wanted.text.strip()
    if not key:
        return []
    needle_hyphens = set().union(*wanted.hyphens_between(0, len(key)))
    spans: list[tuple[int, int]] = []
    position = haystack.text.find(key)
    while position >= 0:
        end = position + len(key)
        hard, soft = haystack.hyphens_between(position, end)
        if hard <= needle_hyphens <= hard | soft:
            spans.append(haystack.original(position, end))
            position = haystack.text.find(key, end)
        else:
            position = haystack.text.find(key, position + 1)
    return spans
