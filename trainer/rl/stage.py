"""What one step does: draw readings, judge them, learn from them, measure both. Other stages do parts of it otherwise.

All of it follows from the weights, the recipe and the step's number: seeds are hashes of names and numbers, tasks are
functions of theirs.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from torch import nn

from trainer.rl.advantages import group_advantages, is_even
from trainer.rl.credits import give_credits
from trainer.rl.data import Conversation, Group, conversations_of, load_groups, save_groups
from trainer.rl.decoding import row_seed
from trainer.rl.errors import MismatchError
from trainer.rl.guard import Guard
from trainer.rl.lora import adapters_off
from trainer.rl.loss import Sums
from trainer.rl.metrics import accuracy_table, draw_metrics, rollout_metrics
from trainer.rl.pace import Spent
from trainer.rl.parts import Parts
from trainer.rl.rollouts import roll_out, run_seed
from trainer.rl.update import Sample, accumulate, mini_batches

_CANARIES = 8


class DapoStage:
    """Reinforcement: what led to better answers than the others' of a question becomes more likely.

    Args:
        parts: what it computes with.
        guard: told of every update.
        folder: of the run.
        resumed_at: the step that the run goes on with. What was drawn with the weights of the checkpoint counts, what
            was drawn later is drawn again.

    Raises:
        PalimpsestError: the data cannot be used.
    """

    def __init__(self, parts: Parts, guard: Guard, folder: Path, resumed_at: int) -> None:
        self.parts = parts
        self._recipe = parts.recipe
        self._guard = guard
        self._folder = folder
        self._resumed_at = resumed_at

    def learn(self, step: int, cursor: int) -> tuple[dict[str, Any], Spent]:
        """Do one step.

        Args:
            step: its number, from 0.
            cursor: the first task that was not drawn yet.

        Returns:
            its line of metrics, with the new cursor, and what it took.

        Raises:
            MismatchError: what drew is not what is trained.
            DivergedError: updates are not finite, again and again.
        """
        began = time.perf_counter()
        with self.parts.whole():
            groups, facts = self.rollouts(step, cursor)
            drawn = time.perf_counter()
            self.check_canaries(groups)
        line = {"step": step, **facts, **rollout_metrics(groups), **self.update(step, groups)}
        return line, Spent(rollout_s=drawn - began, update_s=time.perf_counter() - drawn)

    def headline(self, line: dict[str, Any]) -> str:
        """The figure to watch while it runs."""
        return f"reward {line['drawn']['reward_mean']:.3f}"

    # -- evaluation -------------------------------------------------------------------------------------------------

    def evaluate(self) -> dict[str, Any]:
        """Accuracy on the held-out questions, read greedily."""
        parts = self.parts
        jobs = parts.ranks.share(parts.source.evaluation(self._recipe.run.evaluation_tasks))
        rollouts = roll_out(jobs, parts.backend, group_size=1, temperature=0.0, seed_of=lambda *_: 0)
        return accuracy_table(parts.ranks.gather([rollout.group for rollout in rollouts]))

    def score(self, evaluation: dict[str, Any]) -> float:
        """What the best checkpoint is chosen by: higher is better."""
        return float(evaluation["reward_mean"])

    # -- rollouts ---------------------------------------------------------------------------------------------------

    def rollouts(self, step: int, cursor: int) -> tuple[list[Group], dict[str, Any]]:
        """The groups of a step and where the data stand after it; from the disk if they were drawn already."""
        path = self._folder / "rollouts" / f"{step:06d}.jsonl.gz"
        key = self._recipe.identity
        if step == self._resumed_at:
            known = self.parts.ranks.first(lambda: load_groups(path, key=key) if path.exists() else None)
            if known is not None:
                return known
        groups, facts = self.draw(step, cursor)
        if self.parts.ranks.is_first:
            save_groups(groups, path, key=key, facts=facts)
        return groups, facts

    def draw(self, step: int, cursor: int) -> tuple[list[Group], dict[str, Any]]:
        """Draw groups, with dynamic sampling until there are enough that teach something, and say what was drawn."""
        rollout, is_picky = self._recipe.rollout, self._recipe.advantage.drops_even_groups
        drawn: list[Group] = []
        kept: list[Group] = []
        for _ in range(rollout.most_draws if is_picky else 1):
            fresh = self._read_groups(step, cursor + len(drawn), rollout.groups)
            drawn += fresh
            kept += [group for group in fresh if not (is_picky and is_even(group))]
            if len(kept) >= rollout.groups:
                break
        facts = {"cursor": cursor + len(drawn), "drawn": draw_metrics(drawn)}
        return kept[: rollout.groups], facts

    def _read_groups(self, step: int, first: int, count: int) -> list[Group]:
        parts, rollout, run = self.parts, self._recipe.rollout, self._recipe.run
        jobs = parts.ranks.share(parts.source.training(first, count))
        rollouts = roll_out(
            jobs,
            parts.backend,
            group_size=rollout.group_size,
            temperature=rollout.temperature,
            seed_of=run_seed(f"{run.name}/{run.seed}", step),
        )
        credit = self._recipe.advantage.credit
        return parts.ranks.gather(give_credits(rollouts, jobs, credit, parts.backend, self._mean_scores))

    def _mean_scores(self, talks: Sequence[Conversation]) -> list[float]:
        return [sum(values) / len(values) for values in self.parts.scores(talks)]

    def check_canaries(self, groups: Sequence[Group]) -> None:
        """Stop if what drew the rollouts is not what is trained: a silent corruption, or weights that did not sync.

        Raises:
            MismatchError: the log-probabilities differ.
        """
        talks = [next(conversations_of([group]), None) for group in groups[:_CANARIES]]
        canaries = [talk for talk in talks if talk is not None]
        pairs = [
            (ours, theirs)
            for values, talk in zip(self.parts.scores(canaries), canaries, strict=True)
            for ours, theirs in zip(values, talk.rollout_logprobs, strict=True)
        ]
        gap = sum(abs(ours - theirs) for ours, theirs in pairs) / max(1, len(pairs))
        if not gap <= self._recipe.rollout.canary_gap:
            raise MismatchError(
                f"Log-probabilities of the rollouts differ by {gap:.3g} nats from the trainer's own.",
                hint="The weights that draw are not those that are trained, or the precision is too low.",
            )

    # -- update -----------------------------------------------------------------------------------------------------

    def update(self, step: int, groups: Sequence[Group]) -> dict[str, Any]:
        """Learn from groups of readings, in as many updates as the recipe says, and say what was measured."""
        parts, run = self.parts, self._recipe.run
        with parts.whole():
            samples = self.samples(groups)
        sums, norms, num_skipped = Sums(), list[float](), 0
        seed = row_seed(run.name, run.seed, step, "shuffle")
        for batch in mini_batches(samples, self._recipe.optimizer.updates, seed):
            part = accumulate(
                parts.policy.model,
                batch,
                self._recipe.loss,
                parts.computing,
                parts.budget,
                parts.stepper.scale.factor,
            )
            norm = parts.stepper.step()
            if norm is None:
                num_skipped += 1
                if not parts.stepper.scale.shrink():
                    self._guard.failed(step)
                continue
            self._guard.passed()
            sums.add(part)
            norms.append(norm)
        parts.backend.decoder.weights_changed()
        return {
            **sums.means(),
            "grad_norm": max(norms, default=None),
            "skipped": num_skipped,
            "lr": parts.stepper.rate,
            **self._scaling(),
            "token_budget": parts.budget.tokens,
        }

    def _scaling(self) -> dict[str, Any]:
        """Of float16: the factor on the loss, and the updates that were skipped since the start for its sake."""
        scale = self.parts.stepper.scale
        if self._recipe.model.precision != "float16":
            return {}
        return {"loss_scale": scale.factor, "overflows": scale.num_overflows}

    def samples(self, groups: Sequence[Group]) -> list[Sample]:
        """The conversations of groups, each with its advantage and the log-probabilities that it is held against."""
        talks = list(conversations_of(groups))
        advantages = [
            value
            for group in groups
            for values in group_advantages(group, self._recipe.advantage)
            for value in values
        ]
        policy = self.parts.policy.model
        old = self._scores_if(self._recipe.optimizer.updates > 1, policy, talks)
        if self._recipe.loss.kl and self.parts.reference is None:
            with adapters_off(policy):
                reference = self._scores_if(True, policy, talks)
        else:
            reference = self._scores_if(self.parts.reference is not None, self.parts.reference, talks)
        return [
            Sample(conversation=talk, advantage=advantage, old=before, reference=first)
            for talk, advantage, before, first in zip(talks, advantages, old, reference, strict=True)
        ]

    def _scores_if(
        self, is_wanted: bool, model: nn.Module | None, talks: Sequence[Conversation]
    ) -> Sequence[tuple[float, ...] | None]:
        if not is_wanted or model is None:
            return [None] * len(talks)
        ranks = self.parts.ranks
        return ranks.gather(self.parts.scores(ranks.share(talks), model))


class MakeStage(Protocol):
    """A stage's class, or what makes one as its constructor does."""

    def __call__(self, parts: Parts, guard: Guard, folder: Path, resumed_at: int) -> DapoStage:
        """See `DapoStage`."""
