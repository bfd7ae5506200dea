"""Conversations laid end to end in one row, each blind to the others.

Padding costs as much as text, and conversations of one reading differ little from those of another; so whole
conversations fill a row up to a budget of tokens. Attention is block-diagonal and causal within a block, positions
start again with each block: what is computed for a conversation is what would be computed for it alone.
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
        lengths: tokens of each conversation, and of the padding behind them if there is any; they add up to T.
        sources: places in [0, T) whose hidden state predicts a response token, [N].
        targets: the response tokens, [N].
        conversation: number of each response token's conversation within the pack, [N].
        allowed: what each response token was drawn from, N of them.
        rows: which of the conversations given are in this pack, in order.
    """

    ids: Tensor
    positions: Tensor
    lengths: tuple[int, ...]
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


def make_pack(
    conversations: Sequence[Conversation],
    rows: Sequence[int],
    *,
    device: torch.device | str = "cpu",
    pad_to: int = 0,
) -> Pack:
    """Lay some of the conversations end to end.

    Args:
        conversations: all of them.
        rows: which ones, by index.
        device: where the tensors are wanted.
        pad_to: length to pad the row to, so that a GPU sees few different shapes; 0 = none.
    """
    ids: list[int] = []
    positions: list[int] = []
    lengths: list[int] = []
    sources: list[int] = []
    targets: list[int] = []
    owners: list[int] = []
    allowed: list[TokenSet | None] = []
    for number, row in enumerate(rows):
        talk = conversations[row]
        # The last response token predicts nothing that counts.
        whole = (*talk.prompt_ids, *talk.response_ids[:-1])
        first = len(ids) + len(talk.prompt_ids) - 1
        sources += range(first, first + len(talk.response_ids))
        targets += talk.response_ids
        owners += [number] * len(talk.response_ids)
        allowed += talk.allowed
        ids += whole
        positions += range(len(whole))
        lengths.append(len(whole))
    padding = max(0, pad_to - len(ids))
    lengths += [padding] if padding else []

    def tensor(values: list[int]) -> Tensor:
        return torch.tensor(values, dtype=torch.long, device=device)

    return Pack(
        ids=tensor(ids + [0] * padding)[None],
        positions=tensor(positions + [0] * padding)[None],
        lengths=tuple(lengths),
        sources=tensor(sources),
        targets=tensor(targets),
        conversation=tensor(owners),
        allowed=tuple(allowed),
        rows=tuple(rows),
    )
