"""Tables of a report: Markdown for people, CSV for programs."""

import csv
import io
from collections.abc import Sequence

from engine.evaluation.bootstrap import Estimate
from engine.evaluation.report import Report, Summary, SystemReport

HEADINGS = (
    "system",
    "length",
    "n",
    "exact",
    "F1",
    "contains",
    "in memory",
    "predicted exact",
    "chunk missed",
    "false alarm",
    "failed",
    "no fit",
)


def rows(report: Report) -> list[tuple[str, ...]]:
    """A row for every system and length, and one over all where there are several lengths; as of `HEADINGS`."""
    lines: list[tuple[str, ...]] = []
    for system in report.systems:
        for length, summary in system.by_length.items():
            lines.append(_row(system, length, summary))
        if len(system.by_length) > 1:
            lines.append(_row(system, None, system.overall))
    return lines


def _row(system: SystemReport, length: int | None, summary: Summary) -> tuple[str, ...]:
    predicted = system.predicted.get(length) if length is not None else None
    chunks = system.chunks if length is None or len(system.by_length) == 1 else None
    return (
        system.name,
        f"{length:,}" if length is not None else "all",
        str(summary.n),
        *(_with_interval(estimate) for estimate in summary.metrics.values()),
        _with_interval(summary.in_memory),
        f"{_percent(predicted.lower)} to {_percent(predicted.upper)}" if predicted else "",
        f"{chunks.miss.count} of {chunks.miss.total}" if chunks and chunks.miss.total else "",
        f"{chunks.false_alarm.count} of {chunks.false_alarm.total}"
        if chunks and chunks.false_alarm.total
        else "",
        str(summary.failed or ""),
        str(summary.does_not_fit or ""),
    )


def position_rows(report: Report) -> list[tuple[str, ...]]:
    """A row for every system: share found in each part of the documents."""
    return [
        (
            system.name,
            *(f"{_with_interval(part.found)} (n {part.n})" if part.n else "" for part in system.by_position),
        )
        for system in report.systems
        if system.by_position
    ]


def position_headings(report: Report) -> tuple[str, ...]:
    """Headings of `position_rows`."""
    parts = next((system.by_position for system in report.systems if system.by_position), ())
    return ("system", *(f"{part.low:.0%} to {part.high:.0%}" for part in parts))


def difference_lines(report: Report) -> list[str]:
    """A sentence for every baseline: how much better or worse the evaluated system is on the same questions."""
    lines = []
    for system in report.systems[1:]:
        shares = [
            f"{label} {100 * one.value:+.1f} ({100 * one.low:+.1f} to {100 * one.high:+.1f})"
            for label, one in zip(("exact", "F1", "contains"), system.differences.values(), strict=False)
            if one is not None
        ]
        if shares:
            lines.append(f"{report.systems[0].name} minus {system.name}, in points: {', '.join(shares)}")
    return lines


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
    if report.chunks_alone is not None:
        alone = report.chunks_alone
        parts.append(
            f"Chunks read alone: missed {alone.missed} of {alone.evidence}; false alarms {alone.plain_alarms} of "
            f"{alone.plain} plain and {alone.look_alike_alarms} of {alone.look_alikes} with a look-alike."
        )
    parts += difference_lines(report)
    return "\n\n".join(parts) + "\n"


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


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"
