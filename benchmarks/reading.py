"""How fast reading is, held against the reference's loop and against llama.cpp itself: all figures of one run.

    python -m benchmarks.reading [--json] [--quick | --scale SCALE] [--books FOLDER] [--models-dir FOLDER]

Every ratio comes from readings of the same document, made in turns on the same threads, and is one of medians or
(by length) of the fastest, since what disturbs can only slow down; `details` holds the spread. A figure that could
not be measured is null and has its reason in `reasons`.

The starter reads with replies of its own. Models of real size have random weights (`benchmarks.models`); their
replies, on both sides, are those of one recorded reading (`benchmarks.replay`), so only rates are compared there.
Loading a model is in no figure. Nothing here means anything on a machine that is doing something else meanwhile:
`busy_percent` says how much it did before the first measurement.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil

from benchmarks.comparison import compare_forced, compare_starter, record_starter
from benchmarks.documents import write_document
from benchmarks.environment import describe
from benchmarks.floors import Bench, Settings, Spread
from benchmarks.lengths import Lap, read_in_child
from benchmarks.models import make_model
from benchmarks.rates import EngineBench
from benchmarks.scale import SCALES, Scale
from engine.errors import PalimpsestError

TARGETS = {
    "faithful_ratio": ">= 1.5",
    "default_ratio": ">= 4",
    "eight_questions_ratio": ">= 8",
    "prefill_floor_ratio": ">= 0.9",
    "decode_floor_ratio": ">= 0.9",
    "linearity_ratio": "<= 1.05",
    "rss_growth_ratio": "<= 1.03",
}
FORCED_FIGURES = (
    "faithful_ratio",
    "default_ratio",
    "eight_questions_ratio",
    "prefill_floor_ratio",
    "decode_floor_ratio",
)
"""Figures of the first random model."""

NUM_QUESTIONS = 8
_CHARACTERS_PER_TOKEN = 2.6  # of English prose in the made-up vocabulary
_STARTER_CHARACTERS_PER_TOKEN = 3.5


class Run:
    """One run of the benchmark.

    Args:
        scale: how much is measured.
        work: folder for documents.
        models: folder of the random models.
        books: folder of books; None = the bundled sample.
        num_threads: threads that compute, on both sides.
        seed: of documents and models.
    """

    def __init__(
        self, scale: Scale, *, work: Path, models: Path, books: Path | None, num_threads: int, seed: int
    ) -> None:
        self.figures: dict[str, float | None] = dict.fromkeys(TARGETS)
        self.reasons: dict[str, str] = {}
        self.details: dict[str, Any] = {}
        self._scale = scale
        self._work = work
        self._models = models
        self._books = books
        self._num_threads = num_threads
        self._seed = seed

    def measure(self) -> None:
        """Measure everything; a part that fails for an expected reason leaves its figures null."""
        with self._part("by length", "linearity_ratio", "rss_growth_ratio"):
            self._by_length()
        with self._part("starter"):
            self._starter()
        if not self._scale.models:
            self.reasons |= dict.fromkeys(FORCED_FIGURES, "There are no random models at this scale.")
        for number, (shape, quantisation) in enumerate(self._scale.models):
            names = FORCED_FIGURES
            with self._part(f"{shape} {quantisation}", *(names if number == 0 else ())) as title:
                model = make_model(
                    self._models, shape, quantisation, seed=self._seed, num_threads=self._num_threads
                )
                rates = self._against_floor(model)
                ratios = self._against_baseline(model)
                self.details[title] = {**rates, **ratios}
                if number == 0:
                    self.figures |= {name: self.details[title][name]["ratio"] for name in names}

    @contextmanager
    def _part(self, title: str, *names: str) -> Iterator[str]:
        print(f"{title} ...", file=sys.stderr, flush=True)
        try:
            yield title
        except PalimpsestError as exc:
            self.reasons |= {name: exc.message for name in names if self.figures[name] is None}
            self.details[title] = {"error": exc.message}

    def _document(
        self, name: str, num_characters: float, *, num_facts: int = 1, num_absent: int = 0
    ) -> tuple[Path, list[str]]:
        """A document with facts in it, and questions: those that they answer, and some that nothing answers."""
        path = self._work / f"{name}.txt"
        facts = write_document(
            path,
            num_characters=int(num_characters),
            books=self._books,
            num_facts=num_facts,
            num_absent=num_absent,
            seed=self._seed,
        )
        return path, [fact.question for fact in facts]

    def _by_length(self) -> None:
        laps: list[list[Lap]] = [[], []]
        documents = [
            self._document(f"{tokens}-tokens", tokens * _STARTER_CHARACTERS_PER_TOKEN)
            for tokens in self._scale.linear_tokens
        ]
        for _ in range(self._scale.laps):
            for place, (path, (question,)) in enumerate(documents):
                laps[place].append(
                    read_in_child(path, question, work=self._work, num_threads=self._num_threads)
                )
        # The fastest lap of each: what disturbs a reading can only make it slower.
        short, long = (min(some, key=lambda lap: lap.us_per_token) for some in laps)
        self.figures["linearity_ratio"] = round(long.us_per_token / short.us_per_token, 3)
        self.figures["rss_growth_ratio"] = round(max(lap.growth for lap in laps[1]), 4)
        self.details["by length"] = [
            {
                "document_tokens": some[0].tokens,
                "us_per_token": [round(lap.us_per_token, 1) for lap in some],
                "resident_mb": round(max(some[0].resident_bytes) / 1e6, 1),
            }
            for some in laps
        ]

    def _starter(self) -> None:
        path, (question,) = self._document(
            "starter", self._scale.starter_tokens * _STARTER_CHARACTERS_PER_TOKEN
        )
        compared = compare_starter(path, question, self._scale, num_threads=self._num_threads)
        self.details["starter"] = {"ratio": compared.ratio, **compared.details}

    def _against_floor(self, model: Path) -> dict[str, Any]:
        """The engine and llama.cpp itself, in turns."""
        scale = self._scale
        settings = Settings(num_threads=self._num_threads)
        details: dict[str, Any] = {}
        for count in scale.parallel:
            with ExitStack() as stack:
                engine = stack.enter_context(
                    closing(
                        EngineBench(
                            model,
                            prompt_tokens=scale.prompt_tokens,
                            decode_tokens=scale.decode_tokens,
                            num_parallel=count,
                            settings=settings,
                        )
                    )
                )
                engine.measure()
                bench = stack.enter_context(closing(Bench(model, settings)))
                prompts = stack.enter_context(closing(bench.prompt_rates(engine.length)))
                replies = stack.enter_context(
                    closing(
                        bench.decode_rates(scale.decode_tokens - 1, depth=engine.length, num_parallel=count)
                    )
                )
                turns = [(*engine.measure(), next(prompts), next(replies)) for _ in range(scale.rate_repeats)]
            prefill, decode, own_prefill, own_decode = zip(*turns, strict=True)
            suffix = "" if count == 1 else f"_{count}"
            for kind, ours, floor in (("prefill", prefill, own_prefill), ("decode", decode, own_decode)):
                # Turn by turn: a machine that slows down for a while slows both of a turn.
                ratios = Spread.of(mine / own for mine, own in zip(ours, floor, strict=True))
                details[f"{kind}_floor_ratio{suffix}"] = {
                    "ratio": round(ratios.median, 3),
                    "ratios": asdict(ratios),
                    "parallel": count,
                    "engine_tokens_per_s": asdict(Spread.of(ours)),
                    "llama_cpp_tokens_per_s": asdict(Spread.of(floor)),
                }
        return details

    def _against_baseline(self, model: Path) -> dict[str, Any]:
        scale = self._scale
        size = 0.97 * scale.num_chunks * scale.chunk_tokens * _CHARACTERS_PER_TOKEN
        path, questions = self._document(
            "forced",
            size,
            num_facts=scale.num_answered,
            num_absent=NUM_QUESTIONS - scale.num_answered,
        )
        recordings = record_starter(path, questions, num_threads=self._num_threads)
        compared = compare_forced(model, path, recordings, scale, num_threads=self._num_threads)
        names = {"faithful": "faithful", "default": "default", "all_questions": "eight_questions"}
        return {
            f"{names[name]}_ratio": {"ratio": round(one.ratio, 3), **one.details}
            for name, one in compared.items()
        }


def print_table(report: dict[str, Any]) -> None:
    """The figures for people."""
    for name, target in TARGETS.items():
        value = report[name]
        shown = report["reasons"].get(name, "") if value is None else f"{value:g}"
        print(f"{name:24} {target:>8}   {shown}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print everything as one JSON object")
    size = parser.add_mutually_exclusive_group()
    size.add_argument(
        "--scale", choices=SCALES, default="full", help="how much is measured, see benchmarks.scale"
    )
    size.add_argument(
        "--quick", action="store_const", const="quick", dest="scale", help="smaller, within five minutes"
    )
    parser.add_argument("--books", type=Path, help="folder with Markdown or text; else the bundled sample")
    parser.add_argument("--models-dir", type=Path, help="where the random models are kept; else made anew")
    parser.add_argument("--threads", type=int, default=psutil.cpu_count(logical=False) or 1)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    scale = SCALES[options.scale]
    busy_percent = psutil.cpu_percent(interval=2.0)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="palimpsest-benchmark-") as folder:
        run = Run(
            scale,
            work=Path(folder),
            models=options.models_dir or Path(folder),
            books=options.books,
            num_threads=options.threads,
            seed=options.seed,
        )
        run.measure()
    report = {
        "benchmark": "reading",
        **run.figures,
        "reasons": run.reasons,
        "targets": TARGETS,
        "environment": describe(),
        "busy_percent": busy_percent,
        "wall_s": round(time.perf_counter() - began, 1),
        "configuration": {
            "scale": options.scale,
            "threads": options.threads,
            "seed": options.seed,
            "text": "books" if options.books else "the bundled sample",
            **asdict(scale),
        },
        "details": run.details,
    }
    if options.json:
        print(json.dumps(report, indent=2))
    else:
        print_table(report)


if __name__ == "__main__":
    main()
