"""What answers the questions of an evaluation: the reading loop, and what it is compared with.

All of them are the same loop with another plan, so that prompts, retries and parsing are the same too:

- `reader`: every chunk of the document, as the program reads;
- `bm25`: only the chunks that share the most telling words with the question (retrieval with the same model as reader);
- `oracle`: only the chunks that hold the evidence: what a perfect choice of chunks would bring;
- `full_context`: no chunks; the document stands where the memory would, in one prompt, if it fits the window;
- `alone`: every chunk by itself with an empty memory, for the rates of `engine.evaluation.chunk_rates`.
"""

import dataclasses
import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from engine.agent.config import Mode, ReadingConfig
from engine.agent.events import AnswerFinished, Record
from engine.agent.loop import Start
from engine.agent.memory import Memory, MemoryItem
from engine.agent.plan import ReadingPlan, make_plan
from engine.agent.prompts import PromptSet
from engine.agent.reader import Reading, run_readings
from engine.agent.recall import best_chunks
from engine.backends.base import Backend
from engine.cancel import CancelToken
from engine.errors import GenerationError, PlanError
from engine.evaluation.chunk_rates import NO_CHUNKS, ChunkCounts, ChunkWatch, total
from engine.evaluation.items import Item

Status = Literal["answered", "failed", "does not fit"]
"""How an item ended; "answered" also where the answer is that the document does not say."""

BM25_CHUNKS = 5
"""Chunks that retrieval finds, if nothing else is asked for."""

_BATCH_ALONE = 64
"""Chunks that are read alone at a time where that gains anything; on a CPU it costs up to a fifth more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one item.

    Attributes:
        status: see `Status`.
        answer: the answer; None = the document does not say, or there is none.
        error: one sentence; "" = nothing went wrong.
        in_memory: for each gold, whether its evidence was in the memory at the end; () = not known.
        chunks: what became of chunks.
        num_chunks: chunks that were read.
        wall_s: seconds; those of items read side by side are shared out evenly.
    """

    status: Status
    answer: str | None = None
    error: str = ""
    in_memory: tuple[bool, ...] = ()
    chunks: ChunkCounts = NO_CHUNKS
    num_chunks: int = 0
    wall_s: float = 0.0


OnOutcome = Callable[[int, Outcome], None]
"""Told the number of an item among those given, and what came of it, as soon as it is known."""


class Identified(Protocol):
    """What results are kept under."""

    @property
    def name(self) -> str:
        """As reports call it."""
        ...

    @property
    def identity(self) -> Mapping[str, Any]:
        """All that decides what a system answers, as plain values."""
        ...


@dataclass(frozen=True, slots=True)
class Known:
    """A system whose model may have been closed: its results can still be looked up."""

    name: str
    identity: Mapping[str, Any]


class System(Identified, Protocol):
    """Something that answers questions on documents."""

    @property
    def side_by_side(self) -> int:
        """Items that are worth giving it at once."""
        ...

    def answer(self, items: Sequence[Item], on_outcome: OnOutcome, cancel: CancelToken) -> None:
        """Answer; `on_outcome` is called once for every item.

        Raises:
            engine.cancel.Cancelled: after `cancel.cancel()`.
            engine.errors.PalimpsestError: the model went away; an item without a usable answer is no error but a
                failed outcome.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Prepared:
    """A reading of one item that can begin."""

    plan: ReadingPlan
    start: Start | None = None


Preparation = Callable[["LoopSystem", Item], _Prepared | None]


class LoopSystem:
    """The reading loop with one model; see the module's docstring for the kinds.

    Args:
        name: as reports call it.
        backend: the model.
        prompts: its wording.
        config: settings of the reading.
        prepare: from an item to what is read; None = it does not fit.
        details: what else decides the answers.
        side_by_side: items read at once; None = what the model gains from.

    Raises:
        PlanError: the settings do not fit the model's window.
    """

    def __init__(
        self,
        name: str,
        backend: Backend,
        prompts: PromptSet,
        config: ReadingConfig,
        prepare: Preparation,
        *,
        details: Mapping[str, Any] | None = None,
        side_by_side: int | None = None,
    ) -> None:
        self.name = name
        self.backend = backend
        self.prompts = prompts
        self.config = config
        self.side_by_side = side_by_side or max(1, backend.info.lookahead)
        self._prepare = prepare
        self._details = dict(details or {})
        make_plan(
            [], "?", config=config, prompts=prompts, backend=backend
        )  # its budgets, before anything is read

    @property
    def identity(self) -> Mapping[str, Any]:
        """See `System`."""
        return {
            "name": self.name,
            "model": self.backend.info.fingerprint,
            "model_name": self.backend.info.name,
            "context_tokens": self.backend.info.context_tokens,
            "prompts": self.prompts.name,
            "prompts_hash": hashlib.sha256(self.prompts.digest().encode()).hexdigest(),
            "config": self.config.to_dict(),
            **self._details,
        }

    def plan(self, item: Item) -> ReadingPlan:
        """The plan that reads all of an item's document."""
        return make_plan(
            [item.document], item.question, config=self.config, prompts=self.prompts, backend=self.backend
        )

    def answer(self, items: Sequence[Item], on_outcome: OnOutcome, cancel: CancelToken) -> None:
        """See `System`."""
        began = time.perf_counter()
        watches: dict[int, _Watch] = {}
        readings: list[Reading] = []
        for number, item in enumerate(items):
            try:
                prepared = self._prepare(self, item)
            except PlanError as exc:  # a question over its budget; the settings were checked before
                on_outcome(number, Outcome(status="failed", error=exc.message))
                continue
            if prepared is None:
                on_outcome(number, Outcome(status="does not fit"))
                continue

            def tell(outcome: Outcome, number: int = number) -> None:
                share = (time.perf_counter() - began) / len(items)
                on_outcome(number, dataclasses.replace(outcome, wall_s=share))

            watches[number] = _Watch(prepared.plan, item, tell)
            readings.append(
                Reading(plan=prepared.plan, run_id=item.item_id, store=watches[number], start=prepared.start)
            )
        outcomes = run_readings(readings, self.backend, cancel=cancel) if readings else []
        for watch, outcome in zip(watches.values(), outcomes, strict=True):
            if isinstance(outcome, GenerationError):
                watch.fail(outcome)


