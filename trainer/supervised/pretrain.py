"""Next-token training on the text of a folder.

A piece of text is a conversation whose prompt is its first token and whose reply is the rest: packing to a token
budget, attention block by block, the chunked head and the loss are those of all stages.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trainer.rl.data import Conversation, Group, Trajectory
from trainer.rl.errors import RecipeError
from trainer.rl.guard import Guard
from trainer.rl.pace import Spent
from trainer.rl.parts import Parts
from trainer.supervised.replies import SupervisedStage
from trainer.supervised.texts import TextSource


class PretrainStage(SupervisedStage):
    """Learns text; evaluations are of held-out pieces, in nats a token."""

    def __init__(self, parts: Parts, guard: Guard, folder: Path, resumed_at: int) -> None:
        config = parts.recipe.text
        if config is None:
            raise RecipeError("The stage pretrain needs the section 'text'.")
        super().__init__(parts, guard, folder, resumed_at)
        self._config = config
        self._text = TextSource(folder, config, parts.source.prompts, parts.backend, parts.recipe.run.seed)

    def chosen(self, groups: Sequence[Group]) -> list[Conversation]:
        return [talk for group in groups for each in group.trajectories for talk in each.conversations]

    def learn(self, step: int, cursor: int) -> tuple[dict[str, Any], Spent]:
        began = time.perf_counter()
        numbers = self._text.numbers(cursor, self._config.sequences)
        talks = [as_conversation(self._text.piece(number), number) for number in numbers]
        made = time.perf_counter()
        line = {
            "step": step,
            "cursor": cursor + len(talks),
            "conversations": len(talks),
            "prompt_tokens": len(talks),
            "response_tokens": sum(len(talk.response_ids) for talk in talks),
            **self.update(step, [_as_group(talks)]),
        }
        return line, Spent(rollout_s=made - began, update_s=time.perf_counter() - made)

    def evaluate(self) -> dict[str, Any]:
        chosen = self._text.held_out[: self._recipe.run.evaluation_tasks]
        if not chosen:
            raise RecipeError(
                "Nothing is held out to be evaluated on.",
                hint="Raise text.held_out, or set run.evaluation_steps to 0.",
            )
        talks = [as_conversation(self._text.piece(number), number) for number in chosen]
        scores = self.parts.scores(talks)
        tokens = sum(map(len, scores))
        return {
            "nats_per_token": -sum(map(sum, scores)) / tokens,
            "pieces": len(talks),
            "tokens": tokens,
        }

    def score(self, evaluation: dict[str, Any]) -> float:
        return -float(evaluation["nats_per_token"])


def as_conversation(ids: Sequence[int], number: int) -> Conversation:
    """A piece of text as a conversation.

    Args:
        ids: its tokens, at least two.
        number: of the piece.
    """
    reply = tuple(ids[1:])
    return Conversation(
        prompt_ids=(ids[0],),
        response_ids=reply,
        rollout_logprobs=(0.0,) * len(reply),
        allowed=(None,) * len(reply),
        turn=0,
        finish_reason="length",
        purpose="text",
        chunk_index=number,
        max_tokens=len(reply),
    )


def _as_group(talks: Sequence[Conversation]) -> Group:
    reading = Trajectory(conversations=tuple(talks), reward=0.0)
    return Group(task_id="text", question="", golds=(), num_chunks=0, position=None, trajectories=(reading,))
