"""The tokenizer of the starter model: byte-level BPE with Qwen2's pre-tokenizer.

llama.cpp implements a fixed set of pre-tokenizers; Qwen2's is the simplest of them that splits
numbers into single digits, so that a long code is copied digit by digit.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

VOCABULARY_SIZE = 4_096
END = "<|end|>"
PAD = "<|pad|>"
NUM_MEMORY_LABELS = 8
NUM_SECTION_LABELS = 64
NUM_RESERVED = 16
SPECIAL_TOKENS: tuple[str, ...] = (
    PAD,
    END,
    *(f"<|{name}|>" for name in ("user", "assistant", "read", "answer", "q", "memory", "section")),
    *(f"<|{name}|>" for name in ("none", "yes", "no")),
    *(f"<|m{index}|>" for index in range(1, NUM_MEMORY_LABELS + 1)),
    *(f"<|s{index}|>" for index in range(1, NUM_SECTION_LABELS + 1)),
    *(f"<|r{index}|>" for index in range(1, NUM_RESERVED + 1)),
)
CHAT_TEMPLATE = (
    "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
# Qwen2's expression, verbatim from its tokenizer.json; llama.cpp holds the same for pre = qwen2.
QWEN2_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def train_tokenizer(texts: Iterable[str], vocabulary_size: int = VOCABULARY_SIZE) -> Tokenizer:
    """Train the vocabulary on texts; special tokens come first, in a fixed order."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(QWEN2_PATTERN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


class Codec:
    """Turns prompt pieces into ids exactly as the engine does through llama.cpp."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        """Wrap a trained tokenizer; special tokens in data text are never parsed."""
        tokenizer.encode_special_tokens = True
        self.tokenizer = tokenizer
        self.special: dict[str, int] = {}
        for token in SPECIAL_TOKENS:
            index = tokenizer.token_to_id(token)
            if index is None:
                raise ValueError(f"the vocabulary lacks {token}")
            self.special[token] = int(index)
        self.end_id = self.special[END]
        self.pad_id = self.special[PAD]

    @classmethod
    def load(cls, path: Path) -> Codec:
        """Load from a ``tokenizer.json``."""
        return cls(Tokenizer.from_file(str(path)))

    def __len__(self) -> int:
        return int(self.tokenizer.get_vocab_size())

    def text(self, text: str) -> list[int]:
        """Encode data text, special tokens taken as plain characters."""
        return list(self.tokenizer.encode(text).ids)

    def decode(self, ids: list[int]) -> str:
        """Decode ids, special tokens included in writing."""
        return str(self.tokenizer.decode(ids, skip_special_tokens=False))
