"""What a run computes with: the policy, what draws its replies, what updates it; put together in one place."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from trainer.rl.backend import TorchBackend
from trainer.rl.data import Conversation
from trainer.rl.decoding import Decoder, Draws
from trainer.rl.distributed import Ranks, Sharding, join_ranks, put_weights
from trainer.rl.models import Policy
from trainer.rl.optimizer import Stepper
from trainer.rl.policies import device_of, open_policy
from trainer.rl.recipe import Recipe
from trainer.rl.served import served_decoder
from trainer.rl.source import JobSource
from trainer.rl.update import Budget, Computing, score_all

AUTOCAST = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}
"""What `model.precision` means: None = the weights' own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The parts of a run.

    Attributes:
        recipe: what to do.
        policy: the model that is trained.
        reference: the policy as it was, for a KL term; None = no such term, or adapters, which are switched off for it.
        backend: the policy as the engine sees it, with the decoder that draws.
        source: the jobs by number.
        stepper: optimizer, learning rate and loss scale.
        budget: tokens of a row; halves when memory runs out.
        computing: how scores and losses are computed.
        ranks: the processes of the run.
        sharding: of the policy among them; None = there is one.
    """

    recipe: Recipe
    policy: Policy
    reference: nn.Module | None
    backend: TorchBackend
    source: JobSource
    stepper: Stepper
    budget: Budget
    computing: Computing
    ranks: Ranks
    sharding: Sharding | None

    def whole(self) -> AbstractContextManager[None]:
        """What is computed inside has all weights at hand, and no gradient."""
        return self.sharding.whole() if self.sharding else nullcontext()

    def scores(
        self, talks: Sequence[Conversation], model: nn.Module | None = None
    ) -> list[tuple[float, ...]]:
        """Log-probabilities of what was replied, in nats, a tuple for each conversation.

        Args:
            talks: the conversations.
            model: whose; None = the policy's.
        """
        return score_all(self.policy.model if model is None else model, talks, self.computing, self.budget)

    def restore(self, state: dict[str, Any]) -> None:
        """Take weights and optimizer from a checkpoint."""
        put_weights(self.policy.model, state["model"])
        self.stepper.load(state["stepper"])
        self.backend.decoder.weights_changed()


def open_parts(recipe: Recipe, folder: Path) -> Parts:
    """Open all that a recipe needs.

    Args:
        recipe: what to do.
        folder: of the run; weights for a server are written there.

    Raises:
        RecipeError: the recipe cannot be trained by several processes, or names what there is not.
        PalimpsestError: the model or the data cannot be used.
    """
    if recipe.run.threads:
        torch.set_num_threads(recipe.run.threads)
    torch.manual_seed(recipe.run.seed)
    ranks = join_ranks(recipe, is_gpu=device_of(recipe).startswith("cuda"))
    policy = open_policy(recipe)
    # Adapters are simply switched off for the reference.
    has_reference = bool(recipe.loss.kl) and not recipe.model.lora_rank
    reference = open_policy(recipe).model.requires_grad_(False) if has_reference else None
    sharding = Sharding(policy.model, ranks) if ranks.count > 1 else None
    autocast = AUTOCAST[recipe.model.precision]
    computing = Computing(
        temperature=recipe.rollout.temperature,
        head_tokens=recipe.optimizer.head_tokens,
        autocast=autocast,
        pad_multiple=256 if policy.device.type == "cuda" else 1,
        ranks=ranks,
        sharding=sharding,
    )
    budget = Budget(recipe.optimizer.token_budget)
    backend = TorchBackend(
        policy,
        _open_decoder(recipe, policy, folder, computing, budget),
        context_tokens=recipe.reading.context_tokens or None,
    )
    return Parts(
        recipe=recipe,
        policy=policy,
        reference=reference,
        backend=backend,
        source=JobSource(recipe, backend),
        stepper=Stepper(policy.model, recipe.optimizer, is_scaled=autocast is torch.float16),
        budget=budget,
        computing=computing,
        ranks=ranks,
        sharding=sharding,
    )


def _open_decoder(
    recipe: Recipe, policy: Policy, folder: Path, computing: Computing, budget: Budget
) -> Draws:
    if recipe.rollout.engine != "vllm":
        return Decoder(
            policy.model,
            policy.vocabulary,
            cache_tokens=recipe.rollout.cache_tokens,
            autocast=computing.autocast,
        )

    def scores_at(talks: Sequence[Conversation], temperature: float) -> list[tuple[float, ...]]:
        return score_all(policy.model, talks, replace(computing, temperature=temperature), budget)

    return served_decoder(recipe, policy, folder, scores_at)
