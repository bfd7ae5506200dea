"""Writes a tiny GGUF with random weights: for tests that must not depend on what a model has learnt."""

from pathlib import Path
from typing import Any

import gguf
import numpy as np

SPECIAL = (
    "<|pad|>",
    "<|end|>",
    "<|user|>",
    "<|assistant|>",
    "<|none|>",
    "<|m1|>",
    "<|s1|>",
    "<|s2|>",
    "<|s3|>",
)
USER_DEFINED = ("<think>", "</think>", "  ")
MERGES = ("t h", "th e", "Ġ a", "Ġ the", "i n", "Ġ t", "e r")
TEMPLATE = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
CONTEXT_TOKENS = 1024
_WIDTH, _HEADS, _LAYERS, _FEED_FORWARD = 32, 2, 2, 64


def byte_letters() -> list[str]:
    """The 256 letters that stand for bytes in byte-level BPE, in order of the bytes."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    spare = iter(range(256))
    return [chr(byte) if byte in printable else chr(256 + next(spare)) for byte in range(256)]


def write(
    path: Path,
    *,
    architecture: str = "qwen2",
    template: str | None = TEMPLATE,
    metadata: dict[str, str | int] | None = None,
    add_bos: bool = False,
    seed: int = 0,
) -> Path:
    """Write the file; the same arguments give the same bytes."""
    writer = gguf.GGUFWriter(str(path), architecture)
    writer.add_name("Tiny")
    writer.add_context_length(CONTEXT_TOKENS)
    writer.add_embedding_length(_WIDTH)
    writer.add_block_count(_LAYERS)
    writer.add_feed_forward_length(_FEED_FORWARD)
    writer.add_head_count(_HEADS)
    writer.add_head_count_kv(1)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(10_000.0)
    for key, value in (metadata or {}).items():
        if isinstance(value, str):
            writer.add_string(key, value)
        else:
            writer.add_uint32(key, value)
    num_tokens = _add_tokenizer(writer, template, add_bos)
    _add_weights(writer, num_tokens, np.random.default_rng(seed))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add_tokenizer(writer: Any, template: str | None, add_bos: bool) -> int:
    merged = [merge.replace(" ", "") for merge in MERGES]
    tokens = [*SPECIAL, *USER_DEFINED, *byte_letters(), *merged]
    kinds = [gguf.TokenType.CONTROL] * len(SPECIAL) + [gguf.TokenType.USER_DEFINED] * len(USER_DEFINED)
    kinds += [gguf.TokenType.NORMAL] * (256 + len(merged))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges(list(MERGES))
    writer.add_eos_token_id(tokens.index("<|end|>"))
    writer.add_bos_token_id(tokens.index("<|pad|>"))
    writer.add_add_bos_token(add_bos)
    if template is not None:
        writer.add_chat_template(template)
    return len(tokens)


def _add_weights(writer: Any, num_tokens: int, random: np.random.Generator) -> None:
    def matrix(name: str, rows: int, columns: int) -> None:
        # Large enough that logits differ clearly: near ties would make greedy replies depend on batch shapes.
        values = random.normal(0.0, 0.5 if name == "token_embd" else 0.2, (rows, columns))
        writer.add_tensor(f"{name}.weight", values.astype(np.float32))

    def vector(name: str, size: int, value: float) -> None:
        writer.add_tensor(name, np.full(size, value, np.float32))

    key_width = _WIDTH // _HEADS
    matrix("token_embd", num_tokens, _WIDTH)
    vector("output_norm.weight", _WIDTH, 1.0)
    for layer in range(_LAYERS):
        block = f"blk.{layer}"
        vector(f"{block}.attn_norm.weight", _WIDTH, 1.0)
        vector(f"{block}.ffn_norm.weight", _WIDTH, 1.0)
        matrix(f"{block}.attn_q", _WIDTH, _WIDTH)
        matrix(f"{block}.attn_k", key_width, _WIDTH)
        matrix(f"{block}.attn_v", key_width, _WIDTH)
        matrix(f"{block}.attn_output", _WIDTH, _WIDTH)
        vector(f"{block}.attn_q.bias", _WIDTH, 0.0)
        vector(f"{block}.attn_k.bias", key_width, 0.0)
        vector(f"{block}.attn_v.bias", key_width, 0.0)
        matrix(f"{block}.ffn_gate", _FEED_FORWARD, _WIDTH)
        matrix(f"{block}.ffn_up", _FEED_FORWARD, _WIDTH)
        matrix(f"{block}.ffn_down", _WIDTH, _FEED_FORWARD)
