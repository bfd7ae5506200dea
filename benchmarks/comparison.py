"""Readings of one document by the engine and by the baseline, in turns."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.baseline import Baseline, Cost
from benchmarks.clock import Clock
from benchmarks.floors import Spread
from benchmarks.replay import Cast, ForcedBackend, Recording, Script, record, write_script
from benchmarks.scale import Scale
from engine.agent.config import Mode
from engine.agent.plan import ReadingPlan
from engine.agent.probe import Estimate
from engine.agent.result import Result
from engine.backends.base import Backend
from engine.front import Front, ModelChoice, Prospect, ReadingOptions
from engine.models.catalogue import BUNDLED
from engine.paths import trace_database
from engine.session import Session
from engine.traces.store import TraceStore


@dataclass(frozen=True, slots=True)
class Comparison:
    """A ratio and what it is made of.

    Attributes:
        ratio: seconds of the baseline over seconds of the engine, medians.
        details: everything that a reader needs to judge it.
    """

    ratio: float
    details: dict[str, Any]


class _Listener(Front):
    """Opens the model outside the time that is counted, and keeps the plans.

    Attributes:
        clock: counts the reading.
        plans: one a question; empty before they are announced.
        context_tokens: window of the model.
    """

    def __init__(self) -> None:
        self.clock = Clock()
        self.plans: list[ReadingPlan] = []
        self.context_tokens = 0

    def open_model(self, path: Path, **settings: Any) -> Backend:
        """The opener for the session."""
        backend = self.clock.open_model(path, **settings)
        self.context_tokens = backend.info.context_tokens
        return backend

    def announce(self, prospects: Sequence[Prospect], estimate: Estimate | None) -> None:
        """Keep the plans."""
        self.plans = [prospect.plan for prospect in prospects]


class _Prompter(_Listener):
    """Opens a forced backend and gives it its replies as soon as there are plans."""

    def __init__(self, recordings: Sequence[Recording], scale: Scale) -> None:
        super().__init__()
        self.scripts: tuple[Script, ...] = ()
        self._recordings = {recording.question: recording for recording in recordings}
        self._scale = scale
        self._backend: ForcedBackend | None = None

    def open_model(self, path: Path, **settings: Any) -> Backend:
        """The opener for the session."""
        with self.clock.paused():
            self._backend = ForcedBackend(path, **settings)
            return self._backend

    def announce(self, prospects: Sequence[Prospect], estimate: Estimate | None) -> None:
        """Write the scripts."""
        with self.clock.paused():
            super().announce(prospects, estimate)
            self.scripts = tuple(
                write_script(
                    plan,
                    self._recordings[plan.question],
                    memory_tokens=self._scale.written_tokens,
                    rewording=self._scale.rewording,
                )
                for plan in self.plans
            )
            assert self._backend is not None, "a plan needs an open model"
            self._backend.follow(Cast(self.scripts))


@contextmanager
def _data_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="palimpsest-benchmark-") as folder:
        yield Path(folder)


def _cost(folder: Path, wall_s: float) -> Cost:
    """What all runs in a data folder cost together."""
    with TraceStore(trace_database(folder)) as store:
        runs = store.list_runs()
        totals = [store.totals(run.run_id) for run in runs]
    assert runs[0].answer is not None, "a finished run has an answer"
    return Cost(
        wall_s=wall_s,
        prompt_tokens=sum(one.prompt_tokens for one in totals),
        reply_tokens=sum(one.completion_tokens for one in totals),
        answer=runs[0].answer.text,
    )


def record_starter(document: Path, questions: Sequence[str], *, num_threads: int) -> list[Recording]:
    """Read a document with the starter and take the recording of each question."""
    with _data_folder() as folder:
        session = Session(folder, choice=ModelChoice(num_threads=num_threads))
        results = session.ask_all([document], questions, estimate=False)
        with TraceStore(trace_database(folder)) as store:
            return [record(store, result.run_id) for result in results if isinstance(result, Result)]


def read_forced(
    model: Path,
    document: Path,
    recordings: Sequence[Recording],
    scale: Scale,
    mode: Mode | None,
    *,
    num_threads: int,
) -> tuple[Cost, tuple[Script, ...]]:
    """Read a document once for all recorded questions, with a model that replies as recorded.

    Args:
        model: a GGUF file.
        document: the document of the recordings.
        recordings: one a question.
        scale: sizes of chunks and memory.
        mode: reading mode; None = the model's default.
        num_threads: threads that compute.
    """
    front = _Prompter(recordings, scale)
    options = ReadingOptions(mode=mode, chunk_tokens=scale.chunk_tokens, memory_tokens=scale.memory_tokens)
    choice = ModelChoice(model=str(model), context_tokens=scale.context_tokens, num_threads=num_threads)
    with _data_folder() as folder:
        session = Session(folder, choice=choice, front=front, opener=front.open_model)
        front.clock.start()
        session.ask_all([document], [one.question for one in recordings], options=options, estimate=False)
        return _cost(folder, front.clock.seconds), front.scripts


def compare_forced(
    model: Path, document: Path, recordings: Sequence[Recording], scale: Scale, *, num_threads: int
) -> dict[str, Comparison]:
    """Faithful mode, default mode, and all questions in one pass, against the baseline for one question.

    The baseline reads once for each question, so all of them take it as many times as long as one.
    """
    costs: dict[str, list[Cost]] = {"faithful": [], "default": [], "all_questions": [], "baseline": []}
    scripts: dict[str, tuple[Script, ...]] = {}
    for _ in range(scale.repeats):
        for name, mode, asked in (
            ("faithful", Mode.FAITHFUL, recordings[:1]),
            ("default", None, recordings[:1]),
            ("all_questions", None, recordings),
        ):
            cost, scripts[name] = read_forced(model, document, asked, scale, mode, num_threads=num_threads)
            costs[name].append(cost)
        (script,) = scripts["faithful"]
        forced = [*(turn.memory for turn in script.turns), script.answer]
        with Baseline(
            model, context_tokens=scale.context_tokens, num_threads=num_threads, is_forced=True
        ) as loop:
            costs["baseline"].append(loop.read_by_chat(script.plan, forced))
    return {
        name: _compared(
            costs["baseline"], costs[name], _described(scripts[name], recordings), len(scripts[name])
        )
        for name in scripts
    }


def compare_starter(document: Path, question: str, scale: Scale, *, num_threads: int) -> Comparison:
    """The starter with replies of its own; it can only name labels, so the baseline's memory is made of labels too."""
    engine: list[Cost] = []
    baseline: list[Cost] = []
    for _ in range(scale.repeats):
        front = _Listener()
        with _data_folder() as folder:
            session = Session(
                folder, choice=ModelChoice(num_threads=num_threads), front=front, opener=front.open_model
            )
            front.clock.start()
            session.ask([document], question, estimate=False)
            engine.append(_cost(folder, front.clock.seconds))
        (plan,) = front.plans
        with Baseline(BUNDLED, context_tokens=front.context_tokens, num_threads=num_threads) as loop:
            baseline.append(loop.read_by_labels(plan))
    details = {"document_tokens": plan.num_tokens, "chunks": len(plan.chunks)}
    return _compared(baseline, engine, {**details, "same_answer": baseline[-1].answer == engine[-1].answer})


