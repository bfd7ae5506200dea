"""What may only be used to measure, never to train.

The trainer filters its corpus through this module; the benchmarks draw from what the filter
rejects. The direction matters: the lists live with the evaluation, so a new training source
cannot forget them.
"""

from __future__ import annotations

import re

HELD_BACK_BOOKS: tuple[str, ...] = (
    "War and Peace",
    "Emma",
    "Dracula",
    "The Moonstone",
    "Life on the Mississippi",
    "On the Origin of Species",
    "The Iliad",
)
"""Titles of the books used as haystacks, of seven authors and three centuries."""

HELD_BACK_ARTICLES: tuple[str, ...] = (
    "Amazon_rainforest",
    "Jacksonville,_Florida",
    "Normans",
    "Oxygen",
    "Steam_engine",
)
"""SQuAD article titles whose paragraphs and questions are measured on only."""


def _key(title: str) -> str:
    return " ".join(re.findall(r"[a-z0-9]+", title.casefold()))


def is_held_back_book(*descriptions: str) -> bool:
    """Tell whether a title, file name or heading names a held-back book.

    Args:
        descriptions: Anything that may carry the title, such as a file stem of the form
            ``Author__Title`` and the title written inside the file.
    """
    titles = {_key(title) for title in HELD_BACK_BOOKS}
    for description in descriptions:
        parts = re.split(r"__|\.| by ", description)
        candidates = {_key(part) for part in (*parts, description)}
        candidates |= {candidate.removeprefix("title ") for candidate in candidates}
        if candidates & titles:
            return True
        # A long title is distinctive enough to be looked for inside a longer file name.
        whole = _key(description)
        if any(len(title.split()) > 1 and title in whole for title in titles):
            return True
    return False


def is_held_back_article(title: str) -> bool:
    """Tell whether a SQuAD article title is held back, whatever its spelling of spaces."""
    return _key(title) in {_key(article) for article in HELD_BACK_ARTICLES}
