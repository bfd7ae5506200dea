"""What every task is: items by length and number, the same ones every time."""

import hashlib
import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from engine.evaluation.facts import FactLists
from engine.evaluation.haystack import TokenCounter
from engine.evaluation.items import Item
from engine.evaluation.lists import EVALUATION_LISTS
from engine.evaluation.sources import TextSource

GENERATOR_VERSION = 1
"""Raised whenever the items of any task change: results are kept under it."""

Parameters = Mapping[str, str | int | float | bool]


class Task(Protocol):
    """A source of items. The same task, length and index give the same item, on every machine."""

    @property
    def name(self) -> str:
        """As the command line calls it."""
        ...

    @property
    def parameters(self) -> Parameters:
        """All that decides which items there are, their number and lengths apart."""
        ...

    @property
    def size(self) -> int | None:
        """Number of items at a length; None = any number."""
        ...

    def item(self, length_tokens: int, index: int) -> Item:
        """The item of this number, in a document of about this length.

        Raises:
            engine.errors.PlanError: the task cannot make one so short, or not so many.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Materials:
    """What tasks make their items of.

    Attributes:
        text: running text to hide evidence in.
        counter: counts tokens as the model that is measured does.
        seed: of everything drawn.
        lists: names and phrasings of generated facts; the default ones are held back from training.
    """

    text: TextSource
    counter: TokenCounter
    seed: int = 0
    lists: FactLists = EVALUATION_LISTS

    @property
    def parameters(self) -> Parameters:
        """What of this decides which items there are."""
        return {
            "generator": GENERATOR_VERSION,
            "seed": self.seed,
            "text": self.text.name,
            "text_hash": self.text.content_hash,
            "tokenizer": self.counter.tokenizer_hash,
        }

    def random(self, task: str, length_tokens: int, index: int) -> random.Random:
        """The source of randomness of one item."""
        return random.Random(f"{self.seed}/{task}/{length_tokens}/{index}")

    def depth_seed(self, task: str, length_tokens: int) -> str:
        """Names the sequence of depths of a task's items; see `engine.evaluation.haystack.depths`."""
        return f"{self.seed}/{task}/{length_tokens}"


def task_key(task: Task) -> str:
    """What results of a task are kept under."""
    text = json.dumps([task.name, dict(task.parameters)], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
