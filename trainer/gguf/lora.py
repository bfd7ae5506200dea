"""Low-rank adapters (arXiv 2106.09685) as peft saves them: merged into a model, or written as llama.cpp's adapter.

A layer with an adapter computes W x + s B A x, with A [r, in], B [out, r] and s = alpha / r; rank-stabilised adapters
(arXiv 2312.03732) have s = alpha / sqrt(r).
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np

from engine.errors import CheckpointError, UnsupportedCheckpointError
from trainer.gguf.architecture import Architecture
from trainer.gguf.checkpoint import Json, read_json
from trainer.gguf.safetensors_file import Floats, read_entries
from trainer.gguf.tensors import list_targets, permute_rows

_TENSOR = re.compile(r"base_model\.model\.(?P<module>.+)\.lora_(?P<part>[AB])(?:\.default)?\.weight")
_MERGE_HINT = "Merge it with peft (merge_and_unload), and import the result."


@dataclass(frozen=True, slots=True, kw_only=True)
class LowRank:
    """The adapter of one weight.

    Attributes:
        a: [r, in].
        b: [out, r].
        scale: s above.
    """

    a: Floats
    b: Floats
    scale: float

    def delta(self, rows: slice) -> Floats:
        """What is added to some rows of the weight, [R, in]."""
        product: Floats = (self.scale * (self.b[rows] @ self.a)).astype(np.float32)
        return product


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapter:
    """An adapter.

    Attributes:
        name: its folder's name.
        parts: by the weight that each belongs to, as the checkpoint names it.
    """

    name: str
    parts: Mapping[str, LowRank]


def read_adapter(folder: Path, shape: Architecture) -> Adapter:
    """Read `adapter_config.json` and `adapter_model.safetensors`.

    Args:
        folder: where they lie.
        shape: the model that the adapter is for.

    Raises:
        CheckpointError: something is missing, damaged, or belongs to another model.
        UnsupportedCheckpointError: it is no plain LoRA of linear layers.
    """
    folder = folder.expanduser().resolve()
    settings = read_json(folder / "adapter_config.json")
    _refuse_variants(settings)
    found: dict[str, dict[str, Floats]] = {}
    for name, entry in read_entries(folder / "adapter_model.safetensors").items():
        match = _TENSOR.fullmatch(name)
        if match is None or len(entry.shape) != 2:
            raise UnsupportedCheckpointError(
                f"The adapter holds {name[:80]}, which is no low-rank part of a linear layer.",
                hint=_MERGE_HINT,
            )
        found.setdefault(f"{match['module']}.weight", {})[match["part"]] = entry.read()
    if not found:
        raise CheckpointError("The adapter holds no tensors.", hint="Copy it again.")
    shapes = {target.source: target.shape for target in list_targets(shape) if target.is_matrix}
    if shape.is_tied:
        # Added to one of the two, it would change both.
        shapes.pop("model.embed_tokens.weight")
    parts = {name: _low_rank(name, parts, shapes, settings) for name, parts in found.items()}
    return Adapter(name=folder.name, parts=parts)


def _refuse_variants(settings: Json) -> None:
    if settings.get("peft_type", "LORA") != "LORA":
        raise UnsupportedCheckpointError(
            f"The adapter is of the type {str(settings['peft_type'])[:40]}.", hint="LoRA can be read."
        )
    variants = (
        "use_dora",
        "fan_in_fan_out",
        "modules_to_save",
        "alpha_pattern",
        "lora_bias",
        "trainable_token_indices",
    )
    used = [key for key in variants if settings.get(key)]
    if settings.get("bias", "none") != "none":
        used.append("bias")
    if used:
        raise UnsupportedCheckpointError(
            f"The adapter uses {', '.join(used)}, which a plain LoRA does not have.", hint=_MERGE_HINT
        )


def _low_rank(
    name: str, parts: Mapping[str, Floats], shapes: Mapping[str, tuple[int, ...]], settings: Json
) -> LowRank:
    expected = shapes.get(name)
    a, b = parts.get("A"), parts.get("B")
    if expected is None or a is None or b is None:
        raise CheckpointError(
            f"The adapter has a part for {name[:80]} that the model does not take.",
            hint="It belongs to another model, or one of its two halves is missing.",
        )
    rank = a.shape[0]
    if rank < 1 or (b.shape[0], a.shape[1]) != expected or b.shape[1] != rank:
        raise CheckpointError(
            f"The adapter's parts for {name[:80]}, {list(b.shape)} and {list(a.shape)}, do not fit "
            f"{list(expected)}.",
            hint="It belongs to another model.",
        )
    alpha = settings.get("lora_alpha")
    if (
        isinstance(alpha, bool)
        or not isinstance(alpha, int | float)
        or not math.isfinite(alpha)
        or alpha <= 0
    ):
        raise CheckpointError(f"lora_alpha is {str(alpha)[:20]}.", hint="Check adapter_config.json.")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise CheckpointError(f"The adapter's part for {name[:80]} is not finite.", hint="Train it again.")
    divisor = math.sqrt(rank) if settings.get("use_rslora") else rank
    return LowRank(a=a, b=b, scale=alpha / divisor)


def write_adapter(path: Path, adapter: Adapter, shape: Architecture) -> None:
    """Write an adapter as llama.cpp's own kind of file, in F32.

    llama.cpp multiplies with alpha / r, so alpha is chosen for the scale that each part has.

    Raises:
        UnsupportedCheckpointError: the parts have different scales times rank: the file has one alpha for all.
    """
    alphas = {round(part.scale * part.a.shape[0], 6) for part in adapter.parts.values()}
    if len(alphas) != 1:
        raise UnsupportedCheckpointError(
            "The adapter's parts have different ranks and rank-stabilised scales.",
            hint="Merge it into the model instead, with --adapter.",
        )
    writer = gguf.GGUFWriter(str(path), shape.family.name)
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_name(adapter.name)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, alphas.pop())
    for target in list_targets(shape):
        part = adapter.parts.get(target.source)
        if part is None:
            continue
        b = part.b if target.permuted_heads is None else permute_rows(part.b, target.permuted_heads)
        writer.add_tensor(f"{target.name}.lora_a", np.ascontiguousarray(part.a))
        writer.add_tensor(f"{target.name}.lora_b", np.ascontiguousarray(b))
    try:
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    finally:
        writer.close()
