"""Command line: ``starter`` trains, ``export`` writes it as GGUF, ``import`` and ``adapter`` any other checkpoint."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

import torch

from trainer.gguf import command
from trainer.gguf_export import ExportInfo
from trainer.rl import command as rl_command
from trainer.stages import Course
from trainer.starter import export_checkpoint, train
from trainer.training import Settings


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m trainer", description=__doc__)
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0 = all cores")
    commands = parser.add_subparsers(dest="command", required=True)
    starter = commands.add_parser("starter", help="train the bundled model, or continue")
    starter.add_argument("--corpus", type=Path, required=True, help="folder with books/, corpora/")
    starter.add_argument("--work", type=Path, required=True, help="work folder of the run")
    starter.add_argument("--minutes", type=float, default=float("inf"), help="stop after so long")
    starter.add_argument("--steps", type=int, default=Course().total_steps, help="whole course")
    starter.add_argument("--seed", type=int, default=0)
    export = commands.add_parser("export", help="write a checkpoint as GGUF, if the file agrees")
    export.add_argument("--work", type=Path, required=True, help="work folder of the run")
    export.add_argument("--output", type=Path, required=True, help="file to write or replace")
    export.add_argument("--chunk-tokens", type=int, default=ExportInfo().chunk_tokens)
    export.add_argument("--memory-tokens", type=int, default=ExportInfo().memory_tokens)
    command.add_parsers(commands)
    rl_command.add_parsers(commands)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    if options.threads:
        torch.set_num_threads(options.threads)
    if options.command in ("import", "adapter"):
        return command.run(options)
    if options.command in rl_command.COMMANDS:
        return rl_command.run(options)
    if options.command == "export":
        info = ExportInfo(chunk_tokens=options.chunk_tokens, memory_tokens=options.memory_tokens)
        print(export_checkpoint(options.work, options.output, info))
        return 0
    course = Course(total_steps=options.steps)
    settings = Settings(course=course, seed=options.seed)
    train(options.corpus, options.work, settings, minutes=options.minutes)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
