"""A start from which copying and matching are within reach: known circuits laid out in the weights.

Random weights spend most of a short training on discovering a few things that are known. They are
written down here, and training refines them, in the spirit of mimetic initialisation (Trockman and
Kolter 2023, arXiv 2305.09828); the first circuit is that of Olsson et al. 2022, "In-context
Learning and Induction Heads" (arXiv 2209.11895).

- Layer 0, head 0 attends to the previous token and notes it. Qwen2's biases of q and k, turned by
  the rotary positions, make attention a function of distance alone.
- Layer 0, group 1 marks every token that stands behind ``<|memory|>``, that is, everything but the
  question.
- Layer 1, group 0 is an induction head: the query is the current token, the key what the first
  head noted, the attended token is copied to the output.
- Layer 1, groups 1 and 2 look for the current token among the tokens without the mark, the
  question's. A token that the question does not have finds only ``<|user|>``, and that is noted.
- Layer 2, group 0 looks at the last few tokens, from where a label gathers what was noted.
- In the last layer ``<|assistant|>`` points at labels that lean to yes, and copies them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from trainer.model import EMBEDDING_STD, ROPE_THETA, Attention, Layer, Shape, StarterModel
from trainer.tokens import Codec

PREVIOUS_SHARPNESS = 6.8
"""Size of the positional biases: the previous token gets nearly all of the attention."""
RECENT_SHARPNESS = (2.8, 1.7)
"""The same for the two heads that look at the last few tokens, or the last dozen."""
INDUCTION_GAIN = 2.2
"""Gain of matching queries and keys: an equal token stands out by about ten logits."""
MEMBERSHIP_GAIN = 3.4
POINTER_GAIN = 3.0
MARK_LOGIT = 10.0
MARK_PENALTY = 14.0
SINK_LOGIT = 8.0
NOTE_NORM = 13.0 * EMBEDDING_STD
"""Length of a note in the residual stream: about that of an embedding."""


class _Plan:
    """Directions of the residual stream that the circuits use, orthogonal to each other."""

    def __init__(self, model: StarterModel) -> None:
        self.shape: Shape = model.shape
        self.size = model.shape.head_size
        self.per_group = model.shape.heads // model.shape.kv_heads
        basis = torch.linalg.qr(torch.randn(model.shape.hidden, model.shape.hidden)).Q.T
        self.mark, self.unseen = basis[0], basis[1]
        rest = basis[2:]
        count = min(self.size, rest.shape[0] // 4)
        self.content = rest[:count]
        self.written = rest[count : 2 * count]
        self.pointed = basis[-self.size :]
        self.copied = rest[2 * count : 3 * count]
        # Dimensions of a head that hardly turn over a thousand tokens: content is compared there.
        slow = torch.arange(self.size // 4, self.size // 2 - 1)
        self.slow = torch.cat([slow, slow + self.size // 2])
        self.slowest = (self.size // 2 - 1, self.size - 1)

    def query(self, group: int, member: int = 0) -> int:
        """First row of a query head."""
        return (group * self.per_group + member) * self.size


@torch.no_grad()
def lay_out(model: StarterModel, codec: Codec) -> None:
    """Write the circuits into the first layers.

    Raises:
        ValueError: The network has fewer than three layers or key-value heads.
    """
    if model.shape.layers < 3 or model.shape.kv_heads < 3:
        raise ValueError("the circuits need three layers and three key-value heads")
    plan = _Plan(model)
    table = model.model.embed_tokens.weight
    for direction in (plan.mark, plan.unseen):
        # No token may carry by chance what is to be a note.
        table -= torch.outer(table @ direction, direction)
    memory, user = (_detector(table, codec.special[token]) for token in ("<|memory|>", "<|user|>"))
    first, second, third = (_attention(model, index) for index in range(3))
    _note_previous(first, plan)
    _mark_behind(first, plan, memory)
    _copy_after_match(second, plan)
    for group in (1, 2):
        _look_up_in_question(second, plan, group, user)
    _point_at_yes(_attention(model, model.shape.layers - 1), plan, table, codec)
    for member, sharpness in zip(range(plan.per_group), RECENT_SHARPNESS, strict=False):
        _attend_by_distance(third, plan, member, 0, sharpness, slice(2, 5))


def _attention(model: StarterModel, index: int) -> Attention:
    layer = model.model.layers[index]
    assert isinstance(layer, Layer)
    return layer.self_attn


def _detector(table: Tensor, token: int) -> Tensor:
    """Direction whose product with the normalised token is 1, and with others near 0."""
    vector = table[token]
    direction: Tensor = vector / vector.norm() / len(vector) ** 0.5
    return direction


def _attend_by_distance(
    attention: Attention, plan: _Plan, member: int, distance: int, sharpness: float, pairs: slice
) -> None:
    """Let a query head of group 0 attend by position alone.

    With complex pairs, a query ``a e^(-i t d)`` and a key ``a`` turned by their positions give
    ``a^2 cos(t (distance - d))``, which is largest at distance ``d`` for every frequency ``t``.
    """
    half = plan.size // 2
    angles = distance * ROPE_THETA ** (-torch.arange(half)[pairs] / half)
    query = plan.query(0, member)
    attention.q_proj.weight[query : query + plan.size] = 0.0
    attention.k_proj.weight[: plan.size] = 0.0
    attention.q_proj.bias[query : query + half][pairs] = sharpness * angles.cos()
    attention.q_proj.bias[query + half : query + plan.size][pairs] = -sharpness * angles.sin()
    attention.k_proj.bias[:half][pairs] = sharpness if member == 0 else attention.k_proj.bias[:half][pairs]


def _note_previous(attention: Attention, plan: _Plan) -> None:
    _attend_by_distance(attention, plan, 0, 1, PREVIOUS_SHARPNESS, slice(0, plan.size // 4))
    count = len(plan.content)
    attention.v_proj.weight[: plan.size] = 0.0
    attention.v_proj.weight[:count] = plan.content
    attention.o_proj.weight[:, :count] = 2 * EMBEDDING_STD * plan.written.T


def _mark_behind(attention: Attention, plan: _Plan, memory: Tensor) -> None:
    query, key = plan.query(1), plan.size
    dimension = plan.slowest[0]
    gain = (MARK_LOGIT * plan.size**0.5) ** 0.5
    attention.q_proj.weight[query : query + plan.size] = 0.0
    attention.k_proj.weight[key : key + plan.size] = 0.0
    attention.q_proj.bias[query + dimension] = gain
    attention.k_proj.weight[key + dimension] = gain * memory
    attention.v_proj.weight[key] = memory
    attention.o_proj.weight[:, query] = NOTE_NORM * plan.mark


def _copy_after_match(attention: Attention, plan: _Plan) -> None:
    query, key = plan.query(0), 0
    attention.q_proj.weight[query : query + plan.size] = 0.0
    attention.k_proj.weight[key : key + plan.size] = 0.0
    count = min(len(plan.slow), len(plan.content))
    attention.q_proj.weight[query + plan.slow[:count]] = INDUCTION_GAIN * plan.content[:count]
    attention.k_proj.weight[key + plan.slow[:count]] = INDUCTION_GAIN * plan.written[:count]
    copied = plan.copied
    attention.v_proj.weight[key : key + len(copied)] = copied
    attention.o_proj.weight[:, query : query + len(copied)] = 7 * EMBEDDING_STD * copied.T


def _look_up_in_question(attention: Attention, plan: _Plan, group: int, user: Tensor) -> None:
    """Two heads compare different parts of the content, since one has few dimensions for it."""
    query, key = plan.query(group), group * plan.size
    attention.q_proj.weight[query : query + plan.size] = 0.0
    attention.k_proj.weight[key : key + plan.size] = 0.0
    count = min(len(plan.slow), len(plan.content) // 2)
    compared = MEMBERSHIP_GAIN * plan.content[(group - 1) * count : group * count]
    attention.q_proj.weight[query + plan.slow[:count]] = compared
    attention.k_proj.weight[key + plan.slow[:count]] = compared
    outside, sink = plan.slowest
    scale = plan.size**0.5
    # A marked token's normalised mark is about NOTE_NORM over the stream's size, here near 8.
    attention.q_proj.bias[query + outside] = (MARK_PENALTY * scale) ** 0.5
    attention.k_proj.weight[key + outside] = -((MARK_PENALTY * scale) ** 0.5) / 8 * plan.mark
    attention.q_proj.bias[query + sink] = (SINK_LOGIT * scale) ** 0.5
    attention.k_proj.weight[key + sink] = (SINK_LOGIT * scale) ** 0.5 * user * 1.25
    attention.v_proj.weight[key] = user * 1.25
    attention.o_proj.weight[:, query] = NOTE_NORM * plan.unseen


def _point_at_yes(attention: Attention, plan: _Plan, table: Tensor, codec: Codec) -> None:
    query = plan.query(0)
    dimension = plan.slowest[0]
    lean = table[codec.special["<|yes|>"]] - table[codec.special["<|no|>"]]
    attention.q_proj.weight[query : query + plan.size] = 0.0
    attention.k_proj.weight[: plan.size] = 0.0
    asking = _detector(table, codec.special["<|assistant|>"])
    attention.q_proj.weight[query + dimension] = POINTER_GAIN * asking
    attention.k_proj.weight[dimension] = POINTER_GAIN * lean / lean.norm()
    attention.v_proj.weight[: plan.size] = plan.pointed
    attention.o_proj.weight[:, query : query + plan.size] = 3 * EMBEDDING_STD * plan.pointed.T
