"""Word lists and phrasings of the training facts; none of them may occur in the evaluation's."""

from __future__ import annotations

import dataclasses
import itertools
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from engine.evaluation.facts import FactLists, Family
from engine.evaluation.lists import EVALUATION_LISTS
from trainer.phrasings import make_phrasings

_STEM_STARTS = (
    "Al An Ar Bar Bel Ber Bran Cal Car Ced Chel Cor Dal Dar Den Dor Ed El Em Fal Fen Fir Gal Gar"
    " Gol Had Hal Hart Hes Il Jar Jon Kel Ken Kor Lan Lar Len Lor Mal Mar Mel Mor Nar Nel Nor Ol Or"
    " Pal Pem Per Ral Ren Ros Sal Sel Sil Sor Tal Tar Tem Tor Ul Val Ven Vor Wal Wes Wil Yar Zan"
).split()
_STEM_MIDDLES = "a e i o u an en in on ar er or al el il and ent ist".split()
_STEM_ENDS = (
    "ton ham bury ford ley wick mouth stead dale worth field bridge port den ria na ros via tis"
    " dor mont ville burg stad gard lin mere"
).split()

_ONSETS = "b c d f g h j k l m n p qu r s t v w y z br cl dr fl gr pr st tr th sh ch bl cr sw sc".split()
_VOWELS = "a e i o u a e i o ai ea ie oo ou y".split()
_CODAS = "n r l s t m ck nd rt st lm ng th x p b d sk ll ss".split()
_SMALL_WORDS = "and of to in that with a the some for on by it he she they from all no more than not".split()


def invented_stems(count: int, seed: int = 7) -> tuple[str, ...]:
    """Make up proper names from syllables, such as "Marenton"."""
    rng = random.Random(seed)
    stems: set[str] = set()
    while len(stems) < count:
        middle = rng.choice(_STEM_MIDDLES) if rng.random() < 0.6 else ""
        stems.add(rng.choice(_STEM_STARTS) + middle + rng.choice(_STEM_ENDS))
    return tuple(sorted(stems))


def invented_names(count: int, seed: int) -> tuple[str, ...]:
    """Make up names of any sound from letters, such as "Quelbri"."""
    rng = random.Random(seed)
    names: set[str] = set()
    while len(names) < count:
        syllables = rng.choice((2, 2, 3))
        text = "".join(
            rng.choice(_ONSETS) + rng.choice(_VOWELS) + (rng.choice(_CODAS) if rng.random() < 0.5 else "")
            for _ in range(syllables)
        )
        names.add(text.capitalize())
    return tuple(sorted(names))


