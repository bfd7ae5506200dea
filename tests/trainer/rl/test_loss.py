"""The objective against a slow reference, token by token, and what must not change it."""

import math
import random
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import PlanError
from trainer.rl.loss import Denominator, LossConfig, Terms, policy_loss

CONFIGS = [
    LossConfig(),
    LossConfig(kl=0.0),
    LossConfig(clip_high=0.28, dual_clip=3.0, kl=0.05),
    LossConfig(clip_low=0.1, clip_high=0.1, dual_clip=1.2, importance_cap=2.0),
    LossConfig(variant="gspo", clip_low=0.02, clip_high=0.03),
    LossConfig(variant="gspo", aggregation="sequence", dual_clip=1.5),
    LossConfig(variant="cispo", clip_high=0.5, importance_cap=1.1),
    LossConfig(aggregation="sequence"),
    LossConfig(aggregation="constant", constant_tokens=50, kl=0.0),
]


@dataclass(frozen=True)
class Token:
    """One response token by hand."""

    now: float
    old: float
    rollout: float
    reference: float
    advantage: float


Talks = list[list[Token]]


def make_talks(seed: int, count: int = 7) -> Talks:
    """Conversations whose ratios go far beyond the clips on both sides."""
    rng = random.Random(seed)
    talks = []
    for _ in range(count):
        advantage = rng.uniform(-1, 1)
        talk = []
        for _ in range(rng.randint(1, 9)):
            old = -rng.expovariate(1)
            talk.append(
                Token(
                    old + rng.gauss(0, 0.6), old, old + rng.gauss(0, 0.4), old + rng.gauss(0, 0.5), advantage
                )
            )
        talks.append(talk)
    return talks


def slow_loss(talks: Talks, config: LossConfig) -> tuple[float, list[float]]:
    """The loss and its derivative by each token's log-probability, in plain Python."""
    num_tokens = sum(map(len, talks))
    total, gradient = 0.0, []
    for talk in talks:
        mean = sum(t.now - t.old for t in talk) / len(talk)
        for t in talk:
            weight = {
                "token": 1 / num_tokens,
                "sequence": 1 / (len(talk) * len(talks)),
                "constant": 1 / (len(talks) * config.constant_tokens),
            }[config.aggregation]
            value, slope = slow_objective(t, mean, config)
            if config.importance_cap:
                mismatch = min(math.exp(t.old - t.rollout), config.importance_cap)
                value, slope = value * mismatch, slope * mismatch
            d = t.reference - t.now
            total += weight * (-value + config.kl * (math.exp(d) - d - 1))
            gradient.append(weight * (-slope + config.kl * (1 - math.exp(d))))
    return total, gradient


def slow_objective(t: Token, mean: float, config: LossConfig) -> tuple[float, float]:
    """J of a token and its derivative."""
    a, low, high = t.advantage, 1 - config.clip_low, 1 + config.clip_high
    if config.variant == "cispo":
        held = min(math.exp(t.now - t.old), high)
        return held * a * t.now, held * a
    ratio = math.exp(mean) if config.variant == "gspo" else math.exp(t.now - t.old)
    clipped = min(max(ratio, low), high)
    if ratio * a <= clipped * a:
        value, slope = ratio * a, ratio * a
    else:
        value, slope = clipped * a, 0.0
    if config.dual_clip and a < 0 and value < config.dual_clip * a:
        value, slope = config.dual_clip * a, 0.0
    return value, slope


def make_terms(talks: Talks, config: LossConfig) -> Terms:
    """The same as tensors, in double precision so that the comparison is of formulas and not of rounding."""
    tokens = [t for talk in talks for t in talk]

    def column(name: str) -> torch.Tensor:
        return torch.tensor([getattr(t, name) for t in tokens], dtype=torch.float64)

    return Terms(
        logprobs=column("now").requires_grad_(),
        old=column("old"),
        rollout=column("rollout"),
        reference=column("reference") if config.kl else None,
        advantages=column("advantage"),
        conversation=torch.tensor([n for n, talk in enumerate(talks) for _ in talk]),
        entropy=torch.ones(len(tokens), dtype=torch.float64),
    )


def whole_of(talks: Talks) -> Denominator:
    return Denominator(sum(map(len, talks)), len(talks))


