"""What is known of one question of a reading, and the rules by which an event changes it. No Qt."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable

from app.gui.reading.ledger import Ledger, Lost, bare
from app.gui.reading.values import (
    Answer,
    ChunkInfo,
    Cost,
    Coverage,
    Excerpt,
    Incident,
    Item,
    Place,
    Problem,
    Status,
    Step,
)
from engine.locate import normalise

_WORD = re.compile(r"\w+")
_SUPPORT_SHARE = 0.6
"""As `engine.agent.evidence.support_for` has it, by which the excerpts of free memories were found."""


class QuestionRecord:
    """One question: its run, its steps, and what came of it.

    Args:
        text: the question.
        run_id: its run; None until it has one.

    Attributes:
        status: how it stands.
        steps: in order of reading; a step's place here is its position.
        changes: positions of the steps that changed the memory.
        excerpts: in the order of being found.
        incidents: in order.
        answer: once there is one.
        coverage: once it is finished.
        cost: likewise.
        problem: what ended it, if it failed.
        streamed: the reply that is being written.
        streamed_chunk: the chunk that it is about; None = the answer.
        reading_chunk: number of the chunk at work; None = none is.
        memory_tokens: what a memory costs, by its text, where the reader said so.
    """

    def __init__(self, text: str, run_id: str | None = None) -> None:
        self.text = text
        self.run_id = run_id
        self.status = Status.PLANNING
        self.steps: list[Step] = []
        self.changes: list[int] = []
        self.excerpts: list[Excerpt] = []
        self.incidents: list[Incident] = []
        self.answer: Answer | None = None
        self.coverage: Coverage | None = None
        self.cost: Cost | None = None
        self.problem: Problem | None = None
        self.streamed = ""
        self.streamed_chunk: int | None = None
        self.reading_chunk: int | None = None
        self.memory_tokens: dict[str, int] = {}
        self._by_chunk: dict[int, list[int]] = {}
        self._by_span: dict[tuple[int, int, int], Excerpt] = {}
        self._ledger = Ledger()
        # Of the step that was looked at last: most sentences of a memory came with one of a few.
        self._item_places: tuple[tuple[Item, ...], dict[str, Item]] | None = None

    @property
    def memory(self) -> str:
        """The memory after the last step."""
        return self.steps[-1].after if self.steps else ""

    @property
    def next_chunk(self) -> int:
        """Number of the first chunk that was not read; 1 before there is any."""
        return self.steps[-1].chunk + 1 if self.steps else 1

    def add_step(self, step: Step) -> int:
        """Take a step in and give its position."""
        position = len(self.steps)
        self._ledger.add(position, step.before, step.items)
        self.steps.append(step)
        if step.is_change:
            self.changes.append(position)
        return position

    def add_excerpt(self, excerpt: Excerpt) -> int:
        """Take an excerpt in and give its index."""
        self.excerpts.append(excerpt)
        self._by_chunk.setdefault(excerpt.chunk, []).append(len(self.excerpts) - 1)
        place = excerpt.place
        self._by_span.setdefault((place.document, place.start, place.end), excerpt)
        return len(self.excerpts) - 1

    def cut(self, next_chunk: int) -> None:
        """Forget what belongs to a chunk that will be read (again), and what came behind it."""
        kept = bisect_left(self.steps, next_chunk, key=lambda step: step.chunk)
        steps, excerpts = self.steps[:kept], self.excerpts
        self.incidents = [
            each for each in self.incidents if each.chunk is not None and each.chunk < next_chunk
        ]
        self.steps, self.changes, self.excerpts = [], [], []
        self._by_chunk, self._by_span, self._ledger = {}, {}, Ledger()
        for step in steps:
            self.add_step(step)
        for excerpt in excerpts:
            if excerpt.chunk < next_chunk:
                self.add_excerpt(excerpt)
        self.streamed, self.reading_chunk, self.problem = "", None, None

    # What is derived

    def excerpts_of(self, chunk: int) -> list[Excerpt]:
        """Excerpts found at a chunk."""
        return [self.excerpts[index] for index in self._by_chunk.get(chunk, ())]

    def change_before(self, position: int) -> int | None:
        """Position of the last change before a step."""
        place = bisect_left(self.changes, position)
        return self.changes[place - 1] if place else None

    def change_after(self, position: int) -> int | None:
        """Position of the first change behind a step."""
        place = bisect_right(self.changes, position)
        return self.changes[place] if place < len(self.changes) else None

    def last_change(self, position: int) -> int | None:
        """Position of the last change up to a step, that step included."""
        return self.change_before(position + 1)

    def entered(self, sentence: str, position: int) -> Step | None:
        """The step that brought a sentence of the memory at a position; None = it was there from the start."""
        at = self._ledger.entered(bare(sentence), position)
        return None if at is None else self.steps[at]

    def source(self, sentence: str, step: Step) -> Excerpt | None:
        """The excerpt that a sentence which `step` brought is copied or drawn from."""
        text = bare(sentence)
        if self._item_places is None or self._item_places[0] is not step.items:
            places = {bare(each.text): each for each in step.items if each.document is not None}
            self._item_places = step.items, places
        item = self._item_places[1].get(text)
        if item is not None and item.document is not None:
            known = self._by_span.get((item.document, item.start, item.end))
            if known is not None:
                return known
        return best_excerpt(text, self.excerpts_of(step.chunk))

    def forgotten(self, position: int, most: int = 200) -> list[Lost]:
        """What the memory held once and does not after the step at `position`, the latest first."""
        return self._ledger.forgotten(position, most)

    def snapshot(self) -> tuple[object, ...]:
        """All that a trace holds too: equal for a run that was watched and for the same run loaded."""
        return (
            self.text,
            self.run_id,
            tuple(self.steps),
            tuple(self.excerpts),
            tuple(self.incidents),
            self.answer,
            self.coverage,
        )


def best_excerpt(sentence: str, excerpts: Iterable[Excerpt]) -> Excerpt | None:
    """The excerpt that holds a sentence word for word, else the one with most of its words, at least 60 % of them."""
    excerpts = tuple(excerpts)
    if not excerpts:
        return None
    wanted = normalise(sentence)
    words = set(_WORD.findall(wanted))
    best: tuple[float, Excerpt | None] = (0.0, None)
    for excerpt in excerpts:
        quote = normalise(excerpt.quote)
        if wanted and (wanted in quote or quote in wanted):
            return excerpt
        share = len(words & set(_WORD.findall(quote))) / len(words) if words else 0.0
        if share >= _SUPPORT_SHARE and share > best[0]:
            best = (share, excerpt)
    return best[1]


def chunk_place(chunk: ChunkInfo) -> Place:
    """Where a chunk begins, for what has no better place."""
    label = chunk.labels.partition("-")[0]
    return Place(
        document=chunk.document, start=chunk.start, end=chunk.end, page=chunk.first_page, label=label
    )
