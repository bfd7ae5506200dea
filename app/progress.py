"""How far a reading has come, and how long it will still take."""

import time
from collections.abc import Callable, Sequence
from typing import Any

from engine.agent.plan import shown_tokens
from engine.chunking import Chunk
from engine.front import Prospect


class ProgressMeter:
    """Counts chunks and tokens, those that are shown twice twice. Time goes by tokens: chunks differ in length.

    A pass for several questions has come as far as the one of them that is furthest behind.

    Args:
        prospects: what is read; what was read before does not count into the rate.
        documents: names of the documents, for people; None = their own.
        clock: seconds.
    """

    def __init__(
        self,
        prospects: Sequence[Prospect],
        documents: Sequence[str] | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        plan = prospects[0].plan
        self._documents = tuple(documents or [document.name for document in plan.documents])
        self._clock = clock
        self._began = clock()
        self._counts = {each.run_id: _Count(each) for each in prospects}
        self._tokens_before = self.tokens_done
        self._chunk: Chunk | None = None

    def start_chunk(self, run_id: str, chunk_index: int) -> None:
        """Take note of a chunk that is about to be read."""
        self._chunk = self._counts[run_id].chunks[chunk_index]

    def finish_chunk(self, run_id: str, chunk_index: int) -> None:
        """Take note of a chunk that was read."""
        self.start_chunk(run_id, chunk_index)
        self._counts[run_id].finish(chunk_index)

    @property
    def chunk(self) -> Chunk | None:
        """The last one that was started or finished."""
        return self._chunk

    @property
    def chunks_total(self) -> int:
        """Chunks of the plan, those before the first one included."""
        return max(count.chunks_total for count in self._counts.values())

    @property
    def tokens_total(self) -> int:
        """Tokens of the plan."""
        return max(count.tokens_total for count in self._counts.values())

    @property
    def tokens_done(self) -> int:
        """Tokens that have been read for every question."""
        return self.tokens_total - max(
            count.tokens_total - count.tokens_done for count in self._counts.values()
        )

    @property
    def tokens_per_s(self) -> float | None:
        """Rate since this began; None = nothing was read yet."""
        tokens = self.tokens_done - self._tokens_before
        elapsed_s = self._clock() - self._began
        return tokens / elapsed_s if tokens and elapsed_s > 0 else None

    @property
    def left_s(self) -> float | None:
        """Seconds that the rest will take; None = not known yet."""
        rate = self.tokens_per_s
        return None if rate is None else (self.tokens_total - self.tokens_done) / rate

    def values(self) -> dict[str, Any]:
        """The body of a `progress` event."""
        rate, left_s, chunk = self.tokens_per_s, self.left_s, self._chunk
        behind = max(count.chunks_total - count.chunks_done for count in self._counts.values())
        return {
            "chunks_done": self.chunks_total - behind,
            "chunks_total": self.chunks_total,
            "document": None if chunk is None else self._documents[chunk.document],
            "pages": None if chunk is None else chunk.labels,
            "tokens_done": self.tokens_done,
            "tokens_total": self.tokens_total,
            "tokens_per_s": None if rate is None else round(rate, 1),
            "elapsed_s": round(self._clock() - self._began, 3),
            "eta_s": None if left_s is None else round(left_s, 1),
        }


class _Count:
    """What is counted for one question."""

    def __init__(self, prospect: Prospect) -> None:
        plan, self.chunks_done = prospect.plan, prospect.start.next_chunk
        self.chunks = {chunk.index: chunk for chunk in plan.chunks}
        self.chunks_total = plan.chunks[-1].index + 1 if plan.chunks else self.chunks_done
        self.tokens_total = sum(map(shown_tokens, plan.chunks))
        self.tokens_done = sum(shown_tokens(chunk) for chunk in plan.chunks if chunk.index < self.chunks_done)

    def finish(self, chunk_index: int) -> None:
        self.chunks_done = chunk_index + 1
        self.tokens_done += shown_tokens(self.chunks[chunk_index])
