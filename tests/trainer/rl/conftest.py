"""Tiny models with random weights, and the bundled one as a policy."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from trainer.rl.attention import PACKED
from trainer.rl.models import Policy, load_policy

STARTER = Path(__file__).parents[3] / "resources" / "models" / "palimpsest-starter.gguf"
VOCABULARY_SIZE = 97
FAMILIES = {
    "llama": (LlamaConfig, LlamaForCausalLM),
    "qwen2": (Qwen2Config, Qwen2ForCausalLM),
    "qwen3": (Qwen3Config, Qwen3ForCausalLM),
}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def make_model(family: str = "qwen2", seed: int = 0) -> nn.Module:
    """A decoder of two layers."""
    torch.manual_seed(seed)
    config_class, model_class = FAMILIES[family]
    config = config_class(
        vocab_size=VOCABULARY_SIZE,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        max_position_embeddings=256,
        attn_implementation=PACKED,
        bos_token_id=None,
        eos_token_id=1,
        pad_token_id=0,
    )
    model: nn.Module = model_class(config)
    for parameter in model.parameters():
        if parameter.ndim == 2:
            nn.init.normal_(parameter, std=0.3)
    return model.train()


@pytest.fixture
def model() -> nn.Module:
    """A Qwen2 of two layers."""
    return make_model()


@pytest.fixture(scope="session")
def starter() -> Policy:
    """The bundled model; not to be changed."""
    return load_policy(STARTER)
