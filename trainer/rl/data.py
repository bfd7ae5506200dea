"""What a rollout is: a group of readings of one question, each a list of independent conversations.

Token ids go in and come out and are never tokenised again; what the model was allowed to say is recorded with them, so
that log-probabilities can be recomputed from the file alone. A batch of groups is one file: it is what a killed run
goes on from, and what the viewer shows.
"""

import gzip
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from engine.backends.base import FinishReason

_VERSION = 1


@dataclass(frozen=True, slots=True)
class TokenSet:
    """The tokens that a grammar allowed at one place.

    Attributes:
        ids: ascending.
        is_complement: whether `ids` are the tokens that were *not* allowed; whichever is shorter is kept.
    """

    ids: tuple[int, ...]
    is_complement: bool = False

    def __contains__(self, token_id: int) -> bool:
        return (token_id in self.ids) != self.is_complement


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """One independent conversation: question, memory and chunk in, new memory out; or the final answer.

    Attributes:
        prompt_ids: ids that the model was given, [P].
        response_ids: ids that it drew, the end token with them if it was drawn, [N].
        rollout_logprobs: log-probability of each drawn id under the distribution that it was drawn from, that is,
            among the allowed tokens at the temperature of the rollout, [N].
        allowed: what the grammar allowed at each place; None = every token, [N].
        turn: number of the call within the trajectory, from 0.
        finish_reason: "stop" = the model ended its turn; "length" = its cap was reached.
        purpose: what the call was for, see `engine.agent.events.Purpose`.
        chunk_index: the chunk that it was about; None for the final conversation.
        max_tokens: the cap on the reply.
        reply: text of the reply, for people.
        credit: reward of this turn alone, where per-turn credit is on; None = there is none.
    """

    prompt_ids: tuple[int, ...]
    response_ids: tuple[int, ...]
    rollout_logprobs: tuple[float, ...]
    allowed: tuple[TokenSet | None, ...]
    turn: int
    finish_reason: FinishReason
    purpose: str
    chunk_index: int | None
    max_tokens: int
    reply: str = ""
    credit: float | None = None

    def __post_init__(self) -> None:
        lengths = {len(self.response_ids), len(self.rollout_logprobs), len(self.allowed)}
        if len(lengths) != 1 or not self.response_ids or not self.prompt_ids:
            raise ValueError(
                "a conversation needs a prompt, a response, and one log-probability and set a token"
            )

    @property
    def num_tokens(self) -> int:
        """Length of the whole conversation."""
        return len(self.prompt_ids) + len(self.response_ids)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trajectory:
    """One reading of one document for one question.

    Attributes:
        conversations: in the order in which they were held.
        reward: of the answer, in [0, 1].
        answer: what was answered; None = the reading failed, or the document was said not to tell.
        failure: why there is no answer; "" = there was no failure.
        memory_tokens: size of the memory after each chunk.
        gold_in_memory: share of the golds that the memory held after each chunk.
        incidents: kinds of what went wrong, see `engine.agent.events.IncidentKind`.
    """

    conversations: tuple[Conversation, ...]
    reward: float
    answer: str | None = None
    failure: str = ""
    memory_tokens: tuple[int, ...] = ()
    gold_in_memory: tuple[float, ...] = ()
    incidents: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """All rollouts of one question.

    Attributes:
        task_id: the task, see `trainer.rl.tasks`.
        question: the question.
        golds: right answers, each with its wordings; () = the document does not say.
        num_chunks: chunks of the document.
        position: where the evidence stands, as a share of the document; None = nowhere.
        trajectories: the rollouts, in order of their number.
    """

    task_id: str
    question: str
    golds: tuple[tuple[str, ...], ...]
    num_chunks: int
    position: float | None
    trajectories: tuple[Trajectory, ...]

    @property
    def rewards(self) -> tuple[float, ...]:
        """Rewards of the trajectories."""
        return tuple(trajectory.reward for trajectory in self.trajectories)


