"""Documents, plans and events for the tests of the trace store: small, deterministic, of the real types."""

import hashlib
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

from engine.agent.config import Mode, ReadingConfig
from engine.agent.events import (
    AnswerFinished,
    CallFinished,
    ChunkFinished,
    ChunkStarted,
    Claim,
    Event,
    Evidence,
    EvidenceFound,
    Incident,
    IncidentKind,
    Outcome,
    Purpose,
    Receipt,
    Record,
    TokenDelta,
)
from engine.agent.memory import EMPTY, Memory, MemoryItem
from engine.agent.run import RunSpec
from engine.backends.base import Completion, ModelInfo, Segment
from engine.chunking import Chunk, Unit
from engine.documents.model import Document, OutlineEntry, PageDraft, Span, lay_out

MODEL = ModelInfo(name="tiny", fingerprint="f" * 64, context_tokens=8192, backend="scripted")
WORDING = (
    "You read a document section by section. Name the labels that make up the new memory.\n\n<problem>\n"
)
WORDS = "river stone ledger harbour lantern winter copper meadow signal granite orchard velvet".split()


def make_document(
    num_pages: int = 6, *, name: str = "report.pdf", seed: int = 0, sentences_per_page: int = 12
) -> Document:
    """A document of pages of random sentences; the third page is empty."""
    rng = random.Random(seed)
    drafts = []
    for number in range(1, num_pages + 1):
        sentences = (
            " ".join(rng.choices(WORDS, k=9)).capitalize() + f" {rng.randrange(10**6)}."
            for _ in range(sentences_per_page)
        )
        text = "" if number == 3 else "\n".join(sentences)
        drafts.append(PageDraft(text=text, label=f"p{number}", heading=f"Chapter {number // 4 + 1}"))
    return Document(
        name=name,
        path=Path("somewhere") / name,
        format="pdf",
        kind="page",
        title="A report",
        pages=lay_out(drafts),
        outline=(OutlineEntry(title="Chapter 1", level=1, page_number=1),),
        warnings=("Page 3 has no text.",),
    )


def make_chunks(
    documents: Sequence[Document], *, chunk_chars: int = 900, first_index: int = 0
) -> list[Chunk]:
    """Chunks of whole lines."""
    chunks: list[Chunk] = []
    for number, document in enumerate(documents):
        units: list[Unit] = []
        start = 0
        for line in document.text.splitlines(keepends=True):
            end = start + len(line)
            text = " ".join(line.split())
            units.append(Unit(start=start, end=end, text=text, token_ids=tuple(range(len(text.split())))))
            start = end
            if units[-1].end - units[0].start >= chunk_chars or end == len(document.text):
                chunks.append(_chunk(document, number, first_index + len(chunks), units))
                units = []
    return chunks


def _chunk(document: Document, number: int, index: int, units: list[Unit]) -> Chunk:
    pages = document.pages_between(units[0].start, units[-1].end)
    return Chunk(
        index=index,
        document=number,
        units=tuple(units),
        num_overlap_units=0,
        first_page=pages[0].number,
        last_page=pages[-1].number,
        labels=f"{pages[0].label}-{pages[-1].label}",
        heading=pages[0].heading,
        num_tokens=sum(len(unit.token_ids) for unit in units),
    )


def make_spec(
    documents: Sequence[Document], chunks: Sequence[Chunk], *, question: str = "Where is the lantern?"
) -> RunSpec:
    """Identity of a run over these chunks."""
    plan = repr([(chunk.index, chunk.start, chunk.end) for chunk in chunks])
    return RunSpec(
        question=question,
        document_hashes=tuple(document.content_hash for document in documents),
        model_name=MODEL.name,
        model_fingerprint=MODEL.fingerprint,
        prompt_set="standard-1",
        prompt_hash="a" * 64,
        plan_hash=hashlib.sha256(plan.encode()).hexdigest(),
        config=ReadingConfig(mode=Mode.EXTRACTIVE, chunk_tokens=300, memory_tokens=100),
        first_chunk=chunks[0].index if chunks else 0,
    )


