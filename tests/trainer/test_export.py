"""The network equals transformers' Qwen2, and the exported file equals the network."""

import random
from pathlib import Path

import gguf
import pytest
import torch

from engine.agent.prompts import STARTER
from engine.errors import ParityError
from trainer.gguf.rope import Rope
from trainer.gguf_export import ExportInfo, as_transformers, export
from trainer.model import Shape, StarterModel, build_model
from trainer.starter import DataSource
from trainer.tokens import CHAT_TEMPLATE, Codec


@pytest.fixture(scope="module")
def model(codec: Codec) -> StarterModel:
    """A small network with biases and norms that are not the neutral ones."""
    shape = Shape(hidden=64, layers=2, intermediate=96, heads=4, kv_heads=2, vocabulary=len(codec))
    network = build_model(shape, codec, seed=3)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return network.eval()


@pytest.fixture(scope="module")
def prompts(source: DataSource) -> list[list[int]]:
    """Ids of a few conversations."""
    maker = source.rounds(random.Random(2))
    return [maker.renderer.render(maker.tasks.read(size)).ids for size in (1, 4, 8)]


def test_the_network_is_transformers_qwen2(model: StarterModel, codec: Codec) -> None:
    ids = torch.randint(0, len(codec), (2, 70), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = as_transformers(model, codec)(ids).logits
        assert torch.allclose(model(ids), expected, atol=1e-4)


def test_padding_on_the_right_changes_nothing(model: StarterModel, codec: Codec) -> None:
    ids = torch.randint(0, len(codec), (1, 30), generator=torch.Generator().manual_seed(1))
    padded = torch.cat([ids, torch.full((1, 9), codec.pad_id)], dim=1)
    with torch.no_grad():
        assert torch.allclose(model(padded)[:, :30], model(ids), atol=1e-5)


def test_export_agrees_through_llama_cpp(
    model: StarterModel, codec: Codec, prompts: list[list[int]], tmp_path: Path
) -> None:
    path = tmp_path / "tiny.gguf"
    parity = export(model, codec, path, ExportInfo(chunk_tokens=300), prompts)
    assert parity.nmse < 1e-4
    assert parity.top1_agreement > 0.97
    fields = gguf.GGUFReader(path).fields
    assert fields["palimpsest.prompt_set"].contents() == STARTER.name
    assert fields["palimpsest.modes"].contents() == ["extractive"]
    assert fields["palimpsest.chunk_tokens"].contents() == 300
    assert fields["tokenizer.ggml.pre"].contents() == "qwen2"
    assert fields["tokenizer.chat_template"].contents() == CHAT_TEMPLATE


def test_a_file_that_differs_is_refused_and_replaces_nothing(
    model: StarterModel,
    codec: Codec,
    prompts: list[list[int]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "tiny.gguf"
    path.write_bytes(b"old")
    monkeypatch.setattr("trainer.gguf.architecture.read_rope", lambda *_: Rope(theta=500.0))
    with pytest.raises(ParityError, match="NMSE"):
        export(model, codec, path, ExportInfo(), prompts)
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["tiny.gguf"]


def test_all_of_the_fixed_texts_have_equal_ids(
    model: StarterModel, codec: Codec, prompts: list[list[int]], tmp_path: Path
) -> None:
    parity = export(model, codec, tmp_path / "tiny.gguf", ExportInfo(), prompts[:1])
    assert parity.num_different_ids == 0
    assert parity.num_texts > 200
    assert parity.num_missing_ends == 0
