"""Low-rank adapters on all linear layers (arXiv 2106.09685): W x + (alpha / r) B A x, with A [r, in] and B [out, r].

B starts at zero, so that training starts at the policy itself; switched off, the adapters leave the reference policy,
which then needs no second copy of the weights. Saved as peft saves them, `trainer.gguf.lora` writes them for llama.cpp.
"""

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn


class AdaptedLinear(nn.Module):
    """A linear layer with an adapter. The layer itself is not trained."""

    def __init__(self, base: nn.Linear, *, rank: int, alpha: float) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        like = base.weight
        self.lora_A = nn.Parameter(torch.empty(rank, base.in_features, device=like.device))
        self.lora_B = nn.Parameter(torch.zeros(base.out_features, rank, device=like.device))
        self.scale = alpha / rank
        self.is_on = True
        nn.init.kaiming_uniform_(self.lora_A, a=math.sqrt(5))

    def forward(self, x: Tensor) -> Tensor:
        """Map [..., in] to [..., out]."""
        plain: Tensor = self.base(x)
        if not self.is_on:
            return plain
        return plain + self.scale * F.linear(F.linear(x, self.lora_A), self.lora_B)


def add_adapters(model: nn.Module, *, rank: int, alpha: float, seed: int) -> None:
    """Put an adapter on every linear layer of the decoder and freeze all else. The head is left as it is."""
    model.requires_grad_(False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        decoder = model.get_submodule("model")
        for name, module in list(decoder.named_modules()):
            if isinstance(module, nn.Linear):
                parent = decoder.get_submodule(name.rpartition(".")[0])
                adapted = AdaptedLinear(module, rank=rank, alpha=alpha)
                setattr(parent, name.rpartition(".")[2], adapted)


def hold_in_16_bits(model: nn.Module) -> None:
    """Hold the matrices that `add_adapters` puts adapters on in bfloat16.

    Autocast computes in it anyway. Embedding, head and norms stay as they are, and with them the residual stream.
    """
    for module in model.get_submodule("model").modules():
        if isinstance(module, nn.Linear):
            module.weight = nn.Parameter(module.weight.detach().bfloat16(), requires_grad=False)


def adapters(model: nn.Module) -> dict[str, AdaptedLinear]:
    """Adapted layers by name."""
    return {name: m for name, m in model.named_modules() if isinstance(m, AdaptedLinear)}


@contextmanager
def adapters_off(model: nn.Module) -> Iterator[None]:
    """Compute as if there were no adapters."""
    found = adapters(model).values()
    for module in found:
        module.is_on = False
    try:
        yield
    finally:
        for module in found:
            module.is_on = True


@torch.no_grad()
def merge_adapters(model: nn.Module) -> None:
    """Add every adapter to its layer's weight, and take it off."""
    for name, module in adapters(model).items():
        module.base.weight += module.scale * module.lora_B @ module.lora_A
        setattr(model.get_submodule(name.rpartition(".")[0]), name.rpartition(".")[2], module.base)


def save_adapters(model: nn.Module, folder: Path, *, base: str) -> None:
    """Write adapters as peft does: adapter_config.json and adapter_model.safetensors."""
    folder.mkdir(parents=True, exist_ok=True)
    found = adapters(model)
    tensors = {
        f"base_model.model.{name}.lora_{part}.weight": getattr(module, f"lora_{part}")
        .detach()
        .cpu()
        .contiguous()
        for name, module in found.items()
        for part in "AB"
    }
    one = next(iter(found.values()))
    rank = one.lora_A.shape[0]
    settings = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "r": rank,
        "lora_alpha": one.scale * rank,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": sorted({name.rpartition(".")[2] for name in found}),
    }
    save_file(tensors, str(folder / "adapter_model.safetensors"))
    (folder / "adapter_config.json").write_text(json.dumps(settings, indent=2), "utf-8")
