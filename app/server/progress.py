"""How far a reading has come, and how long it will still take."""

import time
from collections.abc import Callable, Sequence
from typing import Any

from engine.agent.plan import ReadingPlan, shown_tokens


class ProgressMeter:
    """Counts chunks and tokens, those that are shown twice twice. Time goes by tokens: chunks differ in length.

    Args:
        plan: what is read.
        documents: names of its documents, for people.
        next_chunk: where this session begins; what was read before does not count into the rate.
        clock: seconds.
    """

    def __init__(
        self,
        plan: ReadingPlan,
        documents: Sequence[str],
        *,
        next_chunk: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._chunks = {chunk.index: chunk for chunk in plan.chunks}
        self._documents = tuple(documents)
        self._clock = clock
        self._began = clock()
        self._chunks_total = plan.chunks[-1].index + 1 if plan.chunks else 0
        self._chunks_done = next_chunk
        self._tokens_total = sum(map(shown_tokens, plan.chunks))
        self._tokens_before = sum(shown_tokens(chunk) for chunk in plan.chunks if chunk.index < next_chunk)
        self._tokens_here = 0
        self._last: int | None = None

    def finish_chunk(self, chunk_index: int) -> None:
        """Take note of a chunk that was read."""
        self._last = chunk_index
        self._chunks_done = chunk_index + 1
        self._tokens_here += shown_tokens(self._chunks[chunk_index])

    def values(self) -> dict[str, Any]:
        """The body of a `progress` event."""
        elapsed_s = self._clock() - self._began
        rate = self._tokens_here / elapsed_s if self._tokens_here and elapsed_s > 0 else None
        tokens_done = self._tokens_before + self._tokens_here
        chunk = None if self._last is None else self._chunks[self._last]
        return {
            "chunks_done": self._chunks_done,
            "chunks_total": self._chunks_total,
            "document": None if chunk is None else self._documents[chunk.document],
            "pages": None if chunk is None else chunk.labels,
            "tokens_done": tokens_done,
            "tokens_total": self._tokens_total,
            "tokens_per_s": None if rate is None else round(rate, 1),
            "elapsed_s": round(elapsed_s, 3),
            "eta_s": None if rate is None else round((self._tokens_total - tokens_done) / rate, 1),
        }
