"""What a step changed in the memory, sentence by sentence and within changed sentences word by word.

`engine.agent.provenance.diff_words` compares all words with all words, which a long memory would make felt in a window:
here only sentences that changed are compared by words, and only as far as that takes no time.
"""

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Change = Literal["same", "added", "removed"]
_TOKENS = re.compile(r"\s+|\S+")
_MOST_PAIRS = 40_000
"""Comparisons of words for one sentence, about 10 ms; beyond, it counts as replaced."""
_MOST_SENTENCES = 600
"""Changed sentences that are compared with each other; beyond, likewise."""
_MOST_REWRITTEN = 24
"""Sentences in a row that are looked through for rewordings."""
_MOST_CHARACTERS = 20_000
"""Of two sentences that are compared by words."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of text and what happened to it."""

    change: Change
    text: str


@dataclass(frozen=True, slots=True)
class Row:
    """A sentence of the memory, or one that is gone (`tile` None), with its pieces.

    Attributes:
        tile: index of the sentence in the memory afterwards.
        pieces: those that are not removed give the sentence.
    """

    tile: int | None
    pieces: tuple[Piece, ...]


def compare(before: Sequence[str], after: Sequence[str]) -> list[Row]:
    """Compare two memories, given as tiles; the rows with a tile are the memory afterwards, in order.

    The space around a sentence does not count: the first of a memory has none before it, wherever it stood.
    """
    old, new = [each.strip() for each in before], [each.strip() for each in after]
    head = _common(old, new)
    tail = _common(old[head:][::-1], new[head:][::-1])
    rows = [_same(place, after[place]) for place in range(head)]
    rows += _Run(before, after, old, new).compare(head, len(old) - tail, head, len(new) - tail)
    rows += [_same(place, after[place]) for place in range(len(after) - tail, len(after))]
    return rows


def counts(rows: Sequence[Row]) -> tuple[int, int]:
    """Words added and removed."""
    added, removed = (
        sum(len(piece.text.split()) for row in rows for piece in row.pieces if piece.change == change)
        for change in ("added", "removed")
    )
    return added, removed


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    length = 0
    for left, right in zip(one, other, strict=False):
        if left != right:
            break
        length += 1
    return length


def _same(place: int, text: str) -> Row:
    return Row(place, (Piece("same", text),))


class _Run:
    """Sentences that changed, between others that did not.

    Args:
        before: tiles.
        after: tiles.
        old: the same as `before`, without the space around.
        new: the same as `after`, without the space around.
    """

    def __init__(
        self, before: Sequence[str], after: Sequence[str], old: Sequence[str], new: Sequence[str]
    ) -> None:
        self._before, self._after, self._old, self._new = before, after, old, new

    def compare(self, i1: int, i2: int, j1: int, j2: int) -> list[Row]:
        """Compare ``before[i1:i2]`` with ``after[j1:j2]``."""
        if max(i2 - i1, j2 - j1) > _MOST_SENTENCES:
            return self._replaced(i1, i2, j1, j2)
        rows: list[Row] = []
        matcher = difflib.SequenceMatcher(a=self._old[i1:i2], b=self._new[j1:j2], autojunk=False)
        for tag, a1, a2, b1, b2 in matcher.get_opcodes():
            if tag == "equal":
                rows += [_same(place, self._after[place]) for place in range(j1 + b1, j1 + b2)]
            else:
                rows += self._rewritten(i1 + a1, i1 + a2, j1 + b1, j1 + b2)
        return rows

    def _rewritten(self, i1: int, i2: int, j1: int, j2: int) -> list[Row]:
        """Sentences in the place of others: each is compared with the first one that it has enough words from."""
        if max(i2 - i1, j2 - j1) > _MOST_REWRITTEN:
            return self._replaced(i1, i2, j1, j2)
        rows: list[Row] = []
        for place in range(j1, j2):
            partner = next((at for at in range(i1, i2) if _alike(self._old[at], self._new[place])), None)
            pieces = None if partner is None else _words(self._before[partner], self._after[place])
            if partner is None or pieces is None:
                rows += self._replaced(0, 0, place, place + 1)
                continue
            rows += self._replaced(i1, partner, 0, 0)
            rows.append(Row(place, pieces))
            i1 = partner + 1
        return rows + self._replaced(i1, i2, 0, 0)

    def _replaced(self, i1: int, i2: int, j1: int, j2: int) -> list[Row]:
        gone = [Row(None, (Piece("removed", text),)) for text in self._before[i1:i2]]
        return gone + [Row(place, (Piece("added", self._after[place]),)) for place in range(j1, j2)]


def _alike(old: str, new: str) -> bool:
    """Whether one may be a rewording of the other: half of the words of both are common."""
    if len(old) + len(new) > _MOST_CHARACTERS:
        return False
    left, right = set(old.split()), set(new.split())
    return 2 * len(left & right) >= len(left | right)


def _words(before: str, after: str) -> tuple[Piece, ...] | None:
    """The difference by words; None if the sentences are too long."""
    lead = after[: len(after) - len(after.lstrip())]
    old, new = _TOKENS.findall(before.strip()), _TOKENS.findall(after[len(lead) :])
    if len(old) * len(new) > _MOST_PAIRS:
        return None
    pieces: list[Piece] = [Piece("same", lead)] if lead else []
    for tag, i1, i2, j1, j2 in difflib.SequenceMatcher(a=old, b=new, autojunk=False).get_opcodes():
        if tag == "equal":
            pieces.append(Piece("same", "".join(new[j1:j2])))
            continue
        if i2 > i1:
            pieces.append(Piece("removed", "".join(old[i1:i2])))
        if j2 > j1:
            pieces.append(Piece("added", "".join(new[j1:j2])))
    return tuple(pieces)
