"""One checkpoint of each kind, made once."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from benchmarks.random_checkpoint import make_checkpoint

FAMILIES = ("llama", "qwen2", "qwen3")


@pytest.fixture(scope="session", autouse=True)
def few_threads() -> Iterator[None]:
    """Small networks gain nothing from threads, and they would starve llama.cpp's."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Llama: untied, grouped queries; Qwen2: tied, biases; Qwen3: heads wider than the residual stream."""
    root = tmp_path_factory.mktemp("checkpoints")
    return {
        "llama": make_checkpoint(root / "llama", "llama"),
        "qwen2": make_checkpoint(root / "qwen2", "qwen2", tie_word_embeddings=True),
        "qwen3": make_checkpoint(root / "qwen3", "qwen3", head_dim=128, dtype=torch.bfloat16),
    }
