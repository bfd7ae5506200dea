"""Recall: which chunks share the most telling words with a question.

Reading everything finds what the question does not name; looking up finds again what was read and dropped. Chunks found
here are read once more, with all that is known by then, before the question is answered (ReMemR1, InfMem).
"""

import re
import sqlite3
from collections.abc import Sequence
from contextlib import closing

from engine.chunking import Chunk

_WORD = re.compile(r"\w+")
_MAX_WORDS = 64


def best_chunks(chunks: Sequence[Chunk], question: str, count: int) -> list[int]:
    """Places in `chunks` of the best matches by BM25 over word stems, in reading order.

    Args:
        chunks: what can be found.
        question: words to look for; those that stand in many chunks count little.
        count: most places.
    """
    words = list(dict.fromkeys(_WORD.findall(question.casefold())))[:_MAX_WORDS]
    if not count or not words:
        return []
    with closing(sqlite3.connect(":memory:")) as db:
        db.execute(
            "CREATE VIRTUAL TABLE chunks USING fts5 (text, content='', tokenize='porter unicode61 remove_diacritics 2')"
        )
        rows = ((place, _text(chunk)) for place, chunk in enumerate(chunks))
        db.executemany("INSERT INTO chunks (rowid, text) VALUES (?, ?)", rows)
        query = " OR ".join(f'"{word}"' for word in words)
        found = db.execute(
            "SELECT rowid FROM chunks WHERE chunks MATCH ? ORDER BY round(bm25(chunks), 6), rowid LIMIT ?",
            (query, count),
        )
        return sorted(place for (place,) in found)


def _text(chunk: Chunk) -> str:
    """What is looked through; lone surrogates, which SQLite does not take, become question marks."""
    return " ".join(unit.text for unit in chunk.units).encode("utf-8", "replace").decode()
