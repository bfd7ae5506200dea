"""Commands that train a reader and look at training runs: train, train estimate, train plot, train export,
train export-verl, rollouts.

The trainer is a process of its own; what its commands do is in `trainer.rl.command`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from app.cli import options
from app.trainer_process import NEEDED, run_trainer

_RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a training run.")]
_Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="SECTION.NAME=VALUE", help="Change one value of the recipe. Repeatable."),
]


class _RunsByDefault(TyperGroup):
    """What is no command is a recipe or a run."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the default command before arguments that name none."""
        if args and args[0] not in (*self.commands, "--help"):
            args = ["run", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_RunsByDefault,
    help="Train a reader: `palimpsest train RECIPE`, or go on with `palimpsest train RUN_FOLDER`.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command("run")
def run(
    recipe: Annotated[
        Path,
        typer.Argument(metavar="RECIPE|RUN_FOLDER", help="A TOML file, see resources/recipes; or a run."),
    ],
    folder: Annotated[Path | None, typer.Option(help="Folder of the run. Default: runs/NAME.")] = None,
    overrides: _Overrides = None,
) -> None:
    """Do what a recipe says, or go on with a run that was stopped. Ctrl-C saves and stops."""
    arguments = ["train", *_set(overrides)]
    if folder is not None:
        arguments += ["--folder", str(folder)]
    _leave_to_trainer([*arguments, "--", str(recipe)])


@app.command("estimate")
def estimate(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE|RUN_FOLDER", help="A TOML file, or a run.")],
    gpu_gib: Annotated[
        float | None, typer.Option(min=0, help="Memory of the GPU that it is to fit, in GiB.")
    ] = None,
    overrides: _Overrides = None,
    as_json: options.Json = False,
) -> None:
    """Count the memory that training takes, without loading the model."""
    arguments = ["estimate", *_set(overrides)]
    if gpu_gib is not None:
        arguments += ["--gpu-gib", str(gpu_gib)]
    if as_json:
        arguments.append("--json")
    _leave_to_trainer([*arguments, "--", str(recipe)])


@app.command("plot")
def plot(
    run_folder: _RunFolder,
    output: Annotated[
        Path | None, typer.Option(help="Folder for the pictures. Default: `plots` in the run.")
    ] = None,
) -> None:
    """Draw reward, accuracy, divergence, memory, truncation and speed over a run, as SVG and PNG."""
    arguments = ["plot"] if output is None else ["plot", "--output", str(output)]
    _leave_to_trainer([*arguments, "--", str(run_folder)], needed=())


@app.command("export")
def export(
    run_folder: _RunFolder,
    output: Annotated[Path, typer.Option(help="File to write or replace.", dir_okay=False)],
    name: Annotated[
        str | None, typer.Option(help="What the file calls itself. Default: the run's name.")
    ] = None,
    average: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="RUN_FOLDER",
            file_okay=False,
            help="Another run of the same model, with whose weights to average. May be given several times.",
        ),
    ] = None,
) -> None:
    """Write the model of a finished run as a GGUF file, if the file is proven equal."""
    arguments = ["rl-export", "--output", str(output)]
    if name is not None:
        arguments += ["--name", name]
    for other in average or ():
        arguments += ["--average", str(other)]
    _leave_to_trainer([*arguments, "--", str(run_folder)])


@app.command("export-verl")
def export_verl(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE|RUN_FOLDER", help="A TOML file, or a run.")],
    output: Annotated[Path, typer.Option(help="Folder to write.", file_okay=False)],
    questions: Annotated[
        int | None, typer.Option(min=1, help="How many. Default: as many as the recipe's steps ask for.")
    ] = None,
    overrides: _Overrides = None,
) -> None:
    """Write a recipe's questions and settings for verl, which trains on many machines."""
    arguments = ["export-verl", "--output", str(output), *_set(overrides)]
    if questions is not None:
        arguments += ["--questions", str(questions)]
    _leave_to_trainer([*arguments, "--", str(recipe)])


def rollouts(
    run_folder: _RunFolder,
    step: Annotated[int | None, typer.Option(min=0, help="Which step. Default: the last.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Most questions that are shown.")] = 5,
    as_json: options.Json = False,
) -> None:
    """Show what was drawn in a step of a training run, and what it was worth."""
    arguments = ["rollouts", "--limit", str(limit)]
    if step is not None:
        arguments += ["--step", str(step)]
    if as_json:
        arguments.append("--json")
    _leave_to_trainer([*arguments, "--", str(run_folder)], needed=())


def _set(overrides: list[str] | None) -> list[str]:
    return [part for override in overrides or () for part in ("--set", override)]


def _leave_to_trainer(arguments: Sequence[str], *, needed: Sequence[str] = NEEDED) -> None:
    code = run_trainer(arguments, needed=needed)
    if code:
        raise typer.Exit(code)
