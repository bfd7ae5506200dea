"""Write a Qwen2 model as GGUF for llama.cpp.

Weights of two dimensions go out as F16; biases and norms stay F32, since llama.cpp adds and
multiplies them in F32. The head is tied: llama.cpp reuses ``token_embd`` where ``output`` is
absent. Qwen2 needs no permutation of q and k (that is a matter of Llama's rotary layout).
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np

from trainer.model import CONTEXT_TOKENS, NORM_EPSILON, ROPE_THETA, Shape, StarterModel
from trainer.parity import Parity, compare
from trainer.tokens import CHAT_TEMPLATE, SPECIAL_TOKENS, Codec

_LAYER_NAMES = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
_GLOBAL_NAMES = {"embed_tokens": "token_embd", "norm": "output_norm"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportInfo:
    """What the file says of itself beyond shape and tokenizer."""

    name: str = "Palimpsest Starter"
    version: str = "1"
    description: str = (
        "Finds the sentences of a document that answer a question, and copies the answer out of "
        "them. Trained from scratch for Palimpsest; not a general assistant."
    )
    license: str = "cc-by-sa-4.0"
    prompt_set: str = "starter-1"
    modes: tuple[str, ...] = ("extractive",)
    chunk_tokens: int = 256
    memory_tokens: int = 224


def gguf_name(name: str) -> str | None:
    """Name a transformers parameter the way llama.cpp does; `None` for the tied head.

    Raises:
        ValueError: The parameter belongs to no Qwen2 tensor known here.
    """
    if name == "lm_head.weight":
        return None
    stem, _, kind = name.removeprefix("model.").rpartition(".")
    if stem in _GLOBAL_NAMES:
        return f"{_GLOBAL_NAMES[stem]}.{kind}"
    if stem.startswith("layers."):
        _, number, part = stem.split(".", 2)
        if part in _LAYER_NAMES:
            return f"blk.{number}.{_LAYER_NAMES[part]}.{kind}"
    raise ValueError(f"no GGUF name for {name}")


def write(model: StarterModel, codec: Codec, path: Path, info: ExportInfo) -> None:
    """Write the model to ``path``."""
    writer = gguf.GGUFWriter(str(path), "qwen2")
    _add_metadata(writer, model.shape, info)
    _add_tokenizer(writer, codec)
    for name, tensor in model.state_dict().items():
        target = gguf_name(name)
        if target is None:
            continue
        values = tensor.detach().float().numpy()
        if values.ndim == 2:
            values = values.astype(np.float16)
        writer.add_tensor(target, np.ascontiguousarray(values))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


class ParityError(RuntimeError):
    """The exported file does not compute what the network computes."""


def export(
    model: StarterModel,
    codec: Codec,
    path: Path,
    info: ExportInfo,
    prompts: Sequence[Sequence[int]],
) -> Parity:
    """Write the model, compare the file with the network, then put it in place.

    Args:
        model: The network.
        codec: Its tokenizer.
        path: Where the file is to stand; replaced only by a complete one that agrees.
        info: What the file says of itself.
        prompts: Token ids of prompts for the comparison of logits.

    Raises:
        ParityError: Token ids or logits differ; nothing was replaced.
    """
    partial = path.with_name(path.name + ".partial")
    write(model, codec, partial, info)
    parity = compare(partial, model, codec, prompts)
    if not parity.passed:
        raise ParityError(f"{path.name}: {parity}")
    with partial.open("rb+") as handle:
        os.fsync(handle.fileno())
    partial.replace(path)
    return parity


def _add_metadata(writer: gguf.GGUFWriter, shape: Shape, info: ExportInfo) -> None:
    writer.add_type(gguf.GGUFType.MODEL)
    writer.add_name(info.name)
    writer.add_version(info.version)
    writer.add_description(info.description)
    writer.add_license(info.license)
    writer.add_languages(["en"])
    writer.add_context_length(CONTEXT_TOKENS)
    writer.add_embedding_length(shape.hidden)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.intermediate)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_layer_norm_rms_eps(NORM_EPSILON)
    writer.add_rope_freq_base(ROPE_THETA)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_string("palimpsest.prompt_set", info.prompt_set)
    writer.add_array("palimpsest.modes", list(info.modes))
    writer.add_uint32("palimpsest.chunk_tokens", info.chunk_tokens)
    writer.add_uint32("palimpsest.memory_tokens", info.memory_tokens)


def _add_tokenizer(writer: gguf.GGUFWriter, codec: Codec) -> None:
    state = json.loads(codec.tokenizer.to_str())
    vocabulary: dict[str, int] = codec.tokenizer.get_vocab(with_added_tokens=True)
    tokens = sorted(vocabulary, key=vocabulary.__getitem__)
    special = set(SPECIAL_TOKENS)
    types = [gguf.TokenType.CONTROL if t in special else gguf.TokenType.NORMAL for t in tokens]
    merges = [m if isinstance(m, str) else " ".join(m) for m in state["model"]["merges"]]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(merges)
    writer.add_eos_token_id(codec.end_id)
    writer.add_eot_token_id(codec.end_id)
    writer.add_pad_token_id(codec.pad_id)
    writer.add_add_bos_token(False)
    writer.add_add_eos_token(False)
    writer.add_chat_template(CHAT_TEMPLATE)
