"""Conversations laid end to end in one row, each blind to the others.

Padding costs as much as text, and conversations of one reading differ little from those of another; so whole
conversations fill a row up to a budget of tokens. Positions start again with each, and each sees itself alone: what
is computed for a conversation is what would be computed for it by itself.

Readings of one question are given the same prompts as long as their memories are the same, and prompts are long while
replies are short. Conversations with the same prompt are a bundle: the prompt stands there once, and every reply goes
on from it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from trainer.rl.data import Conversation, TokenSet


@dataclass(frozen=True, slots=True)
class Pack:
    """One row of conversations.

    Attributes:
        ids: [1, T].
        positions: [1, T], from 0 in each conversation.
        blocks: the bundles, and the padding behind them if there is any. The first figure of each is the tokens that
            all of it sees: the prompt, and where there is one conversation its reply with it; the others are those of
            the replies. They add up to T.
        sources: places in [0, T) whose hidden state predicts a response token, [N].
        targets: the response tokens, [N].
        conversation: number of each response token's conversation within the pack, [N].
        allowed: what each response token was drawn from, N of them.
        rows: which of the conversations given are in this pack, in order.
    """

    ids: Tensor
    positions: Tensor
    blocks: tuple[tuple[int, ...], ...]
    sources: Tensor
    targets: Tensor
    conversation: Tensor
    allowed: tuple[TokenSet | None, ...]
    rows: tuple[int, ...]


def plan_packs(lengths: Sequence[int], budget_tokens: int) -> list[list[int]]:
    """Which conversations share a row: first fit, longest first.

    Args:
        lengths: tokens of each conversation.
        budget_tokens: most tokens of a row; a longer conversation has a row of its own.

    Returns:
        indices into `lengths`, ascending within a row; every index stands in exactly one row.
    """
    rows: list[list[int]] = []
    room: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        number = next((n for n, left in enumerate(room) if lengths[index] <= left), len(rows))
        if number == len(rows):
            rows.append([])
            room.append(max(budget_tokens, lengths[index]))
        rows[number].append(index)
        room[number] -= lengths[index]
    return [sorted(row) for row in rows]


def plan_bundles(
    conversations: Sequence[Conversation], budget_tokens: int, *, is_shared: bool = True
) -> list[list[int]]:
    """Which conversations share a prompt: those with the same one, if it is no shorter than the reply.

    A reply behind a prompt of its own is a causal call, a reply behind a shared one needs a mask, which only pays where
    much is computed once.

    Args:
        conversations: all of them.
        budget_tokens: most tokens of a bundle of more than one.
        is_shared: False = each is a bundle of its own.

    Returns:
        indices into `conversations`; every index stands in exactly one bundle.
    """
    bundles: list[list[int]] = []
    open_bundles: dict[tuple[int, ...], tuple[int, int]] = {}  # of a prompt the latest one, and its tokens
    for index, talk in enumerate(conversations):
        prompt, reply = len(talk.prompt_ids), len(talk.response_ids)
        if not is_shared or prompt < reply:
            bundles.append([index])
            continue
        number, size = open_bundles.get(talk.prompt_ids, (-1, 0))
        if number < 0 or size + reply > budget_tokens:
            number, size = len(bundles), prompt
            bundles.append([])
        bundles[number].append(index)
        open_bundles[talk.prompt_ids] = number, size + reply
    return bundles


def bundle_tokens(conversations: Sequence[Conversation], bundle: Sequence[int]) -> int:
    """Tokens of a bundle: its prompt once, and all replies."""
    prompt = len(conversations[bundle[0]].prompt_ids)
    return prompt + sum(len(conversations[index].response_ids) for index in bundle)


def make_pack(
    conversations: Sequence[Conversation],
    bundles: Sequence[Sequence[int]],
    *,
    device: torch.device | str = "cpu",
    pad_to: int = 0,
) -> Pack:
    """Lay some of the conversations end to end.

    Args:
        conversations: all of them.
        bundles: which ones, by index; those of one bundle have the same prompt.
        device: where the tensors are wanted.
        pad_to: length to pad the row to, so that a GPU sees few different shapes; 0 = none.
    """
    rows: list[int] = []
    ids: list[int] = []
    positions: list[int] = []
    blocks: list[tuple[int, ...]] = []
    sources: list[int] = []
    targets: list[int] = []
    owners: list[int] = []
    allowed: list[TokenSet | None] = []
    for bundle in bundles:
        prompt = conversations[bundle[0]].prompt_ids
        ids += prompt
        positions += range(len(prompt))
        end_of_prompt = len(ids) - 1
        for index in bundle:
            talk = conversations[index]
            # The last response token predicts nothing that counts.
            told = talk.response_ids[:-1]
            sources += [end_of_prompt, *range(len(ids), len(ids) + len(told))]
            targets += talk.response_ids
            owners += [len(rows)] * len(talk.response_ids)
            allowed += talk.allowed
            ids += told
            positions += range(len(prompt), len(prompt) + len(told))
            rows.append(index)
        replies = [len(conversations[index].response_ids) - 1 for index in bundle]
        blocks.append((len(prompt), *replies) if len(bundle) > 1 else (len(prompt) + replies[0],))
    padding = max(0, pad_to - len(ids))
    blocks += [(padding,)] if padding else []

    def tensor(values: list[int]) -> Tensor:
        return torch.tensor(values, dtype=torch.long, device=device)

    return Pack(
        ids=tensor(ids + [0] * padding)[None],
        positions=tensor(positions + [0] * padding)[None],
        blocks=tuple(blocks),
        sources=tensor(sources),
        targets=tensor(targets),
        conversation=tensor(owners),
        allowed=tuple(allowed),
        rows=tuple(rows),
    )
