"""Coverage: proof that every page was read, computed from the token ids that the model was given.

A chunk's receipt says how many of its planned tokens stand, unbroken and in order, in the prompt that the backend
accepted. The certificate holds the receipts against the plan and accounts for every page.
"""

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engine.agent.events import Receipt
from engine.chunking import Chunk
from engine.documents.model import Document

_NO_TEXT = "no text on this page"
COUNTED = "by the server's count of tokens, which proves less than the tokens themselves"
"""What is said of coverage where the server takes text and tells a number."""


def other_question(read_for: str) -> str:
    """What is said of coverage where the memory of another question's reading was asked."""
    return f'read for the question "{read_for}": this answer rests on what that reading kept'


@dataclass(frozen=True, slots=True, kw_only=True)
class SkippedPage:
    """A page that was not read completely.

    Attributes:
        document: name of the document.
        page: physical number.
        label: printed label.
        reason: one phrase.
    """

    document: str
    page: int
    label: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """What was read, page by page.

    Attributes:
        pages: pages of all documents.
        pages_read: pages all of whose text reached the model.
        chunks: chunks in the plan.
        chunks_read: chunks all of whose tokens reached the model.
        tokens: tokens of document text in the plan, overlaps counted once.
        tokens_read: how many of them reached the model.
        skipped: every page that is not among `pages_read`.
        is_proven: whether this rests on the token ids that the model was given, or only on counts of them.
        read_for: the question that the text was read for, if the answer is to another one; "" = it is not.
    """

    pages: int
    pages_read: int
    chunks: int
    chunks_read: int
    tokens: int
    tokens_read: int
    skipped: tuple[SkippedPage, ...]
    is_proven: bool = True
    read_for: str = ""

    @property
    def is_complete(self) -> bool:
        """Whether all text that the documents hold reached the model."""
        return self.tokens_read == self.tokens and self.chunks_read == self.chunks

    @property
    def sentence(self) -> str:
        """One line for people."""
        line = f"{self.pages_read} of {self.pages} pages read, {self.tokens_read:,} of {self.tokens:,} tokens"
        blank = sum(page.reason == _NO_TEXT for page in self.skipped)
        if blank:
            line += f"; {blank} {'holds' if blank == 1 else 'hold'} no text"
        if len(self.skipped) > blank:
            line += f"; {len(self.skipped) - blank} not read"
        if not self.is_proven:
            line += f"; {COUNTED}"
        return f"{line}; {other_question(self.read_for)}" if self.read_for else line


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedChunk:
    """What the certificate needs to know of a chunk.

    Attributes:
        index: its index in the run.
        document: index of the document in the run.
        first_page: physical number.
        last_page: physical number.
        tokens: tokens of document text that it is the first to show.
    """

    index: int
    document: int
    first_page: int
    last_page: int
    tokens: int


def take_receipt(chunk: Chunk, prompt_token_ids: Sequence[int]) -> Receipt:
    """Look for the chunk's units, from the last to the first, in the ids that the model was given, [P].

    From the end, because a sentence of the section may also stand in the memory before it.
    """
    haystack = _pack(prompt_token_ids)
    new = chunk.units[chunk.num_overlap_units :]
    limit = len(haystack)
    accepted = 0
    for unit in reversed(new):
        position = _rfind_aligned(haystack, _pack(unit.token_ids), limit)
        if position >= 0:
            accepted += len(unit.token_ids)
            limit = position
    return Receipt(planned_tokens=sum(len(unit.token_ids) for unit in new), accepted_tokens=accepted)


def certify(
    documents: Sequence[Document],
    chunks: Sequence[PlannedChunk],
    receipts: Mapping[int, Receipt],
    *,
    is_proven: bool = True,
    read_for: str = "",
) -> Certificate:
    """Hold the receipts (by chunk index) against the plan. Chunks that are read once more prove nothing further.

    Args:
        documents: all of the run.
        chunks: its plan.
        receipts: what was accepted of each chunk.
        is_proven: see `Certificate`.
        read_for: see `Certificate`.
    """
    chunks = [chunk for chunk in chunks if chunk.tokens]
    reasons: dict[tuple[int, int], str] = {}
    for chunk in chunks:
        reason = _gap(chunk, receipts.get(chunk.index))
        if reason:
            for number in range(chunk.first_page, chunk.last_page + 1):
                reasons.setdefault((chunk.document, number), reason)
    skipped = []
    for position, document in enumerate(documents):
        for page in document.pages:
            why = reasons.get((position, page.number))
            if not page.text.strip():
                why = _NO_TEXT
            if why:
                skipped.append(
                    SkippedPage(document=document.name, page=page.number, label=page.label, reason=why)
                )
    pages = sum(len(document.pages) for document in documents)
    held = [receipts[chunk.index] for chunk in chunks if chunk.index in receipts]
    return Certificate(
        pages=pages,
        pages_read=pages - len(skipped),
        chunks=len(chunks),
        chunks_read=sum(receipt.accepted_tokens == receipt.planned_tokens for receipt in held),
        tokens=sum(chunk.tokens for chunk in chunks),
        tokens_read=sum(receipt.accepted_tokens for receipt in held),
        skipped=tuple(skipped),
        is_proven=is_proven,
        read_for=read_for,
    )


def _gap(chunk: PlannedChunk, receipt: Receipt | None) -> str:
    if receipt is None:
        return f"chunk {chunk.index + 1} was not read"
    if receipt.accepted_tokens < receipt.planned_tokens:
        return (
            f"only {receipt.accepted_tokens} of {receipt.planned_tokens} tokens of chunk {chunk.index + 1} "
            "reached the model"
        )
    return ""


def _pack(ids: Sequence[int]) -> bytes:
    return array("i", ids).tobytes()


def _rfind_aligned(haystack: bytes, needle: bytes, limit: int) -> int:
    """Last place of `needle` in `haystack[:limit]` that starts at a whole id; -1 = none."""
    size = array("i").itemsize
    while True:
        position = haystack.rfind(needle, 0, limit)
        if position < 0 or position % size == 0:
            return position
        limit = position + len(needle) - 1
