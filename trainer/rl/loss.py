"""The objective, one global token mean over a mini-batch, and what is measured of it.

With theta the weights, old those at the start of the step, and for token t of conversation j

    r_t = exp(log pi_theta(t) - log pi_old(t))

    dapo   J_t = min(r_t A, clip(r_t, 1 - e_low, 1 + e_high) A)                 PPO, DAPO (arXiv 2503.14476, eq. 8)
           and if A < 0 with dual clip c:  J_t = max(J_t, c A)                  dual clip (arXiv 1912.09729, eq. 8)
    gspo   as dapo, with r_t replaced by s_j * pi_theta(t) / sg[pi_theta(t)],
           s_j = exp(mean over j of log pi_theta - log pi_old)                  GSPO (arXiv 2507.18071, eq. 14)
    cispo  J_t = sg[min(r_t, 1 + e_high)] A log pi_theta(t)                     CISPO (arXiv 2506.13585, eq. 4)

    loss = - sum_t w_t m_t J_t + beta * sum_t w_t k3_t
    k3_t = exp(d) - d - 1,  d = log pi_ref(t) - log pi_theta(t)                 Schulman, "Approximating KL divergence"
    m_t  = sg[min(pi_old(t) / pi_rollout(t), cap)]                              truncated importance sampling

m corrects for rollouts that another engine (or another precision) drew than the trainer's own forward pass; the weights
w_t are 1 over the number of response tokens of the whole mini-batch (`token`), so that it does not matter how the
mini-batch is cut into packs. `sequence` is GRPO's mean of means, `constant` is Dr.GRPO's (arXiv 2503.20783) division by
a constant length.
"""

from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from engine.errors import PlanError

