"""Held-back books are recognised under any name that a corpus may give them."""

from pathlib import Path

import pytest

from engine.evaluation.held_back import HELD_BACK_BOOKS, is_held_back_article, is_held_back_book
from trainer.corpus import iter_books


@pytest.mark.parametrize(
    "name",
    [
        "Leo_Tolstoy__War_and_Peace",
        "war-and-peace_standardebooks",
        "WAR AND PEACE",
        "Jane_Austen__Emma",
        "Title: Emma",
        "emma.md",
        "Homer__The_Iliad",
    ],
)
def test_held_back(name: str) -> None:
    assert is_held_back_book(name)


@pytest.mark.parametrize("name", ["Emma_Smith__A_Life", "Jane_Austen__Persuasion", "kjv_full"])
def test_not_held_back(name: str) -> None:
    assert not is_held_back_book(name)


def test_articles() -> None:
    assert is_held_back_article("Jacksonville, Florida")
    assert not is_held_back_article("Geology")


def test_no_held_back_book_passes_the_corpus_filter(tmp_path: Path) -> None:
    text = "\n\nA paragraph of some length that is only here to be long enough.\n" * 60
    for index, title in enumerate(HELD_BACK_BOOKS):
        (tmp_path / f"by-name-{index}-{title.replace(' ', '_')}__x.md").write_text(f"# x\n{text}")
        (tmp_path / f"Author__{title.replace(' ', '_')}.md").write_text(f"# x\n{text}")
        (tmp_path / f"by-title-{index}.txt").write_text(f"# Title: {title.upper()}\n{text}")
    (tmp_path / "Author__Allowed.md").write_text(f"# Title: Allowed\n{text}")
    stems = [stem for stem, _ in iter_books(tmp_path) if not stem.startswith("by-name")]
    assert stems == ["Author__Allowed"]
