"""The reading loop: a generator without I/O, clock or threads.

It yields `Ask`s, which whoever drives it has completed and sent back, and `Event`s, to which nothing is sent. The
engine drives it with a backend (`engine.agent.reader`); a trainer can drive many in lockstep with the same code.

Source: MemAgent, arXiv 2507.02259, section 2 (one independent conversation a chunk, each reply overwrites the memory, a
last conversation sees only question and memory). Deviations: a failed reply never wipes the memory; see
`engine.agent.events.IncidentKind` and docs/paper-index.md.
"""

from collections import deque
from collections.abc import Generator, Sequence
from dataclasses import dataclass

from engine.agent.config import Mode
from engine.agent.events import (
    AnswerFinished,
    ChunkStarted,
    Event,
    Evidence,
    EvidenceFound,
    GuessFailed,
    Incident,
    IncidentKind,
    Purpose,
)
from engine.agent.evidence import judge_answer
from engine.agent.joint import JointGate
from engine.agent.memory import EMPTY, Memory
from engine.agent.plan import ReadingPlan
from engine.agent.replies import NOT_STATED, UnusableReply, answer_grammar, parse_answer
from engine.agent.rounds import read_rounds
from engine.agent.steps import Ask, Step, Talk, again, ask, exchange, read_chunk, read_request
from engine.backends.base import Completion, Request
from engine.chunking import Chunk
from engine.errors import GenerationError


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Where reading begins or goes on.

    Attributes:
        next_chunk: first chunk that is still to be read.
        memory: the memory before it.
        evidence: excerpts found so far; the answer is checked against them.
        shown: in the parallel mode, the memory at the beginning of the round that the last chunk read was in; None =
            nothing was read yet.
    """

    next_chunk: int = 0
    memory: Memory = EMPTY
    evidence: tuple[Evidence, ...] = ()
    shown: Memory | None = None


Loop = Generator[Ask | Event, Sequence[Completion] | None, AnswerFinished]
"""What `read` is: yields asks and events, is sent completions, returns the answer."""


def read(plan: ReadingPlan, start: Start | None = None, *, lookahead: int = 1) -> Loop:
    """Read every chunk of the plan from `start` on, then answer.

    Args:
        plan: what is read and how.
        start: where to begin; the first chunk by default.
        lookahead: most chunks that are read at once, on the guess that the memory stays as it is; the first one that
            changes it ends the guess, and those behind it are read again. The memories are the same as one by one.

    Raises:
        GenerationError: the final reply was unusable twice.
    """
    start = start or Start()
    width = max(1, lookahead)
    if plan.config.mode is Mode.PARALLEL:
        shown = start.memory if start.shown is None else start.shown
        reading = read_rounds(plan, start.memory, shown=shown, next_chunk=start.next_chunk, width=width)
    else:
        reading = _read_in_order(plan, start, width)
    found = list(start.evidence)
    memory = yield from _collect(reading, found)
    return (yield from _answer(plan, memory, found))


def _read_in_order(plan: ReadingPlan, start: Start, lookahead: int) -> Step:
    """Read chunks one after the other, each with the memory that the one before left."""
    memory = start.memory
    chunks = [chunk for chunk in plan.chunks if chunk.index >= start.next_chunk]
    gate = JointGate(plan, lookahead) if plan.spec.companions else None
    # Chunks that pass a gate tend to change the memory, so that guessing ahead behind one would mostly fail.
    guess = _Guess(plan, 1 if gate else lookahead)
    for place, chunk in enumerate(chunks):
        yield ChunkStarted(chunk_index=chunk.index)
        near = chunks[place : place + lookahead]
        if gate and not chunk.is_repeat and not (yield from gate.admits(near, memory)):
            continue
        if not guess.exchanges:
            yield from guess.read(near, memory)
        after = yield from read_chunk(plan, chunk, memory, *guess.exchanges.popleft())
        if after != memory:
            yield from guess.fail(chunk.index)
        memory = after
    return memory


class _Guess:
    """Chunks that are read ahead while the memory is expected to stay.

    Their number adapts: doubled each time, quartered when the memory changed, so that little is read in vain where
    facts stand close together.
    """

    def __init__(self, plan: ReadingPlan, most: int) -> None:
        self._plan = plan
        # A memory that is rewritten at every chunk never stays.
        self._most = 1 if plan.config.mode is Mode.FAITHFUL else max(1, most)
        self._width = 1
        self.exchanges: deque[tuple[Request, Completion]] = deque()

    def read(self, chunks: Sequence[Chunk], memory: Memory) -> Talk:
        """Read the next chunks as if the memory stayed."""
        ahead = chunks[: self._width]
        requests = [read_request(self._plan, chunk, memory) for chunk in ahead]
        self.exchanges.extend((yield from exchange(requests, [chunk.index for chunk in ahead])))
        self._width = min(self._most, 2 * self._width)

    def fail(self, chunk_index: int) -> Talk:
        """The memory changed: what was read beyond this chunk does not count."""
        self._width = max(1, self._width // 4)
        if self.exchanges:
            yield GuessFailed(
                chunk_index=chunk_index,
                num_chunks=len(self.exchanges),
                prompt_tokens=sum(len(c.prompt_token_ids) - c.cached_tokens for _, c in self.exchanges),
            )
            self.exchanges.clear()


def _collect(reading: Step, found: list[Evidence]) -> Step:
    """Pass everything on, noting the evidence on the way."""
    try:
        item = next(reading)
        while True:
            if isinstance(item, EvidenceFound):
                found.append(item.evidence)
            item = reading.send((yield item))
    except StopIteration as stop:
        memory: Memory = stop.value
        return memory


def _answer(
    plan: ReadingPlan, memory: Memory, found: Sequence[Evidence]
) -> Generator[Ask | Event, Sequence[Completion] | None, AnswerFinished]:
    """The final conversation. Nothing found means nothing to say: a model that is asked all the same would invent."""
    text: str | None = None
    if memory.items:
        text = yield from _ask_answer(plan, memory)
    claims = judge_answer(plan, text, memory, found) if text is not None else ()
    answer = AnswerFinished(text=text or NOT_STATED, answered=text is not None, claims=claims)
    yield answer
    return answer


def _ask_answer(
    plan: ReadingPlan, memory: Memory
) -> Generator[Ask | Event, Sequence[Completion] | None, str | None]:
    request = Request(
        prompt=plan.prompts.final(plan.config.mode, question=plan.question, memory=memory.texts),
        max_tokens=plan.config.answer_tokens,
        sampling=plan.config.sampling,
        grammar=answer_grammar(plan.prompts, memory.texts),
    )
    for attempt in range(2):
        completion = yield from ask(request, None, Purpose.ANSWER, attempt)
        try:
            text = parse_answer(completion.text, plan.prompts)
        except UnusableReply as exc:
            yield Incident(chunk_index=None, kind=exc.kind, detail="The answer could not be used.")
            request = again(request)
            continue
        if completion.finish_reason == "length":
            yield Incident(
                chunk_index=None,
                kind=IncidentKind.ANSWER_CUT,
                detail="The answer hit its cap and is cut short.",
            )
        return text
    raise GenerationError(
        "The model gave no usable answer, twice.",
        hint="The reading is saved: try `palimpsest resume`, or another model.",
    )
