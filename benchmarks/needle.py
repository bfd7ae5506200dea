"""Measures how reliably a model finds one fact in a long document, through the engine's own reading loop.

Questions, facts and look-alikes come from lists that no training saw (`engine.evaluation.lists`), the text from
books that no training saw (`engine.evaluation.held_back`). Reported, each with its 95 % Wilson interval:

- readings: documents of a given length with one needle and look-alikes at random depth: is the true sentence in the
  memory at the end, is the answer exact?
- misses: chunks that hold the needle, read with an empty memory, in which it was not picked;
- false alarms: chunks without it in which something was picked, plain and with look-alikes apart;
- with ``--control``, the readings again with a second model, such as one of random weights.

Usage: python benchmarks/needle.py --books DIR --model FILE --output report.json
"""

import argparse
import json
import platform
import random
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.agent.events import ChunkFinished, Record
from engine.agent.memory import EMPTY
from engine.agent.plan import ReadingPlan, default_config, make_plan
from engine.agent.prompts import PromptSet
from engine.agent.reader import Reading, run_reading
from engine.agent.replies import UnusableReply, parse_labels
from engine.agent.steps import read_request
from engine.backends.base import Backend
from engine.backends.wishes import Wishes
from engine.documents.model import Document, PageDraft, lay_out
from engine.evaluation.facts import Fact, FactGenerator
from engine.evaluation.held_back import is_held_back_book
from engine.evaluation.lists import EVALUATION_LISTS
from engine.evaluation.metrics import Proportion, containment, exact_match
from engine.models.opening import open_model, prompts_for
from engine.text import sentence_spans

CHARACTERS_PER_TOKEN = 3.6


@dataclass(frozen=True, slots=True, kw_only=True)
class Haystack:
    """A document with a question, its needle and the look-alikes."""

    document: Document
    question: str
    needle: Fact


class LastMemory:
    """An observer that keeps the memory after the last chunk."""

    def __init__(self) -> None:
        self.texts: tuple[str, ...] = ()
        self.num_updates = 0

    def observe(self, record: Record) -> None:
        """Take note of one event."""
        if isinstance(record.event, ChunkFinished):
            self.num_updates += record.event.memory_after != self.texts_before
            self.texts = record.event.memory_after.texts
            self.texts_before = record.event.memory_after

    texts_before: Any = EMPTY


def held_back_paragraphs(folder: Path) -> list[list[str]]:
    """Paragraphs of every held-back Markdown book under a folder, book by book."""
    books: list[list[str]] = []
    for path in sorted(folder.rglob("*.md")):
        text = path.read_text(encoding="utf-8")
        if is_held_back_book(path.stem, text.split("\n", 1)[0]):
            text = re.sub(r"(?m)^(#+|-{3,})", "", text).replace("_", "")
            parts = (" ".join(part.split()) for part in re.split(r"\n\s*\n", text))
            books.append([part for part in parts if len(part) > 60])
    if not books:
        raise SystemExit(f"no held-back book under {folder}")
    return books


def haystack(
    books: list[list[str]],
    rng: random.Random,
    *,
    num_characters: int,
    num_look_alikes: int,
    with_needle: bool = True,
) -> Haystack:
    """Hide a fact and look-alikes between the sentences of a stretch of a book."""
    facts = FactGenerator(EVALUATION_LISTS, rng)
    fact = facts.fact()
    book = rng.choice(books)
    start, size, paragraphs = rng.randrange(len(book)), 0, []
    while size < num_characters:
        paragraphs.append(book[start % len(book)])
        size += len(paragraphs[-1]) + 2
        start += 1
    hidden = [other.statement for other in facts.look_alikes(fact, num_look_alikes)]
    for statement in [*hidden, fact.statement] if with_needle else hidden:
        place = rng.randrange(len(paragraphs))
        paragraphs[place] = _insert(paragraphs[place], statement, rng)
    text = "\n\n".join(paragraphs)
    document = Document(
        name="haystack.txt",
        path=Path("haystack.txt"),
        format="text",
        kind="section",
        pages=lay_out([PageDraft(text=text)]),
    )
    return Haystack(document=document, question=facts.question(fact), needle=fact)


def _insert(paragraph: str, statement: str, rng: random.Random) -> str:
    if not statement.endswith((".", '"')):
        # A table row or caption stands on a line of its own.
        return f"{paragraph}\n\n{statement}"
    # Between sentences as readers see them: behind "Mr." a fact would become part of somebody's name.
    cut = rng.choice([start for start, _ in sentence_spans(paragraph)] or [0])
    return f"{paragraph[:cut].rstrip()} {statement} {paragraph[cut:].lstrip()}".strip()


def plan_for(hay: Haystack, backend: Backend, prompts: PromptSet) -> ReadingPlan:
    """Plan a reading with the model's own settings."""
    config = default_config(backend, prompts)
    return make_plan([hay.document], hay.question, config=config, prompts=prompts, backend=backend)


def picked(plan: ReadingPlan, index: int, backend: Backend) -> list[str] | None:
    """Sentences that the model picks from one chunk with an empty memory; `None` if unusable."""
    chunk = plan.chunks[index]
    (completion,) = backend.generate([read_request(plan, chunk, EMPTY)])
    try:
        labels = parse_labels(completion.text, plan.prompts, num_items=0, num_sentences=len(chunk.units))
    except UnusableReply:
        return None
    return [chunk.units[number].text for number in labels.sentences] if labels else []


