"""The command that measures how well a model reads: eval."""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from app.cli import options
from app.cli.console import seconds_for_people
from app.cli.reading import cancel_on_interrupt
from engine.agent.config import ReadingConfig
from engine.agent.plan import default_config
from engine.agent.prompts import PromptSet
from engine.backends.base import Backend
from engine.cancel import CancelToken
from engine.errors import PlanError
from engine.evaluation import systems, tables
from engine.evaluation.evaluate import ChunkStudy, Opening, evaluate
from engine.evaluation.haystack import TokenCounter
from engine.evaluation.plot import save_plot
from engine.evaluation.report import Report
from engine.evaluation.runner import Progress, Scope, check_lengths
from engine.evaluation.sources import text_source
from engine.evaluation.store import FILE_NAME, EvaluationStore
from engine.evaluation.systems import System
from engine.evaluation.tasks.base import Materials, Task
from engine.evaluation.tasks.catalogue import KINDS, QUESTIONS, TaskOptions, make_task
from engine.evaluation.tasks.question_file import load_questions
from engine.evaluation.untrained import write_untrained
from engine.models.catalogue import find_model
from engine.paths import data_dir
from engine.session import ModelChoice, Session

_DEFAULT_N = 20
_INTERVAL_S = 5.0
_MIN_WIDTH = 110
_UNITS = {"k": 1_000, "m": 1_000_000}


class PlotFormat(StrEnum):
    """How the plot is written."""

    SVG = "svg"
    PNG = "png"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wishes:
    """What is to be measured and with what.

    Attributes:
        task: name of the task, or "questions".
        file: file of questions, for that.
        document: document of questions that name none.
        lengths: as the user wrote them.
        num_items: None = 20, or all of a file.
        seed: of everything drawn.
        text: what evidence is hidden in.
        held_back_only: whether text and data are cut to what no training saw.
        task_options: see `TaskOptions`.
        baselines: as the user wrote them.
        num_chunk_documents: documents whose chunks are read alone.
        side_by_side: items read at once.
    """

    task: str
    file: Path | None
    document: Path | None
    lengths: str
    num_items: int | None
    seed: int
    text: Path | None
    held_back_only: bool
    task_options: TaskOptions
    baselines: tuple[str, ...]
    num_chunk_documents: int
    side_by_side: int | None


