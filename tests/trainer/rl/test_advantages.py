"""Advantages against sums written out, and what must not change them."""

import dataclasses
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.backends.base import FinishReason
from engine.errors import PlanError
from tests.trainer.rl.talks import make_group, make_talk
from trainer.rl.advantages import (
    AdvantageConfig,
    group_advantages,
    is_even,
    overlong_penalty,
    trajectory_advantages,
)
from trainer.rl.data import Group, with_credits


def _without_credits(group: Group) -> Group:
    trajectories = tuple(with_credits(t, [None] * len(t.conversations)) for t in group.trajectories)
    return dataclasses.replace(group, trajectories=trajectories)


def test_the_mean_is_over_trajectories_however_many_conversations_each_has() -> None:
    group = _without_credits(make_group(random.Random(1), size=3))
    rewards = (1.0, 0.0, 0.0)
    trajectories = tuple(
        dataclasses.replace(t, reward=r, conversations=t.conversations[:1] * n)
        for t, r, n in zip(group.trajectories, rewards, (7, 1, 1), strict=True)
    )
    found = group_advantages(dataclasses.replace(group, trajectories=trajectories), AdvantageConfig())
    assert found == [[pytest.approx(2 / 3)] * 7, [pytest.approx(-1 / 3)], [pytest.approx(-1 / 3)]]


def test_division_by_the_standard_deviation() -> None:
    # mean 0.5, standard deviation 0.5
    assert trajectory_advantages([1, 0, 1, 0], divides_by_std=True) == pytest.approx([1, -1, 1, -1], rel=1e-5)


@given(st.lists(st.sampled_from((0.0, 0.25, 1.0)), min_size=2, max_size=8), st.booleans(), st.randoms())
def test_advantages_add_up_to_zero_and_follow_their_trajectory(
    rewards: list[float], divides: bool, rng: random.Random
) -> None:
    found = trajectory_advantages(rewards, divides_by_std=divides)
    assert sum(found) == pytest.approx(0, abs=1e-9)
    order = list(range(len(rewards)))
    rng.shuffle(order)
    again = trajectory_advantages([rewards[i] for i in order], divides_by_std=divides)
    assert again == pytest.approx([found[i] for i in order], abs=1e-12)


def test_credits_are_mixed_turn_by_turn() -> None:
    group = make_group(random.Random(2), size=2)
    talks = group.trajectories[0].conversations[:1] * 2
    talks = tuple(dataclasses.replace(talk, turn=turn) for turn, talk in enumerate(talks))
    one, two = (
        with_credits(dataclasses.replace(t, conversations=talks, reward=reward), credits)
        for t, reward, credits in zip(group.trajectories, (1.0, 0.0), ((0.6, None), (0.2, None)), strict=True)
    )
    found = group_advantages(
        dataclasses.replace(group, trajectories=(one, two)), AdvantageConfig(credit="recall", alpha=0.8)
    )
    # First turn: credits 0.6 and 0.2 around their mean 0.4; the other turn has none and keeps the outcome's.
    assert found[0] == pytest.approx([0.8 * 0.5 + 0.2 * 0.2, 0.5])
    assert found[1] == pytest.approx([0.8 * -0.5 - 0.2 * 0.2, -0.5])


@pytest.mark.parametrize(
    ("length", "reason", "penalty"),
    [(60, "stop", 0), (75, "stop", 0), (90, "stop", -0.6), (100, "length", -1)],
)
def test_the_overlong_penalty_grows_over_the_buffer(
    length: int, reason: FinishReason, penalty: float
) -> None:
    talk = make_talk(random.Random(0))
    talk = dataclasses.replace(
        talk,
        response_ids=(5,) * length,
        rollout_logprobs=(0.0,) * length,
        allowed=(None,) * length,
        max_tokens=100,
        finish_reason=reason,
    )
    assert overlong_penalty(talk, 0.25) == pytest.approx(penalty)


def test_the_worst_reply_of_a_reading_is_punished() -> None:
    group = _without_credits(make_group(random.Random(3), size=2))
    cut = dataclasses.replace(group.trajectories[0].conversations[0], finish_reason="length")
    short = dataclasses.replace(cut, finish_reason="stop", max_tokens=1_000)
    one = dataclasses.replace(group.trajectories[0], conversations=(short, cut, short), reward=1.0)
    two = dataclasses.replace(group.trajectories[1], conversations=(short,), reward=1.0)
    group = dataclasses.replace(group, trajectories=(one, two))
    assert is_even(group)
    found = group_advantages(group, AdvantageConfig(overlong_weight=0.5))
    assert found == [[pytest.approx(-0.25)] * 3, [pytest.approx(0.25)]]


def test_the_control_keeps_the_advantages_and_gives_them_to_others() -> None:
    group = _without_credits(make_group(random.Random(4), size=4))
    plain = [values[0] for values in group_advantages(group, AdvantageConfig())]
    control = [values[0] for values in group_advantages(group, AdvantageConfig(is_shuffled=True))]
    assert sorted(plain) == sorted(control)
    assert control == plain[1:] + plain[:1]


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(PlanError, match="alpha"):
        AdvantageConfig(alpha=1.5)
