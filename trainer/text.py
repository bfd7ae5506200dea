"""Sources of ordinary text: runs of consecutive sentences, and questions made from a sentence."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

_WORD = re.compile(r"[A-Za-z][A-Za-z'’-]*[A-Za-z]|\d[\d,.]*\d|\d")
_STOP = frozenset(
    "the and that was with his her for had but not you which from have him they all this she were"
    " are be been one there their them what when who would could will said upon into out then than"
    " some more any very only own your our has did now such other like about where how its must"
    " should may might can here these those before after over again being much many most every"
    " never because while through".split()
)
_SPAN = re.compile(
    r"(?<=[a-z,;] )(?P<name>[A-Z][a-zé’'-]+(?: (?:of |de |von |the )?[A-Z][a-zé’'-]+){0,3})"
    r"|(?<![\w.,-])(?P<number>\d[\d,.]*\d|\d)(?![\w-])"
)
_PHRASE = re.compile(
    r"(?:(?<=\b(?:of|in|by|to|as|on) )|(?<=\bfor ))(?P<phrase>(?:(?:the|a|an) )?(?:[a-z]{3,} ){1,3}?[a-z]{4,})"
    r"(?=[,.;:]| (?:of|in|and|to|was|is|were|that|which|by|from|with)\b)"
)
"""Words between a preposition and what ends a phrase; rough, but an answer that people give is often one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cloze:
    """A question made by taking a name, number or phrase out of a sentence."""

    question: str
    answer: str


class TextSource:
    """Paragraphs of sentences, sampled as contiguous runs."""

    def __init__(self, groups: Sequence[tuple[float, list[list[str]]]], rng: random.Random) -> None:
        """Take (weight, paragraphs) groups, such as books and encyclopaedia passages."""
        self._groups = [paragraphs for _, paragraphs in groups if paragraphs]
        self._weights = [weight for weight, paragraphs in groups if paragraphs]
        self.rng = rng

    def run(self, count: int) -> list[str]:
        """Draw exactly `count` consecutive sentences, across paragraph ends if need be."""
        paragraphs = self.rng.choices(self._groups, self._weights)[0]
        index = self.rng.randrange(len(paragraphs))
        start = self.rng.randrange(len(paragraphs[index]))
        sentences = paragraphs[index][start : start + count]
        while len(sentences) < count:
            index = (index + 1) % len(paragraphs)
            sentences = sentences + paragraphs[index][: count - len(sentences)]
        return list(sentences)

    def sentence(self, *, min_words: int = 0) -> str:
        """Draw one sentence of at least so many content words."""
        for _ in range(50):
            sentence = self.run(1)[0]
            if len(content_words(sentence)) >= min_words:
                return sentence
        return sentence


def content_words(sentence: str) -> list[str]:
    """Words of a sentence that could identify it, in order, each once."""
    seen: dict[str, str] = {}
    for word in _WORD.findall(sentence):
        key = word.casefold()
        if (len(word) > 3 or word[0].isdigit() or word[0].isupper()) and key not in _STOP:
            seen.setdefault(key, word)
    return list(seen.values())


def topic_question(sentence: str, rng: random.Random) -> tuple[str, list[str]] | None:
    """Ask for the sentence about some of its words; `None` if it has too few.

    Returns:
        The question and the words that it names.
    """
    words = content_words(sentence)
    if len(words) < 3:
        return None
    count = min(len(words), rng.choice((2, 2, 3, 3, 3, 4, 4, 5, 6)))
    chosen = rng.sample(words, count)
    if rng.random() < 0.5:
        chosen.sort(key=words.index)
    if rng.random() < 0.4:
        chosen = [word.lower() for word in chosen]
    listed = ", ".join(chosen[:-1]) + " and " + chosen[-1]
    form = rng.choice(
        (
            "What does it say about {listed}?",
            "Find the sentence about {plain}.",
            "{plain}",
            "{plain}?",
            "Where are {listed} mentioned?",
            "What about {listed}?",
            "Is there anything on {listed}?",
            "What happened with {listed}?",
            "Who or what is connected with {listed}?",
        )
    )
    return form.format(listed=listed, plain=" ".join(chosen)), chosen


def cloze(sentence: str, rng: random.Random) -> Cloze | None:
    """Turn a sentence into a question about one of its names, numbers or phrases."""
    pattern = _SPAN if rng.random() < 0.92 else _PHRASE
    matches = [match for match in pattern.finditer(sentence) if len(match.group()) < 40]
    if not matches:
        return None
    match = rng.choice(matches)
    before, after = sentence[: match.start()].split(), sentence[match.end() :].split()
    width = rng.randint(4, 10)
    left = before[-width:] if rng.random() < 0.7 else before[-width // 2 :]
    right = after[: max(2, width - len(left) // 2)]
    if len(content_words(" ".join([*left, *right]))) < 2:
        return None
    if rng.random() < 0.4:
        question = _asked(left, right, match, rng)
    else:
        blank = rng.choice(("what", "___")) if rng.random() < 0.5 else _ask_word(match, rng)
        kept = [word for word in (*left, blank, *right) if word == blank or rng.random() > 0.12]
        question = " ".join(kept).strip(" ,;:.\"'")
        if blank in kept[:1]:
            question = question[:1].upper() + question[1:]
    return Cloze(question=question.rstrip("?!.,;:") + "?", answer=match.group().strip(".,"))


def _asked(left: Sequence[str], right: Sequence[str], match: re.Match[str], rng: random.Random) -> str:
    """The words around a gap as a person would ask for it: what is asked first, the rest in looser order.

    Function words are mostly dropped, so that what counts are the telling words and the kind of answer.
    """
    halves = [list(left), list(right)]
    if rng.random() < 0.4:
        halves.reverse()
    words = [word.strip(" ,;:.\"'()") for half in halves for word in half]
    telling = set(content_words(" ".join(words)))
    kept = [word for word in words if word and rng.random() > (0.15 if word in telling else 0.5)]
    auxiliary = rng.choice((["did"], ["was"], ["is"], ["does"], ["were"], []))
    question = " ".join([_ask_word(match, rng), *auxiliary, *kept])
    return question[:1].upper() + question[1:] if rng.random() < 0.8 else question.lower()


def _ask_word(match: re.Match[str], rng: random.Random) -> str:
    kinds = match.groupdict()
    if "phrase" in kinds:
        return rng.choice(("what", "what", "which", "what kind of"))
    if kinds["number"]:
        text = kinds["number"]
        year = len(text) == 4 and text[0] in "12"
        return rng.choice(("which year", "when")) if year else rng.choice(("how many", "which number"))
    return rng.choice(("who", "which", "where"))