def with_credits(trajectory: Trajectory, credits: Sequence[float | None]) -> Trajectory:
    """The trajectory with a credit for each of its conversations."""
    pairs = zip(trajectory.conversations, credits, strict=True)
    return replace(trajectory, conversations=tuple(replace(c, credit=credit) for c, credit in pairs))


def free_of_grammar(talk: Conversation) -> Conversation:
    """The conversation as if every token had been allowed, for losses and scores over the whole vocabulary."""
    return replace(talk, allowed=(None,) * len(talk.response_ids))


def save_groups(
    groups: Sequence[Group], path: Path, *, key: str = "", facts: Mapping[str, Any] | None = None
) -> None:
    """Write groups so that a kill leaves the old file, the new one or none, never a part.

    Args:
        groups: what to write.
        path: gzip-compressed JSON lines: a header, then one group a line.
        key: identifies what the groups were drawn from; see `load_groups`.
        facts: plain values that belong to them.
    """
    table = _SetTable()
    lines = [json.dumps(_group_to_json(group, table)) for group in groups]
    header = json.dumps(
        {"version": _VERSION, "key": key, "facts": dict(facts or {}), "sets": table.to_json()}
    )
    # No time stamp: equal groups give equal bytes.
    data = gzip.compress("\n".join([header, *lines]).encode(), compresslevel=6, mtime=0)
    write_atomically(path, data)


def load_groups(path: Path, *, key: str | None = None) -> tuple[list[Group], dict[str, Any]] | None:
    """Read what `save_groups` wrote, groups and facts; None = it was drawn from something else than `key` names.

    Raises:
        ValueError: the file is of another version.
    """
    lines = iter(gzip.decompress(path.read_bytes()).decode().split("\n"))
    header = json.loads(next(lines))
    if header["version"] != _VERSION:
        raise ValueError(f"{path.name} has version {header['version']}, not {_VERSION}")
    if key is not None and header["key"] != key:
        return None
    sets = [TokenSet(tuple(ids), is_complement) for ids, is_complement in header["sets"]]
    return [_group_from_json(json.loads(line), sets) for line in lines], header["facts"]


def write_atomically(path: Path, data: bytes) -> None:
    """Write, fsync, rename."""
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())
    partial.replace(path)


class _SetTable:
    """Numbers token sets: the same few occur again and again."""

    def __init__(self) -> None:
        self._numbers: dict[TokenSet, int] = {}

    def number(self, allowed: TokenSet | None) -> int | None:
        return None if allowed is None else self._numbers.setdefault(allowed, len(self._numbers))

    def to_json(self) -> list[Any]:
        return [[allowed.ids, allowed.is_complement] for allowed in self._numbers]


def _group_to_json(group: Group, table: _SetTable) -> dict[str, Any]:
    def conversation(value: Conversation) -> dict[str, Any]:
        plain = {field.name: getattr(value, field.name) for field in fields(value)}
        return {**plain, "allowed": [table.number(allowed) for allowed in value.allowed]}

    trajectories = [
        {
            **asdict(replace(trajectory, conversations=())),
            "conversations": [conversation(value) for value in trajectory.conversations],
        }
        for trajectory in group.trajectories
    ]
    return {**asdict(replace(group, trajectories=())), "trajectories": trajectories}


def _group_from_json(plain: dict[str, Any], sets: Sequence[TokenSet]) -> Group:
    def conversation(value: dict[str, Any]) -> Conversation:
        allowed = tuple(None if number is None else sets[number] for number in value.pop("allowed"))
        return Conversation(allowed=allowed, **_tuples(value))

    trajectories = tuple(
        Trajectory(conversations=tuple(map(conversation, value.pop("conversations"))), **_tuples(value))
        for value in plain.pop("trajectories")
    )
    golds = tuple(map(tuple, plain.pop("golds")))
    return Group(golds=golds, trajectories=trajectories, **plain)


def _tuples(plain: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in plain.items()}


def conversations_of(groups: Sequence[Group]) -> Iterator[Conversation]:
    """Every conversation of the groups, in order."""
    for group in groups:
        for trajectory in group.trajectories:
            yield from trajectory.conversations
