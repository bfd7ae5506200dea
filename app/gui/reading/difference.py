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
"""Comparisons of words for one run of changed sentences, about 10 ms; beyond, it counts as replaced."""
_MOST_SENTENCES = 600
"""Changed sentences that are compared with each other; beyond, likewise."""


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
    """Compare two memories, given as tiles; the rows with a tile are the memory afterwards, in order."""
    head = _common(before, after)
    tail = _common(before[head:][::-1], after[head:][::-1])
    old, new = before[head : len(before) - tail], after[head : len(after) - tail]
    rows = [_same(place, after[place]) for place in range(head)]
    rows += _changed(old, new, head)
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


def _changed(old: Sequence[str], new: Sequence[str], offset: int) -> list[Row]:
    if max(len(old), len(new)) > _MOST_SENTENCES:
        return _replaced(old, new, offset)
    rows: list[Row] = []
    matcher = difflib.SequenceMatcher(a=old, b=new, autojunk=False)
    for tag, i1, i2, j1, j2 in matcher.get_opcodes():
        if tag == "equal":
            rows += [_same(offset + place, new[place]) for place in range(j1, j2)]
        else:
            rows += _rewritten(old[i1:i2], new[j1:j2], offset + j1)
    return rows


def _rewritten(old: Sequence[str], new: Sequence[str], offset: int) -> list[Row]:
    """Sentences that stand in the place of others: by words, if they have enough in common."""
    if len(old) != len(new):
        return _replaced(old, new, offset)
    rows: list[Row] = []
    for place, (left, right) in enumerate(zip(old, new, strict=True)):
        pieces = _words(left, right)
        if pieces is None:
            rows += _replaced([left], [right], offset + place)
        else:
            rows.append(Row(offset + place, pieces))
    return rows


def _words(before: str, after: str) -> tuple[Piece, ...] | None:
    """The difference by words; None if the sentences have too little in common, or are too long."""
    if len(before) + len(after) > 20_000:  # not even worth cutting up
        return None
    old, new = _TOKENS.findall(before), _TOKENS.findall(after)
    if len(old) * len(new) > _MOST_PAIRS:
        return None
    matcher = difflib.SequenceMatcher(a=old, b=new, autojunk=False)
    if matcher.ratio() < 0.4:
        return None
    pieces: list[Piece] = []
    for tag, i1, i2, j1, j2 in matcher.get_opcodes():
        if tag == "equal":
            pieces.append(Piece("same", "".join(new[j1:j2])))
            continue
        if i2 > i1:
            pieces.append(Piece("removed", "".join(old[i1:i2])))
        if j2 > j1:
            pieces.append(Piece("added", "".join(new[j1:j2])))
    return tuple(pieces)


def _replaced(old: Sequence[str], new: Sequence[str], offset: int) -> list[Row]:
    gone = [Row(None, (Piece("removed", text),)) for text in old]
    return gone + [Row(offset + place, (Piece("added", text),)) for place, text in enumerate(new)]
