"""Task makers: examples of reading and answering, drawn on the fly.

Every kind comes with and without an answer in the section, over the same distribution of lengths,
so that neither length nor the presence of a generated fact tells whether something is there.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from engine.agent.prompts import STARTER
from engine.evaluation.facts import Fact, FactGenerator
from trainer.alike import Alike, Place
from trainer.corpus import NaturalQuestion
from trainer.examples import Example
from trainer.text import Cloze, TextSource, cloze, topic_question


@dataclass(frozen=True, slots=True, kw_only=True)
class Mix:
    """Relative frequency of task kinds.

    Attributes:
        needle: Readings for a generated fact.
        multi: Readings for several values of one attribute.
        topic: Readings for a sentence about some words.
        cloze: Readings for a sentence with a gap.
        natural: Readings for questions that people asked.
        none_share: Share of sections without an answer.
        natural_none_share: The same of readings for questions that people asked; less, since the model refuses what is
            told in other words if it is taught to refuse (docs/log.md).
        answer_none_share: Share of final questions without an answer in the memory.
        natural_answer_none_share: The same of questions that people asked.
        memory_share: Share of memories with items kept in error.
        natural_answers: Share of final questions that people asked.
        cloze_answers: Share of final questions with a gap; the rest asks for generated facts.
    """

    needle: float = 0.5
    multi: float = 0.04
    topic: float = 0.22
    cloze: float = 0.16
    natural: float = 0.08
    none_share: float = 0.58
    natural_none_share: float = 0.464
    answer_none_share: float = 0.15
    natural_answer_none_share: float = 0.06
    memory_share: float = 0.4
    natural_answers: float = 0.08
    cloze_answers: float = 0.26

    def with_natural(self, share: float, *, answers: float | None = None) -> Mix:
        """This mix with other shares of questions that people asked.

        Args:
            share: of the readings.
            answers: of the final questions; None = the same.
        """
        answers = share if answers is None else answers
        kinds = ("needle", "multi", "topic", "cloze")
        total = sum(getattr(self, kind) for kind in kinds)
        scaled = {kind: (1 - share) * getattr(self, kind) / total for kind in kinds}
        cloze_answers = (1 - answers) * self.cloze_answers / (1 - self.natural_answers)
        return replace(self, **scaled, natural=share, natural_answers=answers, cloze_answers=cloze_answers)


@dataclass(frozen=True, slots=True)
class _Ask:
    """A question, the sentences that answer it, and sentences that resemble those."""

    kind: str
    question: str
    gold: tuple[str, ...]
    look_alikes: tuple[str, ...]
    answer: str | None
    forbidden: re.Pattern[str] | None = None
    """Matches the answer or topic, which no other sentence may hold."""


class TaskMaker:
    """Draws examples; deterministic in the state of its random source."""

    def __init__(
        self,
        facts: FactGenerator,
        text: TextSource,
        natural: Sequence[NaturalQuestion],
        alike: Alike,
        rng: random.Random,
        mix: Mix | None = None,
    ) -> None:
        """Use these sources; all of them should share `rng`, and `alike` should be of these questions."""
        self.facts = facts
        self.text = text
        self.natural_questions = [q for q in natural if q.gold]
        self.unanswerable = [q for q in natural if not q.gold]
        self.alike = alike
        self.rng = rng
        self.mix = mix or Mix()

    def read(self, num_sentences: int) -> Example:
        """Draw a reading of a section of `num_sentences` sentences (natural passages may be shorter)."""
        mix, rng = self.mix, self.rng
        kinds = ("needle", "multi", "topic", "cloze", "natural")
        kind = rng.choices(kinds, [getattr(mix, kind) for kind in kinds])[0]
        absent = rng.random() < (mix.natural_none_share if kind == "natural" else mix.none_share)
        if kind == "natural" and self.natural_questions:
            return self._read_natural(num_sentences, absent)
        if kind == "multi" and num_sentences > 1 and not absent:
            return self._read_multi(num_sentences)
        ask = self._ask(kind)
        here = () if absent else ask.gold
        distractors = self._distractors(ask, num_sentences - len(here))
        section, gold = self._section(here, distractors, num_sentences, [ask])
        # Beside an absent answer the memory often holds the true sentence already.
        keep = ask.gold if absent and rng.random() < 0.5 else ()
        memory, memory_gold = self._memory(keep, ask)
        return Example(
            kind=ask.kind + ("-none" if absent else ""),
            mode="read",
            question=ask.question,
            memory=memory,
            section=section,
            memory_gold=memory_gold,
            section_gold=gold,
        )

    def joint(self, num_sentences: int) -> Example:
        """Draw a look at a section for several questions at once, at most one of which is answered in it.

        What resembles the answer is to be named too: a section that is read in vain costs little, one that is passed
        over is lost, and the readings that follow tell the two apart.
        """
        rng, mix = self.rng, self.mix
        kinds = ("needle", "topic", "cloze", "natural")
        weights = [getattr(mix, kind) for kind in kinds]
        asks = [
            self._ask(kind) for kind in rng.choices(kinds, weights, k=rng.randint(2, STARTER.max_questions))
        ]
        named: list[str] = []
        if rng.random() >= mix.none_share:
            alike = asks[0].look_alikes if asks[0].kind == "needle" else ()
            named = [*asks[0].gold, *rng.sample(alike, min(len(alike), rng.choice((0, 0, 1, 2))))]
        facts = [self.facts.fact().statement for _ in range(rng.choice((0, 0, 1, 2, 3)))]
        others = [fact for fact in facts if not any(_matches(ask.forbidden, fact) for ask in asks)]
        section, gold = self._section(
            named, others[: max(0, num_sentences - len(named))], num_sentences, asks
        )
        rng.shuffle(asks)
        return Example(
            kind="joint" if named else "joint-none",
            mode="joint",
            question=asks[0].question,
            companions=tuple(ask.question for ask in asks[1:]),
            section=section,
            section_gold=gold,
        )

    def answer(self) -> Example:
        """Draw a final question over a memory."""
        rng, mix = self.rng, self.mix
        roll = rng.random()
        if roll < mix.natural_answers and self.natural_questions:
            if self.unanswerable and rng.random() < 0.04:
                return self._answer_nothing()
            ask = self._ask_natural()
        elif roll < mix.natural_answers + mix.cloze_answers:
            ask = self._ask_cloze()
        else:
            ask = self._ask_fact()
        is_natural = ask.kind == "natural"
        absent = rng.random() < (mix.natural_answer_none_share if is_natural else mix.answer_none_share)
        items = [(sentence, False) for sentence in self._distractors(ask, rng.choice((0, 1, 1, 2, 3)))]
        items = [item for item in items if not _matches(ask.forbidden, item[0])]
        if not absent:
            items += [(sentence, True) for sentence in ask.gold[:1]]
        rng.shuffle(items)
        return Example(
            kind=f"answer-{ask.kind}" + ("-none" if absent else ""),
            mode="answer",
            question=ask.question,
            memory=tuple(sentence for sentence, _ in items),
            memory_gold=tuple(good for _, good in items),
            answer=None if absent else ask.answer,
        )

    def _answer_nothing(self) -> Example:
        """A question that people asked of a passage that does not answer it."""
        asked = self.rng.choice(self.unanswerable)
        items = self.rng.sample(asked.sentences, min(len(asked.sentences), self.rng.choice((1, 1, 2, 3))))
        return Example(
            kind="answer-natural-none",
            mode="answer",
            question=asked.question,
            memory=tuple(items),
            memory_gold=(False,) * len(items),
        )

    def _ask(self, kind: str) -> _Ask:
        if kind == "natural" and self.natural_questions:
            return self._ask_natural()
        if kind == "topic":
            return self._ask_topic()
        if kind == "cloze":
            return self._ask_cloze()
        return self._ask_fact()

    def _ask_fact(self) -> _Ask:
        fact = self.facts.fact()
        return _Ask(
            kind="needle",
            question=self.facts.question(fact),
            gold=(fact.statement,),
            look_alikes=tuple(other.statement for other in self.facts.look_alikes(fact, 4)),
            answer=fact.value,
            forbidden=_words_pattern([fact.entity.parts[-1], fact.attribute.words[-1]]),
        )

    def _ask_topic(self) -> _Ask:
        while True:
            sentence = self._ordinary_or_fact()
            made = topic_question(sentence, self.rng)
            if made is not None:
                question, words = made
                return _Ask(
                    kind="topic",
                    question=question,
                    gold=(sentence,),
                    look_alikes=(),
                    answer=None,
                    forbidden=_words_pattern(words),
                )

    def _ask_cloze(self) -> _Ask:
        while True:
            sentence = self._ordinary_or_fact()
            made: Cloze | None = cloze(sentence, self.rng)
            if made is not None:
                return _Ask(
                    kind="cloze",
                    question=made.question,
                    gold=(sentence,),
                    look_alikes=(),
                    answer=made.answer,
                    forbidden=re.compile(re.escape(made.answer)),
                )

    def _ask_natural(self) -> _Ask:
        while True:
            natural = self.rng.choice(self.natural_questions)
            if natural.answer is not None:
                others = [s for i, s in enumerate(natural.sentences) if i not in natural.gold]
                others += [place.sentence for place in self._draw_alike(natural, 2)]
                self.rng.shuffle(others)
                return _Ask(
                    kind="natural",
                    question=natural.question,
                    gold=tuple(natural.sentences[i] for i in natural.gold),
                    look_alikes=tuple(others[:4]),
                    answer=natural.answer,
                    forbidden=re.compile(re.escape(natural.answer)),
                )

    def _ordinary_or_fact(self) -> str:
        """A sentence to ask about; generated ones too, lest they only ever appear as facts."""
        if self.rng.random() < 0.2:
            return self.facts.fact().statement
        return self.text.sentence(min_words=3)

    def _distractors(self, ask: _Ask, limit: int) -> list[str]:
        """Sentences that are not ordinary text of the section: look-alikes and unrelated facts."""
        rng = self.rng
        if limit <= 0:
            return []
        chosen = list(ask.look_alikes)
        rng.shuffle(chosen)
        roll = rng.random()
        count = 0 if roll < 0.2 else rng.randint(1, 4)
        chosen = chosen[:count]
        if rng.random() < 0.3:
            chosen += [self.facts.fact().statement for _ in range(rng.randint(1, 3))]
        rng.shuffle(chosen)
        return chosen[:limit]

    def _section(
        self, gold: Sequence[str], distractors: Sequence[str], size: int, asks: Sequence[_Ask]
    ) -> tuple[tuple[str, ...], tuple[bool, ...]]:
        """Scatter gold sentences and distractors over a run of ordinary text."""
        room = max(0, size - len(gold) - len(distractors))
        ordinary = self.text.run(room) if room else []
        ordinary = [s for s in ordinary if s not in gold and not any(_matches(a.forbidden, s) for a in asks)]
        items = [(sentence, False) for sentence in ordinary]
        for sentence, good in [(s, True) for s in gold] + [(s, False) for s in distractors]:
            items.insert(self.rng.randint(0, len(items)), (sentence, good))
        if not items:
            items = [(self.facts.fact().statement, False)]
        return tuple(s for s, _ in items), tuple(good for _, good in items)

    def _memory(self, keep: Sequence[str], ask: _Ask) -> tuple[tuple[str, ...], tuple[bool, ...]]:
        """A memory before the section: empty, true items, items kept in error, or a mixture."""
        rng = self.rng
        items = [(sentence, True) for sentence in keep]
        if rng.random() < self.mix.memory_share:
            for _ in range(rng.choice((1, 1, 2, 3))):
                if ask.look_alikes and rng.random() < 0.6:
                    items.append((rng.choice(ask.look_alikes), False))
                else:
                    items.append((self._ordinary_or_fact(), False))
        items = list(dict.fromkeys(i for i in items if i[1] or not _matches(ask.forbidden, i[0])))
        rng.shuffle(items)
        return tuple(s for s, _ in items), tuple(good for _, good in items)

    def _read_multi(self, size: int) -> Example:
        """Several values of one attribute, spread over memory and section."""
        rng, facts = self.rng, self.facts
        fact = facts.fact()
        count = rng.randint(2, min(4, size + 1))
        statements = [facts.fact(fact.entity, fact.attribute).statement for _ in range(count)]
        kept = rng.randint(0, count - 1)
        ask = _Ask(
            kind="multi",
            question=facts.question(fact),
            gold=tuple(statements),
            look_alikes=tuple(other.statement for other in facts.look_alikes(fact, 3)),
            answer=None,
        )
        here = statements[kept:][:size]
        section, gold = self._section(here, self._distractors(ask, size - len(here)), size, [ask])
        memory, memory_gold = self._memory(statements[:kept], ask)
        return Example(
            kind="multi",
            mode="read",
            question=ask.question,
            memory=memory,
            section=section,
            memory_gold=memory_gold,
            section_gold=gold,
        )

    def _read_natural(self, size: int, absent: bool) -> Example:
        rng = self.rng
        natural = rng.choice(self.natural_questions)
        gold = set(natural.gold)
        if absent and self.unanswerable and rng.random() < 0.2:
            natural = rng.choice(self.unanswerable)
            gold = set()
            order = list(range(len(natural.sentences)))
        elif absent and rng.random() < 0.5:
            # The passage of another question, or the same passage without its gold sentences.
            order = [i for i in range(len(natural.sentences)) if i not in gold]
        elif absent:
            section = self._around_alike(natural, size)
            if not section or rng.random() < 0.4:
                section = rng.choice(self.natural_questions).sentences[:size]
            if set(section) & set(natural.sentences):
                section = tuple(self.text.run(size))
            return self._natural_example(natural, section, (False,) * len(section), absent)
        else:
            order = list(range(len(natural.sentences)))
        if len(order) > size:
            others = [i for i in order if i not in gold]
            keep = set(rng.sample(others, max(0, min(len(others), size - len(gold)))))
            order = [i for i in order if i in keep or i in gold]
        section = tuple(natural.sentences[i] for i in order)
        flags = tuple(i in gold for i in order)
        extra = size - len(section)
        if extra > 0 and rng.random() < 0.6:
            run = self._beside(natural, extra)
            front = rng.random() < 0.5
            section = run + section if front else section + run
            flags = (False,) * len(run) + flags if front else flags + (False,) * len(run)
        if not section:
            section, flags = (self.text.sentence(),), (False,)
        return self._natural_example(natural, section, flags, not any(flags))

    def _beside(self, natural: NaturalQuestion, count: int) -> tuple[str, ...]:
        """Sentences to stand beside a passage: of another one that was asked about, or ordinary ones."""
        roll = self.rng.random()
        if roll < 0.25:
            return tuple(self.text.run(count))
        other = self._around_alike(natural, count) if roll < 0.7 else ()
        other = other or self.rng.choice(self.natural_questions).sentences
        answer = None if natural.answer is None else re.compile(re.escape(natural.answer))
        return tuple(
            sentence
            for sentence in other[:count]
            if sentence not in natural.sentences and not _matches(answer, sentence)
        )

    def _draw_alike(self, natural: NaturalQuestion, count: int) -> list[Place]:
        """Sentences of other passages that share words with the question; fewer if there are no more."""
        places = self.alike.to(natural)
        return self.rng.sample(places, min(count, len(places)))

    def _around_alike(self, natural: NaturalQuestion, count: int) -> tuple[str, ...]:
        """At most `count` consecutive sentences with such a one among them; none if there is none."""
        places = self._draw_alike(natural, 1)
        if not places:
            return ()
        (place,) = places
        first = max(0, place.index - self.rng.randrange(count))
        return place.passage[first : first + count]

    def _natural_example(
        self, natural: NaturalQuestion, section: Sequence[str], flags: Sequence[bool], absent: bool
    ) -> Example:
        rng = self.rng
        items: list[tuple[str, bool]] = []
        if absent and rng.random() < 0.4:
            items = [(natural.sentences[i], True) for i in natural.gold]
        if rng.random() < self.mix.memory_share:
            gold = {natural.sentences[i] for i in natural.gold}
            roll = rng.random()
            wrong = [place.sentence for place in self._draw_alike(natural, 3)] if roll < 0.5 else []
            if not wrong:
                passage = natural if roll < 0.75 else rng.choice(self.natural_questions)
                wrong = [sentence for sentence in passage.sentences if sentence not in gold]
            items += [
                (sentence, False) for sentence in rng.sample(wrong, min(len(wrong), rng.choice((1, 1, 2))))
            ]
            if not wrong:
                items.append((self._ordinary_or_fact(), False))
        items = [item for item in dict.fromkeys(items) if item[0] not in section]
        rng.shuffle(items)
        return Example(
            kind="natural" + ("-none" if absent else ""),
            mode="read",
            question=natural.question,
            memory=tuple(sentence for sentence, _ in items),
            memory_gold=tuple(good for _, good in items),
            section=tuple(section),
            section_gold=tuple(flags),
        )


def _words_pattern(words: Sequence[str]) -> re.Pattern[str]:
    """Match text that holds all of the words."""
    return re.compile("".join(rf"(?=.*{re.escape(word)})" for word in words), re.IGNORECASE | re.DOTALL)


def _matches(pattern: re.Pattern[str] | None, text: str) -> bool:
    return pattern is not None and pattern.search(text) is not None


__all__ = ["Fact", "Mix", "TaskMaker"]
