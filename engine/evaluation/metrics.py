"""Answer metrics and confidence intervals, each labelled for what it is.

Source of the normalisation: SQuAD's evaluation script (Rajpurkar et al. 2016): lower case, no
punctuation, no articles, single spaces.
"""

from __future__ import annotations

import math
import re
import string
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalise_answer(text: str) -> str:
    """Fold case and drop punctuation, articles and surplus white space."""
    return " ".join(_ARTICLES.sub(" ", text.casefold().translate(_PUNCTUATION)).split())


def exact_match(prediction: str, gold: str) -> float:
    """1 if both are the same after normalisation."""
    return float(normalise_answer(prediction) == normalise_answer(gold))


def containment(prediction: str, gold: str) -> float:
    """1 if the prediction holds the gold answer as whole words: MemAgent's lenient metric."""
    words = f" {normalise_answer(gold)} "
    return float(bool(words.strip()) and words in f" {normalise_answer(prediction)} ")


def f1(prediction: str, gold: str) -> float:
    """Harmonic mean of word precision and recall."""
    predicted, wanted = normalise_answer(prediction).split(), normalise_answer(gold).split()
    if not predicted or not wanted:
        return float(predicted == wanted)
    common = sum((Counter(predicted) & Counter(wanted)).values())
    return 2 * common / (len(predicted) + len(wanted))


def best_of(metric: Callable[[str, str], float], prediction: str | None, golds: Sequence[str]) -> float:
    """Best score over all gold answers; a failed run, `None`, counts as wrong."""
    if prediction is None:
        return 0.0
    return max((metric(prediction, gold) for gold in golds), default=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proportion:
    """A count out of a total with its 95 % Wilson score interval (Wilson 1927)."""

    count: int
    total: int

    @property
    def value(self) -> float:
        """The share; 0 of 0 is 0."""
        return self.count / self.total if self.total else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """Lower and upper bound; (0, 1) where nothing was counted."""
        if not self.total:
            return 0.0, 1.0
        z = 1.959964
        n, p = self.total, self.value
        centre = p + z * z / (2 * n)
        spread = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        scale = 1 + z * z / n
        return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)

    def as_dict(self) -> dict[str, float | int]:
        """Plain values for a report."""
        low, high = self.interval
        return {**asdict(self), "value": self.value, "low_95": low, "high_95": high}
