"""Attention over a packed row, block by block.

A block-diagonal mask makes scaled-dot-product attention compute, and mask, T x T products for a row of T tokens; the
blocks are a small part of them. Here each block is a causal call of its own, without any mask, so that a row costs
what its conversations cost, and fused kernels can be used. Registered with transformers under `PACKED`; where no
segments are given it is transformers' own sdpa, with the mask that it was given.
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


def packed_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    segment_lengths: tuple[int, ...] | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Attend within each of the segments that a row consists of.

    Args:
        module: the attention layer.
        query: [1, heads, T, head size].
        key: [1, kv heads, T, head size].
        value: the same.
        attention_mask: what transformers made; only without segments.
        scaling: of the products.
        segment_lengths: lengths of the segments, which add up to T; None = plain sdpa.
        kwargs: passed on to plain sdpa.

    Returns:
        [1, T, heads, head size], and no weights.
    """
    if segment_lengths is None:
        mixed, _ = sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, **kwargs
        )
        return mixed, None
    pieces = [
        F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=scaling, enable_gqa=True)
        for q, k, v in zip(
            torch.split(query, list(segment_lengths), dim=2),
            torch.split(key, list(segment_lengths), dim=2),
            torch.split(value, list(segment_lengths), dim=2),
            strict=True,
        )
    ]
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
