"""From a table of contents to the heading that each page stands under."""

from collections.abc import Sequence

from engine.documents.model import OutlineEntry

_SHORT_TITLE_CHARS = 8
"""A title up to this length ("IV", "3.1") says little alone: its parent's title is put before it."""


def headings_by_page(outline: Sequence[OutlineEntry], num_pages: int) -> list[str]:
    """Heading of every page: the first entry that points to it, else the last one before it.

    Returns:
        Headings, [num_pages]; "" before the first entry.
    """
    firsts: dict[int, str] = {}
    lasts: dict[int, str] = {}
    parents: list[OutlineEntry] = []
    for entry in outline:
        while parents and parents[-1].level >= entry.level:
            parents.pop()
        if entry.page_number is not None:
            title = full_title(entry.title, parents[-1].title if parents else "")
            firsts.setdefault(entry.page_number, title)
            lasts[entry.page_number] = title
        parents.append(entry)
    headings: list[str] = []
    current = ""
    for number in range(1, num_pages + 1):
        headings.append(firsts.get(number, current))
        current = lasts.get(number, current)
    return headings


def full_title(title: str, parent: str) -> str:
    """Title of an entry, with its parent's before it where it is very short."""
    return f"{parent}, {title}" if parent and len(title) <= _SHORT_TITLE_CHARS else title
