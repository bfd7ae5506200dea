"""Scores against values worked out by hand."""

import pytest

from engine.evaluation.scoring import score


@pytest.mark.parametrize(
    ("answer", "golds", "em", "f1", "contains", "found"),
    [
        # One thing: the best of its wordings. "the red barn" is "red barn" without its article.
        ("the red barn", [("red barn", "barn")], 1, 1.0, 1, (True,)),
        ("a very red barn", [("red barn",)], 0, 4 / 5, 1, (True,)),
        ("barnacle", [("barn",)], 0, 0.0, 0, (False,)),
        # Several: the share found; words of both lists: 2 common of 2 + 4.
        (
            "Trieste",
            [("Trieste",), ("Galway",), ("Tromso",), ("Antwerp",)],
            0,
            2 / 5,
            0.25,
            (True, False, False, False),
        ),
        (
            "Galway, Trieste and Tromso",
            [("Trieste",), ("Galway",), ("Tromso",)],
            1,
            1.0,
            1,
            (True, True, True),
        ),
        ("Galway Trieste Oslo", [("Trieste",), ("Galway",)], 0, 4 / 5, 1, (True, True)),
        # Wordings of several golds are combined.
        ("UK and 4 May", [("United Kingdom", "UK"), ("May 4", "4 May")], 1, 1.0, 1, (True, True)),
        # Nothing to be found: SQuAD 2.0's rule.
        (None, [], 1, 1.0, 1, ()),
        ("Trieste", [], 0, 0.0, 0, ()),
        (None, [("Trieste",)], 0, 0.0, 0, (False,)),
        ("", [("Trieste",)], 0, 0.0, 0, (False,)),
    ],
)
def test_score(
    answer: str | None,
    golds: list[tuple[str, ...]],
    em: float,
    f1: float,
    contains: float,
    found: tuple[bool, ...],
) -> None:
    got = score(answer, golds)
    assert (got.em, got.contains, got.found) == (em, contains, found)
    assert got.f1 == pytest.approx(f1)


def test_a_failure_is_wrong_even_where_nothing_was_to_be_found() -> None:
    assert score(None, [], failed=True).em == 0.0
    assert score("Trieste", [("Trieste",)], failed=True).contains == 0.0
