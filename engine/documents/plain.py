"""Plain text files.

Form feeds are page breaks: such a document has pages. Any other is divided into artificial sections of about
3,000 characters that end with a paragraph, labelled "part 1", "part 2", ...: a place that can be named and
shown.
"""

import re
from collections.abc import Iterator

from engine.documents.model import Document, PageDraft, lay_out
from engine.documents.source import Source

PART_CHARS = 3000
_LONGEST_PART_CHARS = 2 * PART_CHARS
_PARAGRAPH_END = re.compile(r"\n[ \t]*\n\s*")
_SENTENCE_END = re.compile(r"(?<=[.!?。！？])\s+|(?<=[。！？])")


def read(source: Source) -> Document:
    """Read a text file.

    Raises:
        UnsupportedFormatError: the file is binary.
    """
    text = source.read_text()
    if "\f" in text:
        drafts = [PageDraft(text=page.strip("\n")) for page in text.rstrip("\f\n").split("\f")]
    else:
        drafts = [
            PageDraft(text=part, label=f"part {n}") for n, part in enumerate(split_parts(text), start=1)
        ]
    source.report(1, 1)
    return Document(
        name=source.path.name,
        path=source.path,
        format="text",
        kind="page" if "\f" in text else "section",
        pages=lay_out(drafts),
    )


def split_parts(text: str) -> Iterator[str]:
    """Divide text at paragraph ends, where these are too far apart at sentence ends, lines or spaces."""
    start = len(text) - len(text.lstrip("\n"))
    stop = len(text.rstrip())
    while stop - start > PART_CHARS:
        end, following = _cut(text, start, stop)
        yield text[start:end]
        start = following
    if start < stop:
        yield text[start:stop]


def _cut(text: str, start: int, stop: int) -> tuple[int, int]:
    """Where the part that begins at `start` ends, and where the next one begins."""
    limit = min(start + _LONGEST_PART_CHARS, stop)
    if found := _PARAGRAPH_END.search(text, start + PART_CHARS, limit):
        return found.start(), _behind_blank_lines(text, found.end(), stop)
    if found := _SENTENCE_END.search(text, start + PART_CHARS, limit):
        return found.start(), found.end()
    for separator in ("\n", " "):
        position = text.rfind(separator, start + PART_CHARS, limit)
        if position > start:
            return position, position + 1
    return limit, limit


def _behind_blank_lines(text: str, position: int, stop: int) -> int:
    """Keep the indentation of the next paragraph: go back to the start of its line."""
    return text.rfind("\n", 0, position) + 1 if position < stop else stop
