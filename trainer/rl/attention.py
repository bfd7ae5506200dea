"""Attention over a packed row, block by block.

A block-diagonal mask makes scaled-dot-product attention compute, and mask, T x T products for a row of T tokens; the
blocks are a small part of them. Here each block is a causal call of its own, without any mask, so that a row costs
what its conversations cost, and fused kernels can be used; where several replies go on from one prompt, each is a call
that sees the prompt and itself. Registered with transformers under `PACKED`; where no blocks are given it is
transformers' own sdpa, with the mask that it was given.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

PACKED = "palimpsest_packed"
Blocks = tuple[tuple[int, ...], ...]


def packed_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    blocks: Blocks | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Attend within each of the blocks that a row consists of.

    Args:
        module: the attention layer.
        query: [1, heads, T, head size].
        key: [1, kv heads, T, head size].
        value: the same.
        attention_mask: what transformers made; only without blocks.
        scaling: of the products.
        blocks: see `trainer.rl.packing.Pack`; None = plain sdpa.
        kwargs: passed on to plain sdpa.

    Returns:
        [1, T, heads, head size], and no weights.
    """
    if blocks is None:
        mixed, _ = sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, **kwargs
        )
        return mixed, None
    masks: dict[tuple[int, int], Tensor] = {}

    def seen(reply: int, prompt: int) -> Tensor:
        """What each token of a reply sees of the prompt and the reply, [reply, prompt + reply]."""
        if (reply, prompt) not in masks:
            every = torch.ones(reply, prompt + reply, dtype=torch.bool, device=query.device)
            masks[reply, prompt] = every.tril(prompt)
        return masks[reply, prompt]

    def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        takes_groups = _takes_groups(q, mask)
        if not takes_groups:
            k, v = (each.repeat_interleave(q.shape[1] // each.shape[1], dim=1) for each in (k, v))
        return F.scaled_dot_product_attention(
            q, k, v, attn_mask=mask, is_causal=mask is None, scale=scaling, enable_gqa=takes_groups
        )

    lengths = [length for block in blocks for length in block]
    parts = zip(*(torch.split(each, lengths, dim=2) for each in (query, key, value)), strict=True)
    pieces: list[Tensor] = []
    for prompt, *replies in blocks:
        q, k, v = next(parts)
        pieces.append(attend(q, k, v, None))
        for reply in replies:
            own_q, own_k, own_v = next(parts)
            if reply:
                keys, values = torch.cat((k, own_k), dim=2), torch.cat((v, own_v), dim=2)
                pieces.append(attend(own_q, keys, values, seen(reply, prompt)))
    return torch.cat(pieces, dim=2).transpose(1, 2).contiguous(), None


AttentionInterface.register(PACKED, packed_attention)


def computed_in(tensor: Tensor) -> torch.dtype:
    """What attention computes in. Rotated queries and keys are float32, whatever the rest is under autocast."""
    device = tensor.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else tensor.dtype


_is_as_on_gpu = ContextVar("is_as_on_gpu", default=False)


@contextmanager
def as_on_gpu() -> Iterator[None]:
    """Do as on a GPU what differs there, so that its memory can be counted."""
    before = _is_as_on_gpu.set(True)
    try:
        yield
    finally:
        _is_as_on_gpu.reset(before)


def _takes_groups(query: Tensor, mask: Tensor | None) -> bool:
    """Whether a fused kernel takes fewer heads of keys than of queries.

    On a GPU flash attention alone does, which knows 16 bits and no mask; other calls would be computed without a fused
    kernel, with all products of queries and keys in memory at once.
    """
    if query.device.type == "cpu" and not _is_as_on_gpu.get():
        return True
    return mask is None and computed_in(query).itemsize == 2


@contextmanager
def decoding_mode(model: nn.Module) -> Iterator[None]:
    """Make a model ready for drawing, whatever it is trained with.

    In training, layers that are checkpointed do without a cache, and flash attention knows no rows of different length.
    """
    config: Any = model.config
    is_training, attention = model.training, config._attn_implementation
    model.eval()
    config._attn_implementation = PACKED
    try:
        yield
    finally:
        config._attn_implementation = attention
        model.train(is_training)
