"""Adapters: merged into the model, and as llama.cpp's own adapter file; both held against W x + s B A x."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from engine.errors import CheckpointError, UnsupportedCheckpointError
from trainer.gguf import importing, lora
from trainer.gguf.checkpoint import open_checkpoint
from trainer.gguf.importing import KINDS, export_adapter, import_checkpoint
from trainer.gguf.lora import read_adapter
from trainer.gguf.parity import FailedParityError, Reference, compare
from trainer.gguf.tensors import list_targets
from trainer.gguf.writer import FileInfo, FloatType, read_source, write_model

ALL = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def make_adapter(
    folder: Path, checkpoint: Path, modules: tuple[str, ...] = ALL, rank: int = 4, **settings: Any
) -> Path:
    """An adapter as peft saves it, strong enough to change every answer."""
    folder.mkdir(exist_ok=True)
    torch.manual_seed(1)
    source = read_source(open_checkpoint(checkpoint))
    tensors: dict[str, torch.Tensor] = {}
    for target in list_targets(source.shape):
        stem = target.source.removesuffix(".weight")
        if target.is_matrix and stem.split(".")[-1] in modules:
            rows, columns = target.shape
            tensors[f"base_model.model.{stem}.lora_A.weight"] = 0.1 * torch.randn(rank, columns)
            tensors[f"base_model.model.{stem}.lora_B.weight"] = 0.1 * torch.randn(rows, rank)
    save_file(tensors, folder / "adapter_model.safetensors")
    given = {"peft_type": "LORA", "r": rank, "lora_alpha": 8, "bias": "none", "target_modules": list(modules)}
    (folder / "adapter_config.json").write_text(json.dumps({**given, **settings}))
    return folder


@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3"])
def test_a_merged_adapter_agrees(checkpoints: dict[str, Path], family: str, tmp_path: Path) -> None:
    adapter = make_adapter(tmp_path / "adapter", checkpoints[family])
    output = tmp_path / "model.gguf"
    assert import_checkpoint(checkpoints[family], output, adapter=adapter).parity.nmse < 1e-4
    plain = Reference(read_source(open_checkpoint(checkpoints[family])))
    assert compare(output, plain, kind="f16").nmse > 1e-2, "the adapter changes nothing"


@pytest.mark.parametrize("family", ["llama", "qwen2"])
def test_an_adapter_file_agrees_when_llama_cpp_applies_it(
    checkpoints: dict[str, Path], family: str, tmp_path: Path
) -> None:
    adapter = make_adapter(tmp_path / "adapter", checkpoints[family])
    output = tmp_path / "adapter.gguf"
    report = export_adapter(checkpoints[family], adapter, output)
    assert report.kind == "lora"
    assert report.parity.nmse < 1e-4
    assert {path.name for path in tmp_path.iterdir()} == {"adapter", "adapter.gguf"}
    # Once more by hand, with and without: what is loaded is the file that was written.
    source = read_source(open_checkpoint(checkpoints[family]))
    base = tmp_path / "base.gguf"
    write_model(base, source, FloatType.F32, FileInfo(name="base"))
    with_it = Reference(source, read_adapter(adapter, source.shape))
    assert compare(base, with_it, kind="f32", adapter=output).nmse < 1e-6
    assert compare(base, with_it, kind="f32").nmse > 1e-2


def test_rank_stabilised_adapters_have_their_own_scale(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    adapter = make_adapter(tmp_path / "adapter", checkpoints["qwen2"], use_rslora=True, rank=16)
    source = read_source(open_checkpoint(checkpoints["qwen2"]))
    parts = read_adapter(adapter, source.shape).parts
    assert {part.scale for part in parts.values()} == {8 / 16**0.5}
    assert export_adapter(checkpoints["qwen2"], adapter, tmp_path / "a.gguf").parity.nmse < 1e-4


def test_an_adapter_of_the_head_is_merged(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    adapter = make_adapter(tmp_path / "adapter", checkpoints["llama"], modules=("lm_head", "q_proj"))
    assert import_checkpoint(checkpoints["llama"], tmp_path / "m.gguf", adapter=adapter).parity.nmse < 1e-4


def test_a_lost_permutation_of_b_is_refused(
    checkpoints: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter = make_adapter(tmp_path / "adapter", checkpoints["llama"])
    monkeypatch.setattr(lora, "permute_rows", lambda values, _: values)
    with pytest.raises(FailedParityError, match="NMSE"):
        export_adapter(checkpoints["llama"], adapter, tmp_path / "a.gguf")
    assert not (tmp_path / "a.gguf").exists()


def test_a_forgotten_adapter_is_refused(
    checkpoints: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter = make_adapter(tmp_path / "adapter", checkpoints["qwen2"])
    monkeypatch.setattr(importing, "_with_adapter", lambda source, _: source)
    with pytest.raises(FailedParityError, match="NMSE"):
        import_checkpoint(checkpoints["qwen2"], tmp_path / "m.gguf", adapter=adapter, kind=KINDS["q8_0"])


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"use_dora": True}, "use_dora"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"bias": "all"}, "bias"),
        ({"peft_type": "IA3"}, "IA3"),
        ({"alpha_pattern": {"q_proj": 2}}, "alpha_pattern"),
    ],
)
def test_other_kinds_of_adapters_are_refused(
    checkpoints: dict[str, Path], tmp_path: Path, settings: dict[str, Any], word: str
) -> None:
    adapter = make_adapter(tmp_path / "adapter", checkpoints["qwen2"], **settings)
    with pytest.raises(UnsupportedCheckpointError, match=word):
        import_checkpoint(checkpoints["qwen2"], tmp_path / "m.gguf", adapter=adapter)


def test_an_adapter_of_another_model_is_refused(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    adapter = make_adapter(tmp_path / "adapter", checkpoints["qwen3"])
    with pytest.raises(CheckpointError, match="do not fit"):
        import_checkpoint(checkpoints["llama"], tmp_path / "m.gguf", adapter=adapter)


@pytest.mark.parametrize("alpha", [0, -1, "8", None, True])
def test_a_senseless_alpha_is_refused(checkpoints: dict[str, Path], tmp_path: Path, alpha: object) -> None:
    adapter = make_adapter(tmp_path / "adapter", checkpoints["qwen2"], lora_alpha=alpha)
    with pytest.raises(CheckpointError, match="lora_alpha"):
        import_checkpoint(checkpoints["qwen2"], tmp_path / "m.gguf", adapter=adapter)


def test_half_an_adapter_is_refused(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    adapter = make_adapter(tmp_path / "adapter", checkpoints["qwen2"])
    save_file(
        {"base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight": torch.ones(4, 256)},
        adapter / "adapter_model.safetensors",
    )
    with pytest.raises(CheckpointError, match="does not take"):
        import_checkpoint(checkpoints["qwen2"], tmp_path / "m.gguf", adapter=adapter)


def test_the_delta_of_some_rows_is_that_of_the_whole() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(3, 7)).astype(np.float32), rng.normal(size=(11, 3)).astype(np.float32)
    part = lora.LowRank(a=a, b=b, scale=0.5)
    assert np.allclose(part.delta(slice(4, 9)), (0.5 * b @ a)[4:9], atol=1e-6)
