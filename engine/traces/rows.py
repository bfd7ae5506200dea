"""What the command line and the window are shown: typed rows of the trace store."""

import dataclasses
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from engine.agent.events import AnswerFinished, Evidence, IncidentKind, Outcome, Purpose, Receipt
from engine.agent.memory import Memory
from engine.agent.provenance import StepMemory
from engine.agent.run import RunSpec
from engine.backends.base import FinishReason, Prompt
from engine.traces.database import Row

Descent = Literal["branch", "continue", "follow_up"]
"""How a run took its beginning from another: `engine.traces.creation.ParentKind`, where a continuation that reads
nothing further, but asks something else, is a follow-up."""

RunStatus = Literal["running", "interrupted", "stopped", "finished", "failed"]
"""As stored, except that a running run whose writer is gone is "interrupted"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentRow:
    """A stored document without its text; `num_tokens` is of the model that counted last, None = nobody counted."""

    content_hash: str
    name: str
    path: Path
    format: str
    kind: str
    title: str
    num_pages: int
    size_bytes: int | None
    modified_at: float | None
    imported_at: datetime
    num_tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """A run.

    Attributes:
        run_id: its public id.
        status: see `RunStatus`.
        created_at: UTC.
        ended_at: UTC; None while it is running or after it was interrupted.
        error: one sentence; None unless it failed.
        question: the question.
        documents: what it reads, in order.
        model: name of the model.
        model_path: where the model's file was; "" = unknown.
        mode: reading mode.
        chunks_done: chunks read, those taken over from a parent included.
        chunks_total: chunks in the plan, likewise.
        answer: its answer, once there is one.
        spec: its identity.
        parent_run_id: the run that it took its beginning from.
        parent_kind: how.
        start_chunk: first chunk that it reads itself.
    """

    run_id: str
    status: RunStatus
    created_at: datetime
    ended_at: datetime | None
    error: str | None
    question: str
    documents: tuple[DocumentRow, ...]
    model: str
    model_path: str
    mode: str
    chunks_done: int
    chunks_total: int
    answer: AnswerFinished | None
    spec: RunSpec
    parent_run_id: str | None
    parent_kind: Descent | None
    start_chunk: int

    @property
    def is_finished(self) -> bool:
        """Whether it read to the end and answered."""
        return self.status == "finished"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkRow:
    """A chunk of a plan; `num_new_tokens` leaves the overlap with the chunk before out."""

    index: int
    document: int
    start: int
    end: int
    first_page: int
    last_page: int
    labels: str
    num_tokens: int
    num_new_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRow:
    """A chunk that was read.

    Attributes:
        chunk: the chunk.
        sequence: number of the record that finished it.
        started_at: seconds since the epoch.
        finished_at: seconds since the epoch.
        memory_before: the memory that the model was shown.
        memory_after: the memory that the chunk left.
        outcome: what the chunk did to it.
        receipt: tokens planned and accepted.
    """

    chunk: ChunkRow
    sequence: int
    started_at: float
    finished_at: float
    memory_before: Memory
    memory_after: Memory
    outcome: Outcome
    receipt: Receipt

    @property
    def memories(self) -> StepMemory:
        """The memory around the chunk, as provenance wants it."""
        return StepMemory(chunk_index=self.chunk.index, before=self.memory_before, after=self.memory_after)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRow:
    """A call of the model, with the prompt as it was given, before the chat template."""

    sequence: int
    chunk_index: int | None
    purpose: Purpose
    attempt: int
    prompt: Prompt
    reply: str
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    prefill_s: float
    decode_s: float
    finish_reason: FinishReason


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentRow:
    """Something that went wrong with a reply, and what was done about it."""

    sequence: int
    chunk_index: int | None
    kind: IncidentKind
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceRow:
    """An excerpt and the chunk at which it was found."""

    sequence: int
    chunk_index: int
    evidence: Evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """What a run cost; what was taken over from a parent is not counted.

    Attributes:
        num_calls: calls of the model.
        prompt_tokens: tokens of all prompts.
        cached_tokens: how many of them were reused instead of computed.
        completion_tokens: tokens generated.
        prefill_s: seconds until the first token, summed.
        decode_s: seconds after it, summed.
        wall_s: seconds spent on finished chunks and the final calls, pauses between them left out.
    """

    num_calls: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    prefill_s: float
    decode_s: float
    wall_s: float


def document_row(row: Row) -> DocumentRow:
    """From a row of `documents`."""
    values = {field.name: row[field.name] for field in dataclasses.fields(DocumentRow)}
    return DocumentRow(
        **{**values, "path": Path(row["path"]), "imported_at": datetime.fromisoformat(row["imported_at"])}
    )


def chunk_row(row: Row) -> ChunkRow:
    """From a row of `chunks`."""
    values = {field.name: row[field.name] for field in dataclasses.fields(ChunkRow) if field.name != "index"}
    return ChunkRow(**values, index=row["chunk_index"])
