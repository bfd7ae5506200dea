"""Needles: generated facts hidden in running text.

Source: RULER, arXiv 2404.06654, section 3: single (S-NIAH), multi-key (MK-NIAH: needles of other keys distract),
multi-value (MV-NIAH: one key has several values), multi-query (MQ-NIAH: several keys are asked for). Deviations:
needles are facts in ordinary words (`engine.evaluation.facts`) instead of "magic numbers", said and asked in many
ways; distractors resemble the needle in name or attribute. No value that is asked for stands anywhere else in the
document.
"""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

from engine.errors import PlanError
from engine.evaluation.facts import Fact, FactGenerator
from engine.evaluation.haystack import Statement, depths, fill, hide
from engine.evaluation.items import Gold, Item
from engine.evaluation.tasks.base import Materials, Parameters

_MOST_DRAWS = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class NeedleTask:
    """Facts with look-alikes.

    Attributes:
        name: of the task.
        materials: what items are made of.
        keys: facts that are asked for at once.
        values: values that each of them has.
        look_alikes: facts that resemble each of them and are not asked for.
    """

    name: str
    materials: Materials
    keys: int = 1
    values: int = 1
    look_alikes: int = 0

    def __post_init__(self) -> None:
        if self.keys < 1 or self.values < 1 or self.look_alikes < 0:
            raise PlanError(
                "A needle task needs at least one key and one value, and no negative number of look-alikes."
            )

    @property
    def parameters(self) -> Parameters:
        """See `Task`."""
        own = {"keys": self.keys, "values": self.values, "look_alikes": self.look_alikes}
        return {**self.materials.parameters, **own}

    @property
    def size(self) -> int | None:
        """Any number."""
        return None

    def item(self, length_tokens: int, index: int) -> Item:
        """See `Task`."""
        source, counter = self.materials.text, self.materials.counter
        rng = self.materials.random(self.name, length_tokens, index)
        start = rng.randrange(len(source.paragraphs))
        # Room for the statements is measured afterwards, so that facts can be held against the text around them.
        body = fill(source.read_from(start), length_tokens, counter)
        drawn = _Draw(FactGenerator(self.materials.lists, rng), "\n".join(body).casefold(), self)
        told = [*drawn.asked, *drawn.others]
        cost = sum(counter.count(" " + fact.statement) for fact in told)
        body = fill(body, length_tokens - cost, counter)
        places = depths(
            len(drawn.asked), seed=self.materials.depth_seed(self.name, length_tokens), index=index
        )
        places += [rng.random() for _ in drawn.others]
        statements = [Statement(text=fact.statement, depth=at) for fact, at in zip(told, places, strict=True)]
        document, found = hide(body, statements, name=f"{self.name}-{index}.txt")
        golds = [
            Gold(answers=(fact.value,), evidence=(place,))
            for fact, place in zip(drawn.asked, found, strict=False)
        ]
        return Item(
            item_id=f"{self.name}-{length_tokens}-{index}",
            question=drawn.question(rng),
            golds=tuple(golds),
            document=document,
            num_tokens=counter.count(document.text),
            look_alikes=tuple(sorted(found[len(drawn.asked) :])),
        )


class _Draw:
    """The facts of one item: `asked`, key by key, and `others`, which resemble them."""

    def __init__(self, facts: FactGenerator, text: str, task: NeedleTask) -> None:
        self._facts = facts
        self._text = text
        self._task = task
        self.asked: list[Fact] = []
        self.others: list[Fact] = []
        for _ in range(_MOST_DRAWS):
            if len(self.asked) == task.keys * task.values:
                return
            self._add_key()
        raise PlanError(
            f"The task {task.name} finds no {task.keys} facts with {task.values} values that do not get mixed up.",
            hint="Ask for fewer.",
        )

    def _add_key(self) -> None:
        """Draw a fact with its values and look-alikes; leave it if it could be mixed up with the rest."""
        first = self._facts.fact()
        fresh = [first]
        while len(fresh) < self._task.values:
            fresh.append(self._facts.fact(first.entity, first.attribute))
        others = self._facts.look_alikes(first, self._task.look_alikes)
        if self._is_clear(fresh, others):
            self.asked += fresh
            self.others += others

    def _is_clear(self, fresh: Sequence[Fact], others: Sequence[Fact]) -> bool:
        """Whether every value has one place alone, and no other statement is about what is asked."""
        told = [*self.asked, *self.others, *fresh, *others]
        golds = [*self.asked, *fresh]
        name = fresh[0].entity.text.casefold()
        if any(
            _holds(fact.entity.text.casefold(), name) or _holds(name, fact.entity.text.casefold())
            for fact in self.asked
        ):
            return False
        if _holds(self._text, name):
            return False
        for gold in golds:
            value = gold.value.casefold()
            if gold in fresh and _holds(self._text, value):
                return False
            if any(_holds(fact.statement.casefold(), value) for fact in told if fact is not gold):
                return False
            if gold.statement.casefold().count(value) > 1:
                return False
        return True

    def question(self, rng: random.Random) -> str:
        """Ask for all of them."""
        firsts = self.asked[:: self._task.values]
        questions = [self._facts.question(fact) for fact in firsts]
        text = (
            questions[0]
            if len(questions) == 1
            else " ".join(f"({n}) {q}" for n, q in enumerate(questions, 1))
        )
        return text + " Give all that are mentioned." if self._task.values > 1 else text


def _answers(other: Fact, gold: Fact) -> bool:
    """Whether a look-alike of one fact would answer a question about another."""
    words = set(gold.attribute.words)
    return other.entity.text.casefold() == gold.entity.text.casefold() and words <= set(other.attribute.words)


def _holds(text: str, words: str) -> bool:
    """Whether words stand in a text, not as part of longer ones."""
    return words in text and re.search(rf"(?<!\w){re.escape(words)}(?!\w)", text) is not None
