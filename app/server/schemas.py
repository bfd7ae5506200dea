"""What goes in and out, as the OpenAPI document describes it.

Outgoing bodies are built from the engine's own values (`Result.to_dict`, rows of the store); the models here describe
them, and tests hold real responses against them.
"""

from datetime import datetime
from pathlib import PurePath
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from engine.agent.config import Mode
from engine.traces.rows import DocumentRow

RunState = Literal["queued", "running", "interrupted", "stopped", "finished", "failed", "cancelled"]
"""The trace's states, and two that only a server has: waiting for its turn, and cancelled before it became a run."""

HASH_EXAMPLE = "9f2b51c0d1e44a7b8a53b1c4a4f5b0a9e1f7d2c3b4a596877869504132435465"
RUN_EXAMPLE = "20261122-140501-5f3a9c"


class _Body(BaseModel):
    """A request body: a field that we do not know is a mistake of the client's."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class PathBody(_Body):
    """A document that lies on the server's own machine."""

    path: str = Field(
        description="Absolute path of one file.", min_length=1, examples=["/home/ada/reports/quay.pdf"]
    )
    password: str | None = Field(default=None, description="Of an encrypted document.")


class _Conduct(_Body):
    """How a reading is followed."""

    stream: bool = Field(
        default=False, description="Answer with Server-Sent Events instead of one JSON object."
    )
    wait: bool = Field(
        default=True,
        description="False: answer 202 at once with the reading's id; follow it under `/v1/runs/{id}`. "
        "A stream always waits.",
    )
    cancel_on_disconnect: bool = Field(
        default=False,
        description="Stop the reading when this request's connection is closed. It goes on otherwise.",
    )
    model: str | None = Field(
        default=None,
        description="Name of a model as `/v1/models` lists it; with a token also the path of a GGUF file. "
        "Default: the one that the server was started with; for `resume` the run's own.",
    )
    password: str | None = Field(default=None, description="Of encrypted documents. It is not stored.")


class AskBody(_Conduct):
    """A question about documents."""

    documents: list[str] = Field(
        min_length=1,
        max_length=1000,
        description="Content hashes as `/v1/documents` gives them, in reading order; their first letters (at least "
        "eight) are enough.",
        examples=[[HASH_EXAMPLE]],
    )
    question: str = Field(min_length=1, examples=["Who built the granite quay of Osterhaven?"])
    mode: Mode | None = Field(default=None, description="Default: extractive where the model can.")
    chunk_tokens: int | None = Field(
        default=None, ge=16, description="Most tokens of a chunk; default: the model's."
    )
    memory_tokens: int | None = Field(
        default=None, ge=16, description="Most of the memory; default: the model's."
    )
    overlap_tokens: int = Field(default=0, ge=0, description="Tokens repeated from the chunk before.")
    recall_chunks: int = Field(
        default=0, ge=0, le=64, description="Chunks that are looked up and read once more before the answer."
    )
    seed: int = Field(default=0, ge=0, lt=2**32, description="Seed of the sampler.")
    temperature: float = Field(default=0.0, ge=0, le=5, description="0 = greedy: the same answer every time.")


class ResumeBody(_Conduct):
    """How to go on with a run; every field has a default."""


class ErrorBody(BaseModel):
    """What went wrong."""

    code: str = Field(description="For programs.", examples=["run_not_found"])
    message: str = Field(
        description="One sentence for people.", examples=["No run has an id that begins with '2020'."]
    )
    hint: str = Field(description="What to do about it; may be empty.")


class Problem(BaseModel):
    """Every response that is not a success."""

    error: ErrorBody


class DocumentBody(BaseModel):
    """A document that the server knows."""

    content_hash: str = Field(
        description="sha256 of its text; what `/v1/ask` takes.", examples=[HASH_EXAMPLE]
    )
    name: str = Field(examples=["quay.pdf"])
    title: str = Field(description='From its metadata; "" = none.')
    format: str = Field(examples=["pdf"])
    kind: str = Field(description="What its pages are: page or section.", examples=["page"])
    pages: int
    size_bytes: int | None = Field(description="Of the file when it was read last.")
    imported_at: datetime

    @classmethod
    def of(cls, row: DocumentRow) -> "DocumentBody":
        """From a row of the store."""
        return cls(
            content_hash=row.content_hash,
            name=row.name,
            title=row.title,
            format=row.format,
            kind=row.kind,
            pages=row.num_pages,
            size_bytes=row.size_bytes,
            imported_at=row.imported_at,
        )


class AddedDocument(DocumentBody):
    """A document that was just added."""

    warnings: list[str] = Field(description="What could not be read well, one sentence each.")


