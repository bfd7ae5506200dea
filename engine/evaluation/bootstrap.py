"""Percentile bootstrap: how sure a mean is, and the difference of two systems on the same questions.

Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13; paired resampling of questions as in
Koehn, Statistical Significance Tests for Machine Translation Evaluation (EMNLP 2004), section 3.3.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

NUM_RESAMPLES = 2_000
LEVEL = 0.95
_MOST_DRAWS = 4_000_000
"""Questions drawn at a time, so that memory stays small however many there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A mean with its 95 % percentile interval.

    Where all values are the same the interval has no width: resampling cannot know of what it never saw. Reports give
    Wilson's interval beside it where the values are zeros and ones.
    """

    value: float
    low: float
    high: float

    def as_dict(self) -> dict[str, float]:
        """Plain values for a report."""
        return {"value": self.value, "low": self.low, "high": self.high}


def mean_interval(values: Sequence[float], *, seed: int = 0) -> Estimate | None:
    """Mean of the values; None if there are none.

    Args:
        values: one a question, [N].
        seed: of the resampling.
    """
    if not values:
        return None
    array = np.asarray(values, dtype=np.float64)
    return _estimate(float(array.mean()), _resampled_means(array, seed))


def paired_difference(first: Sequence[float], second: Sequence[float], *, seed: int = 0) -> Estimate | None:
    """Mean of first minus second, where both answered the same questions in the same order; None if there are none.

    Raises:
        ValueError: they do not have as many values.
    """
    return mean_interval([a - b for a, b in zip(first, second, strict=True)], seed=seed)


def relative_loss(before: Sequence[float], after: Sequence[float], *, seed: int = 0) -> Estimate | None:
    """Share of the mean that is lost from before to after: 1 - mean(after) / mean(before), pairs resampled together.

    Args:
        before: one a question, [N].
        after: of the same questions in the same order, [N].
        seed: of the resampling.

    Returns:
        None where there was nothing that could be lost, or so little that one resample in twenty holds none of it.

    Raises:
        ValueError: they do not have as many values.
    """
    pairs = np.asarray(list(zip(before, after, strict=True)), dtype=np.float64).reshape(-1, 2)
    if not pairs[:, 0].any():
        return None
    means = _resampled_means(pairs, seed)
    told = means[means[:, 0] > 0]
    if len(told) <= LEVEL * NUM_RESAMPLES:
        return None
    whole = pairs.mean(axis=0)
    return _estimate(float(1 - whole[1] / whole[0]), 1 - told[:, 1] / told[:, 0])


def _estimate(value: float, resampled: Any) -> Estimate:
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(resampled, (tail, 1 - tail))
    return Estimate(value=value, low=float(low), high=float(high))


def _resampled_means(values: "np.ndarray[Any, np.dtype[np.float64]]", seed: int) -> Any:
    """Means of the resamples, [NUM_RESAMPLES, ...], of values [N, ...]: a question is drawn with all its values."""
    rng = np.random.default_rng(seed)
    count = len(values)
    block = max(1, _MOST_DRAWS // count)
    means = [
        values[rng.integers(0, count, (min(block, NUM_RESAMPLES - done), count))].mean(axis=1)
        for done in range(0, NUM_RESAMPLES, block)
    ]
    return np.concatenate(means)
