"""Writes a tiny GGUF with random weights: for tests that must not depend on what a model has learnt."""

from pathlib import Path

from benchmarks import random_gguf

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
# Weights large enough that logits differ clearly: near ties would make greedy replies depend on batch shapes.
_SHAPE = random_gguf.Shape(
    width=32,
    layers=2,
    heads=2,
    kv_heads=1,
    feed_forward=64,
    context_tokens=CONTEXT_TOKENS,
    rope_base=10_000.0,
    embedding_std=0.5,
    matrix_std=0.2,
)


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
    vocabulary = random_gguf.Vocabulary(
        control=SPECIAL,
        user_defined=USER_DEFINED,
        merges=MERGES,
        end="<|end|>",
        bos="<|pad|>",
        add_bos=add_bos,
        template=template,
    )
    return random_gguf.write(
        path, _SHAPE, vocabulary, name="Tiny", architecture=architecture, metadata=metadata, seed=seed
    )
