"""How a document is read: one dataclass, from which help texts and settings pages come."""

import dataclasses
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from engine.backends.base import Sampling
from engine.errors import PlanError


class Mode(StrEnum):
    """Reading mode: what the reply to one chunk is."""

    FAITHFUL = "faithful"
    """The reply is the new memory, freely written (MemAgent, arXiv 2507.02259)."""
    GATED = "gated"
    """A verdict first; "nothing relevant" leaves the memory bit for bit as it is (GRU-Mem, arXiv 2602.10560)."""
    EXTRACTIVE = "extractive"
    """The reply names the labels of the sentences that make up the new memory; the engine assembles it."""
    PARALLEL = "parallel"
    """Extractive, but all chunks are read against one memory, side by side; what they yield is merged as it comes, and
    they are read again with the merged memory until a round adds nothing (PI-Mem, arXiv 2608.03048)."""

    @property
    def names_labels(self) -> bool:
        """Whether replies name labelled sentences instead of writing text."""
        return self in (Mode.EXTRACTIVE, Mode.PARALLEL)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingConfig:
    """Settings of one reading. All of them are part of what a run is resumed with.

    Attributes:
        mode: reading mode.
        chunk_tokens: most tokens of document text in one chunk, labels included.
        memory_tokens: most tokens of the memory.
        answer_tokens: most tokens of the answer.
        question_tokens: most tokens of the question.
        overlap_tokens: most tokens repeated from the end of the chunk before; 0 = none.
        rounds: most rounds of the parallel mode.
        recall_chunks: chunks that are looked up by the words of the question and read once more before the answer;
            0 = none.
        sampling: how replies are drawn; greedy by default, so that a reading can be reproduced.
    """

    mode: Mode
    chunk_tokens: int
    memory_tokens: int
    answer_tokens: int = 1024
    question_tokens: int = 1024
    overlap_tokens: int = 0
    rounds: int = 3
    recall_chunks: int = 0
    sampling: Sampling = Sampling()

    def __post_init__(self) -> None:
        for name in ("chunk_tokens", "memory_tokens", "answer_tokens", "question_tokens"):
            if getattr(self, name) < 1:
                raise PlanError(f"{name} must be at least 1, not {getattr(self, name)}.")
        if self.rounds < 1 or self.recall_chunks < 0:
            raise PlanError("rounds must be at least 1, and recall_chunks must not be negative.")
        if self.mode is Mode.PARALLEL and self.recall_chunks:
            raise PlanError(
                "The parallel mode reads everything again anyway; recall is for the other modes.",
                hint="Leave --recall out.",
            )
        if not 0 <= self.overlap_tokens <= self.chunk_tokens // 2:
            raise PlanError(
                f"overlap_tokens must lie between 0 and half of chunk_tokens, not {self.overlap_tokens}."
            )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for the trace store."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "ReadingConfig":
        """Inverse of `to_dict`."""
        return cls(**{**values, "mode": Mode(values["mode"]), "sampling": Sampling(**values["sampling"])})
