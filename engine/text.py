"""Text utilities shared by chunking, prompts and evidence: whitespace, hyphens at line ends.

Sentences are in `engine.sentences`, search that ignores such differences in `engine.locate`; both can be
imported from here.
"""

import re
from collections.abc import Collection, Iterator

from engine.locate import Normalised, locate, normalise
from engine.sentences import sentence_spans

__all__ = [
    "Hyphenation",
    "Normalised",
    "collapse_whitespace",
    "json_lines",
    "locate",
    "normalise",
    "readable",
    "sentence_spans",
    "strip_span",
]

_SPACES = re.compile(r"\s+")
_LETTERS = re.compile(r"[^\W\d_]+")
_WORDS = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
_LINE_END_HYPHEN = re.compile("([^\\W\\d_])[-\u2010\u00ad][ \\t]*+\\n\\s*+([^\\W\\d_]++)")
_MAX_WORD_CHARS = 40


def collapse_whitespace(text: str) -> str:
    """Every run of whitespace becomes one space; none at the ends."""
    return _SPACES.sub(" ", text).strip()


def strip_span(text: str, start: int, end: int) -> tuple[int, int]:
    """The span without the whitespace at its ends."""
    piece = text[start:end]
    return start + len(piece) - len(piece.lstrip()), end - len(piece) + len(piece.rstrip())


class Hyphenation:
    """Decides for one document whether a hyphen at a line end belongs to the word ("stock-\\nbased") or not.

    Args:
        text: the document; the words that it holds elsewhere are the evidence.
    """

    def __init__(self, text: str = "") -> None:
        self._words: Collection[str] = frozenset()
        if _LINE_END_HYPHEN.search(text):
            lower = text.lower()
            self._words = frozenset(_WORDS.findall(lower)) | frozenset(_LETTERS.findall(lower))

    def undo(self, text: str) -> str:
        """The text with every word that a line end divides made whole, on the line where it began."""
        if "\n" not in text:
            return text
        return _LINE_END_HYPHEN.sub(lambda match: self._joined(text, match), text)

    def _joined(self, text: str, match: re.Match[str]) -> str:
        start = match.start()
        while start > 0 and match.start() - start < _MAX_WORD_CHARS and text[start - 1].isalpha():
            start -= 1
        left, right = text[start : match.start() + 1], match[2]
        return match[1] + ("-" if self.is_compound(left, right) else "") + right

    def is_compound(self, left: str, right: str) -> bool:
        """Whether the hyphen between these parts of a word is its own and not the line end's."""
        if (left + right).lower() in self._words:
            return False
        if f"{left}-{right}".lower() in self._words or not right[0].islower():
            return True
        # Both parts are words, not just syllables: more likely a compound.
        return min(len(left), len(right)) > 3 and all(part.lower() in self._words for part in (left, right))


_WITHOUT_EVIDENCE = Hyphenation()


def readable(text: str, hyphenation: Hyphenation = _WITHOUT_EVIDENCE) -> str:
    """Text as a model reads it: words that a line end divides made whole, no soft hyphens, single spaces.

    Args:
        text: a piece of a document.
        hyphenation: made from the whole document; without it every hyphen at a line end is taken out before a
            small letter.
    """
    return collapse_whitespace(hyphenation.undo(text).replace("\u00ad", ""))


def json_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines of JSON that are not blank, each with its number from 1.

    Not those of `str.splitlines`: strings of JSON may hold what Python too takes for an end of line (U+2028, U+0085).
    """
    return ((number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip())
