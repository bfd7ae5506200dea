"""Sentences that resemble the evidence of a question that people asked, but stand in other passages.

What a reader confuses is never random: it is a sentence with the question's telling words. Random passages beside the
evidence teach to find the topic; these teach to find the sentence.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from trainer.corpus import NaturalQuestion
from trainer.text import content_words

_STEM = 5
"""Letters of a word that count: enough to tell words apart, few enough to join "invaded" with "invading"."""

_MOST = 12
"""Sentences kept for a question, to draw from."""


@dataclass(frozen=True, slots=True)
class Place:
    """A sentence of a passage.

    Attributes:
        passage: all sentences of the passage.
        index: which of them.
    """

    passage: tuple[str, ...]
    index: int

    @property
    def sentence(self) -> str:
        """Its text."""
        return self.passage[self.index]


class Alike:
    """Looks up sentences by the words that they share with a question, rare ones counting more.

    Args:
        questions: whose passages are searched.
    """

    def __init__(self, questions: Sequence[NaturalQuestion]) -> None:
        passages = dict.fromkeys(question.sentences for question in questions)
        self._places = [Place(passage, index) for passage in passages for index in range(len(passage))]
        self._with_stem: dict[str, list[int]] = defaultdict(list)
        for number, place in enumerate(self._places):
            for stem in _stems(place.sentence):
                self._with_stem[stem].append(number)
        self._found: dict[NaturalQuestion, list[Place]] = {}

    def to(self, question: NaturalQuestion) -> list[Place]:
        """The most similar sentences of other passages, without its answer; best first, at most twelve."""
        if question not in self._found:
            self._found[question] = self._search(question)
        return self._found[question]

    def _search(self, question: NaturalQuestion) -> list[Place]:
        scores: dict[int, float] = defaultdict(float)
        for stem in sorted(_stems(question.question)):
            holders = self._with_stem.get(stem, ())
            for number in holders:
                scores[number] += math.log(len(self._places) / len(holders))
        found: list[Place] = []
        for number in sorted(scores, key=lambda number: -scores[number])[: 4 * _MOST]:
            place = self._places[number]
            answers = question.answer is not None and question.answer in place.sentence
            if place.passage != question.sentences and not answers:
                found.append(place)
        return found[:_MOST]


def _stems(text: str) -> set[str]:
    return {word.casefold()[:_STEM] for word in content_words(text)}
