"""Counting words: the most common ones of a list, the most frequent ones of a coded text.

Source: RULER, arXiv 2404.06654, section 3 (CWE and FWE). Every chunk holds a part of the answer, so that a memory
has to combine and not only to find. Deviations: words are those of the text that is given, topped up with invented
ones; they stand in lines of ten, because readers go by sentences.
"""

import functools
import random
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from engine.errors import PlanError
from engine.evaluation.haystack import BREAK, TokenCounter, document_of
from engine.evaluation.items import Gold, Item
from engine.evaluation.sources import TextSource
from engine.evaluation.tasks.base import Materials, Parameters

_WORDS_A_LINE = 10
_SHORT_TOKENS = 4_096
_ONSETS = "b d f g h k l m n p r s t v z br dr fl gr kl pl st tr".split()
_VOWELS = "a e i o u ai ou".split()
_ENDS = ("", "n", "r", "l", "s", "m")
_ROUNDS = 12
_TOLERANCE = 0.01
_MOST_ERROR = 0.03
_NEIGHBOURS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class CommonWordsTask:
    """A numbered list in which ten words stand ten times as often as the others.

    Attributes:
        materials: what items are made of.
        count: words that are asked for.
    """

    materials: Materials
    count: int = 10

    @property
    def name(self) -> str:
        """See `Task`."""
        return "common-words"

    @property
    def parameters(self) -> Parameters:
        """See `Task`."""
        return {**self.materials.parameters, "count": self.count}

    @property
    def size(self) -> int | None:
        """Any number."""
        return None

    def item(self, length_tokens: int, index: int) -> Item:
        """See `Task`; 30 and 3 times each word, from 4,096 tokens down 10 and once."""
        rng = self.materials.random(self.name, length_tokens, index)
        often, seldom = (30, 3) if length_tokens > _SHORT_TOKENS else (10, 1)
        state = rng.getrandbits(64)

        def list_of(num_others: int) -> tuple[list[str], list[str]]:
            again = random.Random(state)
            chosen = _vocabulary(self.materials.text, self.count + num_others, again)
            entries = chosen[: self.count] * often + chosen[self.count :] * seldom
            again.shuffle(entries)
            numbered = [f"{number}. {word}" for number, word in enumerate(entries, 1)]
            return _lines(numbered), chosen[: self.count]

        lines, words = _of_length(list_of, length_tokens, self.materials.counter, self.name)
        question = f"What are the {self.count} most common words in the list?"
        return _item(self, length_tokens, index, question, lines, words)


@dataclass(frozen=True, slots=True, kw_only=True)
class FrequentWordsTask:
    """Invented words whose frequencies fall off as Zipf's law has it; the most frequent entry is mere noise.

    Attributes:
        materials: what items are made of.
        count: words that are asked for.
        alpha: exponent of the frequencies, above 1.
    """

    materials: Materials
    count: int = 3
    alpha: float = 2.0

    @property
    def name(self) -> str:
        """See `Task`."""
        return "frequent-words"

    @property
    def parameters(self) -> Parameters:
        """See `Task`."""
        return {**self.materials.parameters, "count": self.count, "alpha": self.alpha}

    @property
    def size(self) -> int | None:
        """Any number."""
        return None

    def item(self, length_tokens: int, index: int) -> Item:
        """See `Task`."""
        rng = self.materials.random(self.name, length_tokens, index)
        state = rng.getrandbits(64)

        def text_of(num_words: int) -> tuple[list[str], list[str]]:
            again = random.Random(state)
            ranks = max(self.count + 2, num_words // 15)
            words = coined_words(ranks, again)
            shares = [rank**-self.alpha for rank in range(1, ranks + 1)]
            counts = [max(1, int(num_words * share / sum(shares))) for share in shares]
            entries = [
                word for word, count in zip(["...", *words], counts, strict=False) for _ in range(count)
            ]
            again.shuffle(entries)
            asked = words[: self.count]
            frequency = Counter(entries)
            if any(
                frequency[a] <= frequency[b] for a, b in zip(asked, words[1 : self.count + 1], strict=True)
            ):
                return [], asked  # too short to tell the ranks apart
            return _lines(entries), asked

        lines, words = _of_length(text_of, length_tokens, self.materials.counter, self.name)
        question = f"Which {self.count} coded words appear most often? Do not count the dots."
        return _item(self, length_tokens, index, question, lines, words)


def _item(
    task: CommonWordsTask | FrequentWordsTask,
    length_tokens: int,
    index: int,
    question: str,
    lines: Sequence[str],
    words: Sequence[str],
) -> Item:
    document = document_of(BREAK.join(lines), f"{task.name}-{index}.txt")
    return Item(
        item_id=f"{task.name}-{length_tokens}-{index}",
        question=question,
        golds=tuple(Gold(answers=(word,)) for word in words),
        document=document,
        num_tokens=task.materials.counter.count(document.text),
    )


def _lines(entries: Sequence[str]) -> list[str]:
    return [
        " ".join(entries[start : start + _WORDS_A_LINE]) for start in range(0, len(entries), _WORDS_A_LINE)
    ]


def _of_length(
    make: Callable[[int], tuple[list[str], list[str]]], num_tokens: int, counter: TokenCounter, name: str
) -> tuple[list[str], list[str]]:
    """The lines of the size that comes nearest to a length, and the words that they are about.

    Raises:
        PlanError: even the smallest is longer.
    """
    best: tuple[float, list[str], list[str]] | None = None

    def look(size: int) -> int:
        nonlocal best
        lines, words = make(size)
        # Lines are looked at once: remembering them would only fill the counter's memory.
        tokens = counter.count(BREAK.join(lines)) if lines else 0
        error = abs(tokens - num_tokens) / num_tokens
        if lines and (best is None or error < best[0]):
            best = error, lines, words
        return tokens

    low, high = 0, max(8, num_tokens)
    for _ in range(_ROUNDS):
        size = (low + high) // 2
        tokens = look(size)
        if (best and best[0] <= _TOLERANCE) or high - low < 2:
            break
        low, high = (size, high) if tokens < num_tokens else (low, size)
    # Another size draws other words, so that more of them may be fewer tokens and the search went past the right one.
    for size in range(max(0, low - _NEIGHBOURS), high + _NEIGHBOURS):
        if best and best[0] <= _MOST_ERROR:
            break
        look(size)
    if best is None or best[0] > _MOST_ERROR:
        raise PlanError(
            f"{num_tokens} tokens are too few for the task {name}.", hint="Ask for longer documents."
        )
    return best[1], best[2]


def _vocabulary(source: TextSource, count: int, rng: random.Random) -> list[str]:
    """So many different words: the source's own, then invented ones."""
    known = _words_of(source)
    if count <= len(known):
        return rng.sample(known, count)
    words = list(dict.fromkeys([*known, *coined_words(count, rng)]))[:count]
    rng.shuffle(words)
    return words


@functools.lru_cache(maxsize=4)
def _words_of(source: TextSource) -> tuple[str, ...]:
    """Words of four to ten small letters that a text uses, sorted."""
    found = {word for text in source.paragraphs for word in re.findall(r"(?<!\w)[a-z]{4,10}(?!\w)", text)}
    return tuple(sorted(found))


def coined_words(count: int, rng: random.Random) -> list[str]:
    """So many different words that no language has, easy to tell apart."""
    words: dict[str, None] = {}
    while len(words) < count:
        parts = [rng.choice(_ONSETS) + rng.choice(_VOWELS) for _ in range(rng.randint(2, 4))]
        words["".join(parts) + rng.choice(_ENDS)] = None
    return list(words)
