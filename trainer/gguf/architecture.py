"""The three shapes that can be written, read from `config.json` and checked against each other's rules."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gguf

from engine.errors import CheckpointError, UnsupportedCheckpointError
from trainer.gguf.rope import Rope, read_rope, yarn_scale

_MAX = {"num_hidden_layers": 1_000, "vocab_size": 4_000_000, "max_position_embeddings": 1 << 30}
_MAX_SIZE = 1 << 20
_HINT = "Llama, Qwen2 (2.5) and Qwen3 models without experts can be imported."


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """What sets one kind of model apart.

    Attributes:
        name: llama.cpp's name of it.
        architecture: transformers' class.
        has_qkv_bias: whether q, k and v always have biases; None = the configuration says so.
        has_qk_norm: whether each head of q and k is normalised.
        permutes_rope: whether llama.cpp rotates neighbouring pairs, so that the rows of q and k change places.
    """

    name: str
    architecture: str
    has_qkv_bias: bool | None
    has_qk_norm: bool
    permutes_rope: bool


FAMILIES = {
    "llama": Family(
        name="llama",
        architecture="LlamaForCausalLM",
        has_qkv_bias=None,
        has_qk_norm=False,
        permutes_rope=True,
    ),
    "qwen2": Family(
        name="qwen2",
        architecture="Qwen2ForCausalLM",
        has_qkv_bias=True,
        has_qk_norm=False,
        permutes_rope=False,
    ),
    "qwen3": Family(
        name="qwen3",
        architecture="Qwen3ForCausalLM",
        has_qkv_bias=None,
        has_qk_norm=True,
        permutes_rope=False,
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """Sizes of a model.

    Attributes:
        family: its kind.
        hidden: width of the residual stream.
        layers: number of layers.
        intermediate: width of the feed-forward part.
        heads: query heads.
        kv_heads: key and value heads.
        head_size: width of one head; heads * head_size need not be `hidden`.
        vocabulary: rows of the embedding.
        context_tokens: longest context.
        norm_epsilon: of the RMS norms.
        rope: rotary positions.
        is_tied: whether the head is the embedding.
        has_attention_bias: whether q, k and v have biases.
        has_output_bias: whether the projection behind attention has one.
        has_mlp_bias: whether the feed-forward part has biases.
    """

    family: Family
    hidden: int
    layers: int
    intermediate: int
    heads: int
    kv_heads: int
    head_size: int
    vocabulary: int
    context_tokens: int
    norm_epsilon: float
    rope: Rope
    is_tied: bool
    has_attention_bias: bool
    has_output_bias: bool
    has_mlp_bias: bool


def read_architecture(config: Mapping[str, Any]) -> Architecture:
    """Sizes from a `config.json`.

    Raises:
        CheckpointError: a value is missing or makes no sense.
        UnsupportedCheckpointError: the model is of another kind.
    """
    family = _family(config)
    _refuse_windows(config)
    if config.get("hidden_act", "silu") != "silu":
        raise UnsupportedCheckpointError(
            f"The activation '{str(config['hidden_act'])[:40]}' is not SiLU.", hint=_HINT
        )
    hidden, heads = _size(config, "hidden_size"), _size(config, "num_attention_heads")
    kv_heads = _size(config, "num_key_value_heads", heads)
    # Qwen3's default is no quotient: transformers gives it heads of 128 where the file is silent.
    default_head = 128 if family.name == "qwen3" else hidden // heads
    head_size = _size(config, "head_dim", default_head)
    if heads % kv_heads or head_size % 2:
        raise CheckpointError(
            f"{heads} heads, {kv_heads} of them for keys, of width {head_size} do not fit together.",
            hint="Check config.json.",
        )
    context_tokens = _size(config, "max_position_embeddings")
    biased = bool(config.get("attention_bias", False))
    if biased and family.name == "qwen3":
        raise UnsupportedCheckpointError(
            "The model is a Qwen3 with biases, which llama.cpp does not load.", hint=_HINT
        )
    return Architecture(
        family=family,
        hidden=hidden,
        layers=_size(config, "num_hidden_layers"),
        intermediate=_size(config, "intermediate_size"),
        heads=heads,
        kv_heads=kv_heads,
        head_size=head_size,
        vocabulary=_size(config, "vocab_size"),
        context_tokens=context_tokens,
        norm_epsilon=_epsilon(config),
        rope=read_rope(config, context_tokens),
        is_tied=bool(config.get("tie_word_embeddings", False)),
        has_attention_bias=biased if family.has_qkv_bias is None else family.has_qkv_bias,
        has_output_bias=biased and family.has_qkv_bias is None,
        has_mlp_bias=bool(config.get("mlp_bias", False)) and family.name == "llama",
    )


def _family(config: Mapping[str, Any]) -> Family:
    named = config.get("model_type")
    family = FAMILIES.get(named) if isinstance(named, str) else None
    if family is None:
        raise UnsupportedCheckpointError(f"The model is of the kind '{str(named)[:40]}'.", hint=_HINT)
    classes = config.get("architectures") or [family.architecture]
    if classes != [family.architecture]:
        raise UnsupportedCheckpointError(
            f"The checkpoint holds a {str(classes)[:60]}, no {family.architecture}.",
            hint="Only models that predict the next token can be imported.",
        )
    if "quantization_config" in config:
        raise UnsupportedCheckpointError(
            "The checkpoint is quantised already.", hint="Import the one with weights of 16 or 32 bits."
        )
    return family


def _refuse_windows(config: Mapping[str, Any]) -> None:
    kinds = config.get("layer_types") or []
    is_full = isinstance(kinds, list) and all(kind == "full_attention" for kind in kinds)
    if config.get("use_sliding_window") or not is_full:
        raise UnsupportedCheckpointError(
            "The model attends through a sliding window, which llama.cpp does not know for this kind.",
            hint="Set use_sliding_window to false if the model was trained without it.",
        )


def _size(config: Mapping[str, Any], key: str, default: int | None = None) -> int:
    value = config.get(key)
    if value is None:
        value = default
    if type(value) is not int or not 1 <= value <= _MAX.get(key, _MAX_SIZE):
        raise CheckpointError(
            f"{key} in config.json is {str(value)[:40]}, which makes no sense.", hint="Check the checkpoint."
        )
    return value


def _epsilon(config: Mapping[str, Any]) -> float:
    value = config.get("rms_norm_eps", 1e-6)
    if not isinstance(value, float | int) or not math.isfinite(value) or not 0 <= value < 1:
        raise CheckpointError(
            f"rms_norm_eps in config.json is {str(value)[:40]}, which makes no sense.",
            hint="Check the checkpoint.",
        )
    return float(value)


def add_architecture(writer: gguf.GGUFWriter, shape: Architecture) -> None:
    """Write the sizes into a file's metadata."""
    writer.add_context_length(shape.context_tokens)
    writer.add_embedding_length(shape.hidden)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.intermediate)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_key_length(shape.head_size)
    writer.add_value_length(shape.head_size)
    writer.add_rope_dimension_count(shape.head_size)
    writer.add_layer_norm_rms_eps(shape.norm_epsilon)
    writer.add_vocab_size(shape.vocabulary)
    add_rope(writer, shape.rope)


def add_rope(writer: gguf.GGUFWriter, rope: Rope) -> None:
    """Write the rotary positions into a file's metadata; `llama3` goes into a tensor instead."""
    writer.add_rope_freq_base(rope.theta)
    if rope.kind == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(rope.linear_factor)
    if rope.yarn is not None:
        writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        writer.add_rope_scaling_factor(rope.yarn.factor)
        writer.add_rope_scaling_orig_ctx_len(rope.yarn.original_tokens)
        writer.add_rope_scaling_attn_factors(yarn_scale(rope.yarn))
