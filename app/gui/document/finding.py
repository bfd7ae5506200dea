"""Finds what a user typed in a document's text: offsets, whatever line breaks, hyphens or quotation marks differ."""

import re
from collections.abc import Iterator

from app.gui.document.values import Span

_SLICE = 32_768
"""Characters searched at a time: `re` holds the interpreter while it searches, and the window must get its turn."""

_QUOTES = {
    "'": "['‘’‚‛′ʼ`´]",
    '"': '["“”„‟″«»]',
    "-": "[-‐‑‒–—−]",
}
_ALIKE = {char: group for group in _QUOTES.values() for char in group[1:-1]}
_HYPHEN = r"(?:[-‐\u00ad]\n)?"
_MAX_QUERY = 500


def pattern_for(query: str) -> re.Pattern[str] | None:
    """What to search for; None if nothing was typed.

    Words may be apart by any whitespace and be hyphenated at a line end; upper and lower case are alike, and so
    are the forms of quotation marks and dashes.
    """
    words = query[:_MAX_QUERY].split()
    if not words:
        return None
    parts = []
    for word in words:
        letters = [_ALIKE.get(char, re.escape(char)) for char in word]
        joined = letters[0]
        for before, char, letter in zip(word, word[1:], letters[1:], strict=False):
            joined += (_HYPHEN if before.isalpha() and char.isalpha() else "") + letter
        parts.append(joined)
    return re.compile(r"\s+".join(parts), re.IGNORECASE)


def find(pattern: re.Pattern[str], text: str, *, longest: int) -> Iterator[list[Span]]:
    """Search a text slice by slice, so that the caller can stop or pass on what it has.

    Args:
        pattern: from `pattern_for`.
        text: the document's text.
        longest: as many characters a hit may be long.

    Yields:
        For each slice the hits that begin in it; hits do not overlap.
    """
    position = 0
    for start in range(0, len(text), _SLICE):
        end = start + _SLICE
        spans = []
        for match in pattern.finditer(text, max(start, position), min(end + longest, len(text))):
            if match.start() >= end:
                break
            spans.append(Span(match.start(), match.end()))
            position = match.end()
        yield spans
