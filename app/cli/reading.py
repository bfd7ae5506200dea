"""The commands that read: ask, resume, continue, branch."""

import json
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from app.cli import options
from app.cli.console import ReadingDisplay, seconds_for_people
from app.cli.printing import print_result
from engine.agent.memory import Memory, MemoryItem
from engine.agent.probe import Estimate
from engine.agent.reader import Observer
from engine.agent.result import Result
from engine.backends.base import Sampling
from engine.cancel import CancelToken
from engine.errors import GenerationError, PlanError
from engine.front import Front, ModelChoice, Prospect, ReadingOptions
from engine.paths import data_dir
from engine.session import Session


class ConsoleFront(Front):
    """Announces plans and shows progress on standard error."""

    def __init__(self, console: Console, *, quiet: bool) -> None:
        self._console = console
        self._quiet = quiet

    def waiting(self, line: str) -> None:
        """Show what a server that is starting says."""
        if not self._quiet:
            self._console.print(line, style="dim", highlight=False, markup=False)

    def announce(self, prospects: Sequence[Prospect], estimate: Estimate | None) -> None:
        """Say what will be read, in how many chunks, and how long it will take."""
        if self._quiet:
            return
        plan, start = prospects[0].plan, prospects[0].start
        pages = sum(len(document.pages) for document in plan.documents)
        names = ", ".join(document.name for document in plan.documents)
        kind = f"{plan.documents[0].kind}s" if pages != 1 else plan.documents[0].kind
        line = f"{names}: {pages} {kind}, {plan.num_tokens:,} tokens, {len(plan.chunks):,} chunks"
        if start.next_chunk > plan.spec.first_chunk:
            line += f"; going on with chunk {start.next_chunk + 1}"
        if estimate is not None:
            line += f"; about {seconds_for_people(estimate.wall_s)} at {estimate.tokens_per_s:,.0f} tokens/s"
        self._say(line)
        self._say(f"model {plan.spec.model_name}, mode {plan.config.mode}")
        if len(prospects) > 1:
            way = "one look for all of them" if plan.spec.companions else "side by side"
            self._say(f"{len(prospects)} questions in one pass, {way}")
        for document in plan.documents:
            for warning in document.warnings:
                self._say(f"note: {document.name}: {warning}")

    def display(self, prospects: Sequence[Prospect]) -> AbstractContextManager[Observer | None]:
        """The live display."""
        if self._quiet or not prospects[0].plan.chunks:
            return nullcontext()
        return ReadingDisplay(prospects, self._console)

    def stopped(self, run_ids: Sequence[str]) -> None:
        """Say how to go on."""
        for run_id in run_ids:
            self._say(f"Stopped. What was read is saved; go on with: palimpsest resume {run_id}")

    def _say(self, line: str) -> None:
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)


@contextmanager
def cancel_on_interrupt() -> Iterator[CancelToken]:
    """A token that Ctrl-C and SIGTERM cancel; a second Ctrl-C ends the program at once."""
    token = CancelToken()
    if threading.current_thread() is not threading.main_thread():
        yield token
        return

    def stop(number: int, frame: FrameType | None) -> None:
        if token.is_cancelled:
            raise KeyboardInterrupt
        token.cancel()

    earlier = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield token
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)


def _session(choice: ModelChoice, folder: Path | None, token: CancelToken, *, quiet: bool) -> Session:
    front = ConsoleFront(Console(stderr=True), quiet=quiet)
    return Session(data_dir(folder), choice=choice, front=front, cancel=token)


def _conduct(
    action: Callable[[Session], Result],
    choice: ModelChoice,
    folder: Path | None,
    *,
    quiet: bool,
    as_json: bool,
) -> None:
    """Carry out a reading that Ctrl-C can stop, and print its result."""
    with cancel_on_interrupt() as token:
        result = action(_session(choice, folder, token, quiet=quiet))
    _print_one(result, as_json=as_json)


def _print_one(result: Result, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(result.to_dict(), ensure_ascii=False))
    else:
        print_result(result)


