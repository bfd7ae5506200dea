"""``python -m trainer rl``, ``rollouts`` and ``rl-export``."""

import argparse
import sys
from pathlib import Path

from engine.errors import PalimpsestError
from trainer.rl.recipe import load_recipe
from trainer.rl.viewer import show_rollouts

COMMANDS = ("rl", "rollouts", "rl-export")
EXIT_FAILED = 4


def add_parsers(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the commands to the trainer's command line."""
    one = commands.add_parser("rl", help="train a reader by DAPO, or go on with a run that was stopped")
    one.add_argument("recipe", type=Path, help="TOML file, see resources/recipes")
    one.add_argument("--folder", type=Path, help="folder of the run; default: runs/NAME")
    one.add_argument("--set", action="append", default=[], metavar="SECTION.NAME=VALUE", dest="overrides")
    two = commands.add_parser("rollouts", help="show what was drawn in a training run")
    two.add_argument("run", type=Path, help="folder of the run")
    two.add_argument("--step", type=int, help="which one; default: the last")
    two.add_argument("--limit", type=int, default=5, help="most questions that are shown")
    three = commands.add_parser(
        "rl-export", help="write the policy of a finished run as GGUF, if the file agrees"
    )
    three.add_argument("run", type=Path, help="folder of the run")
    three.add_argument("--output", type=Path, required=True, help="file to write or replace")
    three.add_argument("--name", help="what the file calls itself; default: the run's name")


def run(options: argparse.Namespace) -> int:
    """Carry out one of the commands; returns the exit code."""
    try:
        if options.command == "rollouts":
            for line in show_rollouts(options.run, step=options.step, limit=options.limit):
                sys.stdout.write(line + "\n")
            return 0
        # Only now: torch and transformers take seconds to load, and a faulty recipe needs neither.
        if options.command == "rl-export":
            from trainer.rl.export import export_run

            report = export_run(options.run, options.output, name=options.name)
            sys.stdout.write(f"{report.output}: {report.parity}\n")
            return 0
        recipe = load_recipe(options.recipe, options.overrides)
        from trainer.rl.loop import Run

        Run(recipe, options.folder or Path("runs") / recipe.run.name).run()
    except PalimpsestError as exc:
        sys.stderr.write(f"{exc}\n")
        return EXIT_FAILED
    return 0