class Quote(BaseModel):
    """A statement of the answer and where the document says so; the place is null if it was not found."""

    model_config = ConfigDict(extra="forbid")

    document: str | None
    page: int | None = Field(description="Physical number.")
    label: str | None = Field(description="Printed label.")
    quote: str
    start: int | None = Field(description="Offset in the document's text.")
    end: int | None
    verified: bool


class SkippedPageBody(BaseModel):
    """A page that was not read, and why."""

    model_config = ConfigDict(extra="forbid")

    document: str
    page: int
    label: str
    reason: str


class CoverageBody(BaseModel):
    """What the model was really given."""

    model_config = ConfigDict(extra="forbid")

    pages: int
    pages_read: int
    chunks: int
    chunks_read: int
    tokens: int
    tokens_read: int
    skipped: list[SkippedPageBody]
    is_proven: bool
    read_for: str = ""


class TimingsBody(BaseModel):
    """What the reading cost, summed over all sessions in which it was done."""

    model_config = ConfigDict(extra="forbid")

    prefill_tokens: int
    decode_tokens: int
    wall_s: float


class ResultBody(BaseModel):
    """The object that `palimpsest ask --json` prints."""

    model_config = ConfigDict(extra="forbid")

    run_id: str = Field(examples=[RUN_EXAMPLE])
    answer: str = Field(examples=["Ansel Brodersen"])
    answered: bool = Field(description="False when the documents do not say.")
    evidence: list[Quote]
    coverage: CoverageBody
    model: str
    mode: str
    timings: TimingsBody


class ProgressBody(BaseModel):
    """How far a reading has come."""

    chunks_done: int
    chunks_total: int
    document: str | None = Field(description="Document of the last chunk read.")
    pages: str | None = Field(description="Its pages, by their printed labels.")
    tokens_done: int
    tokens_total: int
    tokens_per_s: float | None = Field(
        description="Document tokens a second since this session of the reading began."
    )
    elapsed_s: float = Field(description="Seconds since this session of the reading began.")
    eta_s: float | None = Field(description="Seconds left at that rate; null before the first chunk is done.")


class RunDocument(BaseModel):
    """A document of a run."""

    content_hash: str
    name: str


class RunBody(BaseModel):
    """A reading: waiting, at work, or in the trace."""

    id: str = Field(description="What `/v1/runs/{id}` takes.", examples=[RUN_EXAMPLE])
    run_id: str | None = Field(
        description="Its id in the trace; null until it has begun, and if it never did.",
        examples=[RUN_EXAMPLE],
    )
    status: RunState
    position: int | None = Field(
        default=None, description="Place in the queue, 1 = next; null when it does not wait."
    )
    question: str
    documents: list[RunDocument]
    created_at: datetime
    model: str | None = None
    mode: str | None = None
    chunks_done: int | None = None
    chunks_total: int | None = None
    answer: str | None = None
    answered: bool | None = None
    error: str | None = Field(default=None, description="One sentence, if it failed.")
    parent_run_id: str | None = None


class RunDetails(RunBody):
    """One reading with all that is known of it."""

    progress: ProgressBody | None = Field(default=None, description="While this server reads it.")
    result: ResultBody | None = Field(default=None, description="When it is finished.")


class HitBody(BaseModel):
    """A page that holds all words of a search."""

    content_hash: str
    document: str
    page: int
    label: str
    heading: str
    snippet: str
    offset: int = Field(description="Where the snippet's match begins in the page's text.")


class ModelBody(BaseModel):
    """A model that can be named in a request."""

    name: str
    size_bytes: int
    bundled: bool


class HealthBody(BaseModel):
    """The server is up and its database can be opened."""

    status: Literal["ok"] = "ok"
    version: str
    running: str | None = Field(description="Id of the reading that is computing.")
    queued: int = Field(description="Readings that wait.")


def display_name(name: str) -> str:
    """The name of an upload for people: its last part, on one line. It is never part of a path.

    >>> display_name("C:\\\\reports\\\\quay.pdf"), display_name("../../etc/passwd"), display_name("")
    ('quay.pdf', 'passwd', 'document')
    """
    last = PurePath(name.replace("\\", "/")).name
    printable = "".join(character for character in last if character.isprintable())
    return printable.strip()[:200] or "document"


def json_schema(model: type[BaseModel]) -> dict[str, Any]:
    """A model's schema to stand in an OpenAPI document, for bodies that FastAPI does not parse itself."""
    return model.model_json_schema(ref_template="#/components/schemas/{model}")
