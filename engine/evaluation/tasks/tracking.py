"""Variable tracking: assignments scattered over a text, each of the one before; which variables have this value?

Source: RULER, arXiv 2404.06654, section 3 (VT), one chain of four hops by default. Deviation: a second chain with
another value runs beside the first, so that naming every variable is not the answer. The order of a chain's links
is that of the document.
"""

import random
import string
from dataclasses import dataclass

from engine.errors import PlanError
from engine.evaluation.haystack import Statement, depths, fill, hide
from engine.evaluation.items import Gold, Item
from engine.evaluation.tasks.base import Materials, Parameters

_NAME_LETTERS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackingTask:
    """Chains of assignments.

    Attributes:
        materials: what items are made of.
        hops: assignments of a variable to another in the chain that is asked for.
        chains: chains in all; one is asked for.
    """

    materials: Materials
    hops: int = 4
    chains: int = 2

    def __post_init__(self) -> None:
        if self.hops < 0 or self.chains < 1:
            raise PlanError("Variable tracking needs at least one chain, and no negative number of hops.")

    @property
    def name(self) -> str:
        """See `Task`."""
        return "variable-tracking"

    @property
    def parameters(self) -> Parameters:
        """See `Task`."""
        return {**self.materials.parameters, "hops": self.hops, "chains": self.chains}

    @property
    def size(self) -> int | None:
        """Any number."""
        return None

    def item(self, length_tokens: int, index: int) -> Item:
        """See `Task`."""
        source, counter = self.materials.text, self.materials.counter
        rng = self.materials.random(self.name, length_tokens, index)
        values = rng.sample(range(10_000, 100_000), self.chains)
        names = _names(self.chains * (self.hops + 1), rng)
        links = [names[number :: self.chains] for number in range(self.chains)]
        told = [_assignments(chain, value) for chain, value in zip(links, values, strict=True)]
        cost = sum(counter.count(" " + text) for chain in told for text in chain)
        start = rng.randrange(len(source.paragraphs))
        body = fill(source.read_from(start), length_tokens - cost, counter)
        seed = self.materials.depth_seed(self.name, length_tokens)
        at = sorted(depths(self.hops + 1, seed=seed, index=index))
        at += [depth for _ in told[1:] for depth in sorted(rng.random() for _ in range(self.hops + 1))]
        texts = [text for chain in told for text in chain]
        statements = [Statement(text=text, depth=depth) for text, depth in zip(texts, at, strict=True)]
        document, places = hide(body, statements, name=f"{self.name}-{index}.txt")
        return Item(
            item_id=f"{self.name}-{length_tokens}-{index}",
            question=f"Find all variables that are assigned the value {values[0]}.",
            golds=tuple(
                Gold(answers=(variable,), evidence=(place,))
                for variable, place in zip(links[0], places, strict=False)
            ),
            document=document,
            num_tokens=counter.count(document.text),
            look_alikes=tuple(sorted(places[self.hops + 1 :])),
        )


def _names(count: int, rng: random.Random) -> list[str]:
    """So many different names of variables."""
    names: dict[str, None] = {}
    while len(names) < count:
        names["".join(rng.choices(string.ascii_uppercase, k=_NAME_LETTERS))] = None
    return list(names)


def _assignments(chain: list[str], value: int) -> list[str]:
    """The first variable gets the value, each other one the variable before it."""
    right = [str(value), *(f"VAR {name}" for name in chain)]
    return [f"VAR {name} = {given}." for name, given in zip(chain, right, strict=False)]