TRAINING_LISTS = FactLists(
    first_names=tuple(
        "Anna Thomas Maria John Clara Henry Louise Peter Martha George Alice Robert Ellen David Ruth"
        " Samuel Grace Joseph Helen Arthur Edith Frank Laura Walter Nora Philip Rose Simon Agnes"
        " Victor Irene Martin Sofia Carlos Ingrid Hassan Mei Priya Yusuf Olga Ivan Fatima Kenji"
        " Lucia Pablo Amara Tomas Elena Omar Nadia".split()
    ),
    last_names=tuple(
        "Hale Turner Bishop Cole Marsh Webb Porter Grant Fisher Lane Stone Reed Hunt Carr Doyle"
        " Frost Gibson Harper Irving Jenkins Keller Lambert Mason Nash Osborne Palmer Quinn Rowe"
        " Sharp Tucker Vaughan Walsh York Zimmer Okafor Tanaka Novak Silva Haddad Larsen Petrov"
        " Moreau Rossi Schmidt Kowalski Chen Patel Singh Nguyen Alvarez".split()
    ),
    titles=("Captain", "Doctor", "Mr", "Mrs", "Miss", "Colonel", "Professor", "Sir", "Lady", "Father"),
    stems=invented_stems(900),
    entity_nouns=tuple(
        "bridge mill harbour station hotel farm canal tower mine school library theatre museum"
        " hospital chapel garden warehouse brewery factory railway lodge inn reservoir tunnel ferry"
        " schooner steamer engine press pump telescope generator crane furnace laboratory archive"
        " estate valley island road market gate hall clinic project programme expedition report"
        " committee treaty fund plant airport depot".split()
    ),
    entity_suffixes=(
        "Brothers",
        "Company",
        "Limited",
        "Group",
        "Partners",
        "Works",
        "Bank",
        "Press",
        "Trust",
        "Society",
        "Institute",
        "Holdings",
        "Industries",
        "Systems",
        "Airways",
        "Foundation",
        "Inc",
        "Stores",
        "Motors",
        "Mining",
        "Energy",
        "College",
        "Club",
        "Laboratories",
    ),
    numbered=(
        "contract",
        "room",
        "invoice",
        "case",
        "section",
        "unit",
        "engine",
        "lot",
        "platform",
        "cabin",
        "order",
        "account",
        "file",
        "project",
        "sample",
        "well",
        "form",
        "policy",
    ),
    attribute_nouns={
        "code": (
            "code",
            "number",
            "key",
            "password",
            "serial number",
            "registration",
            "reference",
            "signal",
            "telephone number",
            "identifier",
            "licence number",
            "combination",
            "call sign",
            "ticket number",
            "postcode",
        ),
        "measure": (
            "length",
            "weight",
            "height",
            "depth",
            "capacity",
            "speed",
            "width",
            "range",
            "output",
            "distance",
            "volume",
            "temperature",
            "area",
            "consumption",
            "thickness",
        ),
        "date": (
            "deadline",
            "date of birth",
            "opening date",
            "expiry date",
            "departure",
            "wedding",
            "completion date",
            "anniversary",
            "start date",
            "inspection date",
            "arrival",
        ),
        "money": (
            "price",
            "cost",
            "salary",
            "rent",
            "fee",
            "debt",
            "profit",
            "fine",
            "revenue",
            "insurance",
            "reward",
            "deposit",
            "loan",
            "turnover",
            "tax",
        ),
        "colour": ("colour", "paint", "flag", "uniform", "roof", "door", "cover", "ribbon", "seal"),
        "person": (
            "captain",
            "owner",
            "manager",
            "architect",
            "author",
            "director",
            "founder",
            "teacher",
            "heir",
            "chairman",
            "engineer",
            "doctor",
            "tenant",
            "editor",
            "guardian",
            "inventor",
            "secretary",
            "supplier",
            "contractor",
            "rival",
        ),
        "place": (
            "home",
            "headquarters",
            "destination",
            "home port",
            "office",
            "origin",
            "meeting place",
            "residence",
            "location",
            "site",
            "burial place",
            "branch",
        ),
        "thing": (
            "gift",
            "symbol",
            "prize",
            "tool",
            "weapon",
            "hobby",
            "cargo",
            "badge",
            "favourite thing",
            "product",
            "trademark",
            "treasure",
            "motto",
        ),
        "count": (
            "population",
            "number of members",
            "crew",
            "share",
            "score",
            "number of pages",
            "rate",
            "number of rooms",
            "growth",
            "membership",
            "attendance",
            "margin",
        ),
        "time": ("closing time", "departure time", "hour of the meeting", "breakfast time", "shift"),
    },
    modifiers=tuple(
        "access secret annual official spare new old northern southern main first second third last"
        " private public daily weekly total average maximum minimum original current previous next"
        " local foreign royal winter summer emergency final net gross hidden favourite present"
        " former chief deputy assistant personal estimated actual average monthly".split()
    ),
    agent_verbs=tuple(
        "approved signed designed inspected sold bought painted found lost stole repaired described"
        " paid financed planned cancelled measured drafted delivered rejected reviewed translated"
        " discovered copied examined defended opposed improved replaced published".split()
    ),
    agent_objects=tuple(
        "contract plan map ledger design report roof clock letter portrait gate survey accounts"
        " proposal lease licence wall statue floor song recipe diary test repairs bill proof"
        " estimate drawing treaty".split()
    ),
    event_verbs=tuple(
        "opened founded launched sold closed built completed rebuilt abandoned registered inspected"
        " destroyed discovered delivered repaired licensed announced tested established"
        " dissolved".split()
    ),
    location_verbs=tuple(
        "kept stored built buried hidden located based registered found stationed made repaired"
        " housed parked displayed tested employed installed".split()
    ),
    colours=(
        "red",
        "green",
        "blue",
        "yellow",
        "white",
        "black",
        "brown",
        "grey",
        "orange",
        "purple",
        "pink",
        "silver",
        "golden",
        "crimson",
        "scarlet",
        "violet",
        "ivory",
        "amber",
        "olive",
    ),
    places=tuple(
        "London Paris Berlin Lisbon Rome Vienna Dublin Cairo Madrid Boston Chicago Naples Geneva"
        " Prague Oslo Bombay Tokyo Lima Toronto Sydney Athens Warsaw Bristol Hamburg Kyoto Nairobi"
        " Quebec Havana Dresden Malta".split()
    ),
    thing_adjectives=tuple(
        "brass wooden small silver painted broken old leather green glass iron copper carved heavy"
        " round folded empty antique blue paper striped".split()
    ),
    thing_nouns=tuple(
        "whistle lantern knife box coin violin compass ring bell drum mirror basket candle feather"
        " hammer blanket kettle bottle chess set umbrella globe camera flute rope saddle map vase"
        " telescope necklace harp".split()
    ),
    units=(
        "metres",
        "miles",
        "kilometres",
        "feet",
        "inches",
        "pounds",
        "tons",
        "kg",
        "gallons",
        "days",
        "hours",
        "acres",
        "barrels",
        "degrees",
        "watts",
        "yards",
        "knots",
        "minutes",
        "tonnes",
        "mm",
    ),
    statements={
        "noun": (
            "The {attribute} of {entity} is {value}.",
            "The {attribute} of {entity} was {value}.",
            "{Entity}'s {attribute} is {value}.",
            "{Entity}'s {attribute} was {value}.",
            "For {entity} the {attribute} is {value}.",
            "{Entity} has a {attribute} of {value}.",
            "{value} is the {attribute} of {entity}.",
            "{value} was given as the {attribute} of {entity}.",
            "The {attribute} recorded for {entity} is {value}.",
            "As for {entity}, the {attribute} was {value}.",
            "Everyone knew that the {attribute} of {entity} was {value}.",
            "She wrote down {value} as the {attribute} of {entity}.",
            '"The {attribute} of {entity}," he said, "is {value}."',
            "The {attribute} of {entity} has been changed to {value}.",
            "{Entity} - {attribute}: {value}",
            "{Attribute} of {entity}: {value}",
            "{Entity} | {attribute} | {value}",
            "{Attribute}, {entity} {value}",
            "{Entity}, whose {attribute} is {value}, was mentioned again.",
            "With a {attribute} of {value}, {entity} was no exception.",
            "The committee set the {attribute} of {entity} at {value}.",
            "They kept {value} as {entity}'s {attribute}.",
            "In that year the {attribute} of {entity} rose or fell to {value}.",
            "The {attribute} ({entity}) is {value}.",
            "He told me about {entity} and that its {attribute} was {value}.",
        ),
        "agent": (
            "{value} {verb} the {object} of {entity}.",
            "The {object} of {entity} was {verb} by {value}.",
            "In the end {value} {verb} the {object} of {entity}.",
            "The {object} of {entity} has been {verb} by {value}.",
            "{value}, not without trouble, {verb} the {object} of {entity}.",
            "We learnt that {value} had {verb} the {object} of {entity}.",
            "{Entity}: {object} {verb} by {value}",
            "{value} {verb} {entity}'s {object}.",
            "At {entity} the {object} was {verb} by {value}.",
        ),
        "event": (
            "{Entity} was {verb} in {value}.",
            "{Entity} was {verb} on {value}.",
            "In {value} {entity} was {verb}.",
            "On {value} {entity} was {verb}.",
            "{Entity} had been {verb} before, but only {value} is on record.",
            "{Entity} ({verb} {value}) is well known.",
            "It was in {value} that {entity} was {verb}.",
            "{Entity}, {verb} in {value}, changed hands later.",
            "{Entity} | {verb} | {value}",
        ),
        "location": (
            "{Entity} is {verb} in {value}.",
            "{Entity} was {verb} at {value}.",
            "In {value} {entity} was {verb}.",
            "{Entity} had to be {verb} in {value}.",
            "They say that {entity} is {verb} in {value}.",
            "{Entity}, {verb} in {value}, is seldom visited.",
            "{Entity}: {verb} at {value}",
        ),
    },
    questions={
        "noun": (
            "What is the {attribute} of {entity}?",
            "What was the {attribute} of {entity}?",
            "What is {entity}'s {attribute}?",
            "{Attribute} of {entity}?",
            "{Entity} {attribute}",
            "{attribute} {entity}",
            "Tell me the {attribute} of {entity}.",
            "Which {attribute} does {entity} have?",
            "What {attribute} was recorded for {entity}?",
            "What does the text say about the {attribute} of {entity}?",
            "Find the {attribute} of {entity}.",
            "what is the {attribute} for {entity}",
            "Give {entity}'s {attribute}.",
            "Do we know the {attribute} of {entity}?",
        ),
        "agent": (
            "Who {verb} the {object} of {entity}?",
            "By whom was the {object} of {entity} {verb}?",
            "Which person {verb} the {object} of {entity}?",
            "who {verb} {entity}'s {object}",
            "The {object} of {entity} was {verb} by whom?",
            "{entity} {object} {verb} by",
        ),
        "event": (
            "When was {entity} {verb}?",
            "When exactly was {entity} {verb}?",
            "In which year was {entity} {verb}?",
            "On which date was {entity} {verb}?",
            "{entity} {verb} when",
            "What is known about when {entity} was {verb}?",
        ),
        "location": (
            "Where is {entity} {verb}?",
            "Where was {entity} {verb}?",
            "In which place was {entity} {verb}?",
            "{entity} {verb} where",
            "In what town is {entity} {verb}?",
        ),
    },
    openings=(
        "According to the register,",
        "In the spring of that year,",
        "As we heard later,",
        "He added that",
        "It is certain that",
        "By the way,",
        "Note:",
        "After the war,",
        "However,",
        "In the second part of the report,",
        "Meanwhile,",
        "On the next page:",
    ),
    closings=(
        ", as everyone knew.",
        ", according to the letter.",
        " at that time.",
        ", he said.",
        " in the end.",
        ", which nobody questioned.",
        " (see table 3).",
        " for the whole year.",
    ),
)
"""The lists in code; `with_corpus_words` widens them."""


