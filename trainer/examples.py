"""Values that task makers produce, and their rendering into ids and targets.

Prompts go through the engine's own prompt set, so that training and reading cannot drift apart.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from engine.agent.config import Mode
from engine.agent.prompts import STARTER
from engine.backends.base import Prompt
from trainer.tokens import NUM_MEMORY_LABELS, NUM_SECTION_LABELS, Codec

LM_SHARE_IN_TASKS = 0.08
LM_SHARE_IN_TEXT = 0.7
_SPECIAL = re.compile(r"<\|[a-z0-9]+\|>")


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One conversation to learn from.

    Attributes:
        kind: Task kind, for metrics.
        mode: Which of the three prompts; "joint" asks which sentences are to be read for any of several questions.
        question: The question.
        companions: The other questions of a joint gate.
        memory: Items of the memory.
        section: Sentences of the section; empty in answer mode.
        memory_gold: Which items answer the question.
        section_gold: Which sentences answer the question.
        answer: Verbatim short answer; `None` where none is asked for and where nothing answers.
    """

    kind: str
    mode: Literal["read", "answer", "joint"]
    question: str
    companions: tuple[str, ...] = ()
    memory: tuple[str, ...] = ()
    section: tuple[str, ...] = ()
    memory_gold: tuple[bool, ...] = ()
    section_gold: tuple[bool, ...] = ()
    answer: str | None = None

    def __post_init__(self) -> None:
        if len(self.memory) != len(self.memory_gold) or len(self.section) != len(self.section_gold):
            raise ValueError("every item and sentence needs its flag")

    @property
    def num_sentences(self) -> int:
        """Number of sentences of the section."""
        return len(self.section)


@dataclass(slots=True)
class Rendered:
    """Ids with sparse targets: position ``p`` of `ids` is to predict ``target``.

    Attributes:
        kind: Task kind.
        size: Number of sentences, for metrics.
        ids: Token ids, [T].
        reply: (position, target) of the reply, in order.
        flags: (position, target) of the yes and no at labels; used in training only.
        names: (position, target) of a label's own name at the label; used in training only.
        text: (position, target) of a sample of ordinary next tokens.
        copied: (position, target) of tokens that repeat earlier text.
        matches: (position, target) of a yes at tokens to be noticed and of a no at about as many
            others: words that the question has (reading, early in training) or the words of the
            answer (answering).
    """

    kind: str
    size: int
    ids: list[int]
    reply: list[tuple[int, int]] = field(default_factory=list)
    flags: list[tuple[int, int]] = field(default_factory=list)
    names: list[tuple[int, int]] = field(default_factory=list)
    text: list[tuple[int, int]] = field(default_factory=list)
    copied: list[tuple[int, int]] = field(default_factory=list)
    matches: list[tuple[int, int]] = field(default_factory=list)


