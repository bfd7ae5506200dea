"""What the library shows, as frozen values."""

from dataclasses import dataclass, field
from enum import Enum


class State(Enum):
    """How it is with a document."""

    READY = "ready"
    IMPORTING = "importing"
    FAILED = "failed"
    READING = "reading"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Why a file was not taken in.

    Attributes:
        code: name of the error's class, such as "PasswordNeededError".
        message: one sentence.
        hint: what the user can do; may be empty.
    """

    code: str
    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of the library.

    Attributes:
        key: the content hash, or the path of what is not in the store (yet).
        name: of the file; untrusted.
        path: of the file.
        content_hash: "" while it is not in the store.
        format: "pdf", "epub", ...; "" while it is unknown.
        kind: "page" or "section": what its parts are.
        num_pages: its pages or sections.
        num_tokens: None = nobody counted.
        size_bytes: of the file; None = unknown.
        modified_at: seconds since the epoch; None = unknown.
        state: how it is with it.
        fraction: of the import or the reading that is done; None = unknown.
        problem: why it was not taken in.
        num_runs: readings that it was part of.
        used_at: seconds since the epoch at which it was taken in or read last.
    """

    key: str
    name: str
    path: str
    content_hash: str = ""
    format: str = ""
    kind: str = "page"
    num_pages: int = 0
    num_tokens: int | None = None
    size_bytes: int | None = None
    modified_at: float | None = None
    state: State = State.READY
    fraction: float | None = None
    problem: Problem | None = None
    num_runs: int = 0
    used_at: float = 0.0

    @property
    def is_stored(self) -> bool:
        """Whether it can be read."""
        return bool(self.content_hash)


@dataclass(frozen=True, slots=True, kw_only=True)
class PageHit:
    """A page that a search found.

    Attributes:
        content_hash: of the document.
        document: its name.
        page: physical number.
        label: printed label.
        heading: heading that the page stands under.
        snippet: text around the place, on one line.
    """

    content_hash: str
    document: str
    page: int
    label: str
    heading: str
    snippet: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a search found.

    Attributes:
        query: what was typed.
        hits: pages, the best first.
        is_cut: whether there may be more of them.
    """

    query: str
    hits: tuple[PageHit, ...] = ()
    is_cut: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """An exact count on its way.

    Attributes:
        times: occurrences so far.
        pages: pages that hold any, so far.
        documents: documents that hold any, so far.
        remaining: content hashes of what was not looked through yet; () = the count is exact.
    """

    times: int = 0
    pages: int = 0
    documents: int = 0
    remaining: tuple[str, ...] = field(default=())