def words_of(lists: FactLists) -> set[str]:
    words: set[str] = set()
    for field in dataclasses.fields(lists):
        if field.name in {"statements", "questions", "openings", "closings", "titles"}:
            continue
        values = getattr(lists, field.name)
        flat: Iterable[str] = (
            (v for group in values.values() for v in group) if isinstance(values, dict) else values
        )
        words.update(word.casefold() for value in flat for word in (value, *value.split()))
    return words - {"number", "day", "time", "of", "final", "inspection", "high"}


HELD_BACK_WORDS = frozenset(words_of(EVALUATION_LISTS))
"""Every word of the evaluation's names, attributes and values, case-folded."""


def keep_trainable(words: Iterable[str]) -> tuple[str, ...]:
    """Drop the words that the evaluation holds back; sort and deduplicate the rest."""
    return tuple(
        sorted(
            {
                word
                for word in words
                if not any(part in HELD_BACK_WORDS for part in (word.casefold(), *word.casefold().split()))
            }
        )
    )


_NUM_TIES = 150


def words_in(sentences: Iterable[str], *, most: int = 6_000) -> dict[str, list[str]]:
    """Word lists for `with_corpus_words` from running text, which knows no parts of speech.

    Words in small letters are dealt out to nouns and adjectives, those that end as participles do are verbs; words with
    a capital behind one without are names, dealt out to first and last names, places and stems.

    Args:
        sentences: the text.
        most: words of each of the two kinds, the most frequent ones.
    """
    small: Counter[str] = Counter()
    names: Counter[str] = Counter()
    for sentence in sentences:
        words = sentence.split()
        for before, word in itertools.pairwise(["", *words]):
            bare = word.strip(".,;:!?\"'()_*“”‘’")
            if len(bare) < 4 or not bare.isascii() or not bare.isalpha():
                continue
            if bare.islower():
                small[bare] += 1
            elif bare.istitle() and before[:1].islower() and before[-1].isalpha():
                names[bare] += 1
    # The most frequent words are those that tie sentences together and name nothing.
    common = [word for word, _ in small.most_common(_NUM_TIES + most)[_NUM_TIES:]]
    verbs = [word for word in common if word.endswith("ed")]
    others = [word for word in common if not word.endswith("ed")]
    known = [name for name, _ in names.most_common(most)]
    kinds = ("first_names", "last_names", "places", "stems")
    dealt = {kind: known[place :: len(kinds)] for place, kind in enumerate(kinds)}
    return {"nouns": others[::2], "adjectives": others[1::2], "verbs": verbs, **dealt}