def eval_(
    task: Annotated[
        str,
        typer.Argument(
            metavar="TASK",
            help=f"{', '.join(KINDS)}; '{QUESTIONS}' with the FILE of your own questions; 'list' explains them.",
        ),
    ],
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FILE]",
            help='For \'questions\': JSON lines {"id", "question", "answers": [...], "context" or "document"}, or CSV.',
        ),
    ] = None,
    lengths: Annotated[
        str, typer.Option(help="Lengths of the documents in tokens of the model, such as 8k,64k,1M.")
    ] = "8k",
    n: Annotated[
        int | None, typer.Option("--n", min=1, help="Questions a length. Default: 20; all of a file.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of everything drawn; the same seed, the same items.")] = 0,
    text: Annotated[
        Path | None,
        typer.Option(
            help="File, or folder of documents, to hide evidence in. Default: sentences of the bundled sample, "
            "shuffled; they come back after about 44,000 tokens."
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="For 'qa': questions and passages (SQuAD, HotpotQA, MuSiQue, NQ).", dir_okay=False),
    ] = None,
    held_back: Annotated[
        bool,
        typer.Option(
            "--held-back",
            help="Of --text and --data, only books and articles that no training of the bundled model saw.",
        ),
    ] = False,
    document: Annotated[
        Path | None,
        typer.Option(help="For 'questions': document of questions that name none.", dir_okay=False),
    ] = None,
    look_alikes: Annotated[
        int | None,
        typer.Option(min=0, help="For needles: facts that resemble each. Default: the task's own."),
    ] = None,
    baseline: Annotated[
        list[str] | None,
        typer.Option(
            help="Also measure: bm25 or bm25:K (K best chunks, the same reader), full-context (one prompt, where "
            "it fits), untrained (the same loop with shuffled weights), loop=FILE (the same loop with another model). "
            "Repeatable."
        ),
    ] = None,
    chunks: Annotated[
        int,
        typer.Option(
            min=0, help="Documents of the first length whose chunks are read alone, for the rates a chunk."
        ),
    ] = 0,
    output: Annotated[
        Path | None,
        typer.Option(
            help="Folder for results, tables and plot. Default: results go to the data folder alone.",
            file_okay=False,
        ),
    ] = None,
    plot: Annotated[PlotFormat, typer.Option(help="Format of the plot in --output.")] = PlotFormat.SVG,
    side_by_side: Annotated[
        int | None,
        typer.Option(min=1, help="Questions read at once. Default: what the model gains from."),
    ] = None,
    mode: options.ReadingMode = None,
    recall: Annotated[
        int, typer.Option(min=0, help="Chunks looked up and read once more.", rich_help_panel="Reading")
    ] = 0,
    chunk_tokens: options.ChunkTokens = None,
    memory_tokens: options.MemoryTokens = None,
    model: options.Model = None,
    context_tokens: options.ContextTokens = None,
    threads: options.Threads = None,
    gpu_layers: options.GpuLayers = None,
    parallel: options.Parallel = None,
    kv_type: options.KvCacheType = None,
    server: options.Server = None,
    vllm: options.Vllm = None,
    prompts: options.Prompts = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    data_folder: options.DataDir = None,
) -> None:
    """Measure how well a model reads: tasks of any length, with intervals, baselines and rates a chunk.

    A run that was stopped goes on where it stood when the same command is given again.
    """
    if task == "list":
        _print_tasks(as_json=as_json)
        return
    wishes = _Wishes(
        task=task,
        file=file,
        document=document,
        lengths=lengths,
        num_items=n,
        seed=seed,
        text=text,
        held_back_only=held_back,
        task_options=TaskOptions(look_alikes=look_alikes, data=data, held_back_only=held_back),
        baselines=tuple(baseline or ()),
        num_chunk_documents=chunks,
        side_by_side=side_by_side,
    )
    _check(wishes)
    choice = options.model_choice(
        model, context_tokens, threads, gpu_layers, parallel, kv_type, None, server, vllm, prompts
    )
    folder = data_dir(data_folder)
    with (
        cancel_on_interrupt() as token,
        _Bench(folder, choice, token).opened() as bench,
        EvaluationStore((output or folder) / FILE_NAME) as store,
        _ProgressLine(quiet=quiet) as progress,
    ):
        config = default_config(
            bench.backend,
            bench.prompts,
            mode=mode,
            chunk_tokens=chunk_tokens,
            memory_tokens=memory_tokens,
            recall_chunks=recall,
        )
        scope = _scope(wishes, bench.backend)
        report = evaluate(
            scope,
            [
                bench.reader(config, wishes),
                *(bench.baseline(one, config, wishes) for one in wishes.baselines),
            ],
            store,
            chunks=bench.chunks(scope, config, wishes),
            on_progress=progress.show,
            cancel=token,
        )
    if output is not None:
        save(report, output, plot.value)
    if as_json:
        print(json.dumps(report.as_dict(), ensure_ascii=False))
    else:
        _print_report(report)


