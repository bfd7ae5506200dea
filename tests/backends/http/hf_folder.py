"""Writes a model folder as transformers lay it out, from a GGUF file with a Qwen2 model: vLLM reads no GGUF.

As a program: ``python -m tests.backends.http.hf_folder MODEL.gguf FOLDER``.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from safetensors.numpy import save_file

_TENSORS = {
    "token_embd": "embed_tokens",
    "output_norm": "norm",
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_LAYER = re.compile(r"blk\.(\d+)\.(.+)")
# Qwen2's own expression, which llama.cpp holds under the name of this pre-tokenizer.
_QWEN2_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def convert(source: Path, folder: Path) -> Path:
    """Write the folder; weights keep their precision.

    Raises:
        ValueError: the file holds another architecture or pre-tokenizer, or quantised weights.
    """
    reader = gguf.GGUFReader(str(source))
    values = {name: field.contents() for name, field in reader.fields.items()}
    if (values["general.architecture"], values["tokenizer.ggml.pre"]) != ("qwen2", "qwen2"):
        raise ValueError(f"{source.name} is no Qwen2 model")
    folder.mkdir(parents=True, exist_ok=True)
    save_file({_name(tensor.name): _array(tensor) for tensor in reader.tensors}, folder / "model.safetensors")
    _write(folder / "config.json", _config(values))
    _write(folder / "tokenizer.json", _tokenizer(values))
    _write(folder / "tokenizer_config.json", _tokenizer_config(values))
    _write(folder / "generation_config.json", {"eos_token_id": values["tokenizer.ggml.eos_token_id"]})
    return folder


def _name(name: str) -> str:
    stem, _, kind = name.rpartition(".")
    layer = _LAYER.fullmatch(stem)
    return (
        f"model.layers.{layer[1]}.{_TENSORS[layer[2]]}.{kind}" if layer else f"model.{_TENSORS[stem]}.{kind}"
    )


def _array(tensor: Any) -> np.ndarray[Any, np.dtype[Any]]:
    if tensor.tensor_type not in (gguf.GGMLQuantizationType.F32, gguf.GGMLQuantizationType.F16):
        raise ValueError(f"the tensor {tensor.name} is quantised")
    return np.array(tensor.data)


def _config(values: dict[str, Any]) -> dict[str, Any]:
    return {
        "architectures": ["Qwen2ForCausalLM"],
        "model_type": "qwen2",
        "vocab_size": len(values["tokenizer.ggml.tokens"]),
        "hidden_size": values["qwen2.embedding_length"],
        "num_hidden_layers": values["qwen2.block_count"],
        "intermediate_size": values["qwen2.feed_forward_length"],
        "num_attention_heads": values["qwen2.attention.head_count"],
        "num_key_value_heads": values["qwen2.attention.head_count_kv"],
        "max_position_embeddings": values["qwen2.context_length"],
        "rms_norm_eps": values["qwen2.attention.layer_norm_rms_epsilon"],
        "rope_theta": values["qwen2.rope.freq_base"],
        "hidden_act": "silu",
        "tie_word_embeddings": True,
        "use_sliding_window": False,
        "eos_token_id": values["tokenizer.ggml.eos_token_id"],
        "torch_dtype": "float32",
    }


def _special(values: dict[str, Any]) -> dict[int, tuple[str, bool]]:
    """Ids of added tokens: text, and whether it is a control token."""
    kinds = {gguf.TokenType.CONTROL: True, gguf.TokenType.USER_DEFINED: False}
    texts = values["tokenizer.ggml.tokens"]
    types = values["tokenizer.ggml.token_type"]
    return {index: (texts[index], kinds[kind]) for index, kind in enumerate(types) if kind in kinds}


def _tokenizer(values: dict[str, Any]) -> dict[str, Any]:
    added = [
        {
            "id": index,
            "content": text,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": is_control,
        }
        for index, (text, is_control) in _special(values).items()
    ]
    split = {
        "type": "Split",
        "pattern": {"Regex": _QWEN2_PATTERN},
        "behavior": "Isolated",
        "invert": False,
    }
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, byte_level]},
        "post_processor": None,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "vocab": {text: index for index, text in enumerate(values["tokenizer.ggml.tokens"])},
            "merges": [merge.split(" ") for merge in values["tokenizer.ggml.merges"]],
        },
    }


def _tokenizer_config(values: dict[str, Any]) -> dict[str, Any]:
    texts = values["tokenizer.ggml.tokens"]
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": texts[values["tokenizer.ggml.eos_token_id"]],
        "chat_template": values["tokenizer.chat_template"],
        "clean_up_tokenization_spaces": False,
        "model_max_length": values["qwen2.context_length"],
    }


def _write(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1), "utf-8")


if __name__ == "__main__":
    convert(Path(sys.argv[1]), Path(sys.argv[2]))