class _Watch:
    """The store of one reading: nothing is kept but what an evaluation wants, and that as soon as it is known."""

    def __init__(self, plan: ReadingPlan, item: Item, tell: Callable[[Outcome], None]) -> None:
        self._chunks = ChunkWatch(plan, item)
        self._num_chunks = len(plan.chunks)
        self._tell = tell

    def observe(self, record: Record) -> None:
        self._chunks.observe(record)
        if isinstance(record.event, AnswerFinished):
            answer = record.event.text if record.event.answered else None
            self._tell(dataclasses.replace(self._outcome, answer=answer))

    def fail(self, error: GenerationError) -> None:
        self._tell(dataclasses.replace(self._outcome, status="failed", error=error.message))

    @property
    def _outcome(self) -> Outcome:
        read = self._num_chunks > 0
        return Outcome(
            status="answered",
            in_memory=self._chunks.found() if read else (),
            chunks=self._chunks.counts,
            num_chunks=self._num_chunks,
        )


def reader(
    backend: Backend,
    prompts: PromptSet,
    config: ReadingConfig,
    *,
    name: str = "reader",
    side_by_side: int | None = None,
) -> LoopSystem:
    """The program's own reading of the whole document."""

    def prepare(system: LoopSystem, item: Item) -> _Prepared:
        return _Prepared(plan=system.plan(item))

    return LoopSystem(name, backend, prompts, config, prepare, side_by_side=side_by_side)


def bm25(
    backend: Backend,
    prompts: PromptSet,
    config: ReadingConfig,
    *,
    num_chunks: int = BM25_CHUNKS,
    side_by_side: int | None = None,
) -> LoopSystem:
    """The same loop over the best chunks by BM25 (`engine.agent.recall`), in reading order.

    Args:
        backend: the model.
        prompts: its wording.
        config: settings; recall makes no sense here and is switched off, and so are the rounds of the parallel mode.
        num_chunks: chunks that are looked up.
        side_by_side: items read at once.
    """

    def prepare(system: LoopSystem, item: Item) -> _Prepared:
        plan = system.plan(item)
        best = best_chunks(plan.chunks, item.question, num_chunks)
        chunks = tuple(plan.chunks[place] for place in best)
        return _Prepared(plan=dataclasses.replace(plan, chunks=chunks))

    name = "bm25" if num_chunks == BM25_CHUNKS else f"bm25:{num_chunks}"
    details = {"num_chunks": num_chunks}
    return LoopSystem(
        name, backend, prompts, _in_order(config), prepare, details=details, side_by_side=side_by_side
    )


def _in_order(config: ReadingConfig) -> ReadingConfig:
    """Settings for chunks that were chosen: one after the other, none looked up again."""
    mode = Mode.EXTRACTIVE if config.mode is Mode.PARALLEL else config.mode
    return dataclasses.replace(config, mode=mode, recall_chunks=0)


