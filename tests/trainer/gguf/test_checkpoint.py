"""Checkpoint folders are untrusted: whatever is wrong with one is said in a sentence, and no code of it runs."""

import json
import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file
from safetensors.torch import save_file

from engine.errors import CheckpointError, ConversionError, UnsupportedCheckpointError
from trainer.gguf import safetensors_file
from trainer.gguf.checkpoint import open_checkpoint
from trainer.gguf.importing import import_checkpoint
from trainer.gguf.safetensors_file import read_entries
from trainer.gguf.writer import FileInfo, FloatType, read_source, write_model


@pytest.fixture
def folder(checkpoints: dict[str, Path], tmp_path: Path) -> Path:
    """A copy of the Qwen2 checkpoint to be damaged."""
    return Path(shutil.copytree(checkpoints["qwen2"], tmp_path / "in"))


def edit(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change a JSON file."""
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


def set_config(**values: Any) -> Callable[[Path], None]:
    return lambda folder: edit(folder / "config.json", lambda config: config.update(values))


def set_tokenizer(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    return lambda folder: edit(folder / "tokenizer.json", change)


def truncate(name: str, size: int) -> Callable[[Path], None]:
    return lambda folder: os.truncate(folder / name, size)


def rewrite(name: str, data: bytes) -> Callable[[Path], Any]:
    return lambda folder: (folder / name).write_bytes(data)


def drop_tensor(folder: Path) -> None:
    path = folder / "model.safetensors"
    tensors = load_file(path)
    del tensors["model.layers.1.self_attn.k_proj.bias"]
    save_file({name: torch.from_numpy(value) for name, value in tensors.items()}, path)


def add_tensor(folder: Path) -> None:
    path = folder / "model.safetensors"
    tensors = {name: torch.from_numpy(value) for name, value in load_file(path).items()}
    save_file({**tensors, "model.layers.0.mlp.gate_proj.bias": torch.zeros(3)}, path)


def diverged(folder: Path) -> None:
    path = folder / "model.safetensors"
    tensors = {name: torch.from_numpy(value) for name, value in load_file(path).items()}
    tensors["model.layers.0.mlp.up_proj.weight"][3, 5] = float("nan")
    save_file(tensors, path)


def pickle_only(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def escaping_index(folder: Path) -> None:
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": {"a": "../model.safetensors"}})
    )


def index_of_numbers(folder: Path) -> None:
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": [1], "b": 2}}))


def missing_shard(folder: Path) -> None:
    name = "model-00001-of-00002.safetensors"
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": name}}))


BROKEN: dict[str, tuple[Callable[[Path], Any], type[ConversionError], str]] = {
    "no config": (lambda f: (f / "config.json").unlink(), CheckpointError, "config.json is missing"),
    "no JSON": (rewrite("config.json", b"{"), CheckpointError, "no valid JSON"),
    "a list": (rewrite("config.json", b"[]"), CheckpointError, "no JSON object"),
    "deep JSON": (rewrite("config.json", b"[" * 200_000), CheckpointError, "no valid JSON"),
    "no weights": (
        lambda f: (f / "model.safetensors").unlink(),
        CheckpointError,
        "holds no model.safetensors",
    ),
    "pickle": (pickle_only, UnsupportedCheckpointError, "pickle"),
    "cut weights": (truncate("model.safetensors", 100_000), CheckpointError, "damaged"),
    "empty weights": (truncate("model.safetensors", 0), CheckpointError, "no safetensors file"),
    "no header": (rewrite("model.safetensors", b"\xff" * 64), CheckpointError, "no safetensors file"),
    "index leads out": (escaping_index, CheckpointError, "index names the file"),
    "index of numbers": (index_of_numbers, CheckpointError, "index names the file|is missing"),
    "missing shard": (missing_shard, CheckpointError, "is missing"),
    "lost tensor": (drop_tensor, CheckpointError, "lacks the tensor model.layers.1.self_attn.k_proj.bias"),
    "unknown tensor": (add_tensor, UnsupportedCheckpointError, "gate_proj.bias"),
    "not finite": (diverged, CheckpointError, "not finite"),
    "wrong width": (set_config(intermediate_size=640), CheckpointError, "has the shape"),
    "huge": (set_config(num_hidden_layers=10**9), CheckpointError, "makes no sense"),
    "negative": (set_config(num_attention_heads=-4), CheckpointError, "makes no sense"),
    "text for number": (set_config(hidden_size="256"), CheckpointError, "makes no sense"),
    "heads": (set_config(num_key_value_heads=3), CheckpointError, "do not fit together"),
    "epsilon": (set_config(rms_norm_eps=float("nan")), CheckpointError, "rms_norm_eps"),
    "other kind": (set_config(model_type="gemma3"), UnsupportedCheckpointError, "gemma3"),
    "classifier": (
        set_config(architectures=["Qwen2ForSequenceClassification"]),
        UnsupportedCheckpointError,
        "Qwen2ForSequenceClassification",
    ),
    "window": (set_config(use_sliding_window=True), UnsupportedCheckpointError, "sliding window"),
    "quantised": (set_config(quantization_config={}), UnsupportedCheckpointError, "quantised"),
    "activation": (set_config(hidden_act="gelu"), UnsupportedCheckpointError, "gelu"),
    "dynamic rope": (
        set_config(rope_parameters={"rope_type": "dynamic", "factor": 2.0}),
        UnsupportedCheckpointError,
        "dynamic",
    ),
    "rope factor": (
        set_config(rope_parameters={"rope_type": "linear", "factor": 0}),
        CheckpointError,
        "factor in config.json",
    ),
    "yarn ramp": (
        set_config(rope_parameters={"rope_type": "yarn", "factor": 2.0, "beta_fast": 16}),
        UnsupportedCheckpointError,
        "ramp",
    ),
    "no tokenizer": (lambda f: (f / "tokenizer.json").unlink(), CheckpointError, "neither tokenizer.json"),
    "empty tokenizer": (rewrite("tokenizer.json", b"{}"), CheckpointError, "damaged"),
    "tokenizer type": (
        set_tokenizer(lambda t: t["model"].update(type="Unigram")),
        UnsupportedCheckpointError,
        "Unigram",
    ),
    "pre-tokenizer": (
        set_tokenizer(lambda t: t["pre_tokenizer"]["pretokenizers"][0]["pattern"].update(Regex=r"\w+")),
        UnsupportedCheckpointError,
        "splits text in a way",
    ),
    "normaliser": (
        set_tokenizer(lambda t: t.update(normalizer={"type": "Lowercase"})),
        UnsupportedCheckpointError,
        "changes text",
    ),
    "too many tokens": (set_config(vocab_size=100), CheckpointError, "has the shape"),
    "merges": (set_tokenizer(lambda t: t["model"].update(merges=[["a"]])), CheckpointError, "damaged"),
    "end token": (set_config(eos_token_id=99_999), CheckpointError, "special id"),
}


@pytest.mark.parametrize("name", list(BROKEN))
def test_damage_is_said_in_a_sentence_and_leaves_nothing(name: str, folder: Path, tmp_path: Path) -> None:
    damage, kind, words = BROKEN[name]
    damage(folder)
    place = tmp_path / "place"
    place.mkdir()
    with pytest.raises(kind, match=words) as caught:
        import_checkpoint(folder, place / "model.gguf")
    assert caught.value.message.endswith((".", "}", "]")) or ":" in caught.value.message
    assert caught.value.hint
    assert list(place.iterdir()) == []


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="is no folder"):
        open_checkpoint(tmp_path / "nothing")


def test_no_code_of_a_checkpoint_runs(folder: Path, tmp_path: Path) -> None:
    (folder / "modeling_evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    auto = {"AutoModelForCausalLM": "modeling_evil.Evil", "AutoConfig": "modeling_evil.Evil"}
    edit(folder / "config.json", lambda config: config.update(auto_map=auto))
    edit(
        folder / "tokenizer_config.json",
        lambda config: config.update(auto_map={"AutoTokenizer": ["modeling_evil.Evil", None]}),
    )
    import_checkpoint(folder, tmp_path / "model.gguf")
    assert not (tmp_path / "ran").exists()


def test_values_beyond_half_precision_are_refused_and_bfloat_takes_them(folder: Path, tmp_path: Path) -> None:
    path = folder / "model.safetensors"
    tensors = {name: torch.from_numpy(value) for name, value in load_file(path).items()}
    tensors["model.layers.0.mlp.up_proj.weight"][3, 5] = 1e6
    save_file(tensors, path)
    with pytest.raises(UnsupportedCheckpointError, match="65504") as caught:
        import_checkpoint(folder, tmp_path / "model.gguf")
    assert "bf16" in caught.value.hint
    source = read_source(open_checkpoint(folder))
    write_model(tmp_path / "model.gguf", source, FloatType.BF16, FileInfo(name="x"))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_blocks_of_rows_join_to_what_the_library_reads(
    dtype: torch.dtype, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(safetensors_file, "_BLOCK_BYTES", 100)
    torch.manual_seed(0)
    matrix, vector = torch.randn(37, 5).to(dtype), torch.randn(301).to(dtype)
    save_file({"matrix": matrix, "vector": vector}, tmp_path / "m.safetensors")
    entries = read_entries(tmp_path / "m.safetensors")
    assert len(list(entries["matrix"].rows())) > 3
    assert np.array_equal(entries["matrix"].read(), matrix.float().numpy())
    assert np.array_equal(entries["vector"].read(), vector.float().numpy())


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
_ENTRY = st.fixed_dictionaries(
    {},
    optional={
        "dtype": st.sampled_from(["F32", "BF16", "I64"]) | _JSON,
        "shape": st.lists(st.integers(-1, 1 << 40), max_size=5) | _JSON,
        "data_offsets": st.lists(st.integers(-5, 200), max_size=3) | _JSON,
    },
)


@settings(max_examples=150, deadline=None)
@given(
    header=st.dictionaries(st.text(max_size=6), _ENTRY | _JSON, max_size=4) | _JSON, size=st.integers(0, 64)
)
def test_no_header_makes_the_reader_fail_otherwise(
    tmp_path_factory: pytest.TempPathFactory, header: object, size: int
) -> None:
    path = tmp_path_factory.mktemp("st") / "m.safetensors"
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(size))
    try:
        entries = read_entries(path)
    except ConversionError:
        return
    for entry in entries.values():
        assert entry.start_byte + entry.size_bytes <= path.stat().st_size


def test_memory_is_bounded_by_the_largest_tensor(tmp_path: Path, checkpoints: dict[str, Path]) -> None:
    """numpy's allocations are seen by tracemalloc; a model of 90 MB is written within a fraction of it."""
    import tracemalloc

    from benchmarks.random_checkpoint import make_checkpoint

    folder = make_checkpoint(
        tmp_path / "in", "llama", hidden_size=512, intermediate_size=1536, num_hidden_layers=7
    )
    source = read_source(open_checkpoint(folder))
    assert source.checkpoint.size_bytes > 80e6
    tracemalloc.start()
    write_model(tmp_path / "m.gguf", source, FloatType.F16, FileInfo(name="x"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.25 * source.checkpoint.size_bytes
