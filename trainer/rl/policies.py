"""The policy of a recipe: as it is before training, and as it is written after it."""

import os
from dataclasses import replace
from pathlib import Path

import torch

from trainer.rl.distributed import gathered, put_weights
from trainer.rl.errors import RecipeError
from trainer.rl.lora import add_adapters, merge_adapters, save_adapters
from trainer.rl.models import Policy, checkpoint_layers, load_policy, save_policy
from trainer.rl.recipe import Recipe


def device_of(recipe: Recipe) -> str:
    """Where a recipe is computed, by this process.

    Raises:
        RecipeError: there is no such device here.
    """
    device = recipe.model.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and "LOCAL_RANK" in os.environ:
        device = f"cuda:{os.environ['LOCAL_RANK']}"
    try:
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError) as exc:  # torch's own words are for programmers
        raise RecipeError(
            f"model.device = '{device}': there is no such device here.",
            hint="It is cpu, cuda, or auto for a GPU where there is one. cuda needs an NVIDIA GPU, its driver, and a "
            "torch that was built for it.",
        ) from exc
    return device


def open_policy(recipe: Recipe) -> Policy:
    """The policy of a recipe as it is before training.

    Raises:
        PalimpsestError: the model cannot be used.
    """
    policy = load_policy(
        Path(recipe.model.path),
        attention=recipe.model.attention,
        device=device_of(recipe),
        base_bits=recipe.model.base_bits,
    )
    if recipe.model.lora_rank:
        add_adapters(
            policy.model, rank=recipe.model.lora_rank, alpha=recipe.model.lora_alpha, seed=recipe.run.seed
        )
    if recipe.model.gradient_checkpointing:
        checkpoint_layers(policy.model)
    return policy


def write_policy(recipe: Recipe, policy: Policy, folder: Path, *, is_sharded: bool, is_first: bool) -> None:
    """The trained policy as a checkpoint folder; adapters apart as well, and merged into it.

    Args:
        recipe: of the run.
        policy: what was trained; its adapters are merged into it.
        folder: of the run; written are ``policy`` and ``adapter`` in it.
        is_sharded: its weights are spread over several processes, which all have to ask.
        is_first: this process writes.
    """
    if is_sharded or recipe.model.base_bits != 32:
        trained = gathered({n: p.detach() for n, p in policy.model.named_parameters() if p.requires_grad})
        if not is_first:
            return
        policy = _plain_policy(recipe)
        put_weights(policy.model, trained)
    if recipe.model.lora_rank:
        save_adapters(policy.model, folder / "adapter", base=recipe.model.path)
        merge_adapters(policy.model)
    save_policy(policy, folder / "policy")


def _plain_policy(recipe: Recipe) -> Policy:
    """The policy whole and unquantised.

    Adapters of a base in 4 bits are merged into the base as it was: quantising what was merged, or merging into what
    was quantised, would add an error that training never saw.
    """
    return open_policy(replace(recipe, model=replace(recipe.model, base_bits=32, device="cpu")))
