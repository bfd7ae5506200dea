"""The reading loop: a generator without I/O, clock or threads.

It yields `Ask`s, which whoever drives it has completed and sent back, and `Event`s, to which nothing is sent. The
engine drives it with a backend (`engine.agent.reader`); a trainer can drive many in lockstep with the same code.

Source: MemAgent, arXiv 2507.02259, section 2 (one independent conversation a chunk, each reply overwrites the memory, a
last conversation sees only question and memory). Deviations: a failed reply never wipes the memory; see
`engine.agent.events.IncidentKind` and docs/paper-index.md.
"""

import dataclasses
from collections.abc import Generator, Sequence
from dataclasses import dataclass

from engine.agent.config import Mode
from engine.agent.coverage import take_receipt
from engine.agent.events import (
    AnswerFinished,
    CallFinished,
    ChunkFinished,
    ChunkStarted,
    Event,
    Evidence,
    EvidenceFound,
    Incident,
    IncidentKind,
    Outcome,
    Purpose,
)
from engine.agent.evidence import excerpt, judge_answer, support_for
from engine.agent.memory import EMPTY, Memory, MemoryItem
from engine.agent.plan import ReadingPlan, heading_for_prompt, reply_tokens
from engine.agent.replies import (
    NOT_STATED,
    Labels,
    UnusableReply,
    answer_grammar,
    parse_answer,
    parse_labels,
    parse_memory,
    read_grammar,
)
from engine.backends.base import Completion, Prompt, Request
from engine.chunking import Chunk
from engine.documents.model import Span
from engine.errors import GenerationError
from engine.text import strip_span


