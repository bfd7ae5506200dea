"""Writes GGUF files of Qwen2's architecture with random weights: for rates and for tests, which need no trained model.

The tensors are drawn and written one after the other, so a file may be larger than what is free in memory.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import gguf
import numpy as np

_Values = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Sizes of a Qwen2 model with a tied head.

    Attributes:
        width: of the residual stream.
        layers: number of blocks.
        heads: query heads.
        kv_heads: key and value heads.
        feed_forward: width inside the feed-forward layers.
        context_tokens: window that the file declares.
        rope_base: base of the rotary frequencies.
        embedding_std: standard deviation of the embedding's weights, which are the head's too.
        matrix_std: standard deviation of all other matrices; about width ** -0.5 keeps what passes through them at
            the same scale.
    """

    width: int
    layers: int
    heads: int
    kv_heads: int
    feed_forward: int
    context_tokens: int
    rope_base: float
    embedding_std: float
    matrix_std: float

    @property
    def kv_width(self) -> int:
        """Width of keys and of values."""
        return self.width // self.heads * self.kv_heads


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """A byte-level BPE vocabulary; ids follow the order control, user-defined, bytes, merged, unused.

    Attributes:
        control: control tokens, the end of a turn among them.
        merges: pairs of tokens, "a b", the first learnt first; each makes one token.
        user_defined: tokens that stand for their text wherever it occurs.
        num_unused: tokens at the end that nothing is written with.
        end: the control token that ends a turn.
        bos: the control token that begins a text, in models that have one.
        add_bos: whether it is put before every text.
        template: Jinja source of the chat template; None = a model without one.
    """

    control: tuple[str, ...]
    merges: tuple[str, ...]
    user_defined: tuple[str, ...] = ()
    num_unused: int = 0
    end: str
    bos: str
    add_bos: bool = False
    template: str | None = None

    @property
    def tokens(self) -> list[str]:
        """All tokens, in order of their ids."""
        merged = [merge.replace(" ", "") for merge in self.merges]
        unused = [f"[unused{number}]" for number in range(self.num_unused)]
        return [*self.control, *self.user_defined, *byte_letters(), *merged, *unused]

    @property
    def kinds(self) -> list[int]:
        """Type of each token."""
        return (
            [gguf.TokenType.CONTROL] * len(self.control)
            + [gguf.TokenType.USER_DEFINED] * len(self.user_defined)
            + [gguf.TokenType.NORMAL] * (256 + len(self.merges))
            + [gguf.TokenType.UNUSED] * self.num_unused
        )


def byte_letters() -> list[str]:
    """The 256 letters that stand for bytes in byte-level BPE, in order of the bytes."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    spare = iter(range(256))
    return [chr(byte) if byte in printable else chr(256 + next(spare)) for byte in range(256)]


def write(
    path: Path,
    shape: Shape,
    vocabulary: Vocabulary,
    *,
    name: str,
    architecture: str = "qwen2",
    matrices: Literal["f16", "f32"] = "f32",
    metadata: Mapping[str, str | int] | None = None,
    seed: int = 0,
) -> Path:
    """Write the file; the same arguments give the same bytes.

    Args:
        path: the file.
        shape: sizes of the model.
        vocabulary: its tokens.
        name: what it calls itself.
        architecture: what it says that it is; another than Qwen2 makes a file that cannot be loaded.
        matrices: type of the matrices; norms and biases are always F32, as llama.cpp wants them.
        metadata: further entries.
        seed: of the weights.
    """
    writer = gguf.GGUFWriter(str(path), architecture)
    writer.add_name(name)
    writer.add_context_length(shape.context_tokens)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.feed_forward)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(shape.rope_base)
    for key, value in (metadata or {}).items():
        if isinstance(value, str):
            writer.add_string(key, value)
        else:
            writer.add_uint32(key, value)
    tokens = vocabulary.tokens
    _add_tokenizer(writer, vocabulary, tokens)
    matrix_type = np.dtype(np.float16 if matrices == "f16" else np.float32)
    plan = list(_tensors(shape, len(tokens)))
    for tensor in plan:
        dtype = matrix_type if len(tensor.sizes) == 2 else np.dtype(np.float32)
        writer.add_tensor_info(tensor.name, tensor.sizes, dtype, int(np.prod(tensor.sizes)) * dtype.itemsize)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    random = np.random.default_rng(seed)
    for tensor in plan:
        values = tensor.draw(random)
        writer.write_tensor_data(values.astype(matrix_type) if values.ndim == 2 else values)
    writer.close()
    return path


def _add_tokenizer(writer: Any, vocabulary: Vocabulary, tokens: list[str]) -> None:
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types(vocabulary.kinds)
    writer.add_token_merges(list(vocabulary.merges))
    writer.add_eos_token_id(tokens.index(vocabulary.end))
    writer.add_bos_token_id(tokens.index(vocabulary.bos))
    writer.add_add_bos_token(vocabulary.add_bos)
    if vocabulary.template is not None:
        writer.add_chat_template(vocabulary.template)


@dataclass(frozen=True, slots=True)
class _Tensor:
    """A tensor to be written: normal with a standard deviation (matrices), or all one value (vectors)."""

    name: str
    sizes: tuple[int, ...]
    value: float

    def draw(self, random: np.random.Generator) -> _Values:
        if len(self.sizes) == 1:
            return np.full(self.sizes, self.value, np.float32)
        return random.normal(0.0, self.value, self.sizes).astype(np.float32)


def _tensors(shape: Shape, num_tokens: int) -> Iterator[_Tensor]:
    def matrix(name: str, rows: int, columns: int) -> _Tensor:
        return _Tensor(f"{name}.weight", (rows, columns), shape.matrix_std)

    yield _Tensor("token_embd.weight", (num_tokens, shape.width), shape.embedding_std)
    yield _Tensor("output_norm.weight", (shape.width,), 1.0)
    for layer in range(shape.layers):
        block = f"blk.{layer}"
        yield _Tensor(f"{block}.attn_norm.weight", (shape.width,), 1.0)
        yield _Tensor(f"{block}.ffn_norm.weight", (shape.width,), 1.0)
        yield matrix(f"{block}.attn_q", shape.width, shape.width)
        yield matrix(f"{block}.attn_k", shape.kv_width, shape.width)
        yield matrix(f"{block}.attn_v", shape.kv_width, shape.width)
        yield matrix(f"{block}.attn_output", shape.width, shape.width)
        yield _Tensor(f"{block}.attn_q.bias", (shape.width,), 0.0)
        yield _Tensor(f"{block}.attn_k.bias", (shape.kv_width,), 0.0)
        yield _Tensor(f"{block}.attn_v.bias", (shape.kv_width,), 0.0)
        yield matrix(f"{block}.ffn_gate", shape.feed_forward, shape.width)
        yield matrix(f"{block}.ffn_up", shape.feed_forward, shape.width)
        yield matrix(f"{block}.ffn_down", shape.width, shape.feed_forward)
