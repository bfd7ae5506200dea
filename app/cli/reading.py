"""The commands that read: ask, resume, continue, branch."""

import json
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console

from app.cli import options
from app.cli.console import ReadingDisplay, seconds_for_people
from app.cli.printing import print_result
from engine.agent.loop import Start
from engine.agent.memory import Memory, MemoryItem
from engine.agent.plan import ReadingPlan
from engine.agent.probe import Estimate
from engine.agent.reader import Observer
from engine.agent.result import Result
from engine.backends.base import Sampling
from engine.cancel import CancelToken
from engine.errors import PlanError
from engine.paths import data_dir
from engine.session import Front, ModelChoice, ReadingOptions, Session


class ConsoleFront(Front):
    """Announces plans and shows progress on standard error."""

    def __init__(self, console: Console, *, quiet: bool) -> None:
        self._console = console
        self._quiet = quiet

    def announce(self, plan: ReadingPlan, estimate: Estimate | None, start: Start) -> None:
        """Say what will be read, in how many chunks, and how long it will take."""
        if self._quiet:
            return
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
        for document in plan.documents:
            for warning in document.warnings:
                self._say(f"note: {document.name}: {warning}")

    def display(self, plan: ReadingPlan, start: Start) -> AbstractContextManager[Observer | None]:
        """The live display."""
        if self._quiet or not plan.chunks:
            return nullcontext()
        return ReadingDisplay(plan, self._console, next_chunk=start.next_chunk, memory=start.memory)

    def stopped(self, run_id: str) -> None:
        """Say how to go on."""
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
        front = ConsoleFront(Console(stderr=True), quiet=quiet)
        result = action(Session(data_dir(folder), choice=choice, front=front, cancel=token))
    if as_json:
        print(json.dumps(result.to_dict(), ensure_ascii=False))
    else:
        print_result(result)


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
    question: Annotated[str, typer.Option("-q", "--question", help="What you want to know.")],
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
    password: options.Password = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    data: options.DataDir = None,
) -> None:
    """Read whole documents and answer a question with verified quotes."""
    choice = ModelChoice(model, context_tokens, threads, gpu_layers)
    settings = ReadingOptions(
        mode=mode,
        chunk_tokens=chunk_tokens,
        memory_tokens=memory_tokens,
        overlap_tokens=overlap_tokens,
        sampling=Sampling(temperature=temperature, seed=seed),
    )
    _conduct(
        lambda session: session.ask(files, question, options=settings, password=password, estimate=not quiet),
        choice,
        data,
        quiet=quiet,
        as_json=as_json,
    )


def resume(
    run: options.RunId,
    model: options.RunModel = None,
    context_tokens: options.ContextTokens = None,
    threads: options.Threads = None,
    gpu_layers: options.GpuLayers = None,
    password: options.Password = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    data: options.DataDir = None,
) -> None:
    """Go on with a run that was stopped or killed; print its result as `ask` does."""
    choice = ModelChoice(model, context_tokens, threads, gpu_layers)
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
    password: options.Password = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    data: options.DataDir = None,
) -> None:
    """Read on from the last memory of a finished run in a document that has grown."""
    choice = ModelChoice(model, context_tokens, threads, gpu_layers)
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
    password: options.Password = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    data: options.DataDir = None,
) -> None:
    """Start a new run from a step of another one, with its memory or an edited one."""
    choice = ModelChoice(model, context_tokens, threads, gpu_layers)
    edited = None if memory is None else read_memory(memory)
    _conduct(
        lambda session: session.branch(run, step, memory=edited, password=password),
        choice,
        data,
        quiet=quiet,
        as_json=as_json,
    )
