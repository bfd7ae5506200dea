"""Questions that people asked, their passages hidden among others.

Source: RULER, arXiv 2404.06654, section 3 (QA): the passages of other questions distract. Deviations: a distractor
never holds an answer's words; where the file has too few passages the rest is running text, instead of the same
passages again.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from engine.errors import PlanError
from engine.evaluation.datasets import Dataset, Passage, Question
from engine.evaluation.haystack import BREAK, depths, document_of, fill
from engine.evaluation.items import Gold, Item, Place
from engine.evaluation.metrics import normalise_answer
from engine.evaluation.tasks.base import Materials, Parameters

_UNTELLING = frozenset(("yes", "no", ""))
"""Answers that stand everywhere and mean nothing there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PassagesTask:
    """Questions of a file, in an order drawn by the seed.

    Attributes:
        materials: what items are made of beside the file.
        dataset: the file.
        is_crowded: passages of the question's own article come first among the distractors, as they do in a
            document about one thing. Random ones are that near only where a document is long.
    """

    materials: Materials
    dataset: Dataset
    is_crowded: bool = False

    @property
    def name(self) -> str:
        """See `Task`."""
        return "qa"

    @property
    def parameters(self) -> Parameters:
        """See `Task`."""
        own = {"data": self.dataset.name, "data_hash": self.dataset.content_hash}
        crowd = {"crowded": True} if self.is_crowded else {}  # results kept before this setting stay known
        return {**self.materials.parameters, **own, **crowd}

    @property
    def size(self) -> int | None:
        """The file's questions."""
        return len(self.dataset.questions)

    def item(self, length_tokens: int, index: int) -> Item:
        """See `Task`. The question depends on the index alone, so that all lengths ask the same ones."""
        questions, counter = self.dataset.questions, self.materials.counter
        if index >= len(questions):
            raise PlanError(
                f"{self.dataset.name} has {len(questions)} questions, not {index + 1}.", hint="Lower --n."
            )
        order = list(range(len(questions)))
        random.Random(f"{self.materials.seed}/{self.name}/order").shuffle(order)
        question = questions[order[index]]
        rng = self.materials.random(self.name, length_tokens, index)
        own = [_shown(passage) for passage in question.passages]
        room = length_tokens - sum(counter.paragraph(text) for text in own)
        others = fill(self._others(question, rng), room, counter)
        at = depths(len(own), seed=self.materials.depth_seed(self.name, length_tokens), index=index)
        paragraphs, slots = _insert(others, own, at, rng)
        starts = [0]
        for paragraph in paragraphs:
            starts.append(starts[-1] + len(paragraph) + len(BREAK))
        evidence = tuple(
            Place(starts[slot] + offset + start, starts[slot] + offset + end)
            for slot, passage, spans in zip(slots, question.passages, question.evidence, strict=True)
            for offset in [len(_shown(passage)) - len(passage.text)]
            for start, end in spans
        )
        document = document_of(BREAK.join(paragraphs), f"{self.name}-{index}.txt")
        golds = (Gold(answers=question.answers, evidence=evidence),) if question.answers else ()
        return Item(
            item_id=f"{self.name}-{length_tokens}-{question.question_id}",
            question=question.question,
            golds=golds,
            document=document,
            num_tokens=counter.count(document.text),
        )

    def _others(self, question: Question, rng: random.Random) -> Iterator[str]:
        """Passages that do not answer, in random order, the article's own first if so wished; then running text."""
        answers = [words for words in map(normalise_answer, question.answers) if words not in _UNTELLING]
        order = rng.sample(self.dataset.passages, len(self.dataset.passages))
        if self.is_crowded:
            titles = {passage.title for passage in question.passages}
            order.sort(key=lambda passage: passage.title not in titles)
        for passage in order:
            if passage not in question.passages and not _mentions(passage.text, answers):
                yield _shown(passage)
        source = self.materials.text
        for text in source.read_from(rng.randrange(len(source.paragraphs))):
            if not _mentions(text, answers):
                yield text


def _shown(passage: Passage) -> str:
    """With its title in front: a paragraph of an article is not to be understood without."""
    return f"{passage.title}: {passage.text}" if passage.title else passage.text


def _mentions(text: str, answers: list[str]) -> bool:
    words = f" {normalise_answer(text)} "
    return any(f" {answer} " in words for answer in answers)


def _insert(
    others: list[str], own: list[str], at: list[float], rng: random.Random
) -> tuple[list[str], list[int]]:
    """Put passages among others at these depths; gives all, and where each of them went."""
    rng.shuffle(at)
    placed = sorted((round(depth * len(others)), number) for number, depth in enumerate(at))
    paragraphs = list(others)
    slots = [0] * len(own)
    for shift, (place, number) in enumerate(placed):
        paragraphs.insert(place + shift, own[number])
        slots[number] = place + shift
    return paragraphs, slots
