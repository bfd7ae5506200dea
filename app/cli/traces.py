"""Commands about runs: runs, show, export, verify."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.cli import options
from app.cli.printing import print_result
from app.export import html, markdown
from app.export.bundle import make_bundle
from engine.agent.events import Outcome
from engine.agent.memory import Memory
from engine.agent.provenance import Lifetime, StepMemory, diff_words, forgotten
from engine.paths import data_dir, trace_database
from engine.results import load_result
from engine.traces.rows import RunRow, StepRow
from engine.traces.store import TraceStore

_STYLES = {"same": "", "added": "bold green", "removed": "strike red"}


class ExportFormat(StrEnum):
    """What `export` writes."""

    MARKDOWN = "md"
    HTML = "html"
    JSON = "json"


def runs(
    limit: Annotated[int | None, typer.Option(min=1, help="Most runs to list.")] = None,
    as_json: options.Json = False,
    data: options.DataDir = None,
) -> None:
    """List all runs, the newest first."""
    with TraceStore(trace_database(data_dir(data))) as store:
        rows = store.list_runs(limit)
    if as_json:
        print(json.dumps([run_to_dict(row) for row in rows], ensure_ascii=False))
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("run", "status", "chunks", "documents", "question", "answer"):
        table.add_column(heading, no_wrap=True, overflow="ellipsis")
    for row in rows:
        answer = "" if row.answer is None else row.answer.text
        table.add_row(
            row.run_id,
            row.status,
            f"{row.chunks_done}/{row.chunks_total}",
            Text(", ".join(document.name for document in row.documents)),
            Text(" ".join(row.question.split())),
            Text(" ".join(answer.split())),
        )
    Console(highlight=False).print(table)


def show(
    run: options.RunId,
    step: Annotated[int | None, typer.Option(min=1, help="Only this step, with prompts and replies.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Also steps that changed nothing.")] = False,
    as_json: options.Json = False,
    data: options.DataDir = None,
) -> None:
    """Show how the memory evolved: what each chunk added and dropped, and what was forgotten."""
    with TraceStore(trace_database(data_dir(data))) as store:
        row = store.get_run(run)
        if as_json:
            print(json.dumps(make_bundle(store, row.run_id, with_calls=step is not None), ensure_ascii=False))
            return
        console = Console(highlight=False, soft_wrap=True)
        _print_head(console, row)
        trace: list[StepMemory] = []
        unchanged = 0
        for taken in store.steps(row.run_id):
            trace.append(taken.memories)
            if step is not None and taken.chunk.index != step - 1:
                continue
            if taken.outcome is Outcome.UNCHANGED and not every and step is None:
                unchanged += 1
                continue
            unchanged = _print_unchanged(console, unchanged)
            _print_step(console, taken)
        _print_unchanged(console, unchanged)
        if step is not None:
            _print_calls(console, store, row.run_id, step - 1)
            return
        _print_incidents(console, store, row.run_id)
        _print_forgotten(console, forgotten(trace))
        if row.answer is not None:
            print_result(load_result(store, row.run_id))


def export(
    run: options.RunId,
    format_: Annotated[
        ExportFormat, typer.Option("--format", help="md, html or json (everything, for audits).")
    ],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="File to write. Default: standard output.")
    ] = None,
    data: options.DataDir = None,
) -> None:
    """Export a run: question, answer, quotes, coverage, memory timeline; as JSON also every prompt and reply."""
    with TraceStore(trace_database(data_dir(data))) as store:
        row = store.get_run(run)
        bundle = make_bundle(store, row.run_id, with_calls=format_ is ExportFormat.JSON)
    if format_ is ExportFormat.JSON:
        text = json.dumps(bundle, ensure_ascii=False, indent=2) + "\n"
    else:
        text = (markdown if format_ is ExportFormat.MARKDOWN else html).render(bundle)
    if output is None:
        print(text, end="")
    else:
        output.write_text(text, "utf-8")


def verify(as_json: options.Json = False, data: options.DataDir = None) -> None:
    """Check the trace database: every hash is derived again from what it stands for."""
    with TraceStore(trace_database(data_dir(data))) as store:
        findings = store.verify()
    if as_json:
        print(json.dumps({"ok": not findings, "findings": findings}, ensure_ascii=False))
    else:
        for finding in findings:
            print(finding)
        if not findings:
            print("Everything is as it was written.")
    if findings:
        raise typer.Exit(1)


def run_to_dict(row: RunRow) -> dict[str, Any]:
    """A run as `runs --json` lists it."""
    return {
        "run_id": row.run_id,
        "status": row.status,
        "question": row.question,
        "documents": [document.name for document in row.documents],
        "created_at": row.created_at.isoformat(),
        "model": row.model,
        "mode": row.mode,
        "chunks_done": row.chunks_done,
        "chunks_total": row.chunks_total,
        "answer": None if row.answer is None else row.answer.text,
        "answered": None if row.answer is None else row.answer.answered,
        "error": row.error,
        "parent_run_id": row.parent_run_id,
    }


def _print_head(console: Console, row: RunRow) -> None:
    console.print(Text(row.question, style="bold"))
    names = ", ".join(document.name for document in row.documents)
    origin = f", {row.parent_kind} of {row.parent_run_id}" if row.parent_run_id else ""
    line = f"{names}; run {row.run_id}{origin}, {row.status}, {row.chunks_done} of {row.chunks_total} chunks"
    console.print(Text(f"{line}, {row.mode}, {row.model}", style="dim"))
    if row.error:
        console.print(Text(row.error, style="red"))
    console.print()


def _print_unchanged(console: Console, number: int) -> int:
    if number:
        console.print(
            Text(f"{number} {'chunk' if number == 1 else 'chunks'} without anything new", style="dim")
        )
    return 0


def _print_step(console: Console, step: StepRow) -> None:
    head = f"chunk {step.chunk.index + 1}, page {step.chunk.labels}: {step.outcome.value}"
    console.print(Text(head, style="bold cyan"))
    console.print(_diff(step.memory_before, step.memory_after))


def _diff(before: Memory, after: Memory) -> Text:
    text = Text()
    for change, piece in diff_words(before.text, after.text):
        text.append(piece, style=_STYLES[change])
    return text


def _print_calls(console: Console, store: TraceStore, run_id: str, chunk_index: int) -> None:
    for call in store.calls(run_id, chunk_index):
        tokens = f"{call.prompt_tokens} tokens in, {call.completion_tokens} out, {call.finish_reason}"
        console.print(Text(f"{call.purpose.value}, attempt {call.attempt + 1}: {tokens}", style="bold"))
        console.print(Text("".join(segment.text for segment in call.prompt)))
        console.print(Text(f"reply: {call.reply}", style="green"))


def _print_incidents(console: Console, store: TraceStore, run_id: str) -> None:
    for incident in store.incidents(run_id):
        place = "answer" if incident.chunk_index is None else f"chunk {incident.chunk_index + 1}"
        console.print(Text(f"{place}: {incident.kind.value}. {incident.detail}", style="yellow"))


def _print_forgotten(console: Console, lost: list[Lifetime]) -> None:
    if not lost:
        return
    console.print(Text("Forgotten: in the memory once, not at the end", style="bold"))
    for life in lost:
        entered = "the start" if life.entered is None else f"chunk {life.entered + 1}"
        dropped = "" if life.dropped is None else f", dropped at chunk {life.dropped + 1}"
        console.print(Text(f"  {life.item.text}  (from {entered}{dropped})"))
