"""Which tensor of a checkpoint becomes which of the file, with the shape that it must have.

Weights of two dimensions take the file's type; biases and norms stay F32, since llama.cpp adds and multiplies them
in F32. A tied head is left out: llama.cpp reuses ``token_embd`` where ``output`` is absent.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from engine.errors import CheckpointError, UnsupportedCheckpointError
from trainer.gguf.architecture import Architecture
from trainer.gguf.safetensors_file import Array, TensorEntry

_IGNORED = (".rotary_emb.inv_freq", ".masked_bias")
"""Buffers that old versions of transformers saved; they follow from the configuration."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A tensor of the file.

    Attributes:
        name: in the file.
        source: in the checkpoint.
        shape: that it must have there.
        permuted_heads: heads whose rows change places (`permute_rows`); None = none do.
    """

    name: str
    source: str
    shape: tuple[int, ...]
    permuted_heads: int | None = None

    @property
    def is_matrix(self) -> bool:
        """Whether it takes the file's type."""
        return len(self.shape) == 2


def permute_rows(values: Array, heads: int) -> Array:
    """Interleave the halves of each head: rows 0 .. d/2-1 and d/2 .. d-1 of a head become its even and odd rows.

    transformers rotates dimension i together with i + d/2; llama.cpp, as Meta's own code for Llama, rotates neighbours.

    Args:
        values: [heads * d, ...].
        heads: number of heads.
    """
    size = values.shape[0] // heads
    halves = values.reshape(heads, 2, size // 2, *values.shape[1:])
    return halves.swapaxes(1, 2).reshape(values.shape)


def list_targets(shape: Architecture) -> list[Target]:
    """All tensors of a model, in the order in which they are written."""
    embedding = (shape.vocabulary, shape.hidden)
    targets = [Target(name="token_embd.weight", source="model.embed_tokens.weight", shape=embedding)]
    for layer in range(shape.layers):
        targets += _layer_targets(shape, layer)
    targets.append(Target(name="output_norm.weight", source="model.norm.weight", shape=(shape.hidden,)))
    if not shape.is_tied:
        targets.append(Target(name="output.weight", source="lm_head.weight", shape=embedding))
    return targets


def _layer_targets(shape: Architecture, layer: int) -> Iterator[Target]:
    into, out = f"blk.{layer}", f"model.layers.{layer}"
    q_size, kv_size = shape.heads * shape.head_size, shape.kv_heads * shape.head_size
    is_permuted = shape.family.permutes_rope
    qk_heads = (shape.heads, shape.kv_heads) if is_permuted else (None, None)
    linear = (
        ("attn_q", "self_attn.q_proj", q_size, shape.hidden, shape.has_attention_bias, qk_heads[0]),
        ("attn_k", "self_attn.k_proj", kv_size, shape.hidden, shape.has_attention_bias, qk_heads[1]),
        ("attn_v", "self_attn.v_proj", kv_size, shape.hidden, shape.has_attention_bias, None),
        ("attn_output", "self_attn.o_proj", shape.hidden, q_size, shape.has_output_bias, None),
        ("ffn_gate", "mlp.gate_proj", shape.intermediate, shape.hidden, shape.has_mlp_bias, None),
        ("ffn_up", "mlp.up_proj", shape.intermediate, shape.hidden, shape.has_mlp_bias, None),
        ("ffn_down", "mlp.down_proj", shape.hidden, shape.intermediate, shape.has_mlp_bias, None),
    )
    for name, source, rows, columns, has_bias, heads in linear:
        yield Target(
            name=f"{into}.{name}.weight",
            source=f"{out}.{source}.weight",
            shape=(rows, columns),
            permuted_heads=heads,
        )
        if has_bias:
            yield Target(
                name=f"{into}.{name}.bias",
                source=f"{out}.{source}.bias",
                shape=(rows,),
                permuted_heads=heads,
            )
    norms = [("attn_norm", "input_layernorm"), ("ffn_norm", "post_attention_layernorm")]
    for name, source in norms:
        yield Target(name=f"{into}.{name}.weight", source=f"{out}.{source}.weight", shape=(shape.hidden,))
    if shape.family.has_qk_norm:
        for name in ("q", "k"):
            yield Target(
                name=f"{into}.attn_{name}_norm.weight",
                source=f"{out}.self_attn.{name}_norm.weight",
                shape=(shape.head_size,),
            )


def check_tensors(targets: list[Target], tensors: Mapping[str, TensorEntry], shape: Architecture) -> None:
    """Hold what a checkpoint holds against what its configuration promises.

    Raises:
        CheckpointError: a tensor is missing or has another shape.
        UnsupportedCheckpointError: there are weights that the file has no place for: they would be lost.
    """
    for target in targets:
        entry = tensors.get(target.source)
        if entry is None:
            raise CheckpointError(
                f"The checkpoint lacks the tensor {target.source}.",
                hint="config.json promises it; copy all parts of the checkpoint.",
            )
        if entry.shape != target.shape:
            raise CheckpointError(
                f"{target.source} has the shape {list(entry.shape)} and not {list(target.shape)}.",
                hint="config.json and the weights belong to different models.",
            )
    known = {target.source for target in targets}
    if shape.is_tied:
        known.add("lm_head.weight")
    extra = sorted(name for name in tensors if name not in known and not name.endswith(_IGNORED))
    if extra:
        more = f" and {len(extra) - 1} more" if len(extra) > 1 else ""
        raise UnsupportedCheckpointError(
            f"The checkpoint holds the tensor {extra[0][:80]}{more}, which a {shape.family.architecture} "
            "of this configuration does not have.",
            hint="Merge adapters first, or name one with --adapter.",
        )
