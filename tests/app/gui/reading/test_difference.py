"""Differences of memories: nothing is lost, and nothing takes long."""

import time

from hypothesis import given
from hypothesis import strategies as st

from app.gui.reading.difference import compare, counts

_TILE = st.text(alphabet="ab .\n", min_size=1, max_size=12)
_TILES = st.lists(_TILE, max_size=8)


@given(_TILES, _TILES)
def test_what_is_not_removed_is_the_memory_afterwards(before: list[str], after: list[str]) -> None:
    rows = compare(before, after)
    kept = [row for row in rows if row.tile is not None]
    assert [row.tile for row in kept] == list(range(len(after)))
    assert ["".join(p.text for p in row.pieces if p.change != "removed") for row in kept] == after


@given(_TILES, _TILES)
def test_what_is_not_added_was_in_the_memory_before(before: list[str], after: list[str]) -> None:
    rows = compare(before, after)
    old = "".join(p.text for row in rows for p in row.pieces if p.change != "added")
    assert sorted("".join(old.split())) == sorted("".join("".join(before).split()))


def test_words_are_compared_within_a_sentence() -> None:
    rows = compare(["The quay is 90 feet long."], ["The quay is 96 feet long."])
    assert counts(rows) == (1, 1)
    assert [piece.change for piece in rows[0].pieces] == ["same", "removed", "added", "same"]


def test_a_sentence_that_was_left_alone_is_not_marked() -> None:
    rows = compare(["One stays.", "\nTwo goes."], ["One stays.", "\nThree comes instead of it."])
    assert rows[0].pieces[0].change == "same"


def seconds(before: list[str], after: list[str]) -> float:
    """Of the processor, without what its garbage collector may take in between for other tests."""

    def once() -> float:
        began = time.thread_time()
        compare(before, after)
        return time.thread_time() - began

    return min(once() for _ in range(3))


def test_long_memories_take_no_time() -> None:
    before = [f"Sentence {n} of many that stand here." for n in range(3000)]
    after = [f"Sentence {n * 7 % 3000} of others that stand there." for n in range(3000)]
    assert seconds(before, after) < 1.0
    assert seconds(["word " * 20_000], ["other " * 20_000]) < 1.0
    assert seconds(["x" * 200_000], ["y" * 200_000]) < 1.0


def test_equal_sentences_without_end_take_no_time() -> None:
    assert seconds(["a."] * 599 + ["b."], ["b."] + ["a."] * 598) < 1.0


def test_the_first_sentence_leaves_and_the_others_are_left_alone() -> None:
    rows = compare(["One.", "\nTwo.", "\nThree."], ["Two.", "\nThree.", "\nFour."])
    assert [[piece.change for piece in row.pieces] for row in rows] == [
        ["removed"],
        ["same"],
        ["same"],
        ["added"],
    ]


def test_a_rewording_is_found_among_sentences_that_left() -> None:
    rows = compare(
        ["The quay is 96 feet long and was built by Ansel.", "\nA second sentence came."],
        ["The quay is 96 feet long and was built in 1901 by Ansel."],
    )
    assert counts(rows) == (2, 4)
