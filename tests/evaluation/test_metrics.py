"""Metrics against values worked out by hand."""

import pytest

from engine.evaluation.metrics import Proportion, best_of, containment, exact_match, f1


@pytest.mark.parametrize(
    ("prediction", "gold", "em", "inside", "score"),
    [
        ("The Albatross", "albatross", 1, 1, 1.0),
        ("the ship Albatross", "Albatross", 0, 1, 2 / 3),
        ("Albatross", "the ship Albatross", 0, 0, 2 / 3),
        ("barrow", "row", 0, 0, 0.0),
        ("", "row", 0, 0, 0.0),
    ],
)
def test_metrics(prediction: str, gold: str, em: int, inside: int, score: float) -> None:
    assert exact_match(prediction, gold) == em
    assert containment(prediction, gold) == inside
    assert f1(prediction, gold) == pytest.approx(score)


def test_every_gold_answer_counts_and_a_failure_is_wrong() -> None:
    assert best_of(exact_match, "4 May", ["May 4", "4 May"]) == 1
    assert best_of(exact_match, None, ["4 May"]) == 0


def test_wilson_interval() -> None:
    # Newcombe 1998, table I: 81 of 263 gives 0.2553 to 0.3662.
    low, high = Proportion(count=81, total=263).interval
    assert low == pytest.approx(0.2553, abs=1e-4)
    assert high == pytest.approx(0.3662, abs=1e-4)
    assert Proportion(count=0, total=0).interval == (0.0, 1.0)
    assert Proportion(count=0, total=5_000).interval[1] < 0.001
