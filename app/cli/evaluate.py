"""The command that measures how well a model reads: eval."""

import json
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from app.cli import options
from app.cli.evaluation_output import ProgressLine, print_report
from app.cli.reading import cancel_on_interrupt
from engine.agent.config import ReadingConfig
from engine.agent.plan import default_config
from engine.backends.base import Backend
from engine.errors import PlanError
from engine.evaluation import tables
from engine.evaluation.contenders import Contenders, parse_baseline
from engine.evaluation.evaluate import Opening, evaluate
from engine.evaluation.haystack import TokenCounter
from engine.evaluation.plot import save_plot
from engine.evaluation.report import Report
from engine.evaluation.runner import Scope, check_lengths
from engine.evaluation.sources import text_source
from engine.evaluation.store import FILE_NAME, EvaluationStore
from engine.evaluation.tasks.base import Materials, Task
from engine.evaluation.tasks.catalogue import KINDS, QUESTIONS, TaskOptions, known_task, make_task
from engine.evaluation.tasks.question_file import load_questions
from engine.paths import data_dir

_DEFAULT_N = 20
_TASK_FLAGS = {"look_alikes": "--look-alikes", "data": "--data", "is_crowded": "--crowded"}
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
    crowded: Annotated[
        bool,
        typer.Option(
            "--crowded",
            help="For 'qa': passages of the question's own article distract first, so that short documents hold as "
            "many of them as long ones.",
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
            help="Also measure: bm25 or bm25:K (K best chunks, the same reader), oracle (the chunks with the evidence "
            "alone), full-context (one prompt, where it fits), untrained (the same loop with shuffled weights), "
            "loop=FILE (the same loop with another model). Repeatable."
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
        task_options=TaskOptions(
            look_alikes=look_alikes, data=data, held_back_only=held_back, is_crowded=crowded
        ),
        baselines=tuple(dict.fromkeys(baseline or ())),
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
        Contenders(folder, choice, token).opened(mode) as contenders,
        EvaluationStore((output or folder) / FILE_NAME) as store,
        ProgressLine(quiet=quiet) as progress,
    ):
        config = default_config(
            contenders.backend,
            contenders.prompts,
            mode=mode,
            chunk_tokens=chunk_tokens,
            memory_tokens=memory_tokens,
            recall_chunks=recall,
        )
        scope = _scope(wishes, contenders.backend)
        report = evaluate(
            scope,
            _openings(contenders, config, wishes),
            store,
            chunks=contenders.chunks(scope, config, wishes.num_chunk_documents),
            on_progress=progress.show,
            cancel=token,
        )
    if output is not None:
        save(report, output, plot.value)
    if as_json:
        print(json.dumps(report.as_dict(), ensure_ascii=False))
    else:
        print_report(report)


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
    _check_task_flags(wishes)
    if wishes.task != QUESTIONS and wishes.file is not None:
        raise PlanError(
            f"The task {wishes.task} takes no file of questions.", hint="Did you mean --data or --text?"
        )
    for baseline in wishes.baselines:
        parse_baseline(baseline)


def _check_task_flags(wishes: _Wishes) -> None:
    """An option that the task has no use for would be taken for one that was heeded."""
    takes = KINDS[known_task(wishes.task)].takes if wishes.task != QUESTIONS else frozenset()
    for name, flag in _TASK_FLAGS.items():
        if getattr(wishes.task_options, name) != getattr(TaskOptions(), name) and name not in takes:
            tasks = ", ".join(task for task, kind in KINDS.items() if name in kind.takes)
            raise PlanError(f"The task {wishes.task} takes no {flag}.", hint=f"It is for: {tasks}.")


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


def _openings(contenders: Contenders, config: ReadingConfig, wishes: _Wishes) -> list[Opening]:
    """What is measured, then what it is held against."""
    wide = wishes.side_by_side
    baselines = [contenders.baseline(one, config, side_by_side=wide) for one in wishes.baselines]
    return [contenders.reader(config, side_by_side=wide), *baselines]


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
