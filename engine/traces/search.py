"""Full-text search over all pages (FTS5) and exact counting.

The index is contentless: page texts are stored compressed and once, snippets are cut from them. What is
indexed is the page's text with three additions that make words findable as people type them: words divided at
a line end are indexed whole as well, soft hyphens are dropped, and Chinese and Japanese characters stand
apart, since the tokenizer knows words by the spaces around them.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from sqlite_utils import Database

from engine.traces.database import fetch
from engine.traces.texts import get_text

_DIVIDED = re.compile(r"(?<!\w)(\w++)[-\u2010\u00ad][ \t]*+\n\s*+(\w++)")
_IDEOGRAPH = re.compile(r"([\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff])")
_TERM = re.compile(r'"([^"]*)"|(\S+)')
_WORD = re.compile(r"\w+")
_UNINDEXABLE = re.compile("[\x00\ud800-\udfff]")
_SNIPPET_CHARS = 160


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A page that holds all words of a search.

    Attributes:
        content_hash: of the document.
        document: its name.
        page: physical number.
        label: printed label.
        heading: heading that the page stands under.
        snippet: text around the first place that matches, on one line.
        offset: where the snippet's match begins in the page's text.
    """

    content_hash: str
    document: str
    page: int
    label: str
    heading: str
    snippet: str
    offset: int


def index_page(db: Database, page_id: int, text: str) -> None:
    """Add a page to the index."""
    db.conn.execute("INSERT INTO pages_fts (rowid, text) VALUES (?, ?)", (page_id, indexed_text(text)))


def unindex_page(db: Database, page_id: int, text: str) -> None:
    """Take a page out of the index; a contentless index must be told the text that it holds."""
    db.conn.execute(
        "INSERT INTO pages_fts (pages_fts, rowid, text) VALUES ('delete', ?, ?)",
        (page_id, indexed_text(text)),
    )


def rebuild_index(db: Database) -> None:
    """Make the index anew from the page texts, inside the caller's transaction."""
    db.conn.execute("INSERT INTO pages_fts (pages_fts) VALUES ('delete-all')")
    for page_id, text_id in db.conn.execute("SELECT id, text_id FROM pages ORDER BY id").fetchall():
        index_page(db, page_id, get_text(db, text_id))


def indexed_text(text: str) -> str:
    """What of a page goes into the index."""
    whole = [left + right for left, right in _DIVIDED.findall(text)]
    plain = _UNINDEXABLE.sub(" ", "\n".join([text, *whole])).replace("\u00ad", "")
    return _IDEOGRAPH.sub(r" \1 ", plain)


def match_expression(text: str) -> str:
    """The FTS5 query for what a user typed: words quoted, "words in quotes" as a phrase; "" = nothing.

    The last word may be the beginning of one, because people see results while they type.
    """
    phrases: list[str] = []
    last_is_open = False
    for quoted, word in _TERM.findall(text):
        phrase = indexed_text(quoted or word).replace('"', " ").strip()
        if any(unicodedata.category(character)[0] in "LN" for character in phrase):
            phrases.append(f'"{phrase}"')
            last_is_open = bool(word)
    return " ".join(phrases) + ("*" if last_is_open else "")


def search(db: Database, text: str, limit: int) -> list[Hit]:
    """Pages that hold all words of `text`, best first (BM25)."""
    expression = match_expression(text)
    if not expression:
        return []
    rows = fetch(
        db,
        """SELECT d.content_hash, d.name, p.number, p.label, p.heading, p.text_id
           FROM (SELECT rowid, rank FROM pages_fts WHERE pages_fts MATCH ? ORDER BY rank LIMIT ?) AS f
           JOIN pages AS p ON p.id = f.rowid JOIN documents AS d ON d.id = p.document_id
           ORDER BY f.rank, p.id""",
        (expression, limit),
    )
    words = [_fold(word) for word in _WORD.findall(text)]
    hits: list[Hit] = []
    for row in rows:
        snippet, offset = _snippet(get_text(db, row["text_id"]), words)
        hits.append(
            Hit(
                content_hash=row["content_hash"],
                document=row["name"],
                page=row["number"],
                label=row["label"],
                heading=row["heading"],
                snippet=snippet,
                offset=offset,
            )
        )
    return hits


def _snippet(text: str, words: Iterable[str]) -> tuple[str, int]:
    """Text around the place where most different words stand close together, and the offset of that place."""
    wanted = set(words)
    places = [
        (match.start(), found)
        for match in _WORD.finditer(text)
        for found in [next((word for word in wanted if _fold(match.group()).startswith(word)), None)]
        if found is not None
    ]
    best, most = 0, 0
    for index, (start, _) in enumerate(places):
        near = {word for place, word in places[index : index + 20] if place < start + _SNIPPET_CHARS}
        if len(near) > most:
            best, most = start, len(near)
    left = max(0, best - _SNIPPET_CHARS // 4)
    right = min(len(text), left + _SNIPPET_CHARS)
    piece = " ".join(text[left:right].split())
    return ("… " if left else "") + piece + (" …" if right < len(text) else ""), best


def _fold(word: str) -> str:
    """Without case and accents, as the index compares."""
    parts = unicodedata.normalize("NFKD", word)
    return "".join(character for character in parts if not unicodedata.combining(character)).casefold()
