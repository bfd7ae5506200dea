"""The parallel mode: all chunks against one memory, side by side, round after round.

Source: PI-Mem, arXiv 2608.03048. Here each chunk names the sentences that matter; they are merged into the memory in
reading order (`engine.agent.steps`), and the next round reads everything again with the merged memory, until a round
adds nothing or the last one is over.
"""

from collections.abc import Iterator, Sequence

from engine.agent.events import ChunkStarted
from engine.agent.memory import Memory
from engine.agent.plan import ReadingPlan
from engine.agent.steps import Step, exchange, read_chunk, read_request
from engine.backends.base import Completion, Request
from engine.chunking import Chunk


def read_rounds(plan: ReadingPlan, memory: Memory, *, shown: Memory, next_chunk: int, width: int) -> Step:
    """Read round after round.

    Args:
        plan: the reading.
        memory: the memory before `next_chunk`.
        shown: the memory at the beginning of the round that the chunk before `next_chunk` was in.
        next_chunk: index of the first chunk to be read.
        width: chunks that are read at once.
    """
    for chunks in _rounds(plan):
        left = [chunk for chunk in chunks if chunk.index >= next_chunk]
        if len(left) == len(chunks):
            shown = memory
        for start in range(0, len(left), width):
            memory = yield from _read_window(plan, left[start : start + width], memory, shown)
        if chunks[-1].index >= next_chunk - 1 and memory == shown:
            break
    return memory


def _read_window(plan: ReadingPlan, window: Sequence[Chunk], memory: Memory, shown: Memory) -> Step:
    """Read a few chunks at once and merge what they yield in their order."""
    requests = [read_request(plan, each, shown) for each in window]
    exchanges: list[tuple[Request, Completion]] = []
    for place, chunk in enumerate(window):
        yield ChunkStarted(chunk_index=chunk.index)
        if not exchanges:
            exchanges = yield from exchange(requests, [each.index for each in window])
        memory = yield from read_chunk(plan, chunk, memory, *exchanges[place], shown=shown)
    return memory


def _rounds(plan: ReadingPlan) -> Iterator[Sequence[Chunk]]:
    length = _round_length(plan)
    for start in range(0, len(plan.chunks), max(1, length)):
        yield plan.chunks[start : start + length]


def _round_length(plan: ReadingPlan) -> int:
    return sum(not chunk.is_repeat for chunk in plan.chunks)


def round_start(plan: ReadingPlan, next_chunk: int) -> int | None:
    """Index of the first chunk of the round that the chunk before `next_chunk` is in; None = nothing was read yet."""
    first = plan.chunks[0].index if plan.chunks else next_chunk
    if next_chunk <= first:
        return None
    length = _round_length(plan)
    return first + (next_chunk - 1 - first) // length * length
