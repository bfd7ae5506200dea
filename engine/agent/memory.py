"""The memory: a value that each chunk's reply overwrites."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from engine.documents.model import Span


@dataclass(frozen=True, slots=True)
class MemoryItem:
    """One item of the memory.

    Attributes:
        text: what the model sees.
        source: the place in the document that the text is copied from; None for text that the model wrote.
    """

    text: str
    source: Span | None = None


@dataclass(frozen=True, slots=True)
class Memory:
    """What is known after some chunks. Free-text modes have at most one item, extractive mode has one a sentence."""

    items: tuple[MemoryItem, ...] = ()

    @property
    def texts(self) -> tuple[str, ...]:
        """The items' texts, in order."""
        return tuple(item.text for item in self.items)

    @property
    def text(self) -> str:
        """The memory as people see it: one item a line."""
        return "\n".join(self.texts)

    def to_json(self) -> str:
        """Canonical JSON: equal memories have equal JSON, bit for bit."""
        return json.dumps(
            [_item_to_list(item) for item in self.items], ensure_ascii=False, separators=(",", ":")
        )

    @classmethod
    def from_json(cls, text: str) -> "Memory":
        """Inverse of `to_json`."""
        return cls(tuple(_item_from_list(values) for values in json.loads(text)))

    @property
    def content_hash(self) -> str:
        """sha256 of `to_json`."""
        return hashlib.sha256(self.to_json().encode("utf-8", "surrogatepass")).hexdigest()


EMPTY = Memory()


def _item_to_list(item: MemoryItem) -> list[Any]:
    if item.source is None:
        return [item.text]
    return [item.text, item.source.document, item.source.start, item.source.end]


def _item_from_list(values: list[Any]) -> MemoryItem:
    text, *place = values
    return MemoryItem(text, Span(document=place[0], start=place[1], end=place[2]) if place else None)
