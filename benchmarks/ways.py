"""The same questions of the same documents, read in different ways: what is answered, and what it costs.

    python -m benchmarks.ways --books FOLDER [--model FILE] [--documents 12] [--tokens 8000] [--output FILE]

Every document hides eight facts and look-alikes of each, out of the lists and books that no training saw. All ways
are held against reading for one question at a time, a chunk at a time. Those that only save work must give the same
answers and the same memory after every chunk, except where the two best tokens were nearly alike (counted as close
calls; llama.cpp's sums depend on the shape of a batch); the others may differ, and their accuracy is reported with
its 95 % Wilson interval and with the questions that they alone got right or wrong. Loading the model is in no time.
"""

import argparse
import json
import random
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil

from benchmarks.clock import Clock
from benchmarks.environment import describe
from benchmarks.insert_facts import Hidden, generate, insert_into_text, text_slots
from benchmarks.needle import CHARACTERS_PER_TOKEN, held_back_paragraphs
from engine.agent.config import Mode
from engine.agent.memory import Memory
from engine.agent.result import Result
from engine.backends.base import Backend, Completion, Request
from engine.backends.llamacpp import LlamaCppBackend
from engine.errors import GenerationError, PalimpsestError
from engine.evaluation.metrics import Proportion, exact_match
from engine.front import Front, ModelChoice, ReadingOptions
from engine.models.catalogue import BUNDLED
from engine.paths import trace_database
from engine.session import Session
from engine.traces.store import TraceStore

