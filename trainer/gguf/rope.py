"""Rotary positions: what a checkpoint's configuration says of them, in llama.cpp's terms.

transformers writes either `rope_theta` and `rope_scaling`, or since version 5 both in `rope_parameters`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from engine.errors import CheckpointError, UnsupportedCheckpointError
from trainer.gguf.safetensors_file import Floats

DEFAULT_THETA = 10_000.0
_KINDS = ("linear", "llama3", "yarn")


@dataclass(frozen=True, slots=True, kw_only=True)
class Llama3Factors:
    """Llama 3.1's scaling: slow dimensions are stretched, fast ones are not, with a ramp in between.

    Attributes:
        factor: stretch of the slow dimensions.
        low_frequency: dimensions that turn less often than this over the original context are slow.
        high_frequency: those that turn more often are fast.
        original_tokens: context that the model was first trained with.
    """

    factor: float
    low_frequency: float
    high_frequency: float
    original_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Yarn:
    """YaRN (arXiv 2309.00071) with its scale of attention; the ramp is the paper's, from 32 turns to 1.

    Attributes:
        factor: stretch of the slow dimensions.
        original_tokens: context that the model was first trained with.
        attention_factor: scale of rotated queries and keys; None = 0.1 ln(factor) + 1, as in the paper.
    """

    factor: float
    original_tokens: int
    attention_factor: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rope:
    """Rotary positions of a model.

    Attributes:
        theta: base of the angles.
        kind: how they are scaled; None = they are not.
        linear_factor: divisor of all angles, for ``linear``.
        llama3: for ``llama3``.
        yarn: for ``yarn``.
    """

    theta: float = DEFAULT_THETA
    kind: Literal["linear", "llama3", "yarn"] | None = None
    linear_factor: float = 1.0
    llama3: Llama3Factors | None = None
    yarn: Yarn | None = None


def read_rope(config: Mapping[str, Any], context_tokens: int) -> Rope:
    """Rotary positions from a `config.json`.

    Raises:
        CheckpointError: a value is missing or makes no sense.
        UnsupportedCheckpointError: the scaling is of a kind that llama.cpp's file format cannot say.
    """
    given = config.get("rope_parameters") or config.get("rope_scaling") or {}
    if not isinstance(given, dict):
        raise CheckpointError("The rope scaling in config.json is no object.", hint="Copy the file again.")
    merged = {"rope_theta": config.get("rope_theta", DEFAULT_THETA), **given}
    theta = _number(merged, "rope_theta", low=1.0)
    for holder in (config, merged):
        if holder.get("partial_rotary_factor", 1.0) not in (None, 1, 1.0):
            raise UnsupportedCheckpointError(
                "The model rotates only a part of each head.", hint="Llama, Qwen2 and Qwen3 rotate all of it."
            )
    kind = merged.get("rope_type", merged.get("type")) or "default"
    if kind == "default":
        return Rope(theta=theta)
    if kind not in _KINDS:
        raise UnsupportedCheckpointError(
            f"The rope scaling '{str(kind)[:40]}' cannot be written.", hint=f"Known are {', '.join(_KINDS)}."
        )
    if kind == "linear":
        return Rope(theta=theta, kind="linear", linear_factor=_number(merged, "factor", low=1.0))
    original = merged.get("original_max_position_embeddings")
    if original is None:
        merged["original_max_position_embeddings"] = context_tokens
    if kind == "llama3":
        return Rope(theta=theta, kind="llama3", llama3=_llama3(merged))
    return Rope(theta=theta, kind="yarn", yarn=_yarn(merged))


def _llama3(merged: Mapping[str, Any]) -> Llama3Factors:
    low, high = _number(merged, "low_freq_factor"), _number(merged, "high_freq_factor")
    if high <= low:
        raise CheckpointError("high_freq_factor is not above low_freq_factor.", hint="Check config.json.")
    return Llama3Factors(
        factor=_number(merged, "factor", low=1.0),
        low_frequency=low,
        high_frequency=high,
        original_tokens=round(_number(merged, "original_max_position_embeddings", low=1.0)),
    )


def _yarn(merged: Mapping[str, Any]) -> Yarn:
    if merged.get("truncate") is False:
        raise UnsupportedCheckpointError(
            "The model uses YaRN without truncation, which llama.cpp does not compute.",
            hint="No GGUF of it would be equal.",
        )
    if any(merged.get(key) not in (None, default) for key, default in (("beta_fast", 32), ("beta_slow", 1))):
        raise UnsupportedCheckpointError(
            "The model uses YaRN with a ramp of its own, which llama.cpp reads for other kinds of models only.",
            hint="No GGUF of it would be equal.",
        )
    scales = [merged.get("mscale"), merged.get("mscale_all_dim")]
    if any(scales) and scales[0] != scales[1]:
        raise UnsupportedCheckpointError(
            "The model uses YaRN with scales of DeepSeek's kind.", hint="They do not belong to Llama or Qwen."
        )
    given = merged.get("attention_factor")
    if given is None and all(scales):
        given = 1.0  # equal scales cancel out
    return Yarn(
        factor=_number(merged, "factor", low=1.0),
        original_tokens=round(_number(merged, "original_max_position_embeddings", low=1.0)),
        attention_factor=None if given is None else _number({"attention_factor": given}, "attention_factor"),
    )


def _number(values: Mapping[str, Any], key: str, *, low: float = 0.0) -> float:
    value = values.get(key)
    if isinstance(value, int | float) and not isinstance(value, bool):
        number = float(value)
        if math.isfinite(number) and low <= number <= 1e12 and number != 0.0:
            return number
    raise CheckpointError(
        f"{key} in config.json is {str(value)[:40]}, which makes no sense.", hint="Check the checkpoint."
    )


def frequency_factors(rope: Rope, head_size: int) -> Floats | None:
    """Divisors of the angles of each pair of dimensions, [head_size / 2]; None if the file needs none.

    Source: the scaling published with Llama 3.1. A dimension with wavelength w turns L / w times over the original
    context L. Up to `low_frequency` turns its angle is divided by `factor`, from `high_frequency` on by 1, and in
    between the reciprocals of both are mixed by where it lies.
    """
    scaling = rope.llama3
    if scaling is None:
        return None
    exponents = np.arange(0, head_size, 2, dtype=np.float64) / head_size
    turns = scaling.original_tokens * rope.theta**-exponents / (2 * math.pi)
    ramp = (turns - scaling.low_frequency) / (scaling.high_frequency - scaling.low_frequency)
    ramp = ramp.clip(0.0, 1.0)
    return (1.0 / ((1.0 - ramp) / scaling.factor + ramp)).astype(np.float32)


def yarn_scale(yarn: Yarn) -> float:
    """What llama.cpp has to multiply its own scale of attention, 0.1 ln(factor) + 1, with; 1 as a rule."""
    if yarn.attention_factor is None:
        return 1.0
    return yarn.attention_factor / (0.1 * math.log(yarn.factor) + 1.0)