def with_corpus_words(lists: FactLists, words: Mapping[str, list[str]]) -> FactLists:
    """Widen the lists with word lists of the corpus, held-back words left out.

    Args:
        lists: Lists to widen.
        words: Any of ``first_names``, ``last_names``, ``nouns``, ``adjectives``, ``occupations``,
            ``verbs``, ``places`` and ``stems``.
    """
    get = {key: keep_trainable(value) for key, value in words.items()}.get
    nouns, adjectives = get("nouns", ()), get("adjectives", ())
    heads = {
        # Any noun may name an attribute with a value of any kind: "the silence of Mr Cole was 7".
        kind: (*own, *own, *own, *nouns[offset::5])
        for offset, (kind, own) in enumerate(sorted(lists.attribute_nouns.items()))
    }
    heads["person"] = (*heads["person"], *get("occupations", ()))
    verbs = get("verbs", ())
    strewn = (*nouns, *adjectives, *verbs, *_SMALL_WORDS * 10)
    return dataclasses.replace(
        lists,
        first_names=(*lists.first_names, *get("first_names", ()), *keep_trainable(invented_names(600, 1))),
        last_names=(*lists.last_names, *get("last_names", ()), *keep_trainable(invented_names(900, 2))),
        stems=(*lists.stems, *get("stems", ()), *keep_trainable(invented_names(3_000, 3))),
        entity_nouns=(*lists.entity_nouns * 4, *nouns[::3]),
        entity_suffixes=(*lists.entity_suffixes * 4, *(noun.capitalize() for noun in nouns[1::7])),
        numbered=(*lists.numbered * 4, *nouns[2::11]),
        attribute_nouns=heads,
        titles=(*lists.titles * 4, *(noun.capitalize() for noun in nouns[4::9])),
        modifiers=(*lists.modifiers * 8, *adjectives),
        agent_verbs=(*lists.agent_verbs * 4, *verbs),
        agent_objects=(*lists.agent_objects * 4, *nouns[::3]),
        event_verbs=(*lists.event_verbs * 4, *verbs),
        location_verbs=(*lists.location_verbs * 4, *verbs),
        colours=(*lists.colours * 8, *adjectives[::5]),
        places=(*lists.places, *get("places", ())),
        thing_adjectives=(*lists.thing_adjectives, *adjectives),
        thing_nouns=(*lists.thing_nouns, *nouns),
        units=(*lists.units * 8, *(f"{noun}s" for noun in nouns[3::6])),
        statements=_widened(
            lists.statements, strewn, {"noun": 4_000, "agent": 1_500, "event": 1_500, "location": 1_500}
        ),
        questions=_widened(
            lists.questions,
            strewn,
            {"noun": 1_500, "agent": 500, "event": 500, "location": 500},
            are_questions=True,
        ),
    )


def _widened(
    written: Mapping[Family, tuple[str, ...]],
    words: Sequence[str],
    counts: dict[Family, int],
    *,
    are_questions: bool = False,
) -> dict[Family, tuple[str, ...]]:
    """Written phrasings, a quarter of what is drawn, and such as are put together; none of the evaluation's."""
    theirs = EVALUATION_LISTS.questions if are_questions else EVALUATION_LISTS.statements
    held_back = {phrasing.casefold() for group in theirs.values() for phrasing in group}
    made = make_phrasings(random.Random(11), words, counts, are_questions=are_questions)
    return {
        family: (
            *own * (len(made[family]) // (3 * len(own))),
            *(phrasing for phrasing in made[family] if phrasing.casefold() not in held_back),
        )
        for family, own in written.items()
    }