def chunk_events(chunk: Chunk, document: Document, memory: Memory) -> tuple[list[Event], Memory]:
    """What reading one chunk yields: every third chunk changes nothing, every fifth needs a retry."""
    prompt = (
        Segment(WORDING),
        Segment("Where is the lantern?", is_data=True),
        Segment("\n</problem>\n\n<memory>\n"),
        *(Segment(f"M{number} {text}\n", is_data=True) for number, text in enumerate(memory.texts, start=1)),
        Segment("</memory>\n"),
        *(
            segment
            for number, unit in enumerate(chunk.units, start=1)
            for segment in (Segment(f"S{number} "), Segment(unit.text, is_data=True), Segment("\n"))
        ),
        Segment("\nLabels:"),
    )
    changes = chunk.index % 3 != 2
    unit = chunk.units[chunk.index % len(chunk.units)]
    item = MemoryItem(
        unit.text, Span(document=chunk.document, start=unit.start, end=unit.start + len(unit.text))
    )
    after = Memory((*memory.items[-5:], item)) if changes else memory
    events: list[Event] = [ChunkStarted(chunk_index=chunk.index)]
    for attempt in range(2 if chunk.index % 5 == 4 else 1):
        reply = "nonsense" if chunk.index % 5 == 4 and attempt == 0 else "M1 S3" if changes else "none"
        completion = Completion(
            text=reply,
            prompt_token_ids=tuple(range(400)),
            token_ids=(1, 2),
            finish_reason="stop",
            cached_tokens=17,
            prefill_s=0.5,
            decode_s=0.125,
        )
        events += [
            TokenDelta(chunk_index=chunk.index, text=reply),
            CallFinished(
                chunk_index=chunk.index,
                purpose=Purpose.READ,
                attempt=attempt,
                prompt=prompt,
                completion=completion,
            ),
        ]
        if reply == "nonsense":
            events.append(
                Incident(chunk_index=chunk.index, kind=IncidentKind.WRONG_FORMAT, detail="Asked once more.")
            )
    if changes and item.source:
        page = document.page_at(item.source.start)
        found = Evidence(
            document=chunk.document,
            start=item.source.start,
            end=item.source.end,
            quote=document.text[item.source.start : item.source.end],
            page=page.number,
            label=page.label,
        )
        events.append(EvidenceFound(chunk_index=chunk.index, evidence=found))
    events.append(
        ChunkFinished(
            chunk_index=chunk.index,
            memory_before=memory,
            memory_after=after,
            outcome=Outcome.UPDATED if changes else Outcome.UNCHANGED,
            receipt=Receipt(planned_tokens=chunk.num_tokens, accepted_tokens=chunk.num_tokens),
        )
    )
    return events, after


def answer_events(found: Evidence | None) -> list[Event]:
    """What the final conversation yields."""
    completion = Completion(
        text="It is in the harbour.", prompt_token_ids=(1, 2, 3), token_ids=(4,), finish_reason="stop"
    )
    prompt = (Segment("Answer: "), Segment("Where is the lantern?", is_data=True))
    return [
        CallFinished(
            chunk_index=None, purpose=Purpose.ANSWER, attempt=0, prompt=prompt, completion=completion
        ),
        AnswerFinished(
            text="It is in the harbour.",
            answered=True,
            claims=(Claim(text="It is in the harbour.", evidence=found),),
        ),
    ]


def records(
    run_id: str,
    documents: Sequence[Document],
    chunks: Sequence[Chunk],
    *,
    memory: Memory = EMPTY,
    first_sequence: int = 0,
    answer: bool = True,
) -> Iterator[Record]:
    """A whole reading, as the driver would hand it to the store."""
    sequence = first_sequence
    found: Evidence | None = None
    for chunk in chunks:
        events, memory = chunk_events(chunk, documents[chunk.document], memory)
        for event in events:
            yield Record(run_id=run_id, sequence=sequence, event=event)
            sequence += not isinstance(event, TokenDelta)
            found = event.evidence if isinstance(event, EvidenceFound) else found
    for event in answer_events(found) if answer else []:
        yield Record(run_id=run_id, sequence=sequence, event=event)
        sequence += 1
