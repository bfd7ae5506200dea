"""The Register of Works: fixed entries that the report names, and many drawn from forms by a seed."""

import datetime as dt
import random
import re
from dataclasses import dataclass

from forms import (
    ACCOUNT,
    ASIDES,
    AWARD,
    DIRECT,
    DISTRICTS,
    ENGINEERS,
    EXCLUDED,
    FIXED,
    HEAVY_ASIDES,
    KINDS,
    LIGHT,
    NEW,
    PLACES,
    RENEWED,
    STAFF,
    TIME,
    VOTED,
    WET_ASIDES,
    Forms,
    Kind,
)

SEED = 1936
_DRAW = re.compile(r"\[([^\[\]]+)\]")
_UNITS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen"
).split()
_TENS = "- - twenty thirty forty fifty sixty seventy eighty ninety".split()


@dataclass(frozen=True, slots=True)
class Entry:
    """One work.

    Attributes:
        district: heading that it stands under.
        place: where.
        title: what, as in the entry's heading.
        begun: orders the entries of a place.
        contractor: "" = the Board's own workmen.
        sum_crowns: contract sum, or cost of direct labour.
        text: the entry.
    """

    district: str
    place: str
    title: str
    begun: dt.date
    contractor: str
    sum_crowns: int
    text: str


def number_words(number: int) -> str:
    """A number below one hundred in words."""
    if number < 20:
        return _UNITS[number]
    tens, units = divmod(number, 10)
    return _TENS[tens] + (f"-{_UNITS[units]}" if units else "")


def long_date(day: dt.date) -> str:
    """Such as 4 May 1935."""
    return f"{day.day} {day:%B} {day.year}"


def short_place(place: str) -> str:
    """A place as it stands in a heading."""
    return place[4].upper() + place[5:] if place.startswith("the ") else place[0].upper() + place[1:]


class _Deck:
    """Deals forms out evenly, so that neighbours seldom share one."""

    def __init__(self, forms: tuple[str, ...], chance: random.Random) -> None:
        self._forms, self._chance = forms, chance
        self._left: list[str] = []

    def deal(self) -> str:
        if not self._left:
            self._left = list(self._forms)
            self._chance.shuffle(self._left)
        return self._left.pop()


def _fill(form: str, values: dict[str, str], chance: random.Random) -> str:
    def draw(match: re.Match[str]) -> str:
        body = match[1]
        if ".." in body:
            low, high = (int(part.replace(",", "")) for part in body.lstrip("#").split(".."))
            number = chance.randint(low, high)
            if number >= 100:
                number -= number % 10
            return number_words(number) if body.startswith("#") else f"{number:,}"
        choice: str = chance.choice(body.split("|"))
        return choice

    sentence = _DRAW.sub(draw, form.format_map(values))
    return sentence[0].upper() + sentence[1:]


def _sum(low: int, high: int, chance: random.Random) -> int:
    drawn: float = low * (high / low) ** chance.random()
    return round(drawn / 10) * 10


def entries(count: int = 280) -> list[Entry]:
    """The register in the order in which it is printed."""
    chance = random.Random(SEED)
    made = [Entry(*fixed) for fixed in FIXED]
    pairs = [
        (place, kind)
        for place in PLACES
        for kind in KINDS
        if set(place[2]) & set(kind.classes) and (place[0], kind.title) not in EXCLUDED
    ]
    chance.shuffle(pairs)
    decks = {
        form: _Deck(form, chance)
        for form in (
            AWARD,
            DIRECT,
            TIME,
            STAFF,
            ACCOUNT,
            ASIDES,
            HEAVY_ASIDES,
            WET_ASIDES,
            RENEWED,
            VOTED,
        )
    }
    details = {kind.title: _Deck(kind.details, chance) for kind in KINDS}
    for (place, district, classes), kind in pairs[: count - len(made)]:
        made.append(_entry(place, district, classes, kind, decks, details[kind.title], chance))
    order = {place: index for index, (place, _, _) in enumerate(PLACES)}
    return sorted(
        made, key=lambda one: (DISTRICTS.index(one.district), order.get(one.place, -1), one.begun, one.title)
    )


def _entry(
    place: str,
    district: str,
    classes: str,
    kind: Kind,
    decks: dict[Forms, _Deck],
    details: _Deck,
    chance: random.Random,
) -> Entry:
    begun = dt.date(1933, 4, 3) + dt.timedelta(days=chance.randrange(1000))
    begun -= dt.timedelta(days=begun.weekday() if begun.weekday() > 4 else 0)
    begun = max(begun, dt.date(1933, 4, 3))
    cost = _sum(*kind.cost, chance)
    done = begun + dt.timedelta(days=12 + int(chance.random() * 25 + (cost / 90) ** 0.9))
    aside_day = begun + (done - begun) * 0.6
    direct = chance.random() < 0.2
    firm = "" if direct else chance.choice(kind.firms)
    engineer = chance.choice(ENGINEERS)
    values = {
        "place": place,
        "doing": kind.doing,
        "firm": firm,
        "Firm": firm[:1].upper() + firm[1:],
        "sum": f"{cost:,}",
        "begun": long_date(begun),
        "done": long_date(done),
        "day": long_date(done + dt.timedelta(days=chance.randint(1, 12))),
        "aside": long_date(aside_day),
        "voted": str(begun.year),
        "engineer": engineer,
        "Engineer": engineer,
        "final": f"{cost + max(10, round(cost * chance.uniform(0.01, 0.09) / 10) * 10):,}",
        "final_less": f"{cost - max(10, round(cost * chance.uniform(0.01, 0.05) / 10) * 10):,}",
        "estimate": f"{max(100, round(cost * chance.uniform(0.85, 1.3) / 50) * 50):,}",
    }
    forms = [decks[DIRECT if direct else AWARD].deal(), decks[TIME].deal()]
    forms += [details.deal() for _ in range(3 if len(kind.details) > 3 and chance.random() < 0.6 else 2)]
    asides: list[Forms] = [ASIDES]
    if kind.title not in LIGHT:
        asides.append(HEAVY_ASIDES)
    if set(classes) & set("qmls") and done < dt.date(1936, 1, 9):
        asides.append(WET_ASIDES)
    forms += [decks[chance.choice(asides)].deal() for _ in range(chance.randint(1, 2))]
    if chance.random() < 0.45:
        needed = VOTED if kind.doing.startswith(NEW) or chance.random() < 0.4 else RENEWED
        forms.insert(1, decks[needed].deal())
    if chance.random() < 0.5:
        forms.append(decks[STAFF].deal())
    if not direct and chance.random() < 0.5:
        forms.append(decks[ACCOUNT].deal())
    text = " ".join(_fill(form, values, chance) for form in dict.fromkeys(forms))
    return Entry(district, place, kind.title, begun, firm, cost, text)
