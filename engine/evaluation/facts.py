"""Generated facts: an entity has an attribute with a value, said and asked in many ways.

The generator is shared; the word lists are not. `engine.evaluation.lists` holds the lists that
are only measured with, the trainer brings its own, and a test keeps the two apart.
"""

from __future__ import annotations

import dataclasses
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

ValueKind = Literal["code", "measure", "date", "money", "colour", "person", "place", "thing", "count", "time"]
Family = Literal["noun", "agent", "event", "location"]

MONTHS = ("January February March April May June July August September October November December").split()


@dataclass(frozen=True, slots=True, kw_only=True)
class FactLists:
    """Words and phrasings that facts are made of. Placeholders are written as in `str.format`."""

    first_names: tuple[str, ...]
    last_names: tuple[str, ...]
    titles: tuple[str, ...]
    """Titles before a last name, such as "Captain"."""
    stems: tuple[str, ...]
    """Invented or rare proper names for places, companies, ships and machines."""
    entity_nouns: tuple[str, ...]
    """Common nouns that follow a stem: "the Harlow quay"."""
    entity_suffixes: tuple[str, ...]
    """Suffixes of company and project names: "Harlow Holdings"."""
    numbered: tuple[str, ...]
    """Nouns of numbered entities: "contract 4417"."""
    attribute_nouns: dict[ValueKind, tuple[str, ...]]
    """Head nouns of attributes by the kind of value they take."""
    modifiers: tuple[str, ...]
    """Words before an attribute's head noun: "access" in "access code"."""
    agent_verbs: tuple[str, ...]
    """Verbs whose past tense and participle agree: "approved"."""
    agent_objects: tuple[str, ...]
    event_verbs: tuple[str, ...]
    location_verbs: tuple[str, ...]
    colours: tuple[str, ...]
    places: tuple[str, ...]
    thing_adjectives: tuple[str, ...]
    thing_nouns: tuple[str, ...]
    units: tuple[str, ...]
    statements: dict[Family, tuple[str, ...]]
    questions: dict[Family, tuple[str, ...]]
    openings: tuple[str, ...]
    """Clauses put before a statement, ending in a comma or colon."""
    closings: tuple[str, ...]
    """Clauses put after a statement, starting with a comma."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entity:
    """A named thing; `kind` and `parts` are what a similar name is made from."""

    kind: Literal["person", "titled", "stem", "place", "company", "numbered"]
    parts: tuple[str, ...]

    @property
    def text(self) -> str:
        """The name as it stands inside a sentence."""
        return " ".join(self.parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribute:
    """What is said of an entity: words by family, and the kind of value it takes."""

    family: Family
    words: tuple[str, ...]
    value_kind: ValueKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One fact with the sentence that states it."""

    entity: Entity
    attribute: Attribute
    value: str
    statement: str

    @property
    def key(self) -> tuple[str, tuple[str, ...]]:
        """What the fact is about, whatever its value and wording."""
        return self.entity.text.casefold(), self.attribute.words


_TWO_ARTICLES = re.compile(r"\b([Tt]he )the (?=[A-Z])")


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


