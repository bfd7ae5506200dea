"""Tables of a report: Markdown for people, CSV for programs."""

import csv
import io
from collections.abc import Mapping, Sequence

from engine.evaluation.bootstrap import Estimate
from engine.evaluation.chunk_rates import ChunkCounts
from engine.evaluation.report import Report, Summary, SystemReport

_LABELS = ("exact", "F1", "contains")  # of the metrics, in their order
HEADINGS = ("system", "length", "n", *_LABELS, "in memory", "predicted", "failed", "no fit")


def rows(report: Report, *, is_brief: bool = False) -> list[tuple[str, ...]]:
    """A row for every system and length, and one over all where there are several lengths; as of `HEADINGS`.

    Args:
        report: what to show.
        is_brief: intervals of the strict match alone, for narrow screens.
    """
    lines: list[tuple[str, ...]] = []
    for system in report.systems:
        for length, summary in system.by_length.items():
            lines.append(_row(system, length, summary, is_brief))
        if len(system.by_length) > 1:
            lines.append(_row(system, "all", system.overall, is_brief))
        for kind, summary in system.by_kind.items():
            lines.append(_row(system, kind, summary, is_brief))
    return lines


def _row(system: SystemReport, part: int | str, summary: Summary, is_brief: bool) -> tuple[str, ...]:
    predicted = system.predicted.get(part) if isinstance(part, int) else None
    exact, *others = (*summary.metrics.values(), summary.in_memory)
    return (
        system.name,
        f"{part:,}" if isinstance(part, int) else part,
        str(summary.n),
        _with_interval(exact),
        *(_plain(one) if is_brief else _with_interval(one) for one in others),
        f"{_percent(predicted.lower)} to {_percent(predicted.upper)}" if predicted else "",
        str(summary.failed or ""),
        str(summary.does_not_fit or ""),
    )


def position_rows(report: Report, *, is_brief: bool = False) -> list[tuple[str, ...]]:
    """A row for every system: share found in each part of the documents."""
    show = _plain if is_brief else _with_interval
    return [
        (system.name, *(f"{show(part.found)} (n {part.n})" if part.n else "" for part in system.by_position))
        for system in report.systems
        if system.by_position
    ]


def position_headings(report: Report) -> tuple[str, ...]:
    """Headings of `position_rows`."""
    parts = next((system.by_position for system in report.systems if system.by_position), ())
    return ("system", *(f"{part.low:.0%} to {part.high:.0%}" for part in parts))


def notes(report: Report) -> list[str]:
    """Sentences below the tables: chunks, what is lost with length, how the first system stands against others."""
    first = report.systems[0]
    lines = (
        [_chunk_line(f"Chunks in the readings of {first.name}", first.chunks)] if first.chunks.total else []
    )
    if report.chunks_alone is not None:
        lines.append(_chunk_line("Chunks read alone", report.chunks_alone))
    for system in report.systems:
        for length, loss in system.losses.items():
            if shares := _shares(loss.metrics):
                lines.append(
                    f"{system.name} at {length:,} tokens loses of what it reaches at {min(system.by_length):,}, in "
                    f"percent, {loss.n} items: {shares}"
                )
    for system in report.systems[1:]:
        if shares := _shares(system.differences):
            lines.append(f"{first.name} minus {system.name}, in points: {shares}")
    return lines


def _shares(metrics: Mapping[str, Estimate | None]) -> str:
    return ", ".join(
        f"{label} {100 * one.value:+.1f} ({100 * one.low:+.1f} to {100 * one.high:+.1f})"
        for label, one in zip(_LABELS, metrics.values(), strict=True)
        if one is not None
    )


def markdown(report: Report) -> str:
    """The whole report as Markdown."""
    parts = [
        f"# {report.scope.task.name}",
        "Percent, with 95 % bootstrap intervals.",
        _table(HEADINGS, rows(report)),
    ]
    positions = position_rows(report)
    if positions:
        parts += ["Found (lenient containment), by where the evidence stands in the document:"]
        parts += [_table(position_headings(report), positions)]
    return "\n\n".join([*parts, *notes(report)]) + "\n"


def _chunk_line(what: str, counts: ChunkCounts) -> str:
    return (
        f"{what}: missed {counts.missed} of {counts.evidence} with evidence; false alarms {counts.plain_alarms} of "
        f"{counts.plain} plain and {counts.look_alike_alarms} of {counts.look_alikes} with a look-alike; "
        f"evidence lost {counts.lost} times."
    )


def _table(headings: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(line) + " |" for line in (headings, ["---"] * len(headings), *lines))


def as_csv(report: Report) -> str:
    """One line for every system, length and metric: system, length_tokens, n, metric, value, low, high."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(("system", "length_tokens", "n", "metric", "value", "low", "high"))
    for system in report.systems:
        for length, summary in (*system.by_length.items(), ("all", system.overall)):
            for name, one in (*summary.metrics.items(), ("in_memory", summary.in_memory)):
                if one is not None:
                    writer.writerow((system.name, length, summary.n, name, one.value, one.low, one.high))
    return buffer.getvalue()


def _with_interval(estimate: Estimate | None) -> str:
    if estimate is None:
        return ""
    return f"{_percent(estimate.value)} [{_percent(estimate.low)}, {_percent(estimate.high)}]"


def _plain(estimate: Estimate | None) -> str:
    return "" if estimate is None else _percent(estimate.value)


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"
