"""Prompt lookup: guessing the next tokens of a reply from text that stands in the prompt.

A rewritten memory mostly repeats the old memory and the chunk. Where the last tokens of a reply occur earlier, what
followed them there is guessed to follow again; the model checks the guesses in one call, so the reply is the one it
would have written anyway (Saxena 2023, "Prompt Lookup Decoding"; speculative decoding: arXiv 2211.17192).
"""

from collections.abc import Sequence

_NGRAM_TOKENS = 3
_FIRST_DRAFT_TOKENS = 3
MAX_DRAFT_TOKENS = 15
"""Most tokens that are guessed at once. With the token before them they are 4, 8 or 16 in a call: on a CPU llama.cpp
computes four for little more than three (docs/log.md)."""


class PromptLookup:
    """Drafts for one reply.

    The length adapts: 3, 7, 15 as long as all guesses are right, 3 again when one was wrong.

    Args:
        prompt_ids: the prompt.
    """

    def __init__(self, prompt_ids: Sequence[int]) -> None:
        self._ids = list(prompt_ids)
        self._place: dict[tuple[int, ...], int] = {}
        self._indexed = 0
        self._length = _FIRST_DRAFT_TOKENS

    def add(self, token_id: int) -> None:
        """Take note of a token of the reply."""
        self._ids.append(token_id)

    def draft(self, most: int) -> list[int]:
        """Tokens that may come next, at most `most`; none if the last ones never occurred before."""
        self._index()
        start = self._place.get(tuple(self._ids[-_NGRAM_TOKENS:]))
        if start is None:
            return []
        return self._ids[start : start + min(self._length, most)]

    def learn(self, num_drafted: int, num_right: int) -> None:
        """Adapt the length of drafts to how the last one went."""
        if num_right == num_drafted:
            self._length = min(MAX_DRAFT_TOKENS, 2 * self._length + 1)
        else:
            self._length = _FIRST_DRAFT_TOKENS

    def _index(self) -> None:
        """Note where each n-gram is followed by something; the latest place counts."""
        for end in range(max(self._indexed, _NGRAM_TOKENS), len(self._ids)):
            self._place[tuple(self._ids[end - _NGRAM_TOKENS : end])] = end
        self._indexed = len(self._ids)
