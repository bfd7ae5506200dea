"""One chunk: the request that shows it, what its reply means, the memory that comes of it. No I/O, like the loop."""

import dataclasses
from collections.abc import Generator, Sequence
from dataclasses import dataclass

from engine.agent.config import Mode
from engine.agent.coverage import take_receipt
from engine.agent.events import (
    CallFinished,
    ChunkFinished,
    Event,
    Evidence,
    EvidenceFound,
    Incident,
    IncidentKind,
    Outcome,
    Purpose,
)
from engine.agent.evidence import excerpt, support_for
from engine.agent.memory import Memory, MemoryItem
from engine.agent.plan import ReadingPlan, heading_for_prompt, reply_tokens
from engine.agent.replies import (
    Labels,
    UnusableReply,
    closed_replies,
    parse_labels,
    parse_memory,
    read_grammar,
)
from engine.backends.base import Completion, Prompt, Request, Segment
from engine.chunking import Chunk
from engine.documents.model import Span
from engine.text import strip_span


@dataclass(frozen=True, slots=True)
class Ask:
    """A batch of requests to be completed; the completions are sent back in the same order.

    Attributes:
        requests: what to complete.
        chunk_indices: the chunk that each is about; None for the final conversation.
        is_shared: whether readings of one pass ask the very same, so that one completion serves them all.
    """

    requests: tuple[Request, ...]
    chunk_indices: tuple[int | None, ...]
    is_shared: bool = False


Talk = Generator[Ask | Event, Sequence[Completion] | None, None]
"""Yields asks, to which completions are sent, and events, to which nothing is sent."""

Step = Generator[Ask | Event, Sequence[Completion] | None, Memory]
"""The same, with the memory after a chunk as its result."""


def read_chunk(
    plan: ReadingPlan,
    chunk: Chunk,
    memory: Memory,
    request: Request,
    completion: Completion,
    *,
    shown: Memory | None = None,
) -> Step:
    """Take the reply to one chunk; retry an unusable one once, then keep the memory.

    Args:
        plan: the reading.
        chunk: the chunk.
        memory: what is to be updated.
        request: what showed the chunk to the model.
        completion: the reply to it.
        shown: the memory that the model was shown, if it was another one: what the chunk yields is merged then.
    """
    after: Memory | None = None
    for attempt in range(2):
        if attempt:
            request = again(request)
            completion = yield from complete(request, chunk.index)
        yield call_finished(request, completion, chunk.index, Purpose.READ, attempt)
        try:
            if shown is None:
                after = yield from _understand(plan, chunk, memory, completion)
            else:
                after = yield from _merge(plan, chunk, memory, shown, completion)
            break
        except UnusableReply as exc:
            plea = "asked once more" if attempt == 0 else "kept the memory as it was"
            yield Incident(
                chunk_index=chunk.index, kind=exc.kind, detail=f"The reply could not be used; {plea}."
            )
    outcome = Outcome.UPDATED
    if after is None:
        outcome = Outcome.KEPT_AFTER_FAILURE
    elif after == memory:
        outcome = Outcome.UNCHANGED
    new = memory if after is None else after
    for evidence in _new_evidence(plan, chunk, memory, new):
        yield EvidenceFound(chunk_index=chunk.index, evidence=evidence)
    yield ChunkFinished(
        chunk_index=chunk.index,
        memory_before=memory,
        memory_after=new,
        outcome=outcome,
        receipt=take_receipt(chunk, completion.prompt_token_ids),
    )
    return new


def complete(
    request: Request, chunk_index: int | None
) -> Generator[Ask | Event, Sequence[Completion] | None, Completion]:
    ((_, completion),) = yield from exchange((request,), (chunk_index,))
    return completion


def exchange(
    requests: Sequence[Request], chunk_indices: Sequence[int | None], *, is_shared: bool = False
) -> Generator[Ask | Event, Sequence[Completion] | None, list[tuple[Request, Completion]]]:
    """Have a batch completed; arguments as of `Ask`. Gives each request with its completion."""
    completions = yield Ask(tuple(requests), tuple(chunk_indices), is_shared)
    assert completions is not None, "the driver must answer an Ask"
    return list(zip(requests, completions, strict=True))


