"""Rounds of batches: examples drawn to fixed token shares, bucketed by length, right-padded."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from trainer.examples import Rendered, Renderer
from trainer.tasks import TaskMaker
from trainer.text import TextSource
from trainer.tokens import Codec


@dataclass(frozen=True, slots=True, kw_only=True)
class LossWeights:
    """Weight of each group of targets in the loss; each group is averaged on its own."""

    reply: float = 2.0
    flags: float = 1.0
    names: float = 0.5
    text: float = 0.6
    copied: float = 1.0
    matches: float = 1.0
    first_reply_token: float = 2.0
    """Weight of a reply's first token, which holds the decision, against the others' 1."""


_MOST_SENTENCES_OF_JOINT = 11
"""Beside eight questions more would be cut from the drawing by their length, and the many questions with them."""

MIN_TARGETS = {"reply": 16, "flags": 24, "names": 24, "text": 300, "copied": 100, "matches": 80}
"""Targets that a group needs to count in full: a batch with a few of them must not shout."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Padded ids with flat targets.

    Attributes:
        ids: [B, T], padded on the right.
        rows: Positions with a target in the flattened ids, [N].
        targets: [N].
        weights: [N]; a sum over weighted cross entropies is the loss.
        group_slices: Where each group of targets lies in the N rows.
        examples: Kind, sections' size and reply rows of each conversation, for metrics.
    """

    ids: Tensor
    rows: Tensor
    targets: Tensor
    weights: Tensor
    group_slices: dict[str, slice]
    examples: list[tuple[str, int, list[int]]]


def collate(rendered: list[Rendered], codec: Codec, weights: LossWeights) -> Batch:
    """Pad examples to one length and lay their targets out by group."""
    # A multiple of 16 keeps the number of distinct shapes small.
    length = -(-max(len(example.ids) for example in rendered) // 16) * 16
    ids = torch.full((len(rendered), length), codec.pad_id)
    for row, example in enumerate(rendered):
        ids[row, : len(example.ids)] = torch.tensor(example.ids)
    yes = codec.special["<|yes|>"]
    rows: list[int] = []
    targets: list[int] = []
    values: list[float] = []
    slices: dict[str, slice] = {}
    examples: list[tuple[str, int, list[int]]] = []
    for group in ("reply", "flags", "names", "text", "copied", "matches"):
        start = len(rows)
        raw: list[float] = []
        for row, example in enumerate(rendered):
            pairs: list[tuple[int, int]] = getattr(example, group)
            if group == "reply" and pairs:
                first = len(rows)
                examples.append((example.kind, example.size, list(range(first, first + len(pairs)))))
            for order, (position, target) in enumerate(pairs):
                rows.append(row * length + position)
                targets.append(target)
                raw.append(weights.first_reply_token if group == "reply" and order == 0 else 1.0)
        if group in ("flags", "matches"):
            raw = _balance(targets[start:], yes)
        total = sum(raw) or 1.0
        scale = getattr(weights, group) * min(1.0, len(raw) / MIN_TARGETS[group])
        values.extend(scale * value / total for value in raw)
        slices[group] = slice(start, len(rows))
    return Batch(
        ids=ids,
        rows=torch.tensor(rows),
        targets=torch.tensor(targets),
        weights=torch.tensor(values),
        group_slices=slices,
        examples=examples,
    )


def _balance(targets: list[int], yes: int) -> list[float]:
    """Weights that let yes and no count alike, however rare yes is."""
    num_yes = sum(target == yes for target in targets)
    num_no = len(targets) - num_yes
    return [1.0 / num_yes if target == yes else 1.0 / num_no if num_no else 0.0 for target in targets]


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundPlan:
    """What a round consists of.

    Attributes:
        token_shares: Share of tokens by category.
        max_sentences: Longest sections.
        max_tokens: Longest conversation; longer draws are dropped.
        batch_tokens: Padded tokens a batch.
        max_text_tokens: Longest stretch of plain text.
        num_batches: Batches a round.
        match_targets: Whether words that the question has are taught outright.
    """

    token_shares: dict[str, float]
    max_sentences: int
    max_tokens: int = 420
    batch_tokens: int = 2_048
    max_text_tokens: int = 192
    num_batches: int = 16
    match_targets: bool = False


class RoundMaker:
    """Draws rounds; its whole state is that of the random source it shares with its parts."""

    def __init__(
        self,
        tasks: TaskMaker,
        text: TextSource,
        renderer: Renderer,
        rng: random.Random,
        weights: LossWeights | None = None,
    ) -> None:
        """Combine the parts, all of which draw from `rng`."""
        self.tasks = tasks
        self.text = text
        self.renderer = renderer
        self.rng = rng
        self.weights = weights or LossWeights()

    def round(self, plan: RoundPlan) -> list[Batch]:
        """Draw one round of batches in random order."""
        self.renderer.match_targets = plan.match_targets
        spent = dict.fromkeys(plan.token_shares, 0)
        drawn: list[Rendered] = []
        total = plan.batch_tokens * plan.num_batches
        while sum(spent.values()) < total:
            # The category that lags most behind its share comes next.
            category = min(spent, key=lambda name: spent[name] / max(1e-9, plan.token_shares[name]))
            rendered = self._draw(category, plan)
            if len(rendered.ids) > plan.max_tokens:
                continue
            spent[category] += len(rendered.ids)
            drawn.append(rendered)
        drawn.sort(key=lambda example: len(example.ids))
        batches = [
            collate(group, self.renderer.codec, self.weights) for group in _cut(drawn, plan.batch_tokens)
        ]
        self.rng.shuffle(batches)
        return batches

    def _draw(self, category: str, plan: RoundPlan) -> Rendered:
        if category == "text":
            repeat = self.rng.random() < 0.5
            return self.renderer.render_text(self.text.run(8), plan.max_text_tokens, repeat=repeat)
        if category == "strings":
            return self.renderer.render_strings()
        if category == "answer":
            return self.renderer.render(self.tasks.answer())
        if category == "joint":
            most = min(plan.max_sentences, _MOST_SENTENCES_OF_JOINT)
            return self.renderer.render(self.tasks.joint(self._num_sentences(most)))
        return self.renderer.render(self.tasks.read(self._num_sentences(plan.max_sentences)))

    def _num_sentences(self, most: int) -> int:
        low = 1 if self.rng.random() < 0.6 else (most + 1) // 2
        return self.rng.randint(low, most)


def _cut(drawn: list[Rendered], batch_tokens: int) -> Iterable[list[Rendered]]:
    """Cut examples sorted by length into groups of at most so many padded tokens."""
    group: list[Rendered] = []
    for example in drawn:
        length = -(-len(example.ids) // 16) * 16
        if group and length * (len(group) + 1) > batch_tokens:
            yield group
            group = []
        group.append(example)
    if group:
        yield group
