"""The starter model: a small Qwen2 decoder with tied embeddings.

Written out here rather than taken from transformers because training taps the hidden states between
layers and lays circuits out in the weights. Parameter names are those of
`transformers.Qwen2ForCausalLM`, so a state dict loads into either; a test compares the logits.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import Qwen2Config

from trainer.tokens import NUM_MEMORY_LABELS, NUM_SECTION_LABELS, VOCABULARY_SIZE, Codec

CONTEXT_TOKENS = 2_048
ROPE_THETA = 1_000_000.0
NORM_EPSILON = 1e-6
EMBEDDING_STD = 0.3
FINAL_NORM = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Sizes of the network; depth rather than width, since matching composes several lookups."""

    hidden: int = 192
    layers: int = 5
    intermediate: int = 512
    heads: int = 6
    kv_heads: int = 3
    vocabulary: int = VOCABULARY_SIZE

    def __post_init__(self) -> None:
        if self.hidden % self.heads or self.heads % self.kv_heads:
            raise ValueError("heads must divide the hidden size and be a multiple of kv_heads")

    @classmethod
    def of(cls, config: Qwen2Config) -> Self:
        """The sizes in transformers' config."""
        return cls(
            hidden=config.hidden_size,
            layers=config.num_hidden_layers,
            intermediate=config.intermediate_size,
            heads=config.num_attention_heads,
            kv_heads=config.num_key_value_heads,
            vocabulary=config.vocab_size,
        )

    @property
    def head_size(self) -> int:
        """Width of one attention head."""
        return self.hidden // self.heads


class Attention(nn.Module):
    """Grouped-query causal attention with rotary positions; biases on q, k and v as in Qwen2."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        size, head = shape.hidden, shape.head_size
        self.q_proj = nn.Linear(size, shape.heads * head)
        self.k_proj = nn.Linear(size, shape.kv_heads * head)
        self.v_proj = nn.Linear(size, shape.kv_heads * head)
        self.o_proj = nn.Linear(size, size, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Map [B, T, D] to [B, T, D]; ``cos`` and ``sin`` are [T, head/2]."""
        batch, length, size = x.shape
        head = self.shape.head_size
        q = _rotate(self.q_proj(x).view(batch, length, -1, head).transpose(1, 2), cos, sin)
        k = _rotate(self.k_proj(x).view(batch, length, -1, head).transpose(1, 2), cos, sin)
        v = self.v_proj(x).view(batch, length, -1, head).transpose(1, 2)
        mixed = _attend(q, k, v)
        projected: Tensor = self.o_proj(mixed.transpose(1, 2).reshape(batch, length, size))
        return projected


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    left, right = x.chunk(2, dim=-1)
    return torch.cat((left * cos - right * sin, right * cos + left * sin), dim=-1)


def _attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Causal attention of [B, H, T, d] over keys and values [B, K, T, d], K a divisor of H.

    In bfloat16 written out: what torch does in one piece takes a processor one and a half to seven times as long at
    these lengths (docs/log.md). Scores are then rounded to bfloat16 too.
    """
    mixed: Tensor
    if q.dtype != torch.bfloat16:
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        return mixed
    batch, heads, length, head = q.shape
    groups = k.shape[1]
    # The heads of a group share their keys: one product for all of them.
    rows = (q * head**-0.5).reshape(batch, groups, -1, head)
    scores = (rows @ k.transpose(-1, -2)).view(batch, groups, -1, length, length)
    future = torch.full((length, length), -torch.inf, dtype=q.dtype, device=q.device).triu_(1)
    weights = (scores + future).softmax(-1, dtype=q.dtype).view(batch, groups, -1, length)
    mixed = weights @ v
    return mixed.view(batch, heads, length, head)


class FeedForward(nn.Module):
    """SwiGLU."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(shape.hidden, shape.intermediate, bias=False)
        self.up_proj = nn.Linear(shape.hidden, shape.intermediate, bias=False)
        self.down_proj = nn.Linear(shape.intermediate, shape.hidden, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, T, D] to [B, T, D]."""
        out: Tensor = self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))
        return out


class Layer(nn.Module):
    """One pre-norm decoder layer."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.self_attn = Attention(shape)
        self.mlp = FeedForward(shape)
        self.input_layernorm = nn.RMSNorm(shape.hidden, NORM_EPSILON)
        self.post_attention_layernorm = nn.RMSNorm(shape.hidden, NORM_EPSILON)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Map [B, T, D] to [B, T, D]."""
        x = x + self.self_attn(self.input_layernorm(x), cos, sin)
        out: Tensor = x + self.mlp(self.post_attention_layernorm(x))
        return out


class Decoder(nn.Module):
    """Embedding, layers, final norm: ids [B, T] to hidden states [B, T, D]."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(shape.vocabulary, shape.hidden)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.norm = nn.RMSNorm(shape.hidden, NORM_EPSILON)
        step = torch.arange(0, shape.head_size, 2) / shape.head_size
        angles = torch.arange(CONTEXT_TOKENS)[:, None] * ROPE_THETA**-step
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)

    def forward(self, ids: Tensor) -> Tensor:
        """Hidden states [B, T, D] of right-padded ids [B, T]; see `taps`."""
        return self.taps(ids, ())[-1]

    def taps(self, ids: Tensor, after: tuple[int, ...]) -> list[Tensor]:
        """Hidden states after some numbers of layers and, last, after all of them.

        Causal attention never looks to the right, so padding needs no mask.

        Args:
            ids: Right-padded ids, [B, T].
            after: Numbers of layers, ascending.

        Returns:
            Each [B, T, D], through the final norm, so that the tied head reads all of them.
        """
        length = ids.shape[1]
        cos, sin = self.get_buffer("cos")[:length], self.get_buffer("sin")[:length]
        x = self.embed_tokens(ids)
        found: list[Tensor] = []
        for number, layer in enumerate(self.layers, start=1):
            x = layer(x, cos, sin)
            if number in after:
                found.append(self.norm(x))
        return [*found, self.norm(x)]