def call_finished(
    request: Request, completion: Completion, chunk_index: int | None, purpose: Purpose, attempt: int
) -> CallFinished:
    return CallFinished(
        chunk_index=chunk_index,
        purpose=purpose,
        attempt=attempt,
        prompt=request.prompt,
        completion=completion,
    )


def ask(
    request: Request, chunk_index: int | None, purpose: Purpose, attempt: int
) -> Generator[Ask | Event, Sequence[Completion] | None, Completion]:
    completion = yield from complete(request, chunk_index)
    yield call_finished(request, completion, chunk_index, purpose, attempt)
    return completion


def again(request: Request) -> Request:
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
    return _request(plan, memory, [unit.segment for unit in chunk.units], chunk)


def _request(plan: ReadingPlan, memory: Memory, section: Sequence[Segment], chunk: Chunk) -> Request:
    mode = plan.config.mode
    prompt = plan.prompts.read(
        mode,
        question=plan.question,
        memory=memory.texts,
        section=section,
        pages=chunk.labels,
        heading=heading_for_prompt(chunk.heading),
    )
    return Request(
        prompt=prompt,
        max_tokens=reply_tokens(plan.config, plan.prompts),
        sampling=plan.config.sampling,
        grammar=read_grammar(mode, plan.prompts, num_items=len(memory.items), num_sentences=len(section)),
        closed=closed_replies(mode, plan.prompts),
    )


def _understand(plan: ReadingPlan, chunk: Chunk, memory: Memory, completion: Completion) -> Step:
    """The memory after a reply."""
    if plan.config.mode.names_labels:
        labels = _labels(plan, completion, len(memory.items), len(chunk.units))
        return memory if labels is None else (yield from _assemble(plan, chunk, memory, labels))
    text = parse_memory(completion.text, plan.config.mode, plan.prompts)
    if text is None:
        return memory
    if completion.finish_reason == "length":
        return (yield from _compress(plan, chunk, memory, text))
    return Memory((MemoryItem(text),))


def _labels(plan: ReadingPlan, completion: Completion, num_items: int, num_sentences: int) -> Labels | None:
    labels = parse_labels(completion.text, plan.prompts, num_items=num_items, num_sentences=num_sentences)
    if labels is not None and completion.finish_reason == "length":
        raise UnusableReply(IncidentKind.WRONG_FORMAT)
    return labels


def _merge(plan: ReadingPlan, chunk: Chunk, memory: Memory, shown: Memory, completion: Completion) -> Step:
    """Add what a chunk yields to a memory that the model was not shown.

    As long as everything fits, it is put together. What does not fit is shown with the memory, as if it were a section,
    and the model chooses; that prompt holds sentences of one chunk at most, so it never exceeds the window.
    """
    named = _labels(plan, completion, len(shown.items), len(chunk.units))
    if named is None:
        return memory
    known = {item.text for item in memory.items}
    fresh = tuple(index for index in named.sentences if chunk.units[index].text.strip() not in known)
    kept = tuple(range(len(memory.items)))
    cost = sum(plan.item_tokens(item.text) for item in memory.items)
    cost += sum(len(chunk.units[index].token_ids) for index in fresh)
    if cost > plan.config.memory_tokens or len(kept) + len(fresh) > plan.prompts.max_items:
        request = _request(plan, memory, [chunk.units[index].segment for index in fresh], chunk)
        reply = yield from ask(request, chunk.index, Purpose.MERGE, 0)
        chosen = _labels(plan, reply, len(kept), len(fresh))
        if chosen is None:
            return memory
        kept, fresh = chosen.memory, tuple(fresh[index] for index in chosen.sentences)
    return (yield from _assemble(plan, chunk, memory, Labels(memory=kept, sentences=fresh)))


def _assemble(plan: ReadingPlan, chunk: Chunk, memory: Memory, labels: Labels) -> Step:
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


def _compress(plan: ReadingPlan, chunk: Chunk, memory: Memory, draft: str) -> Step:
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
    completion = yield from ask(request, chunk.index, Purpose.COMPRESS, 0)
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
    if plan.config.mode.names_labels:
        sources = [item.source for item in after.items if item.source and item not in known]
    else:
        sources = support_for(after.text, before.text, document, chunk)
    return [excerpt(document, source) for source in sources]
