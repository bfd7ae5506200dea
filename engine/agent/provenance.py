"""Provenance: where each sentence of the memory came from, and what was forgotten; all derived from the trace."""

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from engine.agent.evidence import sentences
from engine.agent.memory import Memory, MemoryItem

_TOKENS = re.compile(r"\s+|\S+")

Change = Literal["same", "added", "removed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepMemory:
    """The memory around one chunk."""

    chunk_index: int
    before: Memory
    after: Memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetime:
    """One sentence of the memory through the reading.

    Attributes:
        item: the sentence, with its source where it has one.
        entered: index of the chunk after which it was there; None = it was there before the first step.
        dropped: index of the chunk after which it was gone; None = still there.
    """

    item: MemoryItem
    entered: int | None
    dropped: int | None


def lifetimes(steps: Iterable[StepMemory]) -> list[Lifetime]:
    """Every stay of a sentence in the memory, in the order of entering. A sentence that returns has two stays."""
    present: dict[MemoryItem, int | None] = {}
    ended: list[Lifetime] = []
    first = True
    for step in steps:
        if first:
            present = dict.fromkeys(memory_sentences(step.before))
            first = False
        now = memory_sentences(step.after)
        for item in [item for item in present if item not in now]:
            ended.append(Lifetime(item=item, entered=present.pop(item), dropped=step.chunk_index))
        for item in now:
            present.setdefault(item, step.chunk_index)
    ended.extend(Lifetime(item=item, entered=entered, dropped=None) for item, entered in present.items())
    return sorted(ended, key=lambda life: -1 if life.entered is None else life.entered)


def forgotten(steps: Iterable[StepMemory]) -> list[Lifetime]:
    """Sentences that stood in the memory once and do not stand in it at the end."""
    lives = lifetimes(steps)
    alive = {life.item for life in lives if life.dropped is None}
    last = {life.item: life for life in lives if life.item not in alive}
    return list(last.values())


def memory_sentences(memory: Memory) -> list[MemoryItem]:
    """The sentences of a memory: its items where they are copied from the document, else the text cut up."""
    found: list[MemoryItem] = []
    for item in memory.items:
        if item.source is not None:
            found.append(item)
        else:
            found.extend(MemoryItem(text) for text in sentences(item.text))
    return list(dict.fromkeys(found))


def diff_words(before: str, after: str) -> list[tuple[Change, str]]:
    """Word-level difference of two texts; joined, the pieces that are not removed give `after`."""
    old, new = _TOKENS.findall(before), _TOKENS.findall(after)
    pieces: list[tuple[Change, str]] = []
    for tag, i1, i2, j1, j2 in difflib.SequenceMatcher(a=old, b=new, autojunk=False).get_opcodes():
        if tag == "equal":
            pieces.append(("same", _join(new[j1:j2])))
            continue
        if i2 > i1:
            pieces.append(("removed", _join(old[i1:i2])))
        if j2 > j1:
            pieces.append(("added", _join(new[j1:j2])))
    return pieces


def _join(tokens: Sequence[str]) -> str:
    return "".join(tokens)