def _print_all(
    questions: Sequence[str], outcomes: Sequence[Result | GenerationError], *, as_json: bool
) -> None:
    """Print what came of several questions; as JSON one list, in their order."""
    if as_json:
        values = [
            {"question": question, **_outcome_to_dict(outcome)}
            for question, outcome in zip(questions, outcomes, strict=True)
        ]
        print(json.dumps(values, ensure_ascii=False))
        return
    console = Console(highlight=False, soft_wrap=True)
    for question, outcome in zip(questions, outcomes, strict=True):
        console.print()
        console.print(Text(question, style="bold underline"))
        if isinstance(outcome, GenerationError):
            console.print(Text(str(outcome), style="red"))
        else:
            print_result(outcome, console)


def _outcome_to_dict(outcome: Result | GenerationError) -> dict[str, Any]:
    if isinstance(outcome, GenerationError):
        return {"error": outcome.message, "hint": outcome.hint}
    return outcome.to_dict()


def read_questions(path: Path) -> list[str]:
    """Questions from a text file, one a line; empty lines and lines that start with # do not count.

    Raises:
        PlanError: the file cannot be read or holds none.
    """
    try:
        lines = [line.strip() for line in path.read_text("utf-8-sig").splitlines()]
    except (OSError, ValueError) as exc:
        raise PlanError(
            f"The questions in {path.name} cannot be read: {exc}.", hint="One question a line, UTF-8."
        ) from exc
    questions = [line for line in lines if line and not line.startswith("#")]
    if not questions:
        raise PlanError(f"There is no question in {path.name}.", hint="One question a line, UTF-8.")
    return questions


def read_memory(path: Path) -> Memory:
    """A memory that a user edited: one item a line, or the JSON that `show --json` prints for a step.

    Raises:
        PlanError: the file cannot be read.
    """
    try:
        text = path.read_text("utf-8")
        if text.lstrip().startswith("[["):
            return Memory.from_json(text)
    except (OSError, ValueError, TypeError, IndexError) as exc:
        raise PlanError(
            f"The memory in {path.name} cannot be read: {exc}.", hint="One item a line, UTF-8."
        ) from exc
    return Memory(tuple(MemoryItem(line.strip()) for line in text.splitlines() if line.strip()))


def ask(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...", help="PDF, EPUB, HTML, Markdown or text; several are read one after the other."
        ),
    ],
    question: Annotated[
        list[str] | None,
        typer.Option("-q", "--question", help="What you want to know. Several -q are read for in one pass."),
    ] = None,
    questions: Annotated[
        Path | None,
        typer.Option(help="Text file with questions, one a line, read for in the same pass.", dir_okay=False),
    ] = None,
    recall: Annotated[
        int,
        typer.Option(
            min=0,
            help="Chunks to look up by the words of the question and to read once more before answering.",
            rich_help_panel="Reading",
        ),
    ] = 0,
    apart: Annotated[
        bool,
        typer.Option(
            "--apart",
            help="Read for each of several questions as if it were alone: slower, but exactly the same.",
            rich_help_panel="Reading",
        ),
    ] = False,
    mode: options.ReadingMode = None,
    model: options.Model = None,
    chunk_tokens: options.ChunkTokens = None,
    memory_tokens: options.MemoryTokens = None,
    overlap_tokens: options.OverlapTokens = 0,
    seed: options.Seed = 0,
    temperature: options.Temperature = 0.0,
    context_tokens: options.ContextTokens = None,
    threads: options.Threads = None,
    gpu_layers: options.GpuLayers = None,
    parallel: options.Parallel = None,
    kv_type: options.KvCacheType = None,
    lookahead: options.Lookahead = None,
    server: options.Server = None,
    vllm: options.Vllm = None,
    prompts: options.Prompts = None,
    password: options.Password = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    data: options.DataDir = None,
) -> None:
    """Read whole documents and answer questions with verified quotes."""
    choice = options.model_choice(
        model, context_tokens, threads, gpu_layers, parallel, kv_type, lookahead, server, vllm, prompts
    )
    settings = ReadingOptions(
        mode=mode,
        chunk_tokens=chunk_tokens,
        memory_tokens=memory_tokens,
        overlap_tokens=overlap_tokens,
        sampling=Sampling(temperature=temperature, seed=seed),
        recall_chunks=recall,
        joint=not apart,
    )
    asked = list(dict.fromkeys([*(question or []), *(read_questions(questions) if questions else [])]))
    with cancel_on_interrupt() as token:
        outcomes = _session(choice, data, token, quiet=quiet).ask_all(
            files, asked, options=settings, password=password, estimate=not quiet
        )
    if len(asked) > 1:
        _print_all(asked, outcomes, as_json=as_json)
    elif isinstance(outcomes[0], GenerationError):
        raise outcomes[0]
    else:
        _print_one(outcomes[0], as_json=as_json)


