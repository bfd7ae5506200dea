"""Optimizer: Muon for the hidden matrices, AdamW for everything else.

Muon (Jordan et al. 2024, kellerjordan.github.io/posts/muon) orthogonalises the momentum with a
Newton-Schulz iteration. Own implementation: matrices of one shape are iterated as one batch in
fp32, since bf16, which `torch.optim.Muon` uses, is slow on CPUs without native support.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)


@torch.no_grad()
def orthogonalise(batch: Tensor, steps: int = 5) -> Tensor:
    """Bring the singular values of each matrix of [N, R, C] near to 1."""
    x: Tensor
    a, b, c = _COEFFICIENTS
    tall = batch.shape[1] > batch.shape[2]
    x = batch.transpose(1, 2) if tall else batch
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.transpose(1, 2)
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.transpose(1, 2) if tall else x


class Muon(torch.optim.Optimizer):
    """Muon with Nesterov momentum and decoupled weight decay."""

    def __init__(
        self, params: list[nn.Parameter], lr: float, momentum: float = 0.95, weight_decay: float = 0.0
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Update every matrix that has a gradient."""
        for group in self.param_groups:
            by_shape: dict[tuple[int, ...], list[nn.Parameter]] = {}
            for parameter in group["params"]:
                if parameter.grad is not None:
                    by_shape.setdefault(tuple(parameter.shape), []).append(parameter)
            for shape, parameters in by_shape.items():
                self._step_shape(shape, parameters, group)

    def _step_shape(
        self, shape: tuple[int, ...], parameters: list[nn.Parameter], group: dict[str, Any]
    ) -> None:
        momentum = group["momentum"]
        directions = []
        for parameter in parameters:
            assert parameter.grad is not None
            state = self.state[parameter]
            if "momentum" not in state:
                state["momentum"] = torch.zeros_like(parameter)
            buffer = state["momentum"].lerp_(parameter.grad, 1 - momentum)
            directions.append(parameter.grad.lerp(buffer, momentum))
        updates = orthogonalise(torch.stack(directions))
        scale = group["lr"] * math.sqrt(max(1.0, shape[0] / shape[1]))
        for parameter, update in zip(parameters, updates, strict=True):
            parameter.mul_(1 - group["lr"] * group["weight_decay"])
            parameter.add_(update, alpha=-scale)


def build_optimizers(
    model: nn.Module, *, muon_lr: float, table_lr: float, vector_lr: float
) -> list[torch.optim.Optimizer]:
    """Split the parameters: hidden matrices to Muon, embedding, norms and biases to AdamW."""
    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n]
    table = [p for n, p in model.named_parameters() if "embed" in n]
    vectors = [p for p in model.parameters() if p.ndim == 1]
    adam = torch.optim.AdamW(
        [
            {"params": table, "weight_decay": 0.01, "lr": table_lr},
            {"params": vectors, "weight_decay": 0.0, "lr": vector_lr},
        ],
        betas=(0.9, 0.95),
        eps=1e-8,
        fused=True,
    )
    optimizers: list[torch.optim.Optimizer] = [Muon(matrices, lr=muon_lr, weight_decay=0.01), adam]
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["base_lr"] = group["lr"]
    return optimizers


def schedule(step: int, total_steps: int, *, warmup_steps: int = 20) -> float:
    """Factor of the learning rates: short warm-up, then linear decay to 2 % (arXiv 2310.07831)."""
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    return max(0.02, 1.0 - 0.98 * step / total_steps)
