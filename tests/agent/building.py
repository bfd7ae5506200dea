"""Small documents and plans for tests of the memory agent."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from engine.agent.config import Mode, ReadingConfig
from engine.agent.events import Event, Record
from engine.agent.plan import ReadingPlan, make_plan
from engine.agent.prompts import STANDARD, PromptSet
from engine.backends.base import Backend
from engine.documents.model import PAGE_BREAK, Document, Page


def document_of(pages: Sequence[str], name: str = "report.txt") -> Document:
    """A document with these pages, labelled p1, p2, ..."""
    made: list[Page] = []
    start = 0
    for number, text in enumerate(pages, start=1):
        made.append(Page(number=number, label=f"p{number}", heading="", text=text, start=start))
        start += len(text) + len(PAGE_BREAK)
    return Document(name=name, path=Path(name), format="text", kind="page", pages=tuple(made))


def plan_of(
    backend: Backend,
    pages: Sequence[str],
    *,
    mode: Mode = Mode.EXTRACTIVE,
    prompts: PromptSet = STANDARD,
    question: str = "Who built the quay?",
    chunk_tokens: int = 60,
    memory_tokens: int = 60,
    overlap_tokens: int = 0,
) -> ReadingPlan:
    """A plan over one document with these pages."""
    config = ReadingConfig(
        mode=mode,
        chunk_tokens=chunk_tokens,
        memory_tokens=memory_tokens,
        answer_tokens=60,
        overlap_tokens=overlap_tokens,
    )
    return make_plan([document_of(pages)], question, config=config, prompts=prompts, backend=backend)


T = TypeVar("T")


class Recorder:
    """An observer that keeps all events."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def observe(self, record: Record) -> None:
        self.records.append(record)

    @property
    def events(self) -> list[Event]:
        """The events, without their envelopes."""
        return [record.event for record in self.records]

    def of(self, kind: type[T]) -> list[T]:
        """The events of one kind."""
        return [event for event in self.events if isinstance(event, kind)]
