"""Advantages: of a trajectory within its group first, of its conversations and tokens afterwards.

For the trajectories i = 1..G of one question with outcome rewards R_i (of the final conversation alone):

    A_i   = R_i - mean(R_1..R_G)                                MemAgent (arXiv 2507.02259), Dr.GRPO (2503.20783)
    A_i   = (R_i - mean(R)) / (std(R) + 1e-6)                   GRPO and DAPO (2503.14476), `divides_by_std`
    A_ij  = A_i for every conversation j of trajectory i        MemAgent, eq. 3

The mean is over trajectories, before they are unrolled into conversations: over conversations, a reading of many
chunks would pull the baseline towards itself. Every response token of conversation j gets A_ij.

With a credit r_ij of the turn's own (ReMemR1 mixes the two levels at the level of advantages):

    A_ij  = alpha * A_i + (1 - alpha) * (r_ij - mean over the group's credits of the same turn)

Overlong reward shaping (DAPO, eq. 13), for a reply of n tokens with cap M and buffer b, here as a share of M:

    P(n)  = 0 if n <= M - b;  (M - b - n) / b in between;  -1 if n reached M without ending

DAPO has one reply a sample; a trajectory has many, and gets the worst penalty among them, times `overlong_weight`.
"""

import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from engine.errors import PlanError
from trainer.rl.data import Conversation, Group, Trajectory

CreditKind = Literal["none", "recall", "likelihood", "gate", "evidence"]
_TINY = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class AdvantageConfig:
    """How advantages are made.

    Attributes:
        divides_by_std: divide by the group's standard deviation; off, as in Dr.GRPO and MemAgent's released recipe.
        credit: reward of single turns: none, gain of answer words in the memory (recall), gain of the answer's
            log-likelihood from the memory (likelihood), whether the gate was right (gate), recall less
            what was taken where nothing is to be found (evidence).
        alpha: share of the outcome where there is a credit, in [0, 1].
        drops_even_groups: leave out groups whose rewards are all the same, which teach nothing (dynamic sampling).
        overlong_weight: weight of the overlong penalty, >= 0; 0 = off.
        overlong_buffer: share of the cap over which the penalty grows, in (0, 1].
        is_shuffled: give each trajectory the advantage of another one of its group: the control that must not learn.
    """

    divides_by_std: bool = False
    credit: CreditKind = "none"
    alpha: float = 0.8
    drops_even_groups: bool = False
    overlong_weight: float = 0.0
    overlong_buffer: float = 0.25
    is_shuffled: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.alpha <= 1:
            raise PlanError(f"advantage.alpha must lie between 0 and 1, not {self.alpha}.")
        if self.overlong_weight < 0 or not 0 < self.overlong_buffer <= 1:
            raise PlanError("advantage.overlong_weight must be >= 0 and overlong_buffer in (0, 1].")


def trajectory_advantages(rewards: Sequence[float], *, divides_by_std: bool = False) -> list[float]:
    """Advantage of each trajectory within its group, [G]."""
    mean = statistics.fmean(rewards)
    scale = statistics.pstdev(rewards) + _TINY if divides_by_std else 1.0
    return [(reward - mean) / scale for reward in rewards]


def group_advantages(group: Group, config: AdvantageConfig) -> list[list[float]]:
    """Advantage of every conversation of every trajectory, [G][conversations of the trajectory]."""
    rewards = [shaped_reward(trajectory, config) for trajectory in group.trajectories]
    outcome = trajectory_advantages(rewards, divides_by_std=config.divides_by_std)
    if config.is_shuffled:
        # A shift by one keeps mean and spread and cuts the tie between a reading and its reward.
        outcome = outcome[1:] + outcome[:1]
    baselines = _credit_baselines(group)
    return [
        [_mix(advantage, conversation, baselines, config.alpha) for conversation in trajectory.conversations]
        for advantage, trajectory in zip(outcome, group.trajectories, strict=True)
    ]


def _credit_baselines(group: Group) -> dict[int, float]:
    """Mean credit of each turn over the group."""
    credits: dict[int, list[float]] = defaultdict(list)
    for trajectory in group.trajectories:
        for conversation in trajectory.conversations:
            if conversation.credit is not None:
                credits[conversation.turn].append(conversation.credit)
    return {turn: statistics.fmean(values) for turn, values in credits.items()}


def _mix(outcome: float, conversation: Conversation, baselines: dict[int, float], alpha: float) -> float:
    if conversation.credit is None:
        return outcome
    return alpha * outcome + (1 - alpha) * (conversation.credit - baselines[conversation.turn])


def shaped_reward(trajectory: Trajectory, config: AdvantageConfig) -> float:
    """The outcome reward with the overlong penalty."""
    if not config.overlong_weight or not trajectory.conversations:
        return trajectory.reward
    worst = min(overlong_penalty(c, config.overlong_buffer) for c in trajectory.conversations)
    return trajectory.reward + config.overlong_weight * worst


def overlong_penalty(conversation: Conversation, buffer_share: float) -> float:
    """Penalty of one reply in [-1, 0]; see the module's equation."""
    if conversation.finish_reason == "length":
        return -1.0
    cap = conversation.max_tokens
    buffer = buffer_share * cap
    over = len(conversation.response_ids) - (cap - buffer)
    return -min(1.0, max(0.0, over / buffer))


def is_even(group: Group) -> bool:
    """Whether all rewards of the group are the same, so that every advantage is 0."""
    return len(set(group.rewards)) <= 1