def _described(scripts: Sequence[Script], recordings: Sequence[Recording]) -> dict[str, Any]:
    """What the reader of a ratio must know: a slow baseline or an empty document would buy it."""
    first = scripts[0]
    return {
        "mode": first.plan.config.mode,
        "questions": len(scripts),
        "joint_gate": bool(first.plan.spec.companions),
        "document_tokens": first.plan.num_tokens,
        "chunks": len(first.plan.chunks),
        "evidence_density": round(sum(script.density for script in scripts) / len(scripts), 3),
        "memory_tokens": round(first.memory_tokens, 1),
        "rewording": first.rewording,
        "recorded": [
            {"chunks": one.chunks, "chunks_that_changed": one.chunks_that_changed}
            for one in recordings[: len(scripts)]
        ],
    }


def _compared(
    baseline: list[Cost], engine: list[Cost], details: dict[str, Any], num_questions: int = 1
) -> Comparison:
    seconds = {
        name: Spread.of([cost.wall_s for cost in costs])
        for name, costs in (("baseline_one_question", baseline), ("engine", engine))
    }
    return Comparison(
        ratio=num_questions * seconds["baseline_one_question"].median / seconds["engine"].median,
        details={
            **details,
            "wall_s": {name: asdict(spread) for name, spread in seconds.items()},
            # Looks of the joint gate stand in the trace of every question that they were for.
            **(
                {
                    "prompt_tokens": {
                        "baseline": baseline[-1].prompt_tokens,
                        "engine": engine[-1].prompt_tokens,
                    }
                }
                if num_questions == 1
                else {}
            ),
            "reply_tokens": {"baseline": baseline[-1].reply_tokens, "engine": engine[-1].reply_tokens},
        },
    )
