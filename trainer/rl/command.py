"""``python -m trainer RECIPE``, ``estimate``, ``rollouts``, ``plot``, ``export-verl`` and ``rl-export``.

What needs torch is imported where it is used: looking at a run must not take the seconds that loading torch takes.
"""

import argparse
import json
import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import PalimpsestError, PlanError
from trainer.rl.errors import RecipeError, TrainingMemoryError

if TYPE_CHECKING:
    from trainer.rl.loop import Run

_log = logging.getLogger(__name__)
COMMANDS = ("train", "rl", "estimate", "rollouts", "plot", "export-verl", "rl-export")
EXIT_SETTINGS = 2
EXIT_FAILED = 4
EXIT_CANCELLED = 130


def add_parsers(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the commands to the trainer's command line."""
    for name in ("train", "rl"):
        one = commands.add_parser(name, help="do what a recipe says, or go on with a run that was stopped")
        one.add_argument("recipe", type=Path, help="TOML file, see resources/recipes; or the folder of a run")
        one.add_argument("--folder", type=Path, help="folder of the run; default: runs/NAME")
        _add_overrides(one)
    zero = commands.add_parser(
        "estimate", help="count the memory that a recipe takes, without loading the model"
    )
    zero.add_argument("recipe", type=Path, help="TOML file, or the folder of a run")
    zero.add_argument("--gpu-gib", type=float, help="memory of the GPU that it is to fit")
    zero.add_argument("--json", action="store_true", help="bytes, as one JSON object")
    _add_overrides(zero)
    two = commands.add_parser("rollouts", help="show what was drawn in a training run")
    two.add_argument("run", type=Path, help="folder of the run")
    two.add_argument("--step", type=int, help="which one; default: the last")
    two.add_argument("--limit", type=int, default=5, help="most questions that are shown")
    two.add_argument("--json", action="store_true", help="all questions as one JSON object")
    three = commands.add_parser("plot", help="draw the metrics of a training run")
    three.add_argument("run", type=Path, help="folder of the run")
    three.add_argument("--output", type=Path, help="folder for the plots; default: the run's own")
    four = commands.add_parser("export-verl", help="write data and config for verl")
    four.add_argument("recipe", type=Path, help="TOML file, or the folder of a run")
    four.add_argument("--output", type=Path, required=True, help="folder to write")
    four.add_argument("--questions", type=int, help="how many; default: those of one run")
    _add_overrides(four)
    five = commands.add_parser(
        "rl-export", help="write the policy of a finished run as GGUF, if the file agrees"
    )
    five.add_argument("run", type=Path, help="folder of the run")
    five.add_argument("--output", type=Path, required=True, help="file to write or replace")
    five.add_argument("--name", help="what the file calls itself; default: the run's name")
    five.add_argument(
        "--average",
        type=Path,
        action="append",
        default=[],
        metavar="RUN",
        help="another run of the same model, with whose weights to average; may be given several times",
    )


def _add_overrides(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.NAME=VALUE", dest="overrides")


def run(options: argparse.Namespace) -> int:
    """Carry out one of the commands; returns the exit code."""
    work = {
        "estimate": _estimate,
        "rollouts": _show,
        "plot": _plot,
        "export-verl": _export_verl,
        "rl-export": _export,
    }.get(options.command, _train)
    try:
        return work(options)
    except PalimpsestError as exc:
        for line in filter(None, (f"Error: {exc.message}", exc.hint)):
            sys.stderr.write(f"{line}\n")
        return EXIT_SETTINGS if isinstance(exc, (RecipeError, PlanError)) else EXIT_FAILED
    except KeyboardInterrupt:
        return EXIT_CANCELLED


def _train(options: argparse.Namespace) -> int:
    from trainer.rl.run_folder import find_recipe, locked

    recipe, folder = find_recipe(options.recipe, options.overrides, options.folder)
    # Only now: transformers takes seconds to load, and a faulty recipe needs none of it.
    from transformers.utils.logging import disable_progress_bar

    from trainer.supervised.stages import open_run

    disable_progress_bar()
    with locked(folder), _telling_of_full_memory():
        training = open_run(recipe, folder)
        with _stopping_on_signals(training):
            training.run()
    if training.step < recipe.run.steps:
        sys.stderr.write(
            f"Stopped after step {training.step} of {recipe.run.steps}; the same command goes on.\n"
        )
        return EXIT_CANCELLED
    if os.environ.get("RANK", "0") == "0":  # of several processes the first one speaks
        sys.stdout.write(f"{folder}: {training.step} steps; the trained model is {folder / 'policy'}\n")
    return 0


@contextmanager
def _telling_of_full_memory() -> Iterator[None]:
    """Raises TrainingMemoryError where something does not fit for which there is no smaller step."""
    from trainer.rl.update import is_out_of_memory

    try:
        yield
    except (RuntimeError, MemoryError) as exc:  # torch.OutOfMemoryError is the former
        if not is_out_of_memory(exc):
            raise
        raise TrainingMemoryError(
            "The memory is full.",
            hint="'palimpsest train estimate RECIPE --gpu-gib N' counts what a recipe takes, and says what to change.",
        ) from exc


@contextmanager
def _stopping_on_signals(training: "Run") -> Iterator[None]:
    """The first signal ends the run with the step under way, the second one at once."""

    def stop(number: int, _: object) -> None:
        if training.stopping:
            raise KeyboardInterrupt
        training.stopping = True
        _log.info("stopping after this step; once more stops at once, and loses the step")

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, stop) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _estimate(options: argparse.Namespace) -> int:
    from trainer.rl.run_folder import find_recipe

    recipe, _ = find_recipe(options.recipe, options.overrides)
    from trainer.rl.estimate import describe, estimate

    found = estimate(recipe)
    if options.json:
        values: dict[str, float | bool] = {**found.as_dict()}
        if options.gpu_gib is not None:
            values |= {"gpu_gib": options.gpu_gib, "fits": found.fits(options.gpu_gib)}
        sys.stdout.write(json.dumps(values) + "\n")
    else:
        sys.stdout.write(describe(found, options.gpu_gib) + "\n")
    return 0


def _show(options: argparse.Namespace) -> int:
    from trainer.rl.viewer import rollouts_as_json, show_rollouts

    if options.json:
        found = rollouts_as_json(options.run, step=options.step)
        sys.stdout.write(json.dumps(found, ensure_ascii=False) + "\n")
        return 0
    for line in show_rollouts(options.run, step=options.step, limit=options.limit):
        sys.stdout.write(line + "\n")
    return 0


def _plot(options: argparse.Namespace) -> int:
    from trainer.plots import save_plots

    for path in save_plots(options.run, options.output or options.run / "plots"):
        sys.stdout.write(f"{path}\n")
    return 0


def _export_verl(options: argparse.Namespace) -> int:
    from trainer.rl.run_folder import find_recipe

    recipe, _ = find_recipe(options.recipe, options.overrides)
    from trainer.verl import export_verl

    for path in export_verl(recipe, options.output, num_questions=options.questions):
        sys.stdout.write(f"{path}\n")
    return 0


def _export(options: argparse.Namespace) -> int:
    from trainer.gguf.command import describe
    from trainer.rl.export import export_run

    report = export_run(options.run, options.output, name=options.name, average=options.average)
    sys.stdout.write(describe(report) + "\n")
    return 0
