"""Exports that are broken on purpose, the way writers have been broken before, are refused with their figures."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.random_checkpoint import make_checkpoint
from trainer.gguf import architecture, importing, tensors, vocabulary, writer
from trainer.gguf.importing import KINDS, import_checkpoint
from trainer.gguf.parity import FailedParityError, Parity
from trainer.gguf.pretokenizers import find_pre_tokenizer
from trainer.gguf.quantise import QuantType, quantise
from trainer.gguf.rope import Rope
from trainer.gguf.tensors import Target


def refused(folder: Path, tmp_path: Path, kind: str = "f16") -> Parity:
    """Import, expect a refusal that leaves nothing behind, and return its figures."""
    place = tmp_path / "place"
    place.mkdir(exist_ok=True)
    (place / "model.gguf").write_bytes(b"what was there before")
    with pytest.raises(FailedParityError) as caught:
        import_checkpoint(folder, place / "model.gguf", kind=KINDS[kind])
    assert [path.name for path in place.iterdir()] == ["model.gguf"]
    assert (place / "model.gguf").read_bytes() == b"what was there before"
    assert caught.value.hint
    return caught.value.parity


@pytest.mark.parametrize("kind", ["f16", "bf16", "f32"])
def test_a_missing_permutation(
    checkpoints: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(writer, "permute_rows", lambda values, _: values)
    parity = refused(checkpoints["llama"], tmp_path, kind)
    assert parity.nmse > 0.01
    assert parity.num_different_ids == 0


def test_a_permutation_that_does_not_belong(
    checkpoints: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = replace(architecture.FAMILIES["qwen2"], permutes_rope=True)
    monkeypatch.setitem(architecture.FAMILIES, "qwen2", wrong)
    assert refused(checkpoints["qwen2"], tmp_path).nmse > 0.01


def test_a_wrong_rope_theta(
    checkpoints: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(architecture, "read_rope", lambda *_: Rope(theta=9_000.0))
    assert refused(checkpoints["qwen3"], tmp_path).nmse > 5e-4


@pytest.mark.parametrize("family", ["llama", "qwen2"])
def test_a_forgotten_rope_scaling_shows_over_long_distances(
    family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rope = {
        "rope_type": "llama3" if family == "llama" else "yarn",
        "rope_theta": 500_000.0,
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
        "attention_factor": 1.0,
    }
    folder = make_checkpoint(tmp_path / "in", family, rope_parameters=rope, max_position_embeddings=65536)
    monkeypatch.setattr(architecture, "read_rope", lambda *_: Rope(theta=500_000.0))
    parity = refused(folder, tmp_path)
    assert parity.far_nmse > 1e-3
    assert parity.far_nmse > 10 * parity.nmse


@pytest.mark.parametrize(
    ("family", "right", "wrong"), [("qwen2", "qwen2", "gpt-2"), ("llama", "llama-bpe", "qwen2")]
)
def test_a_wrong_pre_tokenizer(
    checkpoints: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    family: str,
    right: str,
    wrong: str,
) -> None:
    assert find_pre_tokenizer(json.loads((checkpoints[family] / "tokenizer.json").read_text())) == right
    monkeypatch.setattr(vocabulary, "find_pre_tokenizer", lambda _: wrong)
    parity = refused(checkpoints[family], tmp_path)
    assert parity.num_different_ids >= 3
    assert parity.first_difference is not None


def without(part: str) -> Callable[..., list[Target]]:
    """The list of tensors, some of them left out."""
    real = tensors.list_targets
    return lambda shape: [target for target in real(shape) if not target.name.endswith(part)]


@pytest.mark.parametrize("part", ["1.attn_q.bias", "0.attn_k.bias", "2.attn_v.bias"])
def test_a_dropped_bias(
    checkpoints: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    real = writer._convert

    def zeroed(entry: Any, target: Target, kind: Any, adapter: Any) -> Any:
        values = real(entry, target, kind, adapter)
        return np.zeros_like(values) if target.name.endswith(part) else values

    monkeypatch.setattr(writer, "_convert", zeroed)
    assert refused(checkpoints["qwen2"], tmp_path).nmse > 1e-4


def test_a_bias_that_is_not_written_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_checkpoint(tmp_path / "in", "llama", attention_bias=True)
    monkeypatch.setattr(tensors, "list_targets", without("attn_v.bias"))
    monkeypatch.setattr(writer, "list_targets", without("attn_v.bias"))
    monkeypatch.setattr(writer, "check_tensors", lambda *_: None)
    assert refused(folder, tmp_path).nmse > 1e-3


@pytest.mark.parametrize("kind", ["f16", "q4_k_m"])
def test_swapped_layers(
    checkpoints: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    real = tensors.list_targets
    swap = {"0": "1", "1": "0"}

    def swapped(shape: Any) -> list[Target]:
        found = []
        for target in real(shape):
            parts = target.source.split(".")
            if parts[1] == "layers":
                parts[2] = swap.get(parts[2], parts[2])
            found.append(replace(target, source=".".join(parts)))
        return found

    monkeypatch.setattr(writer, "list_targets", swapped)
    parity = refused(checkpoints["qwen3"], tmp_path, kind)
    assert parity.nmse > 0.01
    assert parity.mean_kl_nats > 0.01


def test_an_epsilon_that_is_off(
    checkpoints: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(architecture, "_epsilon", lambda _: 0.05)
    assert refused(checkpoints["llama"], tmp_path).nmse > 1e-4


def test_an_end_that_llama_cpp_would_not_stop_at(
    checkpoints: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_checkpoint(tmp_path / "in", "qwen2", eos_token_id=[2, 3])
    real = vocabulary._add_special

    def forgetful(file: Any, special: Any) -> None:
        real(file, replace(special, ends=special.ends[:1]))

    monkeypatch.setattr(vocabulary, "_add_special", forgetful)
    text = (folder / "tokenizer.json").read_text().replace('"<s>"', '"<|stop|>"')
    (folder / "tokenizer.json").write_text(text)
    assert refused(folder, tmp_path).num_missing_ends == 1


def test_a_missing_begin_of_text(
    checkpoints: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vocabulary, "_additions", lambda *_: (False, False))
    parity = refused(checkpoints["llama"], tmp_path)
    assert parity.num_different_ids == 9


def test_a_quantised_file_of_a_good_base_is_judged_too(
    checkpoints: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def coarser(source: Path, target: Path, *_: Any) -> Any:
        return quantise(source, target, QuantType.Q4_K_M)

    monkeypatch.setattr(importing, "quantise", coarser)
    parity = refused(checkpoints["llama"], tmp_path, "q8_0")
    assert parity.kind == "q8_0"
    assert parity.nmse > 5e-3
