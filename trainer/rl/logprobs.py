"""Log-probabilities of response tokens, without ever holding the logits of all of them.

The head is applied to the hidden states of response positions alone, in chunks, and each chunk is computed again in
the backward pass: at any time there are logits of one chunk, [C, V], where a plain forward pass would hold [T, V] three
times over (logits, their softmax, its gradient).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from trainer.rl.attention import PACKED, Blocks
from trainer.rl.data import TokenSet
from trainer.rl.packing import Pack

SHUT_OUT = -1e30
"""Logit of a token that the grammar does not allow: its probability is exactly 0, and 0 times it is finite."""


@dataclass(frozen=True, slots=True)
class Scores:
    """What a policy says of response tokens.

    Attributes:
        logprobs: log-probability of each drawn token among those allowed, [N].
        entropy: entropy of the distribution that it was drawn from, in nats, [N]; without gradient.
    """

    logprobs: Tensor
    entropy: Tensor


class AllowedMasks:
    """Masks [V] of token sets, each built once."""

    def __init__(self, vocabulary_size: int, device: torch.device | str) -> None:
        self._size = vocabulary_size
        self._device = device
        self._known: dict[TokenSet | None, Tensor] = {}

    def rows(self, allowed: Sequence[TokenSet | None]) -> Tensor | None:
        """True = allowed, [N, V]; None = everything is, everywhere."""
        if all(each is None for each in allowed):
            return None
        return torch.stack([self._mask(each) for each in allowed])

    def _mask(self, allowed: TokenSet | None) -> Tensor:
        if allowed not in self._known:
            is_complement = allowed is None or allowed.is_complement
            mask = torch.full((self._size,), is_complement, dtype=torch.bool, device=self._device)
            if allowed is not None:
                mask[list(allowed.ids)] = not is_complement
            self._known[allowed] = mask
        return self._known[allowed]


def constrained_logprobs(logits: Tensor, allowed: Tensor | None, temperature: float) -> Tensor:
    """Log-probabilities [N, V] in float32 at a temperature among the allowed tokens."""
    logits = logits.float() / temperature
    if allowed is not None:
        logits = logits.masked_fill(~allowed, SHUT_OUT)
    return logits.log_softmax(-1)


def score(
    hidden: Tensor,
    head: nn.Module,
    targets: Tensor,
    allowed: Sequence[TokenSet | None],
    *,
    temperature: float,
    chunk_tokens: int,
) -> Scores:
    """Score response tokens from the hidden states before them.

    Args:
        hidden: [N, D].
        head: maps [C, D] to logits [C, V].
        targets: drawn tokens, [N].
        allowed: what each was drawn from, N of them.
        temperature: of the rollout.
        chunk_tokens: positions whose logits exist at one time.
    """
    size = _vocabulary_size(head)
    masks = AllowedMasks(size, hidden.device)
    parts: list[tuple[Tensor, Tensor]] = []
    for start in range(0, len(targets), chunk_tokens):
        part = slice(start, start + chunk_tokens)

        def compute(states: Tensor, part: slice = part) -> tuple[Tensor, Tensor]:
            # The mask is built again in the backward pass too: it is as large as the logits.
            every = constrained_logprobs(head(states), masks.rows(allowed[part]), temperature)
            chosen = every.gather(-1, targets[part, None]).squeeze(-1)
            with torch.no_grad():
                entropy = -(every.exp() * every).sum(-1)
            return chosen, entropy

        if torch.is_grad_enabled():
            parts.append(checkpoint(compute, hidden[part], use_reentrant=False))
        else:
            parts.append(compute(hidden[part]))
    return Scores(torch.cat([p[0] for p in parts]), torch.cat([p[1] for p in parts]))


def _vocabulary_size(head: nn.Module) -> int:
    weight = head.get_parameter("weight")
    return int(weight.shape[0])


def hidden_states(model: nn.Module, pack: Pack) -> Tensor:
    """Hidden states before response tokens, [N, D], of a transformers decoder with a head.

    There is no mask: block-wise attention is told the blocks, and flash attention sees where positions start again.
    """
    output = model.get_submodule("model")(
        input_ids=pack.ids,
        position_ids=pack.positions,
        use_cache=False,
        **blocks_for(model, pack.blocks),
    )
    states: Tensor = output.last_hidden_state[0, pack.sources]
    return states


def is_blockwise(model: nn.Module) -> bool:
    """Whether a decoder can be told the blocks of a row."""
    config: Any = model.config
    return bool(config._attn_implementation == PACKED)


def blocks_for(model: nn.Module, blocks: Blocks) -> dict[str, Blocks]:
    """What the decoder is told of the conversations in a row."""
    return {"blocks": blocks} if is_blockwise(model) else {}


def score_pack(model: nn.Module, pack: Pack, *, temperature: float, chunk_tokens: int) -> Scores:
    """Score every response token of a pack."""
    return score(
        hidden_states(model, pack),
        model.get_submodule("lm_head"),
        pack.targets,
        pack.allowed,
        temperature=temperature,
        chunk_tokens=chunk_tokens,
    )