Variant = Literal["dapo", "gspo", "cispo"]
Aggregation = Literal["token", "sequence", "constant"]
# exp() beyond this overflows nothing in float32 and tells nothing more either.
_MOST_LOG_RATIO = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LossConfig:
    """The objective. The defaults are MemAgent's released recipe.

    Attributes:
        variant: dapo, gspo or cispo.
        clip_low: e_low in [0, 1); 1 minus it is the least ratio.
        clip_high: e_high, >= 0; DAPO's clip-higher is 0.28.
        dual_clip: c > 1; 0 = off.
        kl: beta, >= 0; 0 = no reference policy is needed.
        importance_cap: cap of the truncated importance sampling, >= 1; 0 = off.
        aggregation: token, sequence or constant.
        constant_tokens: length that `constant` divides by.
    """

    variant: Variant = "dapo"
    clip_low: float = 0.2
    clip_high: float = 0.2
    dual_clip: float = 0.0
    kl: float = 1e-3
    importance_cap: float = 0.0
    aggregation: Aggregation = "token"
    constant_tokens: int = 256

    def __post_init__(self) -> None:
        if not 0 <= self.clip_low < 1 or self.clip_high < 0:
            raise PlanError("loss.clip_low must lie in [0, 1) and loss.clip_high must be >= 0.")
        if self.dual_clip and self.dual_clip <= 1:
            raise PlanError(f"loss.dual_clip must be above 1, or 0 for off, not {self.dual_clip}.")
        if self.importance_cap and self.importance_cap < 1:
            raise PlanError(
                f"loss.importance_cap must be at least 1, or 0 for off, not {self.importance_cap}."
            )
        if self.kl < 0 or self.constant_tokens < 1:
            raise PlanError("loss.kl must be >= 0 and loss.constant_tokens at least 1.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Response tokens of whole conversations, laid end to end.

    Attributes:
        logprobs: log pi_theta, with gradient, [N].
        old: log pi_old, [N].
        rollout: log pi_rollout, [N].
        reference: log pi_ref, [N]; None where there is no KL term.
        advantages: [N].
        conversation: number of each token's conversation within these terms, [N], from 0.
        entropy: entropy of each token's distribution in nats, [N]; measured only.
    """

    logprobs: Tensor
    old: Tensor
    rollout: Tensor
    reference: Tensor | None
    advantages: Tensor
    conversation: Tensor
    entropy: Tensor


@dataclass(frozen=True, slots=True)
class Denominator:
    """Size of the whole mini-batch, whatever part of it some terms are.

    Attributes:
        num_tokens: response tokens.
        num_conversations: conversations.
    """

    num_tokens: int
    num_conversations: int


@dataclass(slots=True)
class Sums:
    """Sums over tokens, to be added up over packs and divided at the end."""

    values: dict[str, float] = field(default_factory=dict)
    largest_gap: float = 0.0

    def add(self, other: "Sums") -> None:
        """Add another pack's."""
        for name, value in other.values.items():
            self.values[name] = self.values.get(name, 0.0) + value
        self.largest_gap = max(self.largest_gap, other.largest_gap)

    def means(self) -> dict[str, float]:
        """Means over tokens; the loss as it is."""
        count = max(1.0, self.values.get("tokens", 0.0))
        means = {n: v if n in ("loss", "tokens") else v / count for n, v in sorted(self.values.items())}
        return {**means, "rollout_gap_max": self.largest_gap}


def policy_loss(terms: Terms, config: LossConfig, whole: Denominator) -> tuple[Tensor, Sums]:
    """The part of the mini-batch's loss that these terms make up, and sums for the metrics.

    Args:
        terms: some whole conversations of the mini-batch.
        config: the objective.
        whole: size of the mini-batch.

    Returns:
        a scalar with gradient; the scalars of all parts add up to the loss of the mini-batch.
    """
    objective, clips = _objective(terms, config)
    if config.importance_cap:
        mismatch = _ratio(terms.old - terms.rollout)
        objective = objective * mismatch.clamp(max=config.importance_cap)
        clips["importance_capped"] = mismatch > config.importance_cap
    per_token = -objective
    divergence = torch.zeros_like(per_token)
    if terms.reference is not None:
        divergence = k3(terms.reference - terms.logprobs)
        per_token = per_token + config.kl * divergence
    loss = (per_token * _weights(terms, config, whole)).sum()
    return loss, _measure(terms, loss, divergence, clips)


def k3(difference: Tensor) -> Tensor:
    """Schulman's third estimator of a KL divergence, of log pi_ref - log pi_theta."""
    bounded = difference.clamp(-_MOST_LOG_RATIO, _MOST_LOG_RATIO)
    return torch.expm1(bounded) - bounded


def _ratio(difference: Tensor) -> Tensor:
    return difference.clamp(-_MOST_LOG_RATIO, _MOST_LOG_RATIO).exp()


def _objective(terms: Terms, config: LossConfig) -> tuple[Tensor, dict[str, Tensor]]:
    """J of each token [N], and which tokens were clipped how."""
    advantages = terms.advantages
    difference = terms.logprobs - terms.old
    high = 1 + config.clip_high
    if config.variant == "cispo":
        ratio = _ratio(difference).detach()
        return ratio.clamp(max=high) * advantages * terms.logprobs, {"clip_high": ratio > high}
    if config.variant == "gspo":
        mean = _conversation_means(difference, terms.conversation).detach()
        # The value is the sequence's ratio, the gradient that of each token: eq. 14.
        difference = mean + terms.logprobs - terms.logprobs.detach()
    ratio = _ratio(difference)
    plain, clipped = ratio * advantages, ratio.clamp(1 - config.clip_low, high) * advantages
    objective = torch.minimum(plain, clipped)
    clips = {
        "clip_low": (ratio < 1 - config.clip_low) & (advantages < 0),
        "clip_high": (ratio > high) & (advantages > 0),
    }
    if config.dual_clip:
        floor = config.dual_clip * advantages
        clips["clip_dual"] = (advantages < 0) & (objective < floor)
        objective = torch.where(advantages < 0, torch.maximum(objective, floor), objective)
    return objective, clips


def _conversation_means(values: Tensor, conversation: Tensor) -> Tensor:
    """Mean over each token's conversation, [N]."""
    lengths = _lengths(conversation)
    sums = torch.zeros_like(lengths, dtype=values.dtype).index_add(0, conversation, values)
    means: Tensor = (sums / lengths)[conversation]
    return means


def _lengths(conversation: Tensor) -> Tensor:
    return torch.bincount(conversation)


def _weights(terms: Terms, config: LossConfig, whole: Denominator) -> Tensor:
    """w of each token, [N]."""
    ones = torch.ones_like(terms.advantages)
    if config.aggregation == "token":
        return ones / whole.num_tokens
    if config.aggregation == "constant":
        return ones / (whole.num_conversations * config.constant_tokens)
    return ones / (_lengths(terms.conversation)[terms.conversation] * whole.num_conversations)


@torch.no_grad()
def _measure(terms: Terms, loss: Tensor, divergence: Tensor, clips: dict[str, Tensor]) -> Sums:
    gap = (terms.old - terms.rollout).abs()
    values = {
        "tokens": float(len(terms.advantages)),
        "loss": float(loss.detach()),
        "entropy": float(terms.entropy.sum()),
        "kl": float(divergence.sum()),
        "ratio": float(_ratio(terms.logprobs - terms.old).sum()),
        "rollout_gap": float(gap.sum()),
        **{name: float(hit.sum()) for name, hit in clips.items()},
    }
    return Sums(values, float(gap.max()) if len(gap) else 0.0)
