"""What the document column is told, in plain values; all offsets are those of `Document.text`."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engine.documents.model import Document, PageKind

HighlightKind = Literal["evidence", "mention"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PagePlace:
    """Where a page or section lies in the text.

    Attributes:
        number: physical number, from 1.
        label: printed number.
        start: offset of its first character in the document's text.
        length: number of its characters.
        heading: outline entry or heading that it stands under; "" = none.
    """

    number: int
    label: str
    start: int
    length: int
    heading: str = ""

    @property
    def end(self) -> int:
        """Offset behind the last character."""
        return self.start + self.length


@dataclass(frozen=True, slots=True, kw_only=True)
class OutlineLine:
    """One line of a table of contents.

    Attributes:
        title: its text.
        level: depth, from 1.
        page_number: physical page that it leads to; None = none.
    """

    title: str
    level: int
    page_number: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedDocument:
    """A document to show.

    Attributes:
        content_hash: sha256 of its page texts; tells documents apart.
        name: file name, for people.
        path: where the file was when it was read; it may be gone.
        format: "pdf", "epub", "markdown", "html", "text".
        kind: whether `pages` are pages or sections.
        pages: all of them, in order; at least one.
        text: gives the whole text as it was read; called once, in a thread of the column; may take its time and
            raise `PalimpsestError`.
        title: from the metadata; "" = none.
        outline: table of contents.
        password: of an encrypted file.
    """

    content_hash: str
    name: str
    path: Path
    format: str
    kind: PageKind
    pages: tuple[PagePlace, ...]
    text: Callable[[], str]
    title: str = ""
    outline: tuple[OutlineLine, ...] = ()
    password: str | None = None

    def page_at(self, offset: int) -> PagePlace:
        """The page that holds this offset; a page break belongs to the page before it."""
        index = bisect_right(self.pages, offset, key=lambda page: page.start) - 1
        return self.pages[max(index, 0)]

    def pages_between(self, start: int, end: int) -> tuple[PagePlace, ...]:
        """All pages that [start, end) touches."""
        first = self.page_at(start).number
        last = self.page_at(max(start, end - 1)).number
        return self.pages[first - 1 : last]

    def find_page(self, wanted: str) -> PagePlace | None:
        """The page that a user means by a printed label or, if no page has that, by a physical number."""
        wanted = wanted.strip().casefold()
        for page in self.pages:
            if page.label.casefold() == wanted:
                return page
        if wanted.isdecimal() and 1 <= int(wanted) <= len(self.pages):
            return self.pages[int(wanted) - 1]
        return None


def opened(document: Document, password: str | None = None) -> OpenedDocument:
    """What the column needs to show a document as the engine read it or as the store holds it."""
    text = document.text
    return OpenedDocument(
        content_hash=document.content_hash,
        name=document.name,
        path=document.path,
        format=document.format,
        kind=document.kind,
        title=document.title,
        pages=tuple(
            PagePlace(
                number=page.number,
                label=page.label,
                start=page.start,
                length=len(page.text),
                heading=page.heading,
            )
            for page in document.pages
        ),
        outline=tuple(
            OutlineLine(title=entry.title, level=entry.level, page_number=entry.page_number)
            for entry in document.outline
        ),
        text=lambda: text,
        password=password,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Highlight:
    """A marked place.

    Attributes:
        start: offset of its first character.
        end: offset behind its last one.
        kind: a quote that the answer or the memory rests on, or a mere mention.
        tooltip: what to say about it, plain text.
    """

    start: int
    end: int
    kind: HighlightKind = "evidence"
    tooltip: str = ""


@dataclass(frozen=True, slots=True)
class Span:
    """Characters [start, end) of the document's text."""

    start: int
    end: int

    def within(self, start: int, end: int) -> "Span | None":
        """The part of it that lies in [start, end), if any."""
        low, high = max(self.start, start), min(self.end, end)
        return Span(low, high) if low < high else None


def spans_between(spans: Sequence[Span], start: int, end: int) -> Sequence[Span]:
    """Those of ordered spans that do not overlap each other which touch [start, end)."""
    first = bisect_right(spans, start, key=lambda span: span.end)
    last = bisect_left(spans, end, key=lambda span: span.start)
    return spans[first:last]