def loss_in_parts(parts: list[Talks], config: LossConfig) -> tuple[float, list[float], dict[str, Any]]:
    """Loss and gradient where each part is a micro-batch of its own."""
    whole = whole_of([talk for part in parts for talk in part])
    total, gradient, sums = 0.0, list[float](), None
    for part in parts:
        terms = make_terms(part, config)
        loss, measured = policy_loss(terms, config, whole)
        loss.backward()  # type: ignore[no-untyped-call]
        assert terms.logprobs.grad is not None
        total += float(loss.detach())
        gradient += terms.logprobs.grad.tolist()
        if sums is None:
            sums = measured
        else:
            sums.add(measured)
    assert sums is not None
    return total, gradient, sums.means()


@pytest.mark.parametrize("config", CONFIGS, ids=str)
@pytest.mark.parametrize("seed", range(4))
def test_loss_and_gradient_are_those_of_the_slow_reference(config: LossConfig, seed: int) -> None:
    talks = make_talks(seed)
    loss, gradient, means = loss_in_parts([talks], config)
    wanted, slopes = slow_loss(talks, config)
    assert loss == pytest.approx(wanted, rel=1e-9)
    assert gradient == pytest.approx(slopes, rel=1e-9, abs=1e-12)
    assert means["loss"] == pytest.approx(wanted, rel=1e-9)


def test_float32_stays_within_1e_5() -> None:
    for seed in range(20):
        talks = make_talks(seed)
        terms = make_terms(talks, LossConfig())
        single = Terms(
            **{
                name: value.detach().float() if value.is_floating_point() else value
                for name in Terms.__dataclass_fields__
                if (value := getattr(terms, name)) is not None
            }
        )
        loss, _ = policy_loss(single, LossConfig(), whole_of(talks))
        scale = sum(abs(t.advantage) for talk in talks for t in talk) / whole_of(talks).num_tokens
        assert float(loss.detach()) == pytest.approx(slow_loss(talks, LossConfig())[0], abs=1e-5 * scale)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(CONFIGS), st.integers(0, 99), st.lists(st.integers(0, 2), min_size=7, max_size=7))
def test_micro_batches_do_not_matter(config: LossConfig, seed: int, places: list[int]) -> None:
    talks = make_talks(seed)
    parts = [[talk for talk, place in zip(talks, places, strict=True) if place == part] for part in range(3)]
    parts = [part for part in parts if part]
    loss, gradient, means = loss_in_parts(parts, config)
    whole, slopes, measured = loss_in_parts([[talk for part in parts for talk in part]], config)
    assert loss == pytest.approx(whole, rel=1e-9)
    assert gradient == pytest.approx(slopes, rel=1e-9, abs=1e-15)
    assert means == pytest.approx(measured, rel=1e-9)


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(CONFIGS), st.integers(0, 99), st.randoms())
def test_the_order_of_conversations_does_not_matter(
    config: LossConfig, seed: int, rng: random.Random
) -> None:
    talks = make_talks(seed)
    shuffled = list(talks)
    rng.shuffle(shuffled)
    assert loss_in_parts([shuffled], config)[0] == pytest.approx(loss_in_parts([talks], config)[0], rel=1e-9)


def test_clips_and_divergence_are_measured() -> None:
    def one(now: float, advantage: float) -> list[Token]:
        return [Token(now, 0.0, 0.1, -0.2, advantage)]

    talks = [one(1.0, 1.0), one(-1.0, -1.0), one(0.0, 1.0), one(2.0, -1.0)]
    config = LossConfig(dual_clip=3.0)
    _, _, means = loss_in_parts([talks], config)
    assert (means["clip_high"], means["clip_low"], means["clip_dual"]) == (0.25, 0.25, 0.25)
    wanted = sum(math.exp(-0.2 - now) - (-0.2 - now) - 1 for now in (1.0, -1.0, 0.0, 2.0)) / 4
    assert means["kl"] == pytest.approx(wanted)
    assert means["rollout_gap"] == pytest.approx(0.1)
    assert means["rollout_gap_max"] == pytest.approx(0.1)


def test_huge_ratios_stay_finite() -> None:
    talks = [[Token(0.0, -1e4, -2e4, 1e4, 1.0)]]
    loss, gradient, _ = loss_in_parts([talks], LossConfig(importance_cap=2.0))
    assert math.isfinite(loss)
    assert all(map(math.isfinite, gradient))


@pytest.mark.parametrize(
    "values",
    [{"clip_low": 1.0}, {"dual_clip": 0.5}, {"importance_cap": 0.5}, {"kl": -1.0}, {"constant_tokens": 0}],
)
def test_settings_out_of_range_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(PlanError):
        LossConfig(**values)