class FactGenerator:
    """Draws facts, look-alikes of a fact, and questions about it, from one set of lists."""

    def __init__(self, lists: FactLists, rng: random.Random) -> None:
        """Use these lists and this source of randomness for everything drawn."""
        self.lists = lists
        self.rng = rng
        # Lists of phrasings can be thousands long, so what is asked of them at every fact is worked out once.
        self._first_words = frozenset(
            phrasing.split(" ", 1)[0] for group in lists.statements.values() for phrasing in group
        )
        self._value_not_first = {
            family: tuple(phrasing for phrasing in group if not phrasing.startswith("{value}"))
            for family, group in lists.statements.items()
        }

    def entity(self) -> Entity:
        """Draw a named thing."""
        lists, pick = self.lists, self.rng.choice
        kind = pick(("person", "person", "titled", "stem", "place", "place", "company", "numbered"))
        if kind == "person":
            return Entity(kind="person", parts=(pick(lists.first_names), pick(lists.last_names)))
        if kind == "titled":
            return Entity(kind="titled", parts=(pick(lists.titles), pick(lists.last_names)))
        if kind == "stem":
            return Entity(kind="stem", parts=(pick(lists.stems),))
        if kind == "place":
            return Entity(kind="place", parts=("the", pick(lists.stems), pick(lists.entity_nouns)))
        if kind == "company":
            return Entity(kind="company", parts=(pick(lists.stems), pick(lists.entity_suffixes)))
        return Entity(kind="numbered", parts=(pick(lists.numbered), self._number_name()))

    def _number_name(self) -> str:
        number = str(self.rng.randint(2, 10 ** self.rng.randint(1, 4)))
        if self.rng.random() < 0.3:
            return f"{self.rng.choice('ABCDEFGHJKLMNPRSTVWXYZ')}-{number}"
        return number

    def similar_entity(self, entity: Entity) -> Entity:
        """Draw another entity of the same kind that shares a part of the name where it can."""
        for _ in range(20):
            other = self._same_kind(entity)
            if other.text.casefold() != entity.text.casefold():
                return other
        raise ValueError(f"the lists are too short to vary {entity.text!r}")

    def _same_kind(self, entity: Entity) -> Entity:
        parts = list(entity.parts)
        lists, pick = self.lists, self.rng.choice
        pools: dict[str, tuple[tuple[str, ...] | None, ...]] = {
            "person": (lists.first_names, lists.last_names),
            "titled": (lists.titles, lists.last_names),
            "stem": (lists.stems,),
            "place": (None, lists.stems, lists.entity_nouns),
            "company": (lists.stems, lists.entity_suffixes),
            "numbered": (None, None),
        }
        slots = [index for index, pool in enumerate(pools[entity.kind]) if pool]
        if entity.kind == "numbered":
            parts[1] = self._near_number(parts[1])
        else:
            # One part changes most of the time, so that names overlap; sometimes all do.
            for index in slots if self.rng.random() < 0.3 else [pick(slots)]:
                pool = pools[entity.kind][index]
                parts[index] = pick(pool) if pool else parts[index]
        return dataclasses.replace(entity, parts=tuple(parts))

    def _near_number(self, text: str) -> str:
        digits = [index for index, char in enumerate(text) if char.isdigit()]
        index = self.rng.choice(digits)
        return text[:index] + self.rng.choice("123456789") + text[index + 1 :]

    def attribute(self) -> Attribute:
        """Draw an attribute; noun attributes are as frequent as the verbs together."""
        lists, pick = self.lists, self.rng.choice
        family: Family = pick(("noun", "noun", "noun", "agent", "event", "location"))
        if family == "agent":
            words = (pick(lists.agent_verbs), pick(lists.agent_objects))
            return Attribute(family=family, words=words, value_kind="person")
        if family == "event":
            return Attribute(family=family, words=(pick(lists.event_verbs),), value_kind="date")
        if family == "location":
            return Attribute(family=family, words=(pick(lists.location_verbs),), value_kind="place")
        kind = pick(sorted(lists.attribute_nouns))
        noun = pick(lists.attribute_nouns[kind])
        if self.rng.random() < 0.35:
            return Attribute(family="noun", words=(noun,), value_kind=kind)
        return Attribute(family="noun", words=(pick(lists.modifiers), noun), value_kind=kind)

    def similar_attribute(self, attribute: Attribute) -> Attribute:
        """Draw another attribute, often of the same kind of value and sharing a word."""
        for _ in range(20):
            other = self._near_attribute(attribute)
            # "code" beside "access code" would answer a question about the code.
            if not set(other.words) >= set(attribute.words) and not set(attribute.words) >= set(other.words):
                return other
        raise ValueError(f"the lists are too short to vary {attribute.words!r}")

    def _near_attribute(self, attribute: Attribute) -> Attribute:
        lists, pick, roll = self.lists, self.rng.choice, self.rng.random()
        words = attribute.words
        if attribute.family == "noun" and roll < 0.7:
            kind = attribute.value_kind
            if len(words) == 2 and roll < 0.35:
                return dataclasses.replace(attribute, words=(pick(lists.modifiers), words[1]))
            noun = pick(lists.attribute_nouns[kind])
            return dataclasses.replace(attribute, words=(*words[:-1], noun))
        if attribute.family == "agent" and roll < 0.7:
            if roll < 0.35:
                return dataclasses.replace(attribute, words=(pick(lists.agent_verbs), words[1]))
            return dataclasses.replace(attribute, words=(words[0], pick(lists.agent_objects)))
        if attribute.family == "event" and roll < 0.5:
            return dataclasses.replace(attribute, words=(pick(lists.event_verbs),))
        if attribute.family == "location" and roll < 0.5:
            return dataclasses.replace(attribute, words=(pick(lists.location_verbs),))
        return self.attribute()

    def value(self, kind: ValueKind) -> str:
        """Draw a value of a kind, in one of the forms in which it is written."""
        rng, lists, pick = self.rng, self.lists, self.rng.choice
        if kind == "code":
            return self._code()
        if kind == "measure":
            return f"{self._number()} {pick(lists.units)}"
        if kind == "money":
            sign = pick(("£", "$", "€"))
            amount = rng.randint(1, 10 ** rng.randint(2, 7))
            return pick(
                (
                    f"{sign}{amount:,}",
                    f"{sign}{amount}",
                    f"{amount:,} {pick(('pounds', 'dollars', 'euros', 'crowns'))}",
                )
            )
        if kind == "date":
            return self._date()
        if kind == "time":
            hour, minute = rng.randint(0, 23), rng.randint(0, 59)
            return pick((f"{hour:02}:{minute:02}", f"{hour % 12 + 1}.{minute:02} {pick(('am', 'pm'))}"))
        if kind == "count":
            return pick((self._number(), f"{rng.randint(1, 99)} per cent", f"{rng.randint(1, 999) / 10}%"))
        if kind == "colour":
            return pick(
                (pick(lists.colours), f"{pick(('dark', 'pale', 'bright', 'dull'))} {pick(lists.colours)}")
            )
        if kind == "place":
            return pick(
                (pick(lists.places), pick(lists.stems), f"the {pick(lists.stems)} {pick(lists.entity_nouns)}")
            )
        if kind == "person":
            return pick(
                (
                    f"{pick(lists.first_names)} {pick(lists.last_names)}",
                    f"{pick(lists.titles)} {pick(lists.last_names)}",
                    f"{pick(lists.stems)} {pick(lists.entity_suffixes)}",
                )
            )
        phrase = f"{pick(lists.thing_adjectives)} {pick(lists.thing_nouns)}"
        return pick((phrase, f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}", pick(lists.thing_nouns)))

    def _number(self) -> str:
        number = self.rng.randint(1, 10 ** self.rng.randint(1, 6))
        return self.rng.choice((str(number), f"{number:,}", f"{number / 10:.1f}"))

    def _code(self) -> str:
        rng = self.rng
        digits = "".join(rng.choices("0123456789", k=rng.randint(3, 10)))
        letters = "".join(rng.choices("ABCDEFGHJKLMNPQRSTUVWXYZ", k=rng.randint(1, 4)))
        return rng.choice(
            (digits, digits, f"{letters}-{digits}", f"{letters}{digits}", f"{digits[:3]}-{digits[3:] or '7'}")
        )

    def _date(self) -> str:
        rng = self.rng
        day, month, year = rng.randint(1, 28), rng.choice(MONTHS), rng.randint(1650, 2035)
        return rng.choice(
            (
                f"{day} {month} {year}",
                f"{month} {day}, {year}",
                f"{year}-{MONTHS.index(month) + 1:02}-{day:02}",
                f"{month} {year}",
                str(year),
            )
        )

    def _fill(self, template: str, entity: Entity, attribute: Attribute, value: str) -> str:
        name = " ".join(attribute.words)
        verb = attribute.words[0]
        thing = attribute.words[-1]
        text = template.format(
            entity=entity.text,
            Entity=_capital(entity.text),
            attribute=name,
            Attribute=_capital(name),
            verb=verb,
            object=thing,
            value=value,
            Value=_capital(value) if value[:4] == "the " else value,
        )
        # A phrasing's own article before a name that has one: "the the Harlow quay".
        return _TWO_ARTICLES.sub(r"\1", text)

    def statement(self, entity: Entity, attribute: Attribute, value: str) -> str:
        """Say a fact in one sentence, table row or caption that holds the value verbatim."""
        rng = self.rng
        templates = self.lists.statements[attribute.family]
        if value[0].islower():
            # A sentence that starts with a small letter would be read as the end of the one before.
            templates = self._value_not_first[attribute.family]
        text = self._fill(rng.choice(templates), entity, attribute, value)
        if text.endswith(".") and not text.endswith(f"{value}."):
            return self._open(text) if rng.random() < 0.15 else text
        if text.endswith(".") and rng.random() < 0.2:
            text = text[:-1] + rng.choice(self.lists.closings)
        if text.endswith(".") and rng.random() < 0.2:
            text = self._open(text)
        return text

    def _open(self, text: str) -> str:
        # A phrasing's own first word loses its capital; a name or value that stands first keeps it.
        lowered = text[0].lower() + text[1:] if text.split(" ", 1)[0] in self._first_words else text
        return f"{self.rng.choice(self.lists.openings)} {lowered}"

    def fact(self, entity: Entity | None = None, attribute: Attribute | None = None) -> Fact:
        """Draw a fact, of a given entity and attribute if these are given."""
        entity = entity or self.entity()
        attribute = attribute or self.attribute()
        value = self.value(attribute.value_kind)
        return Fact(
            entity=entity,
            attribute=attribute,
            value=value,
            statement=self.statement(entity, attribute, value),
        )

    def question(self, fact: Fact) -> str:
        """Ask for the value of a fact."""
        template = self.rng.choice(self.lists.questions[fact.attribute.family])
        return self._fill(template, fact.entity, fact.attribute, "")

    def look_alikes(self, fact: Fact, count: int) -> list[Fact]:
        """Draw facts that resemble one and do not answer a question about it.

        Three in five are about another, often similarly named entity; the others tell another
        attribute of the same entity.
        """
        others: list[Fact] = []
        while len(others) < count:
            if self.rng.random() < 0.6:
                other = self.fact(self.similar_entity(fact.entity), fact.attribute)
            else:
                other = self.fact(fact.entity, self.similar_attribute(fact.attribute))
            if other.key != fact.key and other.value != fact.value:
                others.append(other)
        return others


def held_together(facts: Sequence[Fact], fact: Fact) -> bool:
    """Tell whether no other fact of a document is about the same thing as this one."""
    return all(other is fact or other.key != fact.key for other in facts)
