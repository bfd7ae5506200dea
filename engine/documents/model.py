"""What every reader produces: a `Document` of `Page`s whose texts are joined into one string."""

import hashlib
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

PageKind = Literal["page", "section"]

PAGE_BREAK = "\n\n"
"""Between two pages in `Document.text`, so that a sentence may run across without words growing together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One physical page of a PDF, or one section of a document without pages.

    Attributes:
        number: physical number, from 1.
        label: the number printed on the page or the section's own number, as the reader's user would name it.
        heading: the outline entry or heading that this page stands under; "" = none.
        text: the page's text, line ends as "\\n".
        start: offset of the first character in `Document.text`.
    """

    number: int
    label: str
    heading: str
    text: str
    start: int

    @property
    def end(self) -> int:
        """Offset behind the last character in `Document.text`."""
        return self.start + len(self.text)


@dataclass(frozen=True, slots=True, kw_only=True)
class PageDraft:
    """A page before it has a place in the document: what a reader collects.

    Attributes:
        text: see `Page`.
        label: see `Page`; "" = the running number.
        heading: see `Page`.
    """

    text: str
    label: str = ""
    heading: str = ""


def lay_out(drafts: Iterable[PageDraft]) -> tuple[Page, ...]:
    """Number pages and give them their offsets."""
    pages: list[Page] = []
    start = 0
    for number, draft in enumerate(drafts, start=1):
        label = draft.label or str(number)
        pages.append(Page(number=number, label=label, heading=draft.heading, text=draft.text, start=start))
        start = pages[-1].end + len(PAGE_BREAK)
    return tuple(pages)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutlineEntry:
    """One line of a table of contents.

    Attributes:
        title: its text.
        level: depth, from 1.
        page_number: physical number of the page it points to, or None if it points nowhere.
    """

    title: str
    level: int
    page_number: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A document as it was read.

    Attributes:
        name: file name, for people.
        path: where it was read from.
        format: "pdf", "epub", "markdown", "html", "text".
        kind: whether `pages` are pages or sections.
        title: from the document's metadata; "" = none.
        pages: all of them, in order, the empty ones too: a page without text is still accounted for.
        outline: table of contents.
        warnings: sentences about what could not be read well.
        text: all pages joined by `PAGE_BREAK`; all offsets point into this string.
        content_hash: sha256 of the page texts; equal for equal text, whatever the file's name.
    """

    name: str
    path: Path
    format: str
    kind: PageKind
    pages: tuple[Page, ...]
    title: str = ""
    outline: tuple[OutlineEntry, ...] = ()
    warnings: tuple[str, ...] = ()
    text: str = field(init=False, repr=False)
    content_hash: str = field(init=False)

    def __post_init__(self) -> None:
        text = PAGE_BREAK.join(page.text for page in self.pages)
        position = 0
        for page in self.pages:
            if page.start != position:
                raise ValueError(f"page {page.number} starts at {page.start}, not at {position}")
            position = page.end + len(PAGE_BREAK)
        object.__setattr__(self, "text", text)
        object.__setattr__(self, "content_hash", hash_pages([page.text for page in self.pages]))

    def page_at(self, offset: int) -> Page:
        """The page that holds this offset; an offset in a page break belongs to the page before it."""
        index = bisect_right(self.pages, offset, key=lambda page: page.start) - 1
        return self.pages[max(index, 0)]

    def pages_between(self, start: int, end: int) -> tuple[Page, ...]:
        """All pages that [start, end) touches, the empty ones in between too."""
        first = self.page_at(start).number
        last = self.page_at(max(start, end - 1)).number
        return self.pages[first - 1 : last]


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A place in a document.

    Attributes:
        document: index of the document among those of a run, from 0.
        start: offset of the first character in `Document.text`.
        end: offset behind the last one.
    """

    document: int
    start: int
    end: int


def hash_pages(texts: list[str]) -> str:
    """Hash of a sequence of page texts: sha256 over length-prefixed UTF-8."""
    digest = hashlib.sha256()
    for text in texts:
        data = text.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "big"))
        digest.update(data)
    return digest.hexdigest()
