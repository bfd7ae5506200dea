"""EPUB 2 and 3: one section for each document of the spine, in reading order, by zipfile and lxml."""

import logging
from collections.abc import Sequence

from engine.documents import markup
from engine.documents.epub_package import NavEntry, Package, SpineItem, open_package
from engine.documents.model import Document, OutlineEntry, PageDraft, lay_out
from engine.documents.outline import full_title
from engine.documents.source import Source, clean

logger = logging.getLogger(__name__)


def read(source: Source) -> Document:
    """Read an EPUB.

    Raises:
        CorruptDocumentError: it is no EPUB or damaged.
        UnsupportedFormatError: it is protected by DRM, or unpacks to more than any book.
    """
    with open_package(source.path) as package:
        entries = package.navigation()
        titles = _titles(entries)
        drafts: list[PageDraft] = []
        missing: list[str] = []
        numbers: dict[str, int] = {}
        heading = ""
        for number, item in enumerate(package.spine, start=1):
            blocks = _blocks(package, item, missing)
            heading = titles.get(item.href) or _own_heading(blocks) or heading
            drafts.append(PageDraft(text=clean(markup.join(blocks)), heading=heading))
            numbers.setdefault(item.href, number)
            source.report(number, len(package.spine))
        return Document(
            name=source.path.name,
            path=source.path,
            format="epub",
            kind="section",
            title=package.title,
            pages=lay_out(drafts),
            outline=tuple(
                OutlineEntry(title=entry.title, level=entry.level, page_number=numbers.get(entry.href))
                for entry in entries
            ),
            warnings=_warnings(missing),
        )


def _blocks(package: Package, item: SpineItem, missing: list[str]) -> list[markup.Block]:
    if not item.is_text:
        return []
    data = package.read(item.href)
    root = markup.parse_xhtml(data) if data else None
    if root is None:
        logger.warning("a document of the spine is missing or cannot be parsed")
        missing.append(item.href)
        return []
    return markup.blocks(root)


def _titles(entries: Sequence[NavEntry]) -> dict[str, str]:
    """The first entry of the table of contents that points into each file."""
    titles: dict[str, str] = {}
    parents: list[NavEntry] = []
    for entry in entries:
        while parents and parents[-1].level >= entry.level:
            parents.pop()
        parent = parents[-1].title if parents else ""
        titles.setdefault(entry.href, full_title(entry.title, parent))
        parents.append(entry)
    titles.pop("", None)
    return titles


def _own_heading(blocks: Sequence[markup.Block]) -> str:
    return next((markup.one_line(block.text) for block in blocks if 0 < block.level <= 3), "")


def _warnings(missing: Sequence[str]) -> tuple[str, ...]:
    if not missing:
        return ()
    return (f"{len(missing)} parts of the book are missing or damaged: {', '.join(missing)[:300]}.",)
