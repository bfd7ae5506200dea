"""Exact counts: how often a word or phrase stands in the stored documents, page by page."""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlite_utils import Database

from engine.documents.model import PAGE_BREAK
from engine.locate import locate
from engine.traces.database import Row, fetch
from engine.traces.texts import get_text

_SLACK_CHARS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class PageCount:
    """How often on one page; what runs over a page's end belongs to the page where it begins."""

    page: int
    label: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentCount:
    """How often in one document.

    Attributes:
        content_hash: of the document.
        document: its name.
        pages: the pages on which it occurs, in order.
    """

    content_hash: str
    document: str
    pages: tuple[PageCount, ...]

    @property
    def count(self) -> int:
        """Occurrences in the whole document."""
        return sum(page.count for page in self.pages)


def count(
    db: Database, text: str, *, content_hash: str | None = None, whole_words: bool = True
) -> list[DocumentCount]:
    """Occurrences of `text` in every stored document, or in one; documents without any are left out.

    Case, whitespace and hyphens at line ends do not matter (see `engine.locate`); occurrences do not overlap.

    Args:
        db: the database.
        text: what to count.
        content_hash: of the only document to look into; None = all.
        whole_words: whether "act" is not counted in "action".
    """
    needle = text.strip()
    if not needle:
        return []
    where, parameters = ("WHERE content_hash = ?", (content_hash,)) if content_hash else ("", ())
    found = []
    for document in fetch(
        db, f"SELECT id, content_hash, name FROM documents {where} ORDER BY name, id", parameters
    ):
        pages = tuple(_count_pages(db, document["id"], needle, whole_words))
        if pages:
            found.append(
                DocumentCount(content_hash=document["content_hash"], document=document["name"], pages=pages)
            )
    return found


def _count_pages(db: Database, document_id: int, needle: str, whole_words: bool) -> Iterator[PageCount]:
    pages = fetch(
        db, "SELECT number, label, text_id FROM pages WHERE document_id = ? ORDER BY number", (document_id,)
    )
    reach = 2 * len(needle) + _SLACK_CHARS
    taken = 0  # characters at the page's beginning that belong to an occurrence of the page before
    text = get_text(db, pages[0]["text_id"]) if pages else ""
    for index, page in enumerate(pages):
        following = get_text(db, pages[index + 1]["text_id"]) if index + 1 < len(pages) else ""
        window = text + PAGE_BREAK + following[:reach]
        number, taken = _count_window(window, len(text), taken, needle, whole_words)
        if number:
            yield _row_count(page, number)
        text = following


def _count_window(
    window: str, page_chars: int, taken: int, needle: str, whole_words: bool
) -> tuple[int, int]:
    """Occurrences that begin on the page, and how far the last one reaches into the next page."""
    number, reached = 0, 0
    for start, end in locate(needle, window):
        if not taken <= start < page_chars or (whole_words and not _is_whole(window, start, end)):
            continue
        number += 1
        reached = max(0, end - page_chars - len(PAGE_BREAK))
    return number, reached


def _is_whole(text: str, start: int, end: int) -> bool:
    """Whether no word goes on across the ends of this span; an end that is no letter cuts none."""
    before = start > 0 and text[start - 1].isalnum() and text[start].isalnum()
    after = end < len(text) and text[end].isalnum() and text[end - 1].isalnum()
    return not before and not after


def _row_count(page: Row, number: int) -> PageCount:
    return PageCount(page=page["number"], label=page["label"], count=number)
