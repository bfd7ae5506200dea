"""The canary: after every sync, do server and trainer say the same of one fixed prompt?

Two things are compared, because either alone misses something. The log-probabilities of the prompt's own tokens are
computed without the server's prefix cache and show its weights. Replies drawn behind that prompt go through the
prefix cache, which may still hold keys and values of old weights, and show whether log-probabilities under a grammar
are of the restricted distribution (``--logprobs-mode``).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from engine.backends.http.client import Client
from trainer.rl.data import Conversation, free_of_grammar
from trainer.rl.decoding import Drawn, Row
from trainer.rl.errors import MismatchError
from trainer.rl.served_replies import prompt_logprobs, read_reply, request_body
from trainer.rl.vocabulary import Vocabulary

Scores = Callable[[Sequence[Conversation], float], Sequence[tuple[float, ...]]]
"""The trainer's own log-probabilities of responses at a temperature."""

_TEXT = (
    "The quay at Aldermoor was built in 1871 by the engineer Ida Marsh, who had come from the north. It was mended "
    "in 1873, after the great storm, and again in 1902, when the railway reached the harbour. Ships of up to 400 "
    "tons lay there until the war; what is left of it today is a wall, two iron rings and a name on the map. "
) * 2
_GRAMMAR = 'root ::= [a-z]{2,9} (" " [a-z]{2,9}){2,6} "."'
_SEEDS = (1, 2, 3, 4)
_MOST_TOKENS = 24
_MOST_PROMPT = 160


@dataclass(frozen=True, slots=True, kw_only=True)
class Canary:
    """What a comparison found.

    Attributes:
        prompt_gap: mean difference on the prompt's tokens, in nats.
        reply_gap: mean difference on drawn tokens, in nats, against the distribution that the server gives them of.
        is_restricted: whether that is the one that it drew from; else it is the model's without the grammar, or
            without the temperature.
    """

    prompt_gap: float
    reply_gap: float
    is_restricted: bool


def compare(
    client: Client, model: str, vocabulary: Vocabulary, scores: Scores, *, temperature: float, most_gap: float
) -> Canary:
    """Compare, and stop on a mismatch.

    Raises:
        MismatchError: they differ by more than `most_gap` nats a token.
    """
    ids = _prompt(vocabulary)
    body = request_body(Row(ids=ids, max_tokens=1, seed=0), model, vocabulary) | {"prompt_logprobs": 0}
    theirs = prompt_logprobs(client, client.post("/v1/completions", body), ids)
    (ours,) = scores([_talk(ids[:1], ids[1:], theirs)], 1.0)
    prompt_gap = mean_gap([(ours, theirs)])
    _require(prompt_gap, most_gap, "the canary prompt")
    rows = [
        Row(ids=ids, max_tokens=_MOST_TOKENS, seed=seed, temperature=temperature, grammar=_GRAMMAR)
        for seed in _SEEDS
    ]
    drawn = [
        read_reply(
            client, client.post("/v1/completions", request_body(row, model, vocabulary)), row, vocabulary
        )
        for row in rows
    ]
    talks = [as_conversation(row, each) for row, each in zip(rows, drawn, strict=True)]
    reply_gap = _reply_gap(talks, scores(talks, temperature))
    if reply_gap <= most_gap:
        return Canary(prompt_gap=prompt_gap, reply_gap=reply_gap, is_restricted=True)
    free = [free_of_grammar(talk) for talk in talks]
    free_gap = _reply_gap(talks, scores(free, 1.0))
    _require(min(free_gap, reply_gap), most_gap, "replies to the canary prompt")
    return Canary(prompt_gap=prompt_gap, reply_gap=free_gap, is_restricted=False)


def mean_gap(pairs: Sequence[tuple[Sequence[float], Sequence[float]]]) -> float:
    """Mean absolute difference of log-probabilities, in nats a token."""
    gaps = [abs(a - b) for ours, theirs in pairs for a, b in zip(ours, theirs, strict=True)]
    return sum(gaps) / max(1, len(gaps))


def as_conversation(row: Row, drawn: Drawn) -> Conversation:
    """What was drawn for a row, as the trainer scores it."""
    return Conversation(
        prompt_ids=row.ids,
        response_ids=drawn.response_ids,
        rollout_logprobs=drawn.logprobs,
        allowed=drawn.allowed,
        turn=0,
        finish_reason=drawn.finish_reason,
        purpose="canary",
        chunk_index=None,
        max_tokens=row.max_tokens,
    )


def _reply_gap(talks: Sequence[Conversation], scores: Sequence[tuple[float, ...]]) -> float:
    return mean_gap([(ours, talk.rollout_logprobs) for ours, talk in zip(scores, talks, strict=True)])


def _require(gap: float, most_gap: float, where: str) -> None:
    if not gap <= most_gap:
        raise MismatchError(
            f"Log-probabilities of {where} differ by {gap:.3g} nats a token between the server and the trainer.",
            hint="The server's weights are not those that are trained, or its precision is too low; "
            "rollout.canary_gap is the most that is let through.",
        )


def _prompt(vocabulary: Vocabulary) -> tuple[int, ...]:
    ids = vocabulary.tokenize(_TEXT)[:_MOST_PROMPT]
    start = [] if vocabulary.bos_id is None else [vocabulary.bos_id]
    return (*start, *ids)


def _talk(prompt: tuple[int, ...], response: tuple[int, ...], logprobs: tuple[float, ...]) -> Conversation:
    return Conversation(
        prompt_ids=prompt,
        response_ids=response,
        rollout_logprobs=logprobs,
        allowed=(None,) * len(response),
        turn=0,
        finish_reason="length",
        purpose="canary",
        chunk_index=None,
        max_tokens=len(response),
    )
