"""AdamW with warm-up, decay and loss scaling, and the guard against what is not finite."""

import importlib
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from engine.errors import TrainerMissingError
from trainer.rl.distributed import gathered, like
from trainer.rl.recipe import OptimizerConfig
from trainer.rl.scaling import LossScale

_LEAST_RATE = 0.01
"""Share of the rate that is left after its fall."""


class Stepper:
    """Takes optimizer steps.

    Args:
        model: what is trained: every parameter that wants a gradient.
        config: see `OptimizerConfig`.
        is_scaled: scale the loss, for float16.

    Raises:
        TrainerMissingError: 8-bit AdamW without bitsandbytes.

    Attributes:
        num_updates: updates that were taken.
        scale: factor on the loss; whoever computes gradients must apply it.
        rate_scale: factor on the learning rate; halves when the run goes back.
    """

    def __init__(self, model: nn.Module, config: OptimizerConfig, *, is_scaled: bool = False) -> None:
        self._config = config
        self._parameters = [p for p in model.parameters() if p.requires_grad]
        is_gpu = self._parameters[0].device.type == "cuda"
        self.optimizer = make_optimizer(self._parameters, config, is_fused=is_gpu)
        self.scale = LossScale(is_on=is_scaled)
        self.num_updates = 0
        self.rate_scale = 1.0

    @property
    def rate(self) -> float:
        """Learning rate of the next update: linear warm-up, constant, and, where asked for, a linear fall.

        Warm-up, stable, decay (arXiv 2404.06395).
        """
        config = self._config
        factor = min(1.0, (self.num_updates + 1) / config.warmup) if config.warmup else 1.0
        if config.decay:
            fallen = (self.num_updates - config.decay_from) / config.decay
            factor *= min(1.0, max(_LEAST_RATE, 1.0 - fallen))
        return config.lr * factor * self.rate_scale

    def step(self) -> float | None:
        """Clip and update; None = the gradient is not finite, and nothing was changed.

        Returns:
            the norm of the gradient before clipping.
        """
        norm = self._clip()
        is_finite = bool(torch.isfinite(norm))
        if is_finite:
            for group in self.optimizer.param_groups:
                group["lr"] = self.rate
            self.optimizer.step()
            self.num_updates += 1
            self.scale.grow()
        self.optimizer.zero_grad(set_to_none=True)
        return float(norm) if is_finite else None

    def state(self) -> dict[str, Any]:
        """Everything that a resumed run needs, in whole tensors; every process must ask."""
        return {
            "optimizer": gathered(self.optimizer.state_dict()),
            "num_updates": self.num_updates,
            "rate_scale": self.rate_scale,
            "scale": self.scale.state(),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Inverse of `state`."""
        self.optimizer.load_state_dict(self._cut(state["optimizer"]))
        self.num_updates = state["num_updates"]
        self.rate_scale = state["rate_scale"]
        self.scale.load(state["scale"])

    def _clip(self) -> Tensor:
        """Unscale and clip by the norm of the whole gradient, which is returned, [].

        A gradient in shards has one norm: that of all shards.
        """
        gradients = [p.grad for p in self._parameters if p.grad is not None]
        if self.scale.factor != 1:
            for gradient in gradients:
                gradient.div_(self.scale.factor)
        norm = torch.nn.utils.get_total_norm(gradients)
        norm = norm.full_tensor() if isinstance(norm, DTensor) else norm
        torch.nn.utils.clip_grads_with_norm_(self._parameters, self._config.clip_norm, norm)
        return norm

    def _cut(self, state: dict[str, Any]) -> dict[str, Any]:
        """Moments as their parameters are: whole, or in shards."""
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        cut = {
            index: {
                name: like(value, parameters[index]) if isinstance(value, Tensor) else value
                for name, value in moments.items()
            }
            for index, moments in state["state"].items()
        }
        return {**state, "state": cut}


def make_optimizer(
    parameters: list[nn.Parameter], config: OptimizerConfig, *, is_fused: bool
) -> torch.optim.Optimizer:
    """AdamW with weight decay on matrices alone.

    Args:
        parameters: what is trained.
        config: see `OptimizerConfig`.
        is_fused: as on a GPU, where it would otherwise hold copies of everything for a moment.

    Raises:
        TrainerMissingError: 8-bit AdamW without bitsandbytes.
    """
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    betas = (config.beta1, config.beta2)
    if not config.is_8bit:
        return torch.optim.AdamW(groups, lr=config.lr, betas=betas, fused=is_fused)
    try:
        library = importlib.import_module("bitsandbytes.optim")
    except ImportError as exc:
        raise TrainerMissingError(
            "The 8-bit optimizer needs the package bitsandbytes, which is not installed.",
            hint="Install it, or set optimizer.is_8bit to false.",
        ) from exc
    optimizer: torch.optim.Optimizer = library.AdamW8bit(groups, lr=config.lr, betas=betas)
    return optimizer
