"""The course of training: a foundation of text and copying, then sections that grow.

Sections grow when what is asked of the current length is mastered, measured by *exact* replies:
token accuracy would hide that the choice of the sentence was not learnt.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from trainer.batching import RoundPlan

LEVELS: tuple[int, ...] = (1, 2, 3, 4, 6, 8, 11, 15, 20)
"""Most sentences of a section, level by level."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """Settings of the course.

    Attributes:
        total_steps: Optimizer steps of the whole training; the learning rate follows them.
        foundation_steps: First steps, mostly of plain text and copying.
        promote_at: Exact replies, as a share, that lift the level.
        min_steps: Fewest steps at a level.
        max_steps: Steps after which the level rises if `least_needles` is reached, so that one hard
            kind of task does not hold back the rest: labels judge sentences in sections longer than
            any they have seen, but replies name only labels they have met.
        least_needles: Exact replies to needles without which the level never rises.
        max_tokens: Longest conversation in tokens.
        batch_tokens: Padded tokens a batch.
        batches_per_step: Batches whose gradients are added for one step; each holds conversations
            of one length, hence of one kind, so one alone would pull to one side.
    """

    total_steps: int = 4_000
    foundation_steps: int = 150
    promote_at: float = 0.75
    min_steps: int = 60
    max_steps: int = 120
    least_needles: float = 0.35
    max_tokens: int = 480
    batch_tokens: int = 2_048
    batches_per_step: int = 4

    @classmethod
    def of(cls, total_steps: int) -> Course:
        """A course of this length; a short one, which only shows that all runs, has a shorter foundation too."""
        return cls(total_steps=total_steps, foundation_steps=min(cls().foundation_steps, total_steps // 25))


@dataclass(slots=True)
class Progress:
    """Where training stands; saved in checkpoints.

    Attributes:
        step: Optimizer steps done.
        level: Index into `LEVELS`.
        level_step: Step at which the level began.
        tokens: Tokens trained on, padding left out.
        examples: Conversations trained on.
        seconds: Wall time of training.
        averages: Running average of exactness by kind of task.
    """

    step: int = 0
    level: int = 0
    level_step: int = 0
    tokens: int = 0
    examples: int = 0
    seconds: float = 0.0
    averages: dict[str, float] = field(default_factory=dict)

    def plan(self, course: Course) -> RoundPlan:
        """Plan the next round."""
        foundation = self.step < course.foundation_steps
        if foundation:
            shares = {"text": 0.45, "strings": 0.1, "read": 0.15, "answer": 0.3}
        else:
            shares = {"text": 0.04, "strings": 0.02, "read": 0.46, "answer": 0.36, "joint": 0.12}
        return RoundPlan(
            token_shares=shares,
            max_sentences=LEVELS[self.level],
            max_tokens=course.max_tokens,
            batch_tokens=course.batch_tokens,
            match_targets=True,
            max_text_tokens=144 if foundation else 192,
        )

    def observe(self, kind: str, size: int, exact: bool, decay: float = 0.99) -> None:
        """Record one reply; only sections near the current length count for promotion."""
        names = [kind]
        if size > LEVELS[self.level] // 2:
            names.append(f"level/{kind}")
        for name in names:
            before = self.averages.get(name, 0.0)
            self.averages[name] = decay * before + (1 - decay) * float(exact)

    def promote(self, course: Course) -> bool:
        """Lift the level if it is mastered or was held long enough; tell whether it was lifted."""
        held = self.step - self.level_step
        if self.level + 1 >= len(LEVELS) or held < course.min_steps:
            return False
        wanted = ("needle", "needle-none", "topic", "cloze", "topic-none", "cloze-none")
        scores = [self.averages.get(f"level/{kind}", 0.0) for kind in wanted]
        mastered = sum(scores) / len(scores) >= course.promote_at
        held_long_enough = held >= course.max_steps and scores[0] >= course.least_needles
        if not (mastered or held_long_enough):
            return False
        self.level += 1
        self.level_step = self.step
        for name in [name for name in self.averages if name.startswith("level/")]:
            del self.averages[name]
        return True

    def as_dict(self) -> dict[str, Any]:
        """Plain values for a checkpoint."""
        return {name: getattr(self, name) for name in self.__slots__}
