"""How an evaluation looks on a terminal: progress, tables, notes."""

import time
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from app.cli.console import seconds_for_people
from engine.evaluation import tables
from engine.evaluation.report import Report
from engine.evaluation.runner import Progress

_INTERVAL_S = 5.0
_MIN_WIDTH = 110


class ProgressLine:
    """How far it is, on standard error: redrawn in place on a terminal, else a line every few seconds."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._console = Console(stderr=True, highlight=False)
        self._status = self._console.status("making the first document")
        self._last = time.monotonic()

    def __enter__(self) -> "ProgressLine":
        if not self._quiet and self._console.is_terminal:
            self._status.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._status.stop()

    def show(self, progress: Progress) -> None:
        """An item was ended."""
        parts = [f"{progress.system}: {progress.done} of {progress.total}"]
        if progress.length_tokens:
            parts.append(f"{progress.length_tokens:,} tokens")
        if progress.left_s is not None and progress.done < progress.total:
            parts.append(f"{seconds_for_people(progress.left_s)} left")
        line = ", ".join(parts)
        self._status.update(line)
        now = time.monotonic()
        is_due = now - self._last >= _INTERVAL_S or progress.done == progress.total
        if not self._quiet and not self._console.is_terminal and is_due:
            self._last = now
            self._console.print(line)


def print_report(report: Report) -> None:
    """Tables and notes on standard output."""
    console = Console(highlight=False)
    # Lines that are too long for the screen are still to be read; cells of two letters are not.
    console.width = max(console.width, _MIN_WIDTH)
    console.print(f"{report.scope.task.name}: percent, with 95 % bootstrap intervals")
    _print_rows(console, tables.HEADINGS, tables.rows(report, is_brief=True))
    positions = tables.position_rows(report, is_brief=True)
    if positions:
        console.print("found, by where the evidence stands in the document")
        _print_rows(console, tables.position_headings(report), positions)
    for line in tables.notes(report):
        console.print(line, soft_wrap=True)


def _print_rows(console: Console, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table without the columns that are empty everywhere."""
    kept = [number for number in range(len(headings)) if any(row[number] for row in rows)]
    table = Table(box=None, padding=(0, 1))
    for number in kept:
        table.add_column(headings[number], no_wrap=number == 0)
    for row in rows:
        table.add_row(*(row[number] for number in kept))
    console.print(table)
