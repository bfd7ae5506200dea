"""What the history shows, as frozen values."""

from dataclasses import dataclass
from typing import Literal

Status = Literal["running", "interrupted", "stopped", "finished", "failed"]
Change = Literal["same", "added", "removed"]

STATUSES: tuple[Status, ...] = ("running", "finished", "stopped", "interrupted", "failed")
RESUMABLE: frozenset[Status] = frozenset({"stopped", "interrupted", "failed"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One reading.

    Attributes:
        run_id: its id.
        status: how it stands; "interrupted" = its process died.
        created_at: seconds since the epoch.
        question: untrusted text, like the answer and all names.
        documents: (content hash, name) of what it read, in order.
        model: name of the model.
        mode: reading mode.
        chunks_done: chunks read.
        chunks_total: chunks in the plan.
        answer: "" = there is none yet.
        answered: whether the document says.
        error: one sentence; "" unless it failed.
        is_derived: whether it took its beginning from another run.
    """

    run_id: str
    status: Status
    created_at: float
    question: str
    documents: tuple[tuple[str, str], ...]
    model: str
    mode: str
    chunks_done: int
    chunks_total: int
    answer: str = ""
    answered: bool = False
    error: str = ""
    is_derived: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """An excerpt that a run found.

    Attributes:
        content_hash: of the document.
        document: its name.
        page: physical number.
        label: printed label.
        text: the excerpt.
    """

    content_hash: str
    document: str
    page: int
    label: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of two runs that are compared.

    Attributes:
        run: the run.
        answer: its answer; "" = none yet.
        coverage: what was read, as its certificate says; "" = it has none yet.
        wall_s: seconds spent reading.
        prompt_tokens: tokens computed in prompts, reused ones left out.
        completion_tokens: tokens generated.
        only: excerpts that the other run did not find.
        memory: its last memory.
    """

    run: Run
    answer: str
    coverage: str
    wall_s: float
    prompt_tokens: int
    completion_tokens: int
    only: tuple[Quote, ...]
    memory: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A setting that differs; values as text."""

    name: str
    left: str
    right: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two runs side by side.

    Attributes:
        left: the older one.
        right: the newer one.
        settings: what was set differently.
        num_common: excerpts that both found.
        memory_changes: from the left memory to the right, word by word.
    """

    left: Side
    right: Side
    settings: tuple[Difference, ...]
    num_common: int
    memory_changes: tuple[tuple[Change, str], ...]
