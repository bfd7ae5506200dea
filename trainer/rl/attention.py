"""Attention over a packed row, block by block.

A block-diagonal mask makes scaled-dot-product attention compute, and mask, T x T products for a row of T tokens; the
blocks are a small part of them. Here each block is a causal call of its own, without any mask, so that a row costs
what its conversations cost, and fused kernels can be used; where several replies go on from one prompt, each is a call
that sees the prompt and itself. Registered with transformers under `PACKED`; where no blocks are given it is
transformers' own sdpa, with the mask that it was given.
"""

from collections.abc import Iterator
from contextlib import contextmanager
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

    lengths = [length for block in blocks for length in block]
    parts = zip(*(torch.split(each, lengths, dim=2) for each in (query, key, value)), strict=True)
    pieces: list[Tensor] = []
    for prompt, *replies in blocks:
        q, k, v = next(parts)
        pieces.append(F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=scaling, enable_gqa=True))
        for reply in replies:
            own_q, own_k, own_v = next(parts)
            if reply:
                keys, values = torch.cat((k, own_k), dim=2), torch.cat((v, own_v), dim=2)
                mask = seen(reply, prompt)
                pieces.append(
                    F.scaled_dot_product_attention(
                        own_q, keys, values, attn_mask=mask, scale=scaling, enable_gqa=True
                    )
                )
    return torch.cat(pieces, dim=2).transpose(1, 2).contiguous(), None


AttentionInterface.register(PACKED, packed_attention)


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
