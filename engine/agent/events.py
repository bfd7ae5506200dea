"""Everything that happens while reading, as frozen values.

The loop yields events; whoever drives it wraps each into a `Record` with the run's id and a sequence number and hands
it to the observers: trace store first, then display. What is `Transient` is shown and not kept, all else is durable.
"""

from dataclasses import dataclass
from enum import StrEnum

from engine.agent.memory import Memory
from engine.backends.base import Completion, Prompt


class Purpose(StrEnum):
    """What a call of the model was for."""

    GATE = "gate"
    READ = "read"
    COMPRESS = "compress"
    MERGE = "merge"
    ANSWER = "answer"


class IncidentKind(StrEnum):
    """What went wrong with a reply, each with the handling that the design fixes."""

    EMPTY_REPLY = "empty reply"
    UNCLOSED_THINKING = "unclosed thinking"
    WRONG_FORMAT = "wrong format"
    MEMORY_OVER_BUDGET = "memory over budget"
    COMPRESSION_FAILED = "compression failed"
    ITEMS_DROPPED = "items dropped"
    ANSWER_CUT = "answer cut"


class Outcome(StrEnum):
    """What a chunk did to the memory."""

    UPDATED = "updated"
    UNCHANGED = "unchanged"
    KEPT_AFTER_FAILURE = "kept after failure"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkStarted:
    """A chunk is about to be shown to the model."""

    chunk_index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenDelta:
    """A piece of a reply as it is generated. Transient."""

    chunk_index: int | None
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFinished:
    """The model replied.

    Attributes:
        chunk_index: None for the final conversation.
        purpose: what the call was for.
        attempt: 0, or 1 for the one retry.
        prompt: what was asked, before the chat template.
        completion: what came back.
    """

    chunk_index: int | None
    purpose: Purpose
    attempt: int
    prompt: Prompt
    completion: Completion


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """A reply could not be used as it was; `detail` says in one sentence what was done about it."""

    chunk_index: int | None
    kind: IncidentKind
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """A verbatim excerpt of the document.

    Attributes:
        document: index of the document in the run.
        start: offset in `Document.text`.
        end: offset behind it.
        quote: the text there, verbatim.
        page: physical number of the page that `start` is on.
        label: printed label of that page.
    """

    document: int
    start: int
    end: int
    quote: str
    page: int
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceFound:
    """An excerpt entered the memory, or supports a sentence that did."""

    chunk_index: int
    evidence: Evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """Proof that a chunk was read: its token ids as found, unbroken, in the ids that the model was given.

    Attributes:
        planned_tokens: tokens of document text that the plan has for the chunk (labels not counted).
        accepted_tokens: how many of them stand in the prompt that the model got, in order.
    """

    planned_tokens: int
    accepted_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkFinished:
    """A chunk is done. The memory after it is a function of the trace alone, so reading goes on from here."""

    chunk_index: int
    memory_before: Memory
    memory_after: Memory
    outcome: Outcome
    receipt: Receipt


@dataclass(frozen=True, slots=True, kw_only=True)
class GuessFailed:
    """Chunks were read ahead on the guess that the memory stays, and it changed: they are read again. Transient.

    Attributes:
        chunk_index: the chunk that changed the memory.
        num_chunks: chunks behind it that were read in vain.
        prompt_tokens: tokens of prompts that were computed in vain.
    """

    chunk_index: int
    num_chunks: int
    prompt_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One statement of the answer and the excerpt that it was found in.

    Attributes:
        text: the statement.
        evidence: where the document says so; None = unverified.
    """

    text: str
    evidence: Evidence | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerFinished:
    """The final conversation is done.

    Attributes:
        text: the answer for people.
        answered: False when the document does not say.
        claims: the answer's statements with their evidence.
    """

    text: str
    answered: bool
    claims: tuple[Claim, ...]


Event = (
    ChunkStarted
    | TokenDelta
    | CallFinished
    | Incident
    | EvidenceFound
    | ChunkFinished
    | GuessFailed
    | AnswerFinished
)

Transient = TokenDelta | GuessFailed
"""Events that displays see and the trace does not keep."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """An event in its run.

    Attributes:
        run_id: the run.
        sequence: counts the run's events from 0; a resumed run counts on.
        event: what happened.
    """

    run_id: str
    sequence: int
    event: Event