class StarterModel(nn.Module):
    """Decoder with a head tied to the embedding."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.model = Decoder(shape)

    def logits(self, hidden: Tensor) -> Tensor:
        """Logits [..., V] of hidden states [..., D]."""
        return F.linear(hidden, self.model.embed_tokens.weight)

    def forward(self, ids: Tensor) -> Tensor:
        """Logits [B, T, V] of ids [B, T]; training takes only the positions it needs."""
        return self.logits(self.model(ids))


def build_model(shape: Shape, codec: Codec | None = None, seed: int = 0) -> StarterModel:
    """Create a model with random weights; see `_relate_labels` for what the codec is needed for."""
    torch.manual_seed(seed)
    model = StarterModel(shape)
    for name, parameter in model.named_parameters():
        if name.endswith(("bias", "o_proj.weight", "down_proj.weight")):
            # Layers start as the identity: what a token is must not drown in random branches.
            nn.init.zeros_(parameter)
        elif "embed" in name:
            nn.init.normal_(parameter, std=EMBEDDING_STD)
        elif parameter.ndim == 2:
            nn.init.normal_(parameter, std=parameter.shape[1] ** -0.5)
    # A table of this size holds its own against Muon's steps; the tied head scales down instead.
    nn.init.constant_(model.model.norm.weight, FINAL_NORM)
    if codec is not None:
        _relate_labels(model, codec)
    return model


@torch.no_grad()
def _relate_labels(model: StarterModel, codec: Codec) -> None:
    """Start the labels of one family close to each other.

    A label has to do two jobs: gather what its sentence says, the same for every label, and be
    told apart from the others. Starting from a shared part lets all of them learn the first job
    at once.
    """
    table = model.model.embed_tokens.weight
    for letter, count in (("m", NUM_MEMORY_LABELS), ("s", NUM_SECTION_LABELS)):
        ids = [codec.special[f"<|{letter}{index}|>"] for index in range(1, count + 1)]
        table[ids] = 0.7 * table[ids[0]].clone() + 0.7 * table[ids]


def count_parameters(model: nn.Module) -> int:
    """Number of parameters; the tied table counts once."""
    return sum(parameter.numel() for parameter in model.parameters())


def transformers_config(shape: Shape, codec: Codec) -> dict[str, Any]:
    """Fields of the equivalent `transformers.Qwen2Config`."""
    sizes = asdict(shape)
    return {
        "vocab_size": sizes["vocabulary"],
        "hidden_size": sizes["hidden"],
        "intermediate_size": sizes["intermediate"],
        "num_hidden_layers": sizes["layers"],
        "num_attention_heads": sizes["heads"],
        "num_key_value_heads": sizes["kv_heads"],
        "max_position_embeddings": CONTEXT_TOKENS,
        "rms_norm_eps": NORM_EPSILON,
        "rope_theta": ROPE_THETA,
        "tie_word_embeddings": True,
        "use_sliding_window": False,
        "eos_token_id": codec.end_id,
        "pad_token_id": codec.pad_id,
        "bos_token_id": None,
    }
