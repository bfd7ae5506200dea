"""How one answer is scored: strict match, F1 and lenient containment, each over all that had to be found.

One thing to find: the metrics of `engine.evaluation.metrics`, best over its wordings. Several (values, variables,
words): containment is the share of them that the answer holds, RULER's ``string_match_all`` (arXiv 2404.06654,
code); strict match asks for exactly their words in any order, F1 is over the words of all of them. Nothing to find:
saying so is right, anything else is wrong, as in SQuAD 2.0. An answer that failed is wrong in all three.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice, product

from engine.evaluation.metrics import best_of, containment, exact_match, f1, normalise_answer

METRICS = ("em", "f1", "contains")
"""Names of the metrics in reports: strict match, word F1, lenient containment."""

_MOST_COMBINATIONS = 64
"""Wordings of several golds are combined up to so many times."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Metrics of one answer, each in [0, 1].

    Attributes:
        em: strict match.
        f1: word F1.
        contains: lenient containment; the share found where several things are asked for.
        found: whether each gold is contained, in order.
    """

    em: float
    f1: float
    contains: float
    found: tuple[bool, ...]


def score(answer: str | None, golds: Sequence[Sequence[str]], *, failed: bool = False) -> Score:
    """Score an answer.

    Args:
        answer: the answer; None = "the document does not say".
        golds: for each thing to find its wordings; () = there is nothing to find.
        failed: whether the reading came to no end, which is wrong whatever was asked.
    """
    if not golds:
        right = float(answer is None and not failed)
        return Score(em=right, f1=right, contains=right, found=())
    if answer is None or failed:
        return Score(em=0.0, f1=0.0, contains=0.0, found=(False,) * len(golds))
    found = tuple(best_of(containment, answer, wordings) == 1.0 for wordings in golds)
    if len(golds) == 1:
        em, words = best_of(exact_match, answer, golds[0]), best_of(f1, answer, golds[0])
    else:
        lists = [" ".join(chosen) for chosen in islice(product(*golds), _MOST_COMBINATIONS)]
        listed = _without_and(answer)
        em = max(float(Counter(listed.split()) == Counter(_words(one))) for one in lists)
        words = max(f1(listed, one) for one in lists)
    return Score(em=em, f1=words, contains=sum(found) / len(found), found=found)


def _without_and(answer: str) -> str:
    """Commas and "and" between the parts of a list say nothing."""
    return " ".join(word for word in _words(answer.replace(",", " ")) if word != "and")


def _words(text: str) -> list[str]:
    return normalise_answer(text).split()
