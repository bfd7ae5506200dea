"""What a reader does chunk by chunk: evidence missed, false alarms, and the accuracy that these rates predict.

A reading is right if its evidence is picked, nothing spoils the memory, and the answer is drawn from it. It has k
chunks with evidence, l with a look-alike and m that are plain. With p_miss the share of evidence chunks whose evidence
is not in the memory afterwards, p_alike and p_plain the shares of the other two kinds that changed the memory, and
p_answer the share of right answers where all evidence was in the memory at the end:

    upper = (1 - p_miss)^k * p_answer                                  no false alarm does harm
    lower = (1 - p_miss)^k * (1 - p_alike)^l * (1 - p_plain)^m * p_answer    every false alarm spoils the answer

With the length only m grows, so that p_plain decides how accuracy falls. The formulas assume that
chunks are independent and that the rates do not depend on the length. Where the measured accuracy lies below `lower`,
something else goes wrong with length; where it lies between, it says how harmful false alarms are.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

from engine.agent.config import Mode
from engine.agent.events import ChunkFinished, Record
from engine.agent.memory import Memory
from engine.agent.plan import ReadingPlan
from engine.chunking import Chunk
from engine.evaluation.items import Gold, Item, Place
from engine.evaluation.metrics import Proportion, best_of, containment


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkCounts:
    """Chunks that were read, by what they hold and what became of the memory.

    Attributes:
        evidence: chunks that hold evidence.
        missed: those of them whose evidence is not in the memory afterwards.
        look_alikes: chunks that hold a look-alike and no evidence.
        look_alike_alarms: those of them that changed the memory.
        plain: chunks that hold neither.
        plain_alarms: those of them that changed the memory.
        lost: chunks, of all three kinds, that threw evidence of other chunks out of the memory.
    """

    evidence: int = 0
    missed: int = 0
    look_alikes: int = 0
    look_alike_alarms: int = 0
    plain: int = 0
    plain_alarms: int = 0
    lost: int = 0

    def __add__(self, other: "ChunkCounts") -> "ChunkCounts":
        return ChunkCounts(**{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)})

    @property
    def total(self) -> int:
        """All chunks."""
        return self.evidence + self.look_alikes + self.plain

    @property
    def miss(self) -> Proportion:
        """Evidence chunks that were missed."""
        return Proportion(count=self.missed, total=self.evidence)

    @property
    def false_alarm(self) -> Proportion:
        """Chunks without evidence that changed the memory."""
        return Proportion(
            count=self.look_alike_alarms + self.plain_alarms, total=self.look_alikes + self.plain
        )

    @property
    def alarm_plain(self) -> Proportion:
        """Plain chunks that changed the memory."""
        return Proportion(count=self.plain_alarms, total=self.plain)

    @property
    def alarm_look_alike(self) -> Proportion:
        """Chunks with a look-alike that changed the memory."""
        return Proportion(count=self.look_alike_alarms, total=self.look_alikes)

    def as_dict(self) -> dict[str, Any]:
        """Counts with their rates and 95 % Wilson intervals, for a report."""
        return {
            "missed": self.miss.as_dict(),
            "false_alarms": self.false_alarm.as_dict(),
            "false_alarms_plain": self.alarm_plain.as_dict(),
            "false_alarms_look_alikes": self.alarm_look_alike.as_dict(),
            "evidence_lost": Proportion(count=self.lost, total=self.total).as_dict(),
        }


NO_CHUNKS = ChunkCounts()


def total(counts: Iterable[ChunkCounts]) -> ChunkCounts:
    """The sum."""
    return sum(counts, NO_CHUNKS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """Accuracy that chunk rates predict; see the module's docstring."""

    lower: float
    upper: float


def predict(rates: ChunkCounts, *, answer: float, chunks: ChunkCounts, num_readings: int = 1) -> Prediction:
    """Accuracy at a length.

    Args:
        rates: where p_miss, p_alike and p_plain come from.
        answer: p_answer.
        chunks: chunks of the readings of this length: k, l and m are their means.
        num_readings: number of these readings.
    """
    upper: float = (1 - rates.miss.value) ** (chunks.evidence / num_readings) * answer
    spared: float = (1 - rates.alarm_look_alike.value) ** (chunks.look_alikes / num_readings)
    spared *= (1 - rates.alarm_plain.value) ** (chunks.plain / num_readings)
    return Prediction(lower=upper * spared, upper=upper)


class ChunkWatch:
    """An observer of one reading that judges every chunk and keeps the last memory.

    Args:
        plan: the reading.
        item: what it is asked.

    Attributes:
        counts: what was judged so far; all zero where no evidence is known.
        memory: the memory after the last chunk.
    """

    def __init__(self, plan: ReadingPlan, item: Item) -> None:
        self._item = item
        self._mode = plan.config.mode
        self._chunks = {chunk.index: chunk for chunk in plan.chunks}
        self._evidence = item.evidence
        self.counts = NO_CHUNKS
        self.memory = Memory()

    def observe(self, record: Record) -> None:
        """Take note of one event."""
        event = record.event
        if isinstance(event, ChunkFinished):
            self.memory = event.memory_after
            chunk = self._chunks[event.chunk_index]
            if self._evidence and not chunk.is_repeat:
                self.counts += self._judge(chunk, event.memory_before, event.memory_after)

    def _judge(self, chunk: Chunk, before: Memory, after: Memory) -> ChunkCounts:
        here = [place for place in self._evidence if place.overlaps(chunk.start, chunk.end)]
        changed = int(before != after)
        known = [place for place in self._evidence if changed and self._holds(before, place)]
        lost = int(any(not self._holds(after, place) for place in known if place not in here))
        if here:
            missed = not all(self._holds(after, place) for place in here)
            return ChunkCounts(evidence=1, missed=int(missed), lost=lost)
        if (
            self._mode is Mode.FAITHFUL
        ):  # every chunk rewrites the memory; what counts is whether it does harm
            changed = lost
        if any(place.overlaps(chunk.start, chunk.end) for place in self._item.look_alikes):
            return ChunkCounts(look_alikes=1, look_alike_alarms=changed, lost=lost)
        return ChunkCounts(plain=1, plain_alarms=changed, lost=lost)

    def _holds(self, memory: Memory, place: Place) -> bool:
        return holds_place(memory, place, self._item, self._mode)

    def found(self) -> tuple[bool, ...]:
        """For each gold, whether the last memory holds all of its evidence."""
        return tuple(self._has(gold) for gold in self._item.golds)

    def _has(self, gold: Gold) -> bool:
        if gold.evidence:
            return all(self._holds(self.memory, place) for place in gold.evidence)
        return best_of(containment, self.memory.text, gold.answers) == 1.0


def holds_place(memory: Memory, place: Place, item: Item, mode: Mode) -> bool:
    """Whether a memory holds what stands at a place.

    Where memories are made of the document's own sentences, one of them has to come from there. A memory that was
    written freely has to hold an answer that stands there, or, where none does (a step on the way), the place's own
    words.
    """
    if mode.names_labels:
        sources = (one.source for one in memory.items)
        return any(source is not None and place.overlaps(source.start, source.end) for source in sources)
    text = item.document.text[place.start : place.end]
    golds = [gold for gold in item.golds if place in gold.evidence]
    said = [answer for gold in golds for answer in gold.answers if containment(text, answer) == 1.0]
    return best_of(containment, memory.text, said or [text]) == 1.0
