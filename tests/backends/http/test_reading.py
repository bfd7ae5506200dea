"""A whole reading behind a server: the same plan, replies and certificate as in this process."""

from pathlib import Path

import pytest

from engine.agent.coverage import PlannedChunk, certify
from engine.agent.events import AnswerFinished, CallFinished, ChunkFinished, Record
from engine.agent.plan import ReadingPlan, default_config, make_plan, new_tokens
from engine.agent.prompts import STARTER
from engine.agent.reader import Reading, run_reading
from engine.backends.base import Backend
from engine.backends.llamacpp import LlamaCppBackend
from engine.documents.model import Document
from engine.documents.reader import open_document

SENTENCES = [
    f"Berth {n} of the harbour was let to the tenant {n * 37 + 11} in the year {1850 + n}."
    for n in range(1, 41)
]
QUESTION = "To which tenant was berth 12 of the harbour let?"


class Notes:
    """Keeps everything that happens."""

    def __init__(self) -> None:
        self.events: list[object] = []

    def observe(self, record: Record) -> None:
        self.events.append(record.event)


@pytest.fixture
def document(tmp_path: Path) -> Document:
    path = tmp_path / "register.txt"
    path.write_text("\n\n".join(SENTENCES), "utf-8")
    return open_document(path)


def read(document: Document, backend: Backend) -> tuple[ReadingPlan, AnswerFinished, list[object]]:
    config = default_config(backend, STARTER, chunk_tokens=256, memory_tokens=224)
    plan = make_plan([document], QUESTION, config=config, prompts=STARTER, backend=backend)
    notes = Notes()
    answer = run_reading(Reading(plan=plan, run_id="run", store=notes), backend)
    return plan, answer, notes.events


@pytest.mark.parametrize("name", ["served", "vllm"])
def test_a_served_model_reads_like_a_local_one(
    name: str, document: Document, starter: LlamaCppBackend, request: pytest.FixtureRequest
) -> None:
    plan, answer, events = read(document, request.getfixturevalue(name))
    local_plan, local_answer, local_events = read(document, starter)
    assert plan.spec.plan_hash == local_plan.spec.plan_hash
    assert [event.completion.text for event in events if isinstance(event, CallFinished)] == [
        event.completion.text for event in local_events if isinstance(event, CallFinished)
    ]
    assert answer == local_answer
    receipts = {event.chunk_index: event.receipt for event in events if isinstance(event, ChunkFinished)}
    chunks = [
        PlannedChunk(index=chunk.index, document=0, first_page=1, last_page=1, tokens=new_tokens(chunk))
        for chunk in plan.chunks
    ]
    certificate = certify([document], chunks, receipts)
    assert len(chunks) > 3
    assert certificate.is_complete
    assert certificate.pages_read == certificate.pages
