"""Where each sentence of the memory came from and what was forgotten, kept up step by step.

The engine derives the same from a whole trace (`engine.agent.provenance`); here it has to be known at every step of a
reading that goes on, in the time that the step's own change takes.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from app.gui.reading.values import Item
from engine.sentences import sentence_spans


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """A sentence that left the memory.

    Attributes:
        text: the sentence.
        entered: position of the step that brought it; None = it was there before the first one.
        dropped: position of the step that dropped it.
    """

    text: str
    entered: int | None
    dropped: int


def tiles(items: Sequence[Item]) -> tuple[str, ...]:
    """A memory cut into its sentences, each with the space before it: joined, they are the memory.

    An item that is copied from the document is one, whatever stands in it.
    """
    return _tiles(tuple(items))


@lru_cache(maxsize=32)  # a memory is asked for when it comes, and whenever it is drawn
def _tiles(items: tuple[Item, ...]) -> tuple[str, ...]:
    found: list[str] = []
    for place, item in enumerate(items):
        parts = [item.text]
        if item.document is None and item.text:
            parts = [item.text[start:end] for start, end in sentence_spans(item.text)]
        found += ["\n" + parts[0] if place else parts[0], *parts[1:]]
    return tuple(found)


def written(memory: str) -> tuple[Item, ...]:
    """A memory of which only the text is known."""
    return tuple(Item(text=line) for line in memory.split("\n")) if memory else ()


def bare(tile: str) -> str:
    """A sentence without list marker and surrounding space; "" where there is nothing to read."""
    text = tile.strip().lstrip("-*•").strip()
    return text if any(character.isalnum() for character in text) else ""


def sentences(items: Sequence[Item]) -> list[str]:
    """The sentences of a memory, bare."""
    return [text for tile in tiles(items) if (text := bare(tile))]


class Ledger:
    """The stays of all sentences in a memory."""

    def __init__(self) -> None:
        self._present: dict[str, int | None] = {}
        self._stays: dict[str, list[tuple[int | None, int | None]]] = {}
        self._lost: list[Lost] = []
        self._last: Sequence[Item] | None = None

    def add(self, position: int, before: str, after: Sequence[Item]) -> None:
        """Take note of the step at a position; each is added once, in order."""
        if self._last is None:
            self._begin(before)
        if after == self._last:
            return
        self._last = after
        now = dict.fromkeys(sentences(after))
        for text in [text for text in self._present if text not in now]:
            entered = self._present.pop(text)
            self._stays[text].append((entered, position))
            self._lost.append(Lost(text=text, entered=entered, dropped=position))
        for text in now:
            if text not in self._present:
                self._present[text] = position
                self._stays.setdefault(text, [])

    def entered(self, text: str, position: int) -> int | None:
        """Position of the step that brought a sentence which stands in the memory after the step at `position`."""
        for begun, ended in self._stays.get(text, ()):
            if (begun is None or begun <= position) and (ended is None or position < ended):
                return begun
        begun = self._present.get(text)
        return None if begun is None or begun > position else begun

    def forgotten(self, position: int, most: int) -> list[Lost]:
        """What stood in the memory once and does not after the step at `position`: the latest, last first."""
        end = bisect_right(self._lost, position, key=lambda lost: lost.dropped)
        seen: set[str] = set()
        found: list[Lost] = []
        for lost in reversed(self._lost[:end]):
            if len(found) == most:
                break
            if lost.text not in seen and not self._stands(lost.text, position):
                found.append(lost)
            seen.add(lost.text)
        return found

    def _begin(self, before: str) -> None:
        self._last = written(before)
        for text in sentences(self._last):
            self._present[text] = None
            self._stays.setdefault(text, [])

    def _stands(self, text: str, position: int) -> bool:
        if text in self._present:
            begun = self._present[text]
            if begun is None or begun <= position:
                return True
        return any(
            (begun is None or begun <= position) and ended is not None and position < ended
            for begun, ended in self._stays[text]
        )
