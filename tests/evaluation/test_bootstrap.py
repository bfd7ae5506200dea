"""Intervals cover what they claim to, and pairs are tighter than halves."""

import numpy as np
import pytest

from engine.evaluation.bootstrap import mean_interval, paired_difference, relative_loss


def test_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    truth, hits, trials = 0.7, 0, 300
    for trial in range(trials):
        sample = (rng.random(60) < truth).astype(float).tolist()
        interval = mean_interval(sample, seed=trial)
        assert interval is not None
        hits += interval.low <= truth <= interval.high
    # 95 % nominal; the percentile bootstrap is known to be a little short at n = 60.
    assert 0.90 <= hits / trials <= 0.99


def test_width_is_that_of_the_normal_approximation() -> None:
    sample = [1.0] * 300 + [0.0] * 100
    interval = mean_interval(sample)
    assert interval is not None
    # Standard error sqrt(0.75 * 0.25 / 400) = 0.02165, so 1.96 of it to either side.
    assert interval.value == 0.75
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * 0.02165, rel=0.08)


def test_pairs_know_more_than_two_samples() -> None:
    rng = np.random.default_rng(2)
    base = rng.random(100)
    better = np.clip(base + 0.05, 0, 1)
    paired = paired_difference(better.tolist(), base.tolist())
    assert paired is not None
    assert paired.low > 0.03
    alone = mean_interval(better.tolist())
    assert alone is not None
    assert paired.high - paired.low < (alone.high - alone.low) / 5


def test_same_seed_same_interval_and_nothing_from_nothing() -> None:
    values = [0.0, 1.0, 1.0, 0.5]
    assert mean_interval(values, seed=3) == mean_interval(values, seed=3)
    assert mean_interval([]) is None
    assert paired_difference([], []) is None
    with pytest.raises(ValueError, match="shorter"):
        paired_difference([1.0, 0.0], [1.0])


def test_the_share_that_is_lost_is_of_the_means_and_knows_of_pairs() -> None:
    rng = np.random.default_rng(5)
    before = rng.random(400)
    # Every question loses a tenth of its own: the ratio of means does not depend on which ones are drawn.
    loss = relative_loss(before.tolist(), (0.9 * before).tolist())
    assert loss is not None
    assert (loss.value, loss.low, loss.high) == pytest.approx((0.1, 0.1, 0.1))
    # 200 right before; 20 of these are lost, 10 others won: 1 - 190 / 200, and the variance of the difference is
    # (30 - 10 * 10 / 400) / 400, so 1.96 standard errors over a mean of a half are 0.0268 * 2.
    first = [1.0] * 200 + [0.0] * 200
    second = [0.0] * 20 + [1.0] * 190 + [0.0] * 190
    loss = relative_loss(first, second)
    assert loss is not None
    assert loss.value == pytest.approx(0.05)
    assert loss.high - loss.low == pytest.approx(4 * 0.0268, rel=0.1)


def test_of_nothing_nothing_can_be_lost() -> None:
    assert relative_loss([], []) is None
    assert relative_loss([0.0] * 5, [1.0] * 5) is None
    # One of 30: every third resample holds none of it.
    assert relative_loss([1.0] + [0.0] * 29, [1.0] * 30) is None
    with pytest.raises(ValueError, match="shorter"):
        relative_loss([1.0, 0.0], [1.0])


def test_many_values_need_little_memory() -> None:
    interval = mean_interval([0.0, 1.0] * 50_000)
    assert interval is not None
    assert interval.low == pytest.approx(0.5 - 1.96 * 0.5 / 100_000**0.5, abs=5e-4)