class Renderer:
    """Renders examples for one tokenizer."""

    def __init__(self, codec: Codec, rng: random.Random) -> None:
        """Use `rng` for the choice of labels and of language-model positions."""
        self.codec = codec
        self.rng = rng
        self.match_targets = False
        """Whether to add the targets of `Rendered.matches`."""
        self._wording: dict[str, list[int]] = {}
        special = codec.special
        self._memory_labels = [
            special[STARTER.memory_label.format(n=n + 1)] for n in range(NUM_MEMORY_LABELS)
        ]
        self._section_labels = [
            special[STARTER.sentence_label.format(n=n + 1)] for n in range(NUM_SECTION_LABELS)
        ]
        self._digits = [token for digit in "0123456789" for token in codec.text(digit)]
        self._label_ids = frozenset(self._memory_labels + self._section_labels)

    def render(self, example: Example, *, shuffle_labels: bool = True) -> Rendered:
        """Render prompt, reply and targets.

        Args:
            example: What to render.
            shuffle_labels: Whether half of the examples use a random ascending choice of labels,
                so that high labels are trained in short sections too. Reading numbers from 1.
        """
        names = self._label_names(example, shuffle_labels and self.rng.random() < 0.5)
        ids, text = self.prompt_ids(self._prompt(example), names)
        rendered = Rendered(kind=example.kind, size=example.num_sentences, ids=ids, text=text)
        gold = [*example.memory_gold, *example.section_gold]
        places = [index for index, token in enumerate(ids) if token in self._label_ids]
        yes, no = self.codec.special["<|yes|>"], self.codec.special["<|no|>"]
        rendered.flags = [(place, yes if good else no) for place, good in zip(places, gold, strict=True)]
        reply = self._reply(example, [ids[place] for place in places], gold)
        rendered.names = [(place, ids[place]) for place in places]
        if example.mode == "answer" or self.match_targets:
            rendered.matches = self._matches(ids, example)
            taken = {place for place, _ in rendered.matches}
            rendered.text = [pair for pair in text if pair[0] not in taken]
        start = len(ids) - 1
        rendered.reply = [(start + offset, token) for offset, token in enumerate(reply)]
        ids.extend(reply[:-1])
        return rendered

    def _matches(self, ids: list[int], example: Example) -> list[tuple[int, int]]:
        """Teach the first step of a task outright: which words matter.

        Left to the labels' flags and the reply alone this took thousands of steps, since a label
        must both notice matches and gather them before it can be right.
        """
        special = self.codec.special
        memory, end = ids.index(special["<|memory|>"]), ids.index(self.codec.end_id)
        places = [place for place in range(memory + 1, end) if ids[place] >= len(special)]
        if example.mode != "answer":
            asked = set(ids[ids.index(special["<|q|>"]) + 1 : memory])
            chosen = {place for place in places if ids[place] in asked}
        else:
            chosen = self._answer_places(ids, memory, end, example)
            if not chosen and example.answer is not None:
                return []  # the answer has other tokens in its sentence: nothing to point at
        others = [place for place in places if place not in chosen]
        others = self.rng.sample(others, min(len(others), len(chosen) + 4))
        yes, no = special["<|yes|>"], special["<|no|>"]
        return [(place, yes) for place in sorted(chosen)] + [(place, no) for place in others]

    def _answer_places(self, ids: list[int], start: int, end: int, example: Example) -> set[int]:
        """Places of the answer's tokens within the items that answer."""
        if example.answer is None:
            return set()
        wanted = self.codec.text(STARTER.data_prefix + example.answer)
        places: set[int] = set()
        item = 0
        for place in range(start + 1, end):
            if ids[place] in self._label_ids:
                item += 1
            elif example.memory_gold[item] and ids[place : place + len(wanted)] == wanted:
                places.update(range(place, place + len(wanted)))
        return places

    def _prompt(self, example: Example) -> Prompt:
        if example.mode == "joint":
            questions = (example.question, *example.companions)
            return STARTER.triage(Mode.EXTRACTIVE, questions=questions, section=example.section)
        if example.mode == "read":
            return STARTER.read(
                Mode.EXTRACTIVE,
                question=example.question,
                memory=example.memory,
                section=example.section,
            )
        return STARTER.final(Mode.EXTRACTIVE, question=example.question, memory=example.memory)

    def _label_names(self, example: Example, shuffled: bool) -> dict[int, int]:
        """Map the labels counted from 1 to the labels to be shown."""
        names: dict[int, int] = {}
        for labels, count in (
            (self._memory_labels, len(example.memory)),
            (self._section_labels, example.num_sentences),
        ):
            shown = sorted(self.rng.sample(range(len(labels)), count)) if shuffled else range(count)
            names.update((labels[index], labels[place]) for index, place in enumerate(shown))
        return names

    def prompt_ids(
        self, prompt: Prompt, names: dict[int, int] | None = None
    ) -> tuple[list[int], list[tuple[int, int]]]:
        """Ids of a whole conversation up to the reply, and sampled language-model targets.

        The chat template is written out: content stands between ``<|user|>`` and ``<|end|>``.
        """
        names = names or {}
        ids = [self.codec.special["<|user|>"]]
        text: list[tuple[int, int]] = []
        for segment in prompt:
            if not segment.is_data:
                ids.extend(names.get(token, token) for token in self._special_ids(segment.text))
                continue
            start = len(ids)
            ids.extend(self.codec.text(segment.text))
            for place in range(start, len(ids) - 1):
                if self.rng.random() < LM_SHARE_IN_TASKS:
                    text.append((place, ids[place + 1]))
        ids += [self.codec.end_id, self.codec.special["<|assistant|>"]]
        return ids, text

    def _special_ids(self, wording: str) -> list[int]:
        known = self._wording.get(wording)
        if known is None:
            if _SPECIAL.sub("", wording):
                raise ValueError(f"the prompt set holds more than special tokens: {wording!r}")
            known = [self.codec.special[token] for token in _SPECIAL.findall(wording)]
            self._wording[wording] = known
        return known

    def _reply(self, example: Example, labels: list[int], gold: list[bool]) -> list[int]:
        end, none = self.codec.end_id, self.codec.special[STARTER.unchanged]
        if example.mode == "answer":
            if example.answer is None:
                return [none, end]
            return [*self.codec.text(STARTER.data_prefix + example.answer), end]
        if not any(example.section_gold):
            return [none, end]
        named = [label for label, good in zip(labels, gold, strict=True) if good]
        # One sentence settles that a section is to be read.
        return [*(named[:1] if example.mode == "joint" else named), end]

    def render_text(self, sentences: list[str], max_tokens: int, *, repeat: bool) -> Rendered:
        """Render plain text; with `repeat`, a stretch of it comes a second time, to be copied."""
        ids = [token for sentence in sentences for token in self.codec.text(" " + sentence)]
        ids = ids[:max_tokens]
        rendered = Rendered(kind="copy" if repeat else "text", size=0, ids=ids)
        again = len(ids)
        if repeat and len(ids) > 40:
            length = self.rng.randint(8, min(64, len(ids) // 2))
            start = self.rng.randint(0, len(ids) - length - 4)
            ids = ids + ids[start : start + length]
            rendered.ids = ids
        for place in range(len(ids) - 1):
            if place > again:
                rendered.copied.append((place, ids[place + 1]))
            elif place != again - 1 and self.rng.random() < LM_SHARE_IN_TEXT:
                rendered.text.append((place, ids[place + 1]))
        return rendered

    def render_strings(self) -> Rendered:
        """Render a meaningless string of tokens that comes two to four times.

        Nothing but looking back can predict the repeats, so the heads that look back form soon.
        """
        low = len(self.codec.special)
        alphabet: Sequence[int] = range(low, len(self.codec))
        if self.rng.random() < 0.6:
            # Few letters, as in codes and dates: one token of context no longer tells the place.
            alphabet = self._digits if self.rng.random() < 0.6 else self.rng.sample(alphabet, 12)
        string = self.rng.choices(alphabet, k=self.rng.randint(6, 24))
        noise = self.rng.choices(range(low, len(self.codec)), k=self.rng.randint(1, 16))
        ids = (string + noise) * min(4, max(2, 128 // len(string + noise)))
        rendered = Rendered(kind="strings", size=0, ids=ids)
        first = len(string) + len(noise)
        rendered.copied = [(place, ids[place + 1]) for place in range(first, len(ids) - 1)]
        return rendered