NUM_QUESTIONS = 8
NUM_LOOK_ALIKES = 2
RECALLED_CHUNKS = 3
ONE_BY_ONE = "one by one"


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A way of reading.

    Attributes:
        options: settings of the reading.
        lookahead: most chunks read on a guess; None = what the model gains from.
        is_one_pass: whether all questions of a document are read for in one pass.
        is_exact: whether it must give what `ONE_BY_ONE` gives.
    """

    options: ReadingOptions = field(default_factory=ReadingOptions)
    lookahead: int | None = None
    is_one_pass: bool = False
    is_exact: bool = False


WAYS = {
    ONE_BY_ONE: Way(lookahead=1, is_exact=True),
    "ahead on a guess": Way(lookahead=8, is_exact=True),
    "eight in one pass, apart": Way(options=ReadingOptions(joint=False), is_one_pass=True, is_exact=True),
    "eight in one pass": Way(is_one_pass=True),
    "with recall": Way(options=ReadingOptions(recall_chunks=RECALLED_CHUNKS)),
    "parallel mode": Way(options=ReadingOptions(mode=Mode.PARALLEL)),
}


class _Counting(LlamaCppBackend):
    """llama.cpp as ever; counts what it is asked, what it computes and where it hesitated."""

    num_requests = num_tokens = num_close_calls = 0

    def generate(self, requests: Sequence[Request], **settings: Any) -> list[Completion]:
        """Complete, and count."""
        completions = super().generate(requests, **settings)
        for one in completions:
            self.num_requests += 1
            self.num_tokens += len(one.prompt_token_ids) - one.cached_tokens + len(one.token_ids)
            self.num_close_calls += one.num_close_calls
        return completions


@dataclass(slots=True)
class Outcome:
    """What one way gave.

    Attributes:
        answers: answer to each question of each document, in order.
        memories: memory after every chunk, for each question; read again, a chunk counts again.
        wall_s: seconds of all readings.
        counts: requests, tokens computed and close calls.
    """

    answers: list[str] = field(default_factory=list)
    memories: list[tuple[Memory, ...]] = field(default_factory=list)
    wall_s: float = 0.0
    counts: dict[str, int] = field(default_factory=dict)


def read(way: Way, path: Path, questions: Sequence[str], choice: ModelChoice, outcome: Outcome) -> None:
    """Read one document in one way for all of its questions; `outcome` is added to."""
    passes = [list(questions)] if way.is_one_pass else [[question] for question in questions]
    for asked in passes:
        loaded: list[_Counting] = []

        def load(path: Path, *, into: list[_Counting] = loaded, **settings: Any) -> Backend:
            into.append(_Counting(path, **settings))
            return into[-1]

        clock = Clock(load)
        with tempfile.TemporaryDirectory(prefix="palimpsest-benchmark-") as folder:
            session = Session(
                Path(folder),
                choice=replace(choice, lookahead=way.lookahead),
                front=Front(),
                opener=clock.open_model,
            )
            clock.start()
            results = session.ask_all([path], asked, options=way.options, estimate=False)
            outcome.wall_s += clock.seconds
            with TraceStore(trace_database(Path(folder))) as store:
                for result in results:
                    steps = store.steps(result.run_id) if isinstance(result, Result) else ()
                    outcome.memories.append(tuple(step.memory_after for step in steps))
                    outcome.answers.append(_answer(result))
        for backend in loaded:
            for name in ("num_requests", "num_tokens", "num_close_calls"):
                outcome.counts[name] = outcome.counts.get(name, 0) + getattr(backend, name)


def _answer(result: Result | GenerationError) -> str:
    """What was answered; "" = that the document does not say, or nothing usable, which counts as wrong."""
    return result.answer.text if isinstance(result, Result) and result.answer.answered else ""


def make_document(path: Path, books: list[list[str]], num_tokens: int, rng: random.Random) -> list[Hidden]:
    """Write a stretch of a held-back book with facts hidden in it; longer where it holds little but dialogue."""
    book = rng.choice(books)
    room = NUM_QUESTIONS * (1 + NUM_LOOK_ALIKES)
    first, text = rng.randrange(len(book)), ""
    for number in range(first, first + len(book)):
        text += book[number % len(book)] + "\n\n"
        if len(text) >= num_tokens * CHARACTERS_PER_TOKEN and len(text_slots(text)) >= room:
            break
    hidden = generate(NUM_QUESTIONS, NUM_LOOK_ALIKES, rng)
    path.write_text(insert_into_text(text, hidden, rng), "utf-8")
    return hidden


def report_on(outcome: Outcome, base: Outcome, expected: Sequence[str], way: Way) -> dict[str, Any]:
    """Accuracy and cost of one way, held against reading one by one."""
    right, base_right = (
        [exact_match(answer, wanted) == 1 for answer, wanted in zip(one.answers, expected, strict=True)]
        for one in (outcome, base)
    )
    pairs = list(zip(right, base_right, strict=True))
    report: dict[str, Any] = {
        "exact": Proportion(count=sum(right), total=len(right)).as_dict(),
        "only_here_right": sum(here and not there for here, there in pairs),
        "only_one_by_one_right": sum(there and not here for here, there in pairs),
        "same_answers": sum(a == b for a, b in zip(outcome.answers, base.answers, strict=True)),
        "wall_s": round(outcome.wall_s, 2),
        "cost_ratio": round(outcome.wall_s / base.wall_s, 3),
        **outcome.counts,
    }
    if way.is_exact:
        report["readings_with_another_memory"] = sum(
            a != b for a, b in zip(outcome.memories, base.memories, strict=True)
        )
    return report


def main() -> None:
    """Read in all ways and report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--books", type=Path, required=True, help="folder with the held-back books as Markdown"
    )
    parser.add_argument("--model", type=Path, default=BUNDLED)
    parser.add_argument("--documents", type=int, default=12)
    parser.add_argument("--tokens", type=int, default=8_000, help="length of a document")
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--threads", type=int, default=psutil.cpu_count(logical=False) or 1)
    parser.add_argument("--seed", type=int, default=30_000)
    parser.add_argument("--output", type=Path, help="write the report there, else to standard output")
    options = parser.parse_args()
    ways = {name: WAYS[name] for name in dict.fromkeys([ONE_BY_ONE, *options.ways])}
    outcomes = {name: Outcome() for name in ways}
    unusable: dict[str, str] = {}
    choice = ModelChoice(model=str(options.model), num_threads=options.threads)
    books, rng = held_back_paragraphs(options.books), random.Random(options.seed)
    expected: list[str] = []
    with tempfile.TemporaryDirectory(prefix="palimpsest-benchmark-") as folder:
        for number in range(options.documents):
            path = Path(folder) / f"document-{number}.txt"
            hidden = make_document(path, books, options.tokens, rng)
            expected += [one.answer for one in hidden]
            for name, way in ways.items():
                if name in unusable:
                    continue
                print(f"document {number + 1}/{options.documents}, {name} ...", file=sys.stderr, flush=True)
                try:
                    read(way, path, [one.question for one in hidden], choice, outcomes[name])
                except PalimpsestError as exc:
                    unusable[name] = exc.message
    report = {
        "benchmark": "ways of reading",
        "environment": describe(),
        "model": options.model.name,
        "documents": options.documents,
        "document_tokens": options.tokens,
        "questions_a_document": NUM_QUESTIONS,
        "recalled_chunks": RECALLED_CHUNKS,
        "threads": options.threads,
        "seed": options.seed,
        "ways": {
            name: {"error": unusable[name]}
            if name in unusable
            else report_on(outcomes[name], outcomes[ONE_BY_ONE], expected, way)
            for name, way in ways.items()
        },
    }
    write: Callable[[str], object] = options.output.write_text if options.output else sys.stdout.write
    write(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
