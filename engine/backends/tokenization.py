"""Turns rendered prompts into token ids so that data stays data.

Literal segments are parsed for special tokens, data segments are not, each on its own; the ids of a prompt
are the concatenation. Four things need care beyond that:

* llama.cpp matches USER_DEFINED tokens (``<think>``, ``<tool_call>``) even with special parsing off, and a
  merge can in principle produce a control token. Data whose ids hold such a token is cut inside the offending
  text and tokenised in parts: the characters stay, the token is gone.
* SentencePiece vocabularies put a space before every text that they are given, so each of our segments would
  gain one. They are tokenised behind a line break whose ids are dropped again. (The letter U+2581, which they
  write for a space, becomes a space: the one character that does not survive.)
* Some pre-tokenisers are regular expressions that recurse once per character: a megabyte without a space
  would overflow the C stack. Long data is tokenised in blocks, cut before a space wherever there is one.
* Python strings can hold lone surrogates, which UTF-8 cannot; they become U+FFFD.
"""

import functools
import re
from collections.abc import Iterator, Sequence
from typing import Protocol

from engine.backends.base import Prompt

_BLOCK_CHARS = 4096  # half of what such an expression survives on a stack of 8 MiB
_LITERAL_CACHE = 1024
_SURROGATE = re.compile("[\ud800-\udfff]")
_GUARD = "\n"


class RawVocabulary(Protocol):
    """What the tokenizer of a model must offer."""

    @property
    def forbidden(self) -> dict[int, str]:
        """Ids that data must never yield, with their text: control tokens, and user-defined markup."""
        ...

    @property
    def bos_id(self) -> int | None:
        """Id of the begin-of-sequence token if the model wants prompts to start with it."""
        ...

    def raw_tokenize(self, text: bytes, *, parse_special: bool) -> list[int]:
        """Ids of UTF-8 text, nothing added."""
        ...

    def piece(self, token_id: int) -> bytes:
        """Bytes of one token, special tokens rendered."""
        ...


def utf8_safe(text: str) -> str:
    """The text with lone surrogates replaced by U+FFFD."""
    return _SURROGATE.sub("\ufffd", text)


class PromptTokenizer:
    """Tokenises data and prompts for one vocabulary."""

    def __init__(self, vocabulary: RawVocabulary) -> None:
        self._vocabulary = vocabulary
        self._forbidden = frozenset(vocabulary.forbidden)
        texts = sorted(
            {text for text in vocabulary.forbidden.values() if len(text) > 1}, key=len, reverse=True
        )
        self._marker = re.compile("|".join(map(re.escape, texts))) if texts else None
        self._guard_ids = self._find_guard()
        # The wording around the data is the same for every chunk.
        self._literal = functools.lru_cache(_LITERAL_CACHE)(self._tokenize_literal)

    def data(self, text: str) -> list[int]:
        """Ids of data text: never a special token, and their pieces join to this text."""
        ids: list[int] = []
        for block in _blocks(utf8_safe(text)):
            ids.extend(self._plain(block))
        return ids

    def prompt(self, rendered: Prompt) -> list[int]:
        """Ids of a rendered prompt, with exactly one begin-of-sequence token where the model wants one."""
        ids: list[int] = []
        for segment in rendered:
            if not segment.is_data:
                ids.extend(self._literal(segment.text))
            elif segment.token_ids is not None:
                ids.extend(segment.token_ids)
            else:
                ids.extend(self.data(segment.text))
        return _with_one_bos(ids, self._vocabulary.bos_id)

    def _tokenize_literal(self, text: str) -> tuple[int, ...]:
        return tuple(self._guarded(utf8_safe(text), parse_special=True))

    def _plain(self, text: str) -> list[int]:
        ids = self._guarded(text, parse_special=False)
        if len(text) < 2 or self._forbidden.isdisjoint(ids):
            return ids
        match = self._marker.search(text) if self._marker else None
        cut = match.start() + 1 if match else len(text) // 2
        return self._plain(text[:cut]) + self._plain(text[cut:])

    def _guarded(self, text: str, *, parse_special: bool) -> list[int]:
        guard = self._guard_ids
        if not text:
            return []
        if not guard:
            return self._vocabulary.raw_tokenize(text.encode(), parse_special=parse_special)
        ids = self._vocabulary.raw_tokenize((_GUARD + text).encode(), parse_special=parse_special)
        if tuple(ids[: len(guard)]) == guard:
            return ids[len(guard) :]
        return self._vocabulary.raw_tokenize(text.encode(), parse_special=parse_special)

    def _find_guard(self) -> tuple[int, ...]:
        """Ids of the guard if this vocabulary puts a space before texts, else nothing."""
        ids = self._vocabulary.raw_tokenize(b"x", parse_special=False)
        if not b"".join(map(self._vocabulary.piece, ids)).startswith(b" "):
            return ()
        return tuple(self._vocabulary.raw_tokenize(_GUARD.encode(), parse_special=False))


def _with_one_bos(ids: Sequence[int], bos_id: int | None) -> list[int]:
    """Some templates write the token as text, some leave it to the tokenizer."""
    if bos_id is None:
        return list(ids)
    start = 0
    while start < len(ids) and ids[start] == bos_id:
        start += 1
    return [bos_id, *ids[start:]]


def _blocks(text: str) -> Iterator[str]:
    """Cut text into blocks of bounded length, before a single space between words if there is one."""
    start = 0
    while len(text) - start > _BLOCK_CHARS:
        end = start + _BLOCK_CHARS
        cut = text.rfind(" ", start + 1, end)
        while cut > start and not (text[cut - 1].isalnum() and text[cut + 1 : cut + 2].isalpha()):
            cut = text.rfind(" ", start + 1, cut)
        yield text[start : cut if cut > start else end]
        start = cut if cut > start else end
    yield text[start:]