@dataclass(frozen=True, slots=True)
class Ask:
    """A batch of requests to be completed; the completions are sent back in the same order.

    Attributes:
        requests: what to complete.
        chunk_index: the chunk that they are about; None for the final conversation.
    """

    requests: tuple[Request, ...]
    chunk_index: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Where reading begins or goes on.

    Attributes:
        next_chunk: first chunk that is still to be read.
        memory: the memory before it.
        evidence: excerpts found so far; the answer is checked against them.
    """

    next_chunk: int = 0
    memory: Memory = EMPTY
    evidence: tuple[Evidence, ...] = ()


Reading = Generator[Ask | Event, Sequence[Completion] | None, AnswerFinished]
"""What `read` is: yields asks and events, is sent completions, returns the answer."""

_Step = Generator[Ask | Event, Sequence[Completion] | None, Memory]


def read(plan: ReadingPlan, start: Start | None = None) -> Reading:
    """Read every chunk of the plan from `start` on, then answer.

    Raises:
        GenerationError: the final reply was unusable twice.
    """
    start = start or Start()
    memory = start.memory
    found = list(start.evidence)
    for chunk in (chunk for chunk in plan.chunks if chunk.index >= start.next_chunk):
        yield ChunkStarted(chunk_index=chunk.index)
        reading = _read_chunk(plan, chunk, memory)
        memory = yield from _collect(reading, found)
    return (yield from _answer(plan, memory, found))


def _collect(reading: _Step, found: list[Evidence]) -> _Step:
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


def _read_chunk(plan: ReadingPlan, chunk: Chunk, memory: Memory) -> _Step:
    """Show one chunk; retry an unusable reply once, then keep the memory."""
    request = read_request(plan, chunk, memory)
    after: Memory | None = None
    completion: Completion | None = None
    for attempt in range(2):
        completion = yield from _ask(request, chunk.index, Purpose.READ, attempt)
        try:
            after = yield from _understand(plan, chunk, memory, completion)
            break
        except UnusableReply as exc:
            plea = "asked once more" if attempt == 0 else "kept the memory as it was"
            yield Incident(
                chunk_index=chunk.index, kind=exc.kind, detail=f"The reply could not be used; {plea}."
            )
            request = _again(request)
    outcome = Outcome.UPDATED
    if after is None:
        outcome = Outcome.KEPT_AFTER_FAILURE
    elif after == memory:
        outcome = Outcome.UNCHANGED
    new = memory if after is None else after
    for evidence in _new_evidence(plan, chunk, memory, new):
        yield EvidenceFound(chunk_index=chunk.index, evidence=evidence)
    assert completion is not None
    yield ChunkFinished(
        chunk_index=chunk.index,
        memory_before=memory,
        memory_after=new,
        outcome=outcome,
        receipt=take_receipt(chunk, completion.prompt_token_ids),
    )
    return new


def _ask(
    request: Request, chunk_index: int | None, purpose: Purpose, attempt: int
) -> Generator[Ask | Event, Sequence[Completion] | None, Completion]:
    completions = yield Ask((request,), chunk_index)
    assert completions is not None, "the driver must answer an Ask"
    (completion,) = completions
    yield CallFinished(
        chunk_index=chunk_index,
        purpose=purpose,
        attempt=attempt,
        prompt=request.prompt,
        completion=completion,
    )
    return completion


def _again(request: Request) -> Request:
    """The one retry: the same conversation with another seed, warm enough to come out differently."""
    sampling = request.sampling
    warm = dataclasses.replace(
        sampling,
        seed=sampling.seed + 1,
        temperature=max(sampling.temperature, 0.7),
        top_p=min(sampling.top_p, 0.95),
    )
    return dataclasses.replace(request, sampling=warm)


def read_request(plan: ReadingPlan, chunk: Chunk, memory: Memory) -> Request:
    """The conversation that shows one chunk."""
    mode = plan.config.mode
    prompt = plan.prompts.read(
        mode,
        question=plan.question,
        memory=memory.texts,
        section=[unit.text for unit in chunk.units],
        pages=chunk.labels,
        heading=heading_for_prompt(chunk.heading),
    )
    return Request(
        prompt=prompt,
        max_tokens=reply_tokens(plan.config, plan.prompts),
        sampling=plan.config.sampling,
        grammar=read_grammar(mode, plan.prompts, num_items=len(memory.items), num_sentences=len(chunk.units)),
    )


def _understand(plan: ReadingPlan, chunk: Chunk, memory: Memory, completion: Completion) -> _Step:
    """The memory after a reply."""
    if plan.config.mode is Mode.EXTRACTIVE:
        labels = parse_labels(
            completion.text, plan.prompts, num_items=len(memory.items), num_sentences=len(chunk.units)
        )
        if labels is None:
            return memory
        if completion.finish_reason == "length":
            raise UnusableReply(IncidentKind.WRONG_FORMAT)
        return (yield from _assemble(plan, chunk, memory, labels))
    text = parse_memory(completion.text, plan.config.mode, plan.prompts)
    if text is None:
        return memory
    if completion.finish_reason == "length":
        return (yield from _compress(plan, chunk, memory, text))
    return Memory((MemoryItem(text),))


def _assemble(plan: ReadingPlan, chunk: Chunk, memory: Memory, labels: Labels) -> _Step:
    """Build the new memory from the sentences themselves; what does not fit the budget is left out, on record."""
    wanted = [memory.items[index] for index in labels.memory]
    costs = {item: plan.item_tokens(item.text) for item in wanted}
    for index in labels.sentences:
        unit = chunk.units[index]
        start, end = strip_span(plan.documents[chunk.document].text, unit.start, unit.end)
        source = Span(document=chunk.document, start=start, end=max(start, end))
        item = MemoryItem(unit.text.strip(), source)
        if item not in costs:
            wanted.append(item)
            costs[item] = len(unit.token_ids)
    if labels.note:
        note = MemoryItem(labels.note)
        wanted.append(note)
        costs[note] = plan.item_tokens(labels.note)
    kept: list[MemoryItem] = []
    room = plan.config.memory_tokens
    for item in wanted:
        if costs[item] <= room and len(kept) < plan.prompts.max_items:
            kept.append(item)
            room -= costs[item]
    if len(kept) < len(wanted):
        yield Incident(
            chunk_index=chunk.index,
            kind=IncidentKind.ITEMS_DROPPED,
            detail=f"{len(wanted) - len(kept)} of {len(wanted)} items named did not fit the memory's budget.",
        )
    return Memory(tuple(kept))


def _compress(plan: ReadingPlan, chunk: Chunk, memory: Memory, draft: str) -> _Step:
    """A memory that hit its cap: ask once to shorten it; if that fails too, keep the old one."""
    yield Incident(
        chunk_index=chunk.index,
        kind=IncidentKind.MEMORY_OVER_BUDGET,
        detail="The new memory hit its cap; asked once to shorten it.",
    )
    budget = plan.config.memory_tokens
    request = Request(
        prompt=_compress_prompt(plan, draft, budget),
        max_tokens=budget,
        sampling=plan.config.sampling,
    )
    completion = yield from _ask(request, chunk.index, Purpose.COMPRESS, 0)
    try:
        text = parse_memory(completion.text, Mode.FAITHFUL, plan.prompts)
        if completion.finish_reason == "length" or text is None:
            raise UnusableReply(IncidentKind.MEMORY_OVER_BUDGET)
    except UnusableReply:
        yield Incident(
            chunk_index=chunk.index,
            kind=IncidentKind.COMPRESSION_FAILED,
            detail="The memory could not be shortened; kept the old one.",
        )
        return memory
    return Memory((MemoryItem(text),))


def _compress_prompt(plan: ReadingPlan, draft: str, budget: int) -> Prompt:
    # Half the budget is asked for: models overshoot a target length more often than they undershoot it.
    return plan.prompts.shorten(question=plan.question, memory=draft, budget_tokens=max(1, budget // 2))


def _new_evidence(plan: ReadingPlan, chunk: Chunk, before: Memory, after: Memory) -> list[Evidence]:
    """Excerpts of this chunk that came into the memory with this step."""
    if before == after:
        return []
    document = plan.documents[chunk.document]
    known = set(before.items)
    if plan.config.mode is Mode.EXTRACTIVE:
        sources = [item.source for item in after.items if item.source and item not in known]
    else:
        sources = support_for(after.text, before.text, document, chunk)
    return [excerpt(document, source) for source in sources]


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
        completion = yield from _ask(request, None, Purpose.ANSWER, attempt)
        try:
            text = parse_answer(completion.text, plan.prompts)
        except UnusableReply as exc:
            yield Incident(chunk_index=None, kind=exc.kind, detail="The answer could not be used.")
            request = _again(request)
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
