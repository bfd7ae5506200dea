"""What is known of a reading, as frozen values. Chunks are counted from 1, as in every message."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class Status(StrEnum):
    """How a question stands."""

    PLANNING = "planning"
    PLANNED = "planned"
    READING = "reading"
    PAUSED = "paused"
    STOPPED = "stopped"
    INTERRUPTED = "interrupted"
    FAILED = "failed"
    FINISHED = "finished"

    @property
    def is_active(self) -> bool:
        """Whether a process is at work on it."""
        return self in (Status.PLANNING, Status.PLANNED, Status.READING, Status.PAUSED)

    @property
    def can_resume(self) -> bool:
        """Whether it can go on from its last finished chunk."""
        return self in (Status.STOPPED, Status.INTERRUPTED, Status.FAILED)


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentInfo:
    """A document of the reading; `pages` are those of the whole file, `path` is "" where it is not known."""

    content_hash: str
    name: str
    kind: str
    pages: int
    path: str = ""


class ChunkInfo(NamedTuple):
    """A chunk of the plan; a tuple, because a plan may have 15,000 and has to be taken in at once.

    Attributes:
        number: counted from 1 over all documents.
        document: index of the document in the reading.
        start: offset in the document's text.
        end: offset behind it.
        first_page: physical number.
        last_page: physical number.
        labels: printed label or labels, "88" or "88-89".
        tokens: tokens of document text that it shows.
        is_repeat: whether it shows nothing new.
    """

    number: int
    document: int
    start: int
    end: int
    first_page: int
    last_page: int
    labels: str
    tokens: int
    is_repeat: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What will be read and how.

    Attributes:
        documents: in reading order.
        chunks: in reading order; a run that continues another one holds that one's chunks only when it was loaded.
        next_chunk: number of the first chunk that is still to be read.
        needs_start: whether it waits for a yes.
        mode: reading mode; "" = not known.
        model: its name.
        tokens: of document text.
        memory_tokens: most tokens of the memory.
        memory_bytes: memory that model and caches need; None = not known.
        wall_s: seconds that the reading will take; None = not measured.
        tokens_per_s: document tokens a second; None = not measured.
        warnings: about the documents, one sentence each.
    """

    documents: tuple[DocumentInfo, ...] = ()
    chunks: tuple[ChunkInfo, ...] = ()
    next_chunk: int = 1
    needs_start: bool = False
    mode: str = ""
    model: str = ""
    tokens: int = 0
    memory_tokens: int = 0
    memory_bytes: int | None = None
    wall_s: float | None = None
    tokens_per_s: float | None = None
    warnings: tuple[str, ...] = ()

    @property
    def chunks_total(self) -> int:
        """Number of the last chunk."""
        return self.chunks[-1].number if self.chunks else 0

    @property
    def pages(self) -> int:
        """Pages of all documents."""
        return sum(document.pages for document in self.documents)


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One item of the memory, with the place that it is copied from; document None = the model wrote it."""

    text: str
    document: int | None = None
    start: int = 0
    end: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A chunk that was read. Equal memories share one text and one tuple of items.

    Attributes:
        chunk: its number.
        before: the memory that the model was shown, one item a line.
        after: the memory that the chunk left.
        items: the items of `after`.
        outcome: "updated", "unchanged" or "kept after failure".
        planned_tokens: tokens of the plan.
        accepted_tokens: how many of them reached the model.
    """

    chunk: int
    before: str
    after: str
    items: tuple[Item, ...]
    outcome: str
    planned_tokens: int
    accepted_tokens: int

    @property
    def is_change(self) -> bool:
        """Whether the memory is another one afterwards."""
        return self.before != self.after


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A place in a document: offsets in its text, physical page and printed label."""

    document: int
    start: int
    end: int
    page: int
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Excerpt:
    """A verbatim excerpt and the chunk at which it was found."""

    chunk: int
    place: Place
    quote: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """A reply that could not be used as it was; chunk None = in the final conversation."""

    chunk: int | None
    kind: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A statement of the answer: the document's words with their place, or the answer's own with none (unverified)."""

    quote: str
    place: Place | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The answer; `answered` is False when the document does not say."""

    text: str
    answered: bool
    claims: tuple[Claim, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A page that was not read completely, and why."""

    document: str
    page: int
    label: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """The certificate; see `engine.agent.coverage.Certificate`, whose attributes these are."""

    pages: int
    pages_read: int
    chunks: int
    chunks_read: int
    tokens: int
    tokens_read: int
    skipped: tuple[Gap, ...]
    is_proven: bool
    read_for: str = ""

    @property
    def is_complete(self) -> bool:
        """Whether all text that the documents hold reached the model."""
        return self.tokens_read == self.tokens and self.chunks_read == self.chunks


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Tokens computed, tokens generated, seconds; over all sessions in which the run was read."""

    prefill_tokens: int
    decode_tokens: int
    wall_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far the pass is; rates are None until they are known, sizes where they cannot be measured."""

    chunks_done: int = 0
    chunks_total: int = 0
    tokens_done: int = 0
    tokens_total: int = 0
    tokens_per_s: float | None = None
    elapsed_s: float = 0.0
    eta_s: float | None = None
    rss_bytes: int | None = None
    vram_bytes: int | None = None
    memory_tokens_used: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What went wrong: one sentence, and what can be done."""

    message: str
    hint: str = ""
    code: str = ""
