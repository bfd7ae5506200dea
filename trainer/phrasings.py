"""Thousands of phrasings put together from parts, so that none of them can be learnt by heart.

With a few dozen written ones the model learnt those: it found 98 of 100 facts told in them and 70 told in others
(docs/log.md). What is put together here is often clumsy; it is to be matched, not admired.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from engine.evaluation.facts import Family

_ADVERBS = (
    "often seldom always once twice later again still already perhaps certainly formerly mostly rarely at first "
    "for years in truth by chance at last of course in short at times for now in part as before so far in fact"
)
_MAKE_ADVERBS = ("al", "ous", "ful", "ive", "less", "ent", "ant")
_SIDE_REMARKS = (
    "we gather|they say|if memory serves|it seems|so the story goes|one hears|to be exact|I believe|as noted|on paper"
    "|for what it is worth|last we looked|in the main|by the record|all agree|without question|to my mind|roughly"
    "|at present|by then|in those days|from now on|as a rule|to this day|on reflection|since the war|for the record"
).split("|")
_WHO_SAYS = (
    "they|some|we|people|he|she|others|the papers|a neighbour|the letters|many|our men|the rest|one of us"
).split("|")
_SAYS = (
    "said|held|believed|wrote|admitted|found|added|agreed|feared|learnt|reported|swore|remember|know|wish|can see"
    "|should mention|were told|are sure|have read|never guessed|must confess|did not like|made known"
).split("|")
_LINKS = (
    "is|was|has been|had been|will be|would be|became|remains|"
    "remained|stands at|stood at|reads|came to|comes to|equals|"
    "shows|showed|may be|must be|is still|was once|is now|was then|is called|was called|is given as|was put down as|"
    "is known to be|was found to be|proved to be|is said to be|"
    "was fixed at|was reckoned at|is held to be|is thought to be|"
    "is marked as|was entered as|is put at|appears as|goes by|went by|is none other than|is simply|is exactly|was about"
).split("|")
_MARKS = (":", " =", " -", ",", ";", " ->", " ...", " |", ":", ":")
_ANY_MARK = "!#$%&*+-./:;<=>?@\\^_|~\u2013\u2014\u2022\u00b7"
_BRACKETS = [
    pair.split() for pair in ("( )", "[ ]", "< >", '" "', "\u201c \u201d", "\u2018 \u2019", "* *", "_ _")
]
_OWNED = (
    "the {a} of {e}|{e}'s {a}|the {a} for {e}|the {a} at {e}|the {a} in {e}|the {a} on {e}|{a} of {e}|{a} for {e}|"
    "the {a} by {e}|the {e} {a}|{e} {a}|the {a} that {e} has|"
    "the {a} that {e} had|the {a} given for {e}|that {a} of {e}|"
    "the {a} of the said {e}|the {a} from {e}|the {a} with {e}|the {a} ({e})|{a} ({e})|{a}, {e}|{e}, {a}|{e}: {a}|"
    "{e} - {a}|the {a} we have for {e}|the {a} under {e}|the only {a} of {e}|the {a} kept by {e}|the old {a} of {e}"
).split("|")
_TAKES = (
    "got|took|chose|keeps|kept|uses|used|gave|gives|shows|names|named|bears|lists|wants|wanted|counts|had|holds|held|"
    "received|claims|owes|reported|accepted|showed|meant|needs|preferred|carried|brought|offers|offered"
).split("|")
_AS = (
    "as",
    "for",
    "as the",
    "for the",
    "for a",
    "as a",
    "by way of",
    "under",
    "in place of",
    "as their",
    "for their",
)
_BEFORE_VALUE = (
    "namely",
    "exactly",
    "only",
    "just",
    "about",
    "some",
    "to wit,",
    "precisely",
    "no less than",
    "merely",
)
_WHO = (
    "who",
    "whoever",
    "the person who",
    "which of them",
    "what person",
    "the name of who",
    "the man or woman who",
)
_ASK_WHAT = (
    "what is|what was|tell me|find|give|state|name|look up|which is|say|what about|how about|show me|we want|I want|"
    "what do we know of|is there anything on|what is said of|please find|please give|what is written about|do you know|"
    "find out|I would like|quote|report|what can you say about|remind me of|what is given as|what would be|list"
).split("|")
_ASK_WHEN = (
    "when was|when|since when|on what day was|in what month was|"
    "what date|at what time was|in which century was|what year|"
    "the day on which|how long ago was|from when|the time when|tell me when|find when|say when|the year in which"
).split("|")
_ASK_WHERE = (
    "where is|where was|where|in which town is|in what country is|what place|tell me where|find where|say where|"
    "the place where|in what spot was|the town in which|near what is|at which spot was|whereabouts is|the site where"
).split("|")


class Phraser:
    """Makes phrasings with the placeholders of `engine.evaluation.facts.FactLists`.

    Args:
        rng: source of randomness.
        words: ordinary words to strew in. Where a verb or an adverb belongs, words of that form stand: with any word
            there nobody could tell what is said from the value.
    """

    def __init__(self, rng: random.Random, words: Sequence[str]) -> None:
        self.rng = rng
        self.words = words
        past = [word for word in dict.fromkeys(words) if word.endswith("ed") and len(word) > 4]
        self.verbs = [*past, *map(_present, past)] or list(words)
        self.adverbs = [f"{word}ly" for word in dict.fromkeys(words) if word.endswith(_MAKE_ADVERBS)] or list(
            words
        )

    def statement(self, family: Family) -> str:
        """One way to say a fact."""
        rng = self.rng
        makers: dict[Family, Callable[[], str]] = {
            "noun": self._noun,
            "agent": self._agent,
            "event": lambda: self._happening("{value}", ("in", "on", "by", "since", "about", "before")),
            "location": lambda: self._happening(
                "{value}", ("in", "at", "by", "behind", "on", "beside", "within")
            ),
        }
        text = makers[family]()
        if rng.random() < 0.2:
            text = self._with_remark(text)
        if rng.random() < 0.08:
            text = f"{self._some_words(1, 4).capitalize()}{rng.choice((',', ':', ' -', ' and'))} {text}"
        if rng.random() < 0.12:
            text = f"{self._says()} that {text}"
        if rng.random() < 0.08:
            text = f"{text}{rng.choice((',', ' and', ' but', ';', ' while'))} {self._some_words(2, 6)}"
        return self._finish(text)

    def question(self, family: Family) -> str:
        """One way to ask for it."""
        rng = self.rng
        if family == "noun":
            owned = self._owned()
            text = rng.choice(
                (f"{rng.choice(_ASK_WHAT)} {owned}", owned, f"{owned} {rng.choice(_LINKS)} what")
            )
        elif family == "agent":
            thing = rng.choice(("the {object} of {entity}", "{entity}'s {object}", "{entity} {object}"))
            text = rng.choice(
                (
                    f"{rng.choice(_WHO)} {{verb}} {thing}",
                    f"{thing} {{verb}} by",
                    f"by {rng.choice(('whom', 'what person', 'what hand'))} was {thing} {{verb}}",
                    f"{rng.choice(_ASK_WHAT)} {rng.choice(_WHO)} {{verb}} {thing}",
                )
            )
        else:
            asks = _ASK_WHEN if family == "event" else _ASK_WHERE
            text = rng.choice(
                (
                    f"{rng.choice(asks)} {{entity}} {{verb}}",
                    f"{{entity}} {{verb}} {rng.choice(asks).split()[0]}",
                    f"{rng.choice(asks)} they {{verb}} {{entity}}",
                )
            )
        if rng.random() < 0.15:
            text = f"{rng.choice(_SIDE_REMARKS)}, {text}"
        if rng.random() < 0.12:
            # Words that no answer repeats must not count against it.
            text = rng.choice((f"{self._some_words(1, 2)} {text}", f"{text} {self._some_words(1, 2)}"))
        return self._capital(text) + rng.choice(("?", "?", "?", "", ".", " ?"))

    def _noun(self) -> str:
        rng = self.rng
        owned, link = self._owned(), rng.choice(_LINKS)
        if rng.random() < 0.2:
            link = f"{rng.choice(self.verbs)} {rng.choice(('as', 'at', 'to', 'of', 'by', 'for', 'in', 'on'))}"
            link = rng.choice(("", "", "is ", "was ", "has been ")) + link
        adverb = f"{self._adverb()} " if rng.random() < 0.2 else ""
        value = f"{rng.choice(_BEFORE_VALUE)} {{value}}" if rng.random() < 0.12 else self._bare_value()
        verb = rng.choice(_TAKES) if rng.random() < 0.6 else rng.choice(self.verbs)
        entity = rng.choice(("{entity}", "{entity}", "the people of {entity}", "all of {entity}"))
        return rng.choice(
            (
                f"{owned} {adverb}{link} {value}",
                f"{owned} {link} {value}",
                f"{owned}{self._mark()} {value}",
                f"{value} {adverb}{link} {owned}",
                f"{value}{self._mark()} {owned}",
                f"{value}{self._mark()} {self._some_words(1, 2)} {link} {owned}",
                f"{self._some_words(1, 2)} {entity}{rng.choice((',', self._mark()))} {{attribute}} "
                f"{rng.choice((link, self._some_words(1, 3)))} {value}",
                f"{entity} {adverb}{verb} {value} {rng.choice(_AS)} {{attribute}}",
                f"{entity} {adverb}{verb} a {{attribute}} {rng.choice(('of', 'like', 'near', 'with'))} {value}",
                f"{rng.choice(('with', 'under', 'given', 'after', 'for'))} {value} "
                f"{rng.choice(_AS)} {{attribute}}, {entity} {rng.choice(self.verbs)} {self._some_words(1, 3)}",
                f"{self._some_words(1, 3)} {verb} {value} {rng.choice(_AS)} {{attribute}} {rng.choice(('of', 'for'))} "
                f"{entity}",
                self._row(entity, "{attribute}", value),
            )
        )

    def _row(self, *cells: str) -> str:
        """Cells as in a list or a table, in any order, parted alike or not."""
        rng = self.rng
        order = list(cells) if rng.random() < 0.6 else rng.sample(cells, len(cells))
        mark = self._mark()
        text = order[0] + "".join(
            f"{mark if rng.random() < 0.6 else self._mark()} {cell}" for cell in order[1:]
        )
        return f"{mark.strip()} {text}{mark}" if rng.random() < 0.15 else text

    def _mark(self) -> str:
        """What parts two words of a line that has no verb: a usual mark, or any."""
        rng = self.rng
        if rng.random() < 0.6:
            return rng.choice(_MARKS)
        return rng.choice(("", " ")) + rng.choice(_ANY_MARK) * rng.choice((1, 1, 1, 2))

    def _bare_value(self) -> str:
        """The value, now and then between brackets or quotes."""
        left, right = self.rng.choice(_BRACKETS)
        return f"{left}{{value}}{right}" if self.rng.random() < 0.08 else "{value}"

    def _agent(self) -> str:
        rng = self.rng
        thing = rng.choice(
            (
                "the {object} of {entity}",
                "{entity}'s {object}",
                "the {entity} {object}",
                "the {object} at {entity}",
            )
        )
        had = rng.choice(("", "", "had ", "has ", "once ", "may have ", f"{self._adverb()} "))
        was = rng.choice(("was", "has been", "had been", "got", "is", "will be", "was to be", "came out"))
        if rng.random() < 0.25:
            # What stands between the name and what was done is no part of the name.
            had, was = f"{rng.choice(self.adverbs)} ", f"{was} {rng.choice(self.adverbs)}"
        return rng.choice(
            (
                f"{{value}} {had}{{verb}} {thing}",
                f"{thing} {was} {{verb}} by {{value}}",
                f"{thing}, {{verb}} by {{value}}, {rng.choice(self.verbs)} {self._some_words(1, 4)}",
                f"{thing}{self._mark()} {{verb}} by {{value}}",
                self._row(
                    thing, f"{{verb}} {rng.choice(('by', '', self._mark().strip()))}".strip(), "{value}"
                ),
                f"the one by whom {thing} {was} {{verb}}{rng.choice((' was', ' is', ':'))} {{value}}",
                f"it {was} {{value}} by whom {thing} {was} {{verb}}",
            )
        )

    def _happening(self, value: str, prepositions: Sequence[str]) -> str:
        rng = self.rng
        was = rng.choice(
            ("was", "has been", "had been", "is", "got", "is to be", "ended up", "was once", "was first")
        )
        if rng.random() < 0.2:
            was = rng.choice(self.verbs)  # any verb may link the two
        preposition = rng.choice(prepositions)
        adverb = f" {self._adverb()}" if rng.random() < 0.2 else ""
        return rng.choice(
            (
                f"{{entity}} {was}{adverb} {{verb}} {preposition} {value}",
                f"{preposition} {value} {{entity}} {was}{adverb} {{verb}}",
                f"{{entity}}, {{verb}} {preposition} {value}, {rng.choice(self.verbs)} {self._some_words(1, 4)}",
                f"{{entity}}{self._mark()} {{verb}} {preposition} {value}",
                self._row("{entity}", f"{{verb}} {rng.choice((preposition, ''))}".strip(), value),
                f"it was {preposition} {value} they {{verb}} {{entity}}",
                f"they {{verb}} {{entity}} {preposition} {value}",
                f"{value}{self._mark()} {{entity}} {{verb}}",
            )
        )

    def _owned(self) -> str:
        return self.rng.choice(_OWNED).replace("{a}", "{attribute}").replace("{e}", "{entity}")

    def _adverb(self) -> str:
        return self.rng.choice(_ADVERBS.split())

    def _some_words(self, fewest: int, most: int) -> str:
        return " ".join(self.rng.choices(self.words, k=self.rng.randint(fewest, most)))

    def _says(self) -> str:
        """Who says so, or any words in that place: what stands before "that" is never the answer."""
        if self.rng.random() < 0.5:
            return self._some_words(2, 3)
        return f"{self.rng.choice(_WHO_SAYS)} {self.rng.choice(_SAYS)}"

    def _with_remark(self, text: str) -> str:
        """Put a remark between two words, or in front."""
        rng = self.rng
        remark = rng.choice(_SIDE_REMARKS) if rng.random() < 0.6 else self._some_words(1, 3)
        places = [index for index, char in enumerate(text) if char == " " and text[index - 1] not in ",;:"]
        if not places or rng.random() < 0.4:
            return f"{remark}, {text}"
        place = rng.choice(places)
        return f"{text[:place]}, {remark},{text[place:]}"

    def _finish(self, text: str) -> str:
        return self._capital(text) + self.rng.choice((".", ".", ".", ".", ".", "", ";", "!"))

    @staticmethod
    def _capital(text: str) -> str:
        """Capital first letter; a placeholder that stands first becomes the one that is capitalised."""
        for name in ("entity", "attribute"):
            if text.startswith(f"{{{name}}}"):
                return f"{{{name.capitalize()}}}" + text[len(name) + 2 :]
        return text[:1].upper() + text[1:]


def _present(past: str) -> str:
    """ "begs" of "begged", "carries" of "carried", "passes" of "passed": spelt as most verbs are."""
    stem = past.removesuffix("ed")
    if stem[-1] == stem[-2] and stem[-1] not in "lsz":
        return f"{stem[:-1]}s"
    return f"{stem}es" if stem[-1] in "cghisuvz" else f"{stem}s"


def make_phrasings(
    rng: random.Random, words: Sequence[str], counts: dict[Family, int], *, are_questions: bool
) -> dict[Family, tuple[str, ...]]:
    """So many different phrasings of each family."""
    phraser = Phraser(rng, words)
    made: dict[Family, tuple[str, ...]] = {}
    for family, count in counts.items():
        found: dict[str, None] = {}
        while len(found) < count:
            found[phraser.question(family) if are_questions else phraser.statement(family)] = None
        made[family] = tuple(found)
    return made
