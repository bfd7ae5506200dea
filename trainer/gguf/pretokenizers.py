"""Finds llama.cpp's name for a byte-level pre-tokenizer, by its structure.

llama.cpp knows a fixed set of expressions by name (`tokenizer.ggml.pre`). A wrong name still loads and reads
almost right, so a structure that is not known here is refused instead of guessed, and the gate compares ids.
"""

import json
from collections.abc import Mapping
from typing import Any

from engine.errors import UnsupportedCheckpointError

# The expressions stand in the tokenizer.json of the models that they are named after.
_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
_REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_QWEN2 = _WORDS + r"\p{N}" + _REST
_LLAMA3 = _WORDS + r"\p{N}{1,3}" + _REST
_EXPRESSIONS = {_GPT2: "gpt-2", _QWEN2: "qwen2", _LLAMA3: "llama3"}

_NAMES = {
    (("gpt-2",), False): "gpt-2",
    (("digits", "gpt-2"), False): "smollm",
    (("qwen2",), False): "qwen2",
    (("llama3",), True): "llama-bpe",
    (("llama3",), False): "dbrx",
}
"""By steps, and by whether a word that is a token is taken whole before any merge; that is tied to the name."""


def find_pre_tokenizer(state: Mapping[str, Any]) -> str:
    """llama.cpp's name for the pre-tokenizer of a `tokenizer.json` with a byte-level model.

    Raises:
        UnsupportedCheckpointError: llama.cpp has no such pre-tokenizer, or none that is known here.
    """
    steps = tuple(_step(part) or "unknown" for part in _flatten(state.get("pre_tokenizer")))
    ignores_merges = bool(state["model"].get("ignore_merges", False))
    name = _NAMES.get((tuple(step for step in steps if step != "bytes"), ignores_merges))
    is_byte_level = bool(steps) and (steps[-1] == "bytes" or steps[-1] == "gpt-2")
    if name is None or not is_byte_level:
        summary = json.dumps(state.get("pre_tokenizer"), ensure_ascii=False)[:160]
        raise UnsupportedCheckpointError(
            f"The tokenizer splits text in a way that is not known here: {summary}",
            hint="Known are the ways of GPT-2, SmolLM, Qwen2 and Llama 3; another would be read wrongly.",
        )
    return name


def _flatten(value: object) -> list[dict[str, Any]]:
    if not isinstance(value, dict):
        return []
    parts = value.get("pretokenizers") if value.get("type") == "Sequence" else None
    return [part for part in parts if isinstance(part, dict)] if isinstance(parts, list) else [value]


def _step(part: Mapping[str, Any]) -> str | None:
    """The meaning of one step; None if it has none here."""
    kind = part.get("type")
    if kind == "ByteLevel" and not part.get("add_prefix_space", True):
        return "gpt-2" if part.get("use_regex", True) else "bytes"
    if kind == "Digits" and part.get("individual_digits"):
        return "digits"
    if (
        kind == "Split"
        and part.get("behavior") in ("Isolated", "Removed")
        and isinstance(part.get("pattern"), dict)
    ):
        is_isolating = part["behavior"] == "Isolated" and not part.get("invert")
        is_matching = part["behavior"] == "Removed" and bool(part.get("invert"))
        expression = part["pattern"].get("Regex")
        return _EXPRESSIONS.get(expression) if is_isolating or is_matching else None
    return None