class _Oracle(LoopSystem):
    """Refuses items whose evidence is not known; as failed ones they would count against the model."""

    def answer(self, items: Sequence[Item], on_outcome: OnOutcome, cancel: CancelToken) -> None:
        """See `System`.

        Raises:
            PlanError: it is not known where the evidence of an item is.
        """
        for item in items:
            if not all(gold.evidence for gold in item.golds):
                raise PlanError(
                    f"Nothing says where the evidence of '{item.item_id}' stands, so that no oracle can choose it.",
                    hint='Give each question its "quote", or leave the baseline out.',
                )
        super().answer(items, on_outcome, cancel)


def oracle(
    backend: Backend, prompts: PromptSet, config: ReadingConfig, *, side_by_side: int | None = None
) -> LoopSystem:
    """The same loop over the chunks that hold the evidence, in reading order; no chunk where the document does not say.

    What a perfect choice of chunks would bring with this model: the bound of every retrieval, and of every reading as
    far as it is false alarms that it suffers from.

    Args:
        backend: the model.
        prompts: its wording.
        config: settings; recall and the rounds of the parallel mode are switched off, as in `bm25`.
        side_by_side: items read at once.
    """

    def prepare(system: LoopSystem, item: Item) -> _Prepared:
        plan = system.plan(item)
        chunks = tuple(
            chunk
            for chunk in plan.chunks
            if any(place.overlaps(chunk.start, chunk.end) for place in item.evidence)
        )
        return _Prepared(plan=dataclasses.replace(plan, chunks=chunks))

    return _Oracle("oracle", backend, prompts, _in_order(config), prepare, side_by_side=side_by_side)


def full_context(
    backend: Backend, prompts: PromptSet, config: ReadingConfig, *, side_by_side: int | None = None
) -> LoopSystem:
    """One prompt with the whole document, where that fits the window: the final conversation over it as the memory."""

    def prepare(system: LoopSystem, item: Item) -> _Prepared | None:
        window = backend.info.context_tokens
        if item.num_tokens > window:
            return None
        text = item.document.text
        prompt = prompts.final(config.mode, question=item.question, memory=(text,))
        if len(backend.encode(prompt)) + config.answer_tokens > window:
            return None
        plan = make_plan([], item.question, config=config, prompts=prompts, backend=backend)
        plan = dataclasses.replace(plan, documents=(item.document,))
        return _Prepared(plan=plan, start=Start(memory=Memory((MemoryItem(text),))))

    return LoopSystem("full-context", backend, prompts, config, prepare, side_by_side=side_by_side)


class ChunksAlone:
    """Reads every chunk of an item by itself, with an empty memory; its outcomes hold counts and no answers.

    Args:
        backend: the model.
        prompts: its wording.
        config: settings of the reading.
    """

    name = "chunks-alone"
    side_by_side = 1

    def __init__(self, backend: Backend, prompts: PromptSet, config: ReadingConfig) -> None:
        self._reader = reader(backend, prompts, dataclasses.replace(config, recall_chunks=0), name=self.name)

    @property
    def identity(self) -> Mapping[str, Any]:
        """See `System`."""
        return self._reader.identity

    def answer(self, items: Sequence[Item], on_outcome: OnOutcome, cancel: CancelToken) -> None:
        """See `System`."""
        for number, item in enumerate(items):
            began = time.perf_counter()
            counts, num_chunks = self._read(item, cancel)
            outcome = Outcome(status="answered", chunks=counts, num_chunks=num_chunks)
            on_outcome(number, dataclasses.replace(outcome, wall_s=time.perf_counter() - began))

    def _read(self, item: Item, cancel: CancelToken) -> tuple[ChunkCounts, int]:
        whole = self._reader.plan(item)
        plans = [dataclasses.replace(whole, chunks=(chunk,)) for chunk in whole.chunks if not chunk.is_repeat]
        watches: list[ChunkWatch] = []
        width = _BATCH_ALONE if self._reader.backend.info.lookahead > 1 else 1
        for start in range(0, len(plans), width):
            batch = plans[start : start + width]
            fresh = [ChunkWatch(plan, item) for plan in batch]
            run_readings(
                [
                    Reading(plan=plan, run_id=f"{item.item_id}-{plan.chunks[0].index}", store=watch)
                    for plan, watch in zip(batch, fresh, strict=True)
                ],
                self._reader.backend,
                cancel=cancel,
            )
            watches += fresh
        return total(watch.counts for watch in watches), len(plans)