def save(report: Report, folder: Path, plot_format: str) -> None:
    """Write report.json, report.md, report.csv and the plot into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    whole = json.dumps(report.as_dict(), indent=1, ensure_ascii=False) + "\n"
    (folder / "report.json").write_text(whole, encoding="utf-8")
    (folder / "report.md").write_text(tables.markdown(report), encoding="utf-8")
    (folder / "report.csv").write_text(tables.as_csv(report), encoding="utf-8")
    save_plot(report, folder / f"plot.{plot_format}")


def parse_lengths(text: str) -> tuple[int, ...]:
    """ "8k,1.5M" -> (8000, 1500000).

    Raises:
        PlanError: it is no list of lengths.
    """
    try:
        lengths = [_length(part) for part in text.replace(",", " ").split()]
    except (ValueError, OverflowError) as exc:
        raise PlanError(f"'{text}' is no list of lengths.", hint="For example: --lengths 8k,64k,1M") from exc
    return check_lengths(lengths)


def _length(part: str) -> int:
    unit = _UNITS.get(part[-1].lower(), 1)
    return round(float(part[:-1] if unit > 1 else part) * unit)


def _check(wishes: _Wishes) -> None:
    """What can be said before a model is loaded.

    Raises:
        PlanError: the arguments do not go together.
    """
    if wishes.task == QUESTIONS and wishes.file is None:
        raise PlanError("No file of questions was given.", hint="palimpsest eval questions FILE.jsonl")
    if wishes.task != QUESTIONS and wishes.task not in KINDS:
        raise PlanError(
            f"There is no task '{wishes.task}'.", hint=f"One of: {', '.join([*KINDS, QUESTIONS])}."
        )
    if wishes.task != QUESTIONS and wishes.file is not None:
        raise PlanError(
            f"The task {wishes.task} takes no file of questions.", hint="Did you mean --data or --text?"
        )
    for name in wishes.baselines:
        _parse_baseline(name)


def _parse_baseline(text: str) -> tuple[str, str]:
    """Name and detail of a baseline.

    Raises:
        PlanError: there is none of that name.
    """
    name, _, detail = text.partition("=" if text.startswith("loop=") else ":")
    is_fine = {
        "bm25": not detail or (detail.isdecimal() and int(detail) > 0),
        "full-context": not detail,
        "untrained": not detail,
        "loop": bool(detail),
    }
    if not is_fine.get(name, False):
        raise PlanError(
            f"There is no baseline '{text}'.",
            hint="One of: bm25, bm25:K, full-context, untrained, loop=FILE.",
        )
    return name, detail


def _scope(wishes: _Wishes, backend: Backend) -> Scope:
    counter = TokenCounter(backend.tokenize)
    if wishes.task == QUESTIONS:
        assert wishes.file is not None
        questions = load_questions(wishes.file, counter, document=wishes.document)
        return Scope(
            task=questions,
            lengths=(0,),
            num_items=min(wishes.num_items or len(questions.lines), len(questions.lines)),
        )
    text = text_source(wishes.text, held_back_only=wishes.held_back_only and wishes.text is not None)
    materials = Materials(text=text, counter=counter, seed=wishes.seed)
    task: Task = make_task(wishes.task, materials, wishes.task_options)
    return Scope(task=task, lengths=parse_lengths(wishes.lengths), num_items=wishes.num_items or _DEFAULT_N)


class _Bench:
    """The model that is measured, and what it is held against.

    Args:
        folder: the data folder.
        choice: the model.
        cancel: stops what is going on.
    """

    backend: Backend
    prompts: PromptSet

    def __init__(self, folder: Path, choice: ModelChoice, cancel: CancelToken) -> None:
        self._folder = folder
        self._choice = choice
        self._cancel = cancel

    @contextmanager
    def opened(self) -> Iterator["_Bench"]:
        """Open the model."""
        with Session(self._folder, choice=self._choice, cancel=self._cancel).opened() as opened:
            self.backend, self.prompts = opened
            yield self

    def reader(self, config: ReadingConfig, wishes: _Wishes) -> Opening:
        """The reading loop."""
        system = systems.reader(self.backend, self.prompts, config, side_by_side=wishes.side_by_side)
        return lambda: nullcontext(system)

    def chunks(self, scope: Scope, config: ReadingConfig, wishes: _Wishes) -> ChunkStudy | None:
        """Chunks that are read alone, if they are wished for."""
        count = wishes.num_chunk_documents
        if not count:
            return None
        system = systems.ChunksAlone(self.backend, self.prompts, config)
        return ChunkStudy(system, Scope(task=scope.task, lengths=scope.lengths[:1], num_items=count))

    def baseline(self, text: str, config: ReadingConfig, wishes: _Wishes) -> Opening:
        """A baseline by its name on the command line."""
        name, detail = _parse_baseline(text)
        wide = wishes.side_by_side
        if name == "bm25":
            found = systems.bm25(
                self.backend, self.prompts, config, num_chunks=int(detail or 5), side_by_side=wide
            )
            return lambda: nullcontext(found)
        if name == "full-context":
            whole = systems.full_context(self.backend, self.prompts, config, side_by_side=wide)
            return lambda: nullcontext(whole)
        return lambda: self._other(name, detail, config, wide)

    def _other(
        self, name: str, detail: str, config: ReadingConfig, side_by_side: int | None
    ) -> AbstractContextManager[System]:
        if name == "loop":
            return self._loop(f"loop {Path(detail).stem}", detail, config, side_by_side)
        if self._choice.servers or self._choice.vllm:
            raise PlanError(
                "A model behind a server has no untrained copy.",
                hint="Serve one, and compare two evaluations.",
            )
        copy = write_untrained(find_model(self._choice.model, self._folder), self._folder / "untrained")
        return self._loop("untrained", str(copy), config, side_by_side)

    @contextmanager
    def _loop(
        self, name: str, model: str, config: ReadingConfig, side_by_side: int | None
    ) -> Iterator[System]:
        """The same loop with another model, for the time that it takes."""
        choice = replace(self._choice, model=model, servers=(), vllm=None)
        with Session(self._folder, choice=choice, cancel=self._cancel).opened() as (backend, prompts):
            yield systems.reader(backend, prompts, config, name=name, side_by_side=side_by_side)


class _ProgressLine:
    """How far it is, on standard error: redrawn in place on a terminal, else a line every few seconds."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._console = Console(stderr=True, highlight=False)
        self._status = self._console.status("making the first document")
        self._last = time.monotonic()

    def __enter__(self) -> "_ProgressLine":
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


def _print_tasks(*, as_json: bool) -> None:
    summaries = {name: kind.summary for name, kind in KINDS.items()}
    summaries[QUESTIONS] = "your own questions, from a file of JSON lines or CSV"
    if as_json:
        print(json.dumps(summaries, ensure_ascii=False))
        return
    table = Table.grid(padding=(0, 2))
    for name, summary in summaries.items():
        table.add_row(name, summary)
    Console(highlight=False).print(table)


def _print_report(report: Report) -> None:
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
