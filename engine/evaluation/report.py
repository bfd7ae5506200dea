"""From stored results to what people and programs are shown: accuracy with intervals, by length and by position."""

import os
import platform
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

from engine.evaluation.bootstrap import Estimate, mean_interval, paired_difference, relative_loss
from engine.evaluation.chunk_rates import ChunkCounts, Prediction, predict, total
from engine.evaluation.metrics import Proportion
from engine.evaluation.runner import Scope
from engine.evaluation.scoring import METRICS, Score
from engine.evaluation.store import EvaluationStore, Result
from engine.evaluation.systems import Identified

NUM_POSITIONS = 5
"""Parts of a document that accuracy by evidence position is given for."""

Kind = Literal["answerable", "not stated"]
"""Whether a question's document answers it."""

_PACKAGES = ("palimpsest", "llama-cpp-python", "numpy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Metrics over some items.

    Attributes:
        n: items that count: failures are among them and wrong; those that do not fit are not.
        metrics: by name, in the order of `METRICS`; None = there is no item.
        in_memory: share of golds whose evidence was in the memory at the end; None = not known.
        right: items with a strict match, of n, where every score is 0 or 1; None = not all are.
        failed: items without a usable answer.
        does_not_fit: items that the system cannot be given.
        num_chunks: mean chunks of a reading.
        wall_s: mean seconds of an item.
    """

    n: int
    metrics: Mapping[str, Estimate | None]
    in_memory: Estimate | None
    right: Proportion | None
    failed: int
    does_not_fit: int
    num_chunks: float
    wall_s: float

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        values: dict[str, Any] = {"n": self.n}
        for name, estimate in (*self.metrics.items(), ("in_memory", self.in_memory)):
            values[name] = estimate.as_dict() if estimate else None
        if self.right is not None and values["em"] is not None:
            low, high = self.right.interval
            values["em"] |= {"wilson_low": low, "wilson_high": high}
        values |= {"failed": self.failed, "does_not_fit": self.does_not_fit}
        return values | {"num_chunks": round(self.num_chunks, 2), "wall_s": round(self.wall_s, 3)}


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionSummary:
    """How much of what stands in one part of the documents was found.

    Attributes:
        low: beginning of the part, as a share of the document.
        high: its end.
        n: golds whose evidence stands there.
        found: share of them that the answer holds (lenient containment).
    """

    low: float
    high: float
    n: int
    found: Estimate | None

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        found = self.found.as_dict() if self.found else None
        return {"low": self.low, "high": self.high, "n": self.n, "found": found}


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """What is lost from the shortest documents to longer ones.

    Attributes:
        n: items of the same number that both lengths have.
        metrics: by name, 1 - mean at this length / mean at the shortest; None = there was nothing to lose.
    """

    n: int
    metrics: Mapping[str, Estimate | None]

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {"n": self.n} | {name: one.as_dict() if one else None for name, one in self.metrics.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemReport:
    """What one system reached.

    Attributes:
        name: the system.
        identity: all that decides its answers.
        overall: over all items.
        by_length: by length in tokens.
        by_kind: questions that the documents answer and those that they do not, where there are both: who never answers
            is right in all of the latter.
        by_position: by evidence position.
        chunks: what became of chunks in its readings.
        predicted: by length, the strict match that the chunk rates predict.
        losses: by length, against the shortest one; empty where lengths have no items in common.
        differences: by metric, the first system minus this one on the same items; empty for the first.
    """

    name: str
    identity: Mapping[str, Any]
    overall: Summary
    by_length: Mapping[int, Summary]
    by_kind: Mapping[Kind, Summary]
    by_position: tuple[PositionSummary, ...]
    chunks: ChunkCounts
    predicted: Mapping[int, Prediction]
    losses: Mapping[int, Loss]
    differences: Mapping[str, Estimate | None]

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        by_length: dict[str, Any] = {}
        for length, summary in self.by_length.items():
            predicted, loss = self.predicted.get(length), self.losses.get(length)
            by_length[str(length)] = summary.as_dict() | {
                "predicted_em": asdict(predicted) if predicted else None,
                "loss": loss.as_dict() if loss else None,
            }
        return {
            "overall": self.overall.as_dict(),
            "by_length": by_length,
            "by_kind": {kind: summary.as_dict() for kind, summary in self.by_kind.items()},
            "by_position": [part.as_dict() for part in self.by_position],
            "chunks": self.chunks.as_dict() if self.chunks.total else None,
            "system": dict(self.identity),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """An evaluation's result.

    Attributes:
        scope: what was asked.
        systems: the first is what was evaluated, the others are baselines.
        chunks_alone: chunks that were read alone, if they were.
    """

    scope: Scope
    systems: tuple[SystemReport, ...]
    chunks_alone: ChunkCounts | None

    def as_dict(self) -> dict[str, Any]:
        """The object that `palimpsest eval --json` prints."""
        first, *others = self.systems
        alone = self.chunks_alone.as_dict() if self.chunks_alone else None
        return {
            "task": self.scope.task.name,
            "parameters": dict(self.scope.task.parameters),
            "lengths": list(self.scope.lengths),
            "n": self.scope.num_items,
            **first.as_dict(),
            "chunks_alone": alone,
            "baselines": {
                other.name: other.as_dict()
                | {
                    "difference": {
                        name: each.as_dict() if each else None for name, each in other.differences.items()
                    }
                }
                for other in others
            },
            "environment": environment(),
        }


def make_report(
    scope: Scope,
    systems: Sequence[Identified],
    store: EvaluationStore,
    *,
    chunks_alone: ChunkCounts | None = None,
) -> Report:
    """Summarise what is stored.

    Args:
        scope: what was asked.
        systems: who answered; the first is held against the others.
        store: where the outcomes are.
        chunks_alone: chunks that were read alone: predictions rest on them, else on those of the readings.
    """
    stored = [
        store.results(scope.task, system, lengths=scope.lengths, num_items=scope.num_items)
        for system in systems
    ]
    reports = tuple(
        _system_report(system, results, stored[0], chunks_alone)
        for system, results in zip(systems, stored, strict=True)
    )
    return Report(scope=scope, systems=reports, chunks_alone=chunks_alone)


def _system_report(
    system: Identified, results: Sequence[Result], first: Sequence[Result], alone: ChunkCounts | None
) -> SystemReport:
    by_length = _grouped(results, length_of)
    return SystemReport(
        name=system.name,
        identity=system.identity,
        overall=summarise(results),
        by_length={length: summarise(group) for length, group in by_length.items()},
        by_kind=by_kind(results),
        by_position=by_position(results),
        chunks=total(result.outcome.chunks for result in results),
        # A baseline that never saw the evidence has no chunk that could have been missed.
        predicted=_predictions(by_length, alone) if results is first else {},
        losses=_losses(by_length),
        differences={} if results is first else _differences(first, results),
    )


def length_of(result: Result) -> int:
    """The length that a result is shown under: what was asked for, else the next of 1,000, 2,000, 4,000, ... tokens."""
    if result.length_tokens:
        return result.length_tokens
    length = 1_000
    while length < result.num_tokens:
        length *= 2
    return length


def summarise(results: Sequence[Result]) -> Summary:
    """Metrics over some results."""
    fitting = [result for result in results if result.outcome.status != "does not fit"]
    scores = [result.score for result in fitting]
    em = [score.em for score in scores]
    in_memory = [float(each) for result in fitting for each in result.outcome.in_memory]
    count = max(1, len(fitting))
    return Summary(
        n=len(fitting),
        metrics={name: mean_interval([getattr(score, name) for score in scores]) for name in METRICS},
        in_memory=mean_interval(in_memory),
        right=Proportion(count=round(sum(em)), total=len(em)) if set(em) <= {0.0, 1.0} else None,
        failed=sum(result.outcome.status == "failed" for result in fitting),
        does_not_fit=len(results) - len(fitting),
        num_chunks=sum(result.outcome.num_chunks for result in fitting) / count,
        wall_s=sum(result.outcome.wall_s for result in fitting) / count,
    )


def by_kind(results: Sequence[Result]) -> dict[Kind, Summary]:
    """Results on questions with and without an answer; empty where all are of one kind."""
    answerable = [result for result in results if result.golds]
    if len(answerable) in (0, len(results)):
        return {}
    others = [result for result in results if not result.golds]
    return {"answerable": summarise(answerable), "not stated": summarise(others)}


def by_position(results: Iterable[Result]) -> tuple[PositionSummary, ...]:
    """Share of golds found by where their evidence stands; () if it is not known where."""
    parts: list[list[float]] = [[] for _ in range(NUM_POSITIONS)]
    for result in results:
        if result.outcome.status == "does not fit":
            continue
        for position, found in zip(result.positions, result.score.found, strict=True):
            if position is not None:
                parts[min(NUM_POSITIONS - 1, int(position * NUM_POSITIONS))].append(float(found))
    if not any(parts):
        return ()
    return tuple(
        PositionSummary(
            low=number / NUM_POSITIONS,
            high=(number + 1) / NUM_POSITIONS,
            n=len(values),
            found=mean_interval(values),
        )
        for number, values in enumerate(parts)
    )


def _grouped(results: Iterable[Result], key: Callable[[Result], int]) -> dict[int, list[Result]]:
    groups: dict[int, list[Result]] = {}
    for result in results:
        groups.setdefault(key(result), []).append(result)
    return dict(sorted(groups.items()))


def _predictions(
    by_length: Mapping[int, Sequence[Result]], alone: ChunkCounts | None
) -> dict[int, Prediction]:
    """See `engine.evaluation.chunk_rates`; rates and p_answer are of all lengths together."""
    results = [result for group in by_length.values() for result in group if result.outcome.chunks.evidence]
    counts = alone or total(result.outcome.chunks for result in results)
    seen = [result.score.em for result in results if all(result.outcome.in_memory)]
    if not counts.evidence or not seen:
        return {}
    predictions = {}
    for length, group in by_length.items():
        known = [result for result in group if result.outcome.chunks.evidence]
        if known:
            predictions[length] = predict(
                counts,
                answer=sum(seen) / len(seen),
                chunks=total(result.outcome.chunks for result in known),
                num_readings=len(known),
            )
    return predictions


def _differences(first: Sequence[Result], second: Sequence[Result]) -> dict[str, Estimate | None]:
    """First minus second by metric, on items that both were given."""
    pairs = _pairs(first, second, lambda result: (result.length_tokens, result.index))
    return {name: paired_difference(*_columns(pairs, name)) for name in METRICS}


def _losses(by_length: Mapping[int, Sequence[Result]]) -> dict[int, Loss]:
    """Items of two lengths are paired by their number: in questions of a file that is the same question."""
    losses: dict[int, Loss] = {}
    shortest = next(iter(by_length.values()), ())
    for length, results in list(by_length.items())[1:]:
        if pairs := _pairs(shortest, results, lambda result: result.index):
            metrics = {name: relative_loss(*_columns(pairs, name)) for name in METRICS}
            losses[length] = Loss(n=len(pairs), metrics=metrics)
    return losses


def _pairs(
    first: Sequence[Result], second: Sequence[Result], key: Callable[[Result], Hashable]
) -> list[tuple[Score, Score]]:
    """Scores of the items that are in both, by what `key` says of them; those that did not fit are in neither."""
    ours, theirs = (
        {key(result): result.score for result in results if result.outcome.status != "does not fit"}
        for results in (first, second)
    )
    return [(score, theirs[place]) for place, score in ours.items() if place in theirs]


def _columns(pairs: Sequence[tuple[Score, Score]], metric: str) -> tuple[list[float], list[float]]:
    return [getattr(one, metric) for one, _ in pairs], [getattr(other, metric) for _, other in pairs]


def environment() -> dict[str, object]:
    """Versions and machine that figures come from."""
    versions: dict[str, object] = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = None
    return versions | {"machine": platform.machine(), "cores": os.cpu_count()}