def resume(
    run: options.RunId,
    model: options.RunModel = None,
    context_tokens: options.ContextTokens = None,
    threads: options.Threads = None,
    gpu_layers: options.GpuLayers = None,
    parallel: options.Parallel = None,
    kv_type: options.KvCacheType = None,
    lookahead: options.Lookahead = None,
    server: options.Server = None,
    vllm: options.Vllm = None,
    prompts: options.Prompts = None,
    password: options.Password = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    data: options.DataDir = None,
) -> None:
    """Go on with a run that was stopped or killed; print its result as `ask` does."""
    choice = options.model_choice(
        model, context_tokens, threads, gpu_layers, parallel, kv_type, lookahead, server, vllm, prompts
    )
    _conduct(
        lambda session: session.resume(run, password=password), choice, data, quiet=quiet, as_json=as_json
    )


def continue_run(
    run: options.RunId,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="The document that has grown, or a further one.")
    ],
    new_document: Annotated[
        bool,
        typer.Option(
            "--new-document", help="FILE is a further document, not a grown version of the last one."
        ),
    ] = False,
    model: options.RunModel = None,
    context_tokens: options.ContextTokens = None,
    threads: options.Threads = None,
    gpu_layers: options.GpuLayers = None,
    parallel: options.Parallel = None,
    kv_type: options.KvCacheType = None,
    lookahead: options.Lookahead = None,
    server: options.Server = None,
    vllm: options.Vllm = None,
    prompts: options.Prompts = None,
    password: options.Password = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    data: options.DataDir = None,
) -> None:
    """Read on from the last memory of a finished run in a document that has grown."""
    choice = options.model_choice(
        model, context_tokens, threads, gpu_layers, parallel, kv_type, lookahead, server, vllm, prompts
    )
    _conduct(
        lambda session: session.continue_run(run, file, is_new_document=new_document, password=password),
        choice,
        data,
        quiet=quiet,
        as_json=as_json,
    )


def branch(
    run: options.RunId,
    step: Annotated[
        int, typer.Option(min=1, help="Read on from the memory after this chunk (1 = the first).")
    ],
    memory: Annotated[
        Path | None,
        typer.Option(
            help="Text file with the memory to go on with, one item a line. Default: the memory as it was."
        ),
    ] = None,
    model: options.RunModel = None,
    context_tokens: options.ContextTokens = None,
    threads: options.Threads = None,
    gpu_layers: options.GpuLayers = None,
    parallel: options.Parallel = None,
    kv_type: options.KvCacheType = None,
    lookahead: options.Lookahead = None,
    server: options.Server = None,
    vllm: options.Vllm = None,
    prompts: options.Prompts = None,
    password: options.Password = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    data: options.DataDir = None,
) -> None:
    """Start a new run from a step of another one, with its memory or an edited one."""
    choice = options.model_choice(
        model, context_tokens, threads, gpu_layers, parallel, kv_type, lookahead, server, vllm, prompts
    )
    edited = None if memory is None else read_memory(memory)
    _conduct(
        lambda session: session.branch(run, step, memory=edited, password=password),
        choice,
        data,
        quiet=quiet,
        as_json=as_json,
    )


def follow_up(
    run: options.RunId,
    question: Annotated[str, typer.Option("-q", "--question", help="What else you want to know.")],
    model: options.RunModel = None,
    context_tokens: options.ContextTokens = None,
    threads: options.Threads = None,
    gpu_layers: options.GpuLayers = None,
    kv_type: options.KvCacheType = None,
    server: options.Server = None,
    vllm: options.Vllm = None,
    prompts: options.Prompts = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    data: options.DataDir = None,
) -> None:
    """Ask something else of what a finished run remembers; nothing is read again."""
    choice = options.model_choice(
        model, context_tokens, threads, gpu_layers, None, kv_type, None, server, vllm, prompts
    )
    _conduct(lambda session: session.follow_up(run, question), choice, data, quiet=quiet, as_json=as_json)
