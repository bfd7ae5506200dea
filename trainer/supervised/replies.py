"""The stages `sft` and `expert-iteration`: what is learnt is said, or drawn and chosen; the rest is `trainer.rl.stage`.

The loss is the negative log-likelihood of replies, one token mean over the mini-batch: `SUPERVISED_LOSS` with all
advantages 1.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trainer.rl.data import Conversation, Group, Trajectory, free_of_grammar
from trainer.rl.guard import Guard
from trainer.rl.metrics import draw_metrics
from trainer.rl.parts import Parts
from trainer.rl.stage import DapoStage
from trainer.rl.update import Sample
from trainer.supervised.lessons import Lessons

_MEASURED = ("tokens", "entropy", "grad_norm", "skipped", "lr", "token_budget")


class SupervisedStage(DapoStage):
    """A stage that learns conversations as they stand."""

    def chosen(self, groups: Sequence[Group]) -> list[Conversation]:
        """The conversations that are learnt from."""
        raise NotImplementedError

    def samples(self, groups: Sequence[Group]) -> list[Sample]:
        return [Sample(conversation=talk, advantage=1.0) for talk in self.chosen(groups)]

    def update(self, step: int, groups: Sequence[Group]) -> dict[str, Any]:
        line = super().update(step, groups)
        learnt = self.chosen(groups)
        count, wanted = len(learnt), self._recipe.optimizer.updates
        batches = math.ceil(count / max(1, math.ceil(count / wanted))) - line["skipped"]
        kept = {name: line[name] for name in _MEASURED if name in line}
        # The loss is summed over the updates, each a mean over its own tokens.
        nats = line.get("loss", 0.0) / batches if batches else None
        tokens = sum(talk.num_tokens for talk in learnt)
        return {**kept, "learnt": count, "learnt_tokens": tokens, "nats_per_token": nats}

    def headline(self, line: dict[str, Any]) -> str:
        nats = line["nats_per_token"]
        return "nothing learnt" if nats is None else f"{nats:.4f} nats a token"


class SftStage(SupervisedStage):
    """Learns the replies of a tutor who knows the evidence; see `trainer.supervised.tutor`."""

    def __init__(self, parts: Parts, guard: Guard, folder: Path, resumed_at: int) -> None:
        super().__init__(parts, guard, folder, resumed_at)
        recipe = parts.recipe
        self._lessons = Lessons(parts.source, parts.backend, recipe.sft, recipe.run.seed)

    def draw(self, step: int, cursor: int) -> tuple[list[Group], dict[str, Any]]:
        groups, cursor, left_out = self._lessons.draw(cursor, self._recipe.sft.questions)
        return groups, {
            "cursor": cursor,
            "drawn": draw_metrics(groups),
            "left_out": dict(sorted(left_out.items())),
        }

    def check_canaries(self, groups: Sequence[Group]) -> None:
        """Nothing was drawn, so there is nothing to compare."""

    def chosen(self, groups: Sequence[Group]) -> list[Conversation]:
        return [
            talk
            for group in groups
            for trajectory in group.trajectories
            for talk in trajectory.conversations
            if talk.credit
        ]


class ExpertStage(SupervisedStage):
    """Expert iteration: of each group of readings the best one is learnt, then the next groups are drawn.

    Source: expert iteration (Anthony et al., arXiv 1705.08439) as used for language models (STaR, arXiv 2203.14465):
    sample, keep what is right, train on it. Of several right readings the shortest is kept, which holds the replies
    down as overlong penalties do in DAPO.
    """

    def chosen(self, groups: Sequence[Group]) -> list[Conversation]:
        config = self._recipe.expert
        best = (best_reading(group, config.least_reward) for group in groups)
        talks = [talk for trajectory in best if trajectory for talk in trajectory.conversations]
        if config.under_grammar:
            return talks
        return [free_of_grammar(talk) for talk in talks]

    def headline(self, line: dict[str, Any]) -> str:
        return f"reward {line['reward_mean']:.3f}, {super().headline(line)}"


def best_reading(group: Group, least_reward: float) -> Trajectory | None:
    """The reading of a group that is learnt: worth enough, without incident, the shortest; None = there is none.

    Args:
        group: readings of one question.
        least_reward: what it must be worth.
    """
    clean = [
        trajectory
        for trajectory in group.trajectories
        if trajectory.reward >= least_reward
        and trajectory.conversations
        and not trajectory.incidents
        and not trajectory.failure
        and all(talk.finish_reason == "stop" for talk in trajectory.conversations)
    ]
    if not clean:
        return None
    # The first of equals, so that the choice is a function of the group.
    return min(clean, key=lambda each: (-each.reward, _length(each)))


def _length(trajectory: Trajectory) -> int:
    return sum(len(talk.response_ids) for talk in trajectory.conversations)