def readings(backend: Backend, prompts: PromptSet, hays: Iterator[Haystack], count: int) -> dict[str, Any]:
    """Read whole documents and answer."""
    in_memory = exact = contained = chunks = 0
    memory_sizes = 0
    failures: list[dict[str, Any]] = []
    for _ in range(count):
        hay = next(hays)
        memory = LastMemory()
        plan = plan_for(hay, backend, prompts)
        answer = run_reading(Reading(plan=plan, run_id="benchmark", store=memory), backend)
        chunks += len(plan.chunks)
        found = any(hay.needle.value in text and hay.needle.entity.parts[-1] in text for text in memory.texts)
        right = answer.answered and exact_match(answer.text, hay.needle.value) == 1
        in_memory += found
        exact += right
        contained += answer.answered and containment(answer.text, hay.needle.value) == 1
        memory_sizes += len(memory.texts)
        if not (found and right) and len(failures) < 20:
            failures.append(
                {
                    "question": hay.question,
                    "needle": hay.needle.statement,
                    "memory": memory.texts,
                    "answer": answer.text,
                }
            )
    return {
        "needle_in_memory": Proportion(count=in_memory, total=count).as_dict(),
        "answer_exact": Proportion(count=exact, total=count).as_dict(),
        "answer_contained": Proportion(count=contained, total=count).as_dict(),
        "mean_chunks": chunks / max(1, count),
        "mean_memory_items": memory_sizes / max(1, count),
        "failures": failures,
    }


def misses(
    backend: Backend, prompts: PromptSet, books: list[list[str]], rng: random.Random, count: int
) -> dict[str, Any]:
    """Show chunks that hold the needle."""
    missed = extra = 0
    for number in range(count):
        hay = haystack(books, rng, num_characters=1_000, num_look_alikes=number % 3)
        plan = plan_for(hay, backend, prompts)
        for index, chunk in enumerate(plan.chunks):
            texts = [unit.text for unit in chunk.units]
            if any(hay.needle.value in text and hay.needle.entity.parts[-1] in text for text in texts):
                chosen = picked(plan, index, backend) or []
                hit = [text for text in chosen if hay.needle.value in text]
                missed += not hit
                extra += bool(hit) and len(chosen) > len(hit)
                break
    return {
        "missed": Proportion(count=missed, total=count).as_dict(),
        "something_else_too": Proportion(count=extra, total=count).as_dict(),
    }


def false_alarms(
    backend: Backend,
    prompts: PromptSet,
    books: list[list[str]],
    rng: random.Random,
    count: int,
    *,
    num_look_alikes: int,
) -> dict[str, Any]:
    """Show chunks that do not hold what is asked for."""
    alarms = total = unusable = 0
    examples: list[dict[str, Any]] = []
    while total < count:
        size = 900 if num_look_alikes else 20_000
        hay = haystack(books, rng, num_characters=size, num_look_alikes=num_look_alikes, with_needle=False)
        plan = plan_for(hay, backend, prompts)
        for index in range(1 if num_look_alikes else len(plan.chunks)):
            chosen = picked(plan, index, backend)
            total += 1
            unusable += chosen is None
            if chosen:
                alarms += 1
                if len(examples) < 20:
                    examples.append({"question": hay.question, "picked": chosen})
    return {
        "false_alarms": Proportion(count=alarms, total=total).as_dict(),
        "unusable_replies": unusable,
        "examples": examples,
    }


def measure(options: argparse.Namespace, path: Path, *, readings_only: bool = False) -> dict[str, Any]:
    """Measure one model."""
    backend = open_model(path, wishes=Wishes(num_threads=options.threads))
    prompts = prompts_for(backend, path)
    books = held_back_paragraphs(options.books)
    rng = random.Random(options.seed)
    size = int(options.tokens * CHARACTERS_PER_TOKEN)

    def hays() -> Iterator[Haystack]:
        while True:
            yield haystack(books, rng, num_characters=size, num_look_alikes=4)

    began = time.perf_counter()
    report: dict[str, Any] = {
        "model": backend.info.name,
        "fingerprint": backend.info.fingerprint,
        "chunk_tokens": backend.info.chunk_tokens,
        "readings": readings(backend, prompts, hays(), options.readings),
    }
    if not readings_only:
        report["misses"] = misses(backend, prompts, books, rng, options.evidence_chunks)
        for name, number in (("false_alarms_plain", 0), ("false_alarms_look_alikes", 3)):
            count = options.plain_chunks if not number else options.look_alike_chunks
            report[name] = false_alarms(backend, prompts, books, rng, count, num_look_alikes=number)
    report["wall_s"] = round(time.perf_counter() - began, 1)
    return report


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--books", type=Path, required=True, help="folder with the held-back books as Markdown"
    )
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--control", type=Path, help="model for comparison, such as one of random weights")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--tokens", type=int, default=8_000, help="length of a document")
    parser.add_argument("--readings", type=int, default=100)
    parser.add_argument("--evidence-chunks", type=int, default=500)
    parser.add_argument("--plain-chunks", type=int, default=5_000)
    parser.add_argument("--look-alike-chunks", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=20_000)
    parser.add_argument("--threads", type=int, default=None)
    options = parser.parse_args()
    report: dict[str, Any] = {
        "benchmark": "needle",
        "arguments": {key: str(value) for key, value in vars(options).items() if not isinstance(value, Path)},
        "python": platform.python_version(),
        "machine": platform.machine(),
        "result": measure(options, options.model),
    }
    if options.control:
        report["control"] = measure(options, options.control, readings_only=True)
    options.output.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(json.dumps({key: value for key, value in report["result"].items()}, indent=1)[:4_000])


if __name__ == "__main__":
    main()
