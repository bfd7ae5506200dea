"""The outcome reward: a strict match of the final answer, in [0, 1]."""

import re
from collections.abc import Sequence

from engine.evaluation.metrics import best_of, containment, exact_match, normalise_answer

_BOXED = re.compile(r"\\boxed\{([^{}]*)\}")


def outcome_reward(answer: str | None, golds: Sequence[Sequence[str]]) -> float:
    """Reward of an answer.

    One gold has to be matched exactly (after SQuAD's normalisation), in any of its wordings. Of several golds the
    share is counted that the answer holds as whole words (RULER's multi-value tasks). Where the document does not
    say, saying so is right. A reading that failed has no answer and gets 0, also there: see `trainer.rl.rollouts`.

    Args:
        answer: what was answered; None = that the document does not say. The last \\boxed{...} counts if there is one.
        golds: what has to be found, each in its wordings; () = the document does not say.
    """
    if not golds:
        return float(answer is None)
    if answer is None:
        return 0.0
    boxed = _BOXED.findall(answer)
    said = boxed[-1] if boxed else answer
    if len(golds) == 1:
        return best_of(exact_match, said, golds[0])
    return sum(best_of(containment, said, wordings) for wordings in golds) / len(golds)


def recall(text: str, golds: Sequence[Sequence[str]]) -> float:
    """Share of the golds' words that a text holds, each gold in its best wording (ReMemR1's memory reward)."""
    words = set(normalise_answer(text).split())
    if not golds:
        return 0.0
    return sum(max(_share(wording, words) for wording in wordings) for wordings in golds) / len(golds)


def _share(wording: str, words: set[str]) -> float:
    wanted = normalise_answer(wording).split()
    return sum(word in words for word in wanted) / len(wanted) if wanted else 0.0


def holds(text: str, golds: Sequence[Sequence[str]]) -> float:
    """Share of the golds that a text holds as whole words."""
    if not golds:
        return 0.0
    return sum(best_of(containment, text, wordings) for wordings in golds) / len(golds)
