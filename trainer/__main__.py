"""Command line: RECIPE trains; ``estimate`` counts its memory; ``rollouts``, ``plot`` show a run; ``export-verl``,
``rl-export`` take it elsewhere; ``corpus`` makes question sets from documents; ``starter`` and ``export`` make the
bundled model; ``import`` and ``adapter`` write other checkpoints as GGUF.
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from trainer.rl import command as training

_OTHERS = ("starter", "export", "import", "adapter")
_NEEDED = ("gguf", "safetensors", "tokenizers", "torch", "transformers")


def _parser(*, is_whole: bool) -> argparse.ArgumentParser:
    """The command line; without the commands whose options need torch to be loaded, unless it is whole."""
    parser = argparse.ArgumentParser(prog="python -m trainer", description=__doc__)
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0 = all cores")
    commands = parser.add_subparsers(dest="command", required=True)
    training.add_parsers(commands)
    if not is_whole:
        return parser
    from trainer.gguf import command
    from trainer.gguf_export import ExportInfo
    from trainer.stages import Course
    from trainer.tasks import Mix
    from trainer.training import Settings

    starter = commands.add_parser("starter", help="train the bundled model, or continue")
    starter.add_argument("--corpus", type=Path, required=True, help="folder with books/, corpora/")
    starter.add_argument("--work", type=Path, required=True, help="work folder of the run")
    starter.add_argument("--minutes", type=float, default=float("inf"), help="stop after so long")
    starter.add_argument("--steps", type=int, default=Course().total_steps, help="whole course")
    starter.add_argument("--seed", type=int, default=0)
    starter.add_argument(
        "--checkpoint-s",
        type=float,
        default=Settings().checkpoint_s,
        help="seconds between checkpoints; default: %(default)s",
    )
    starter.add_argument(
        "--after",
        type=Path,
        metavar="WORK|GGUF",
        help="begin with what this other run, or this file of the starter model, has learnt",
    )
    starter.add_argument("--from-step", type=int, default=0, help="with --after: steps that count as done")
    starter.add_argument(
        "--natural",
        type=share,
        default=Mix().natural,
        help="share of questions that people asked; default: %(default)s",
    )
    starter.add_argument(
        "--natural-answers", type=share, help="the same among final questions; default: as --natural"
    )
    starter.add_argument(
        "--bfloat16",
        action="store_true",
        help="compute products in bfloat16: faster on processors with AMX; a resumed run then differs in its last bits",
    )
    export = commands.add_parser("export", help="write a checkpoint as GGUF, if the file agrees")
    export.add_argument("--work", type=Path, required=True, help="work folder of the run")
    export.add_argument("--output", type=Path, required=True, help="file to write or replace")
    export.add_argument(
        "--average",
        type=Path,
        nargs="+",
        default=(),
        metavar="WORK|GGUF",
        help="average its weights with those of earlier stages of the same model",
    )
    export.add_argument("--chunk-tokens", type=int, default=ExportInfo().chunk_tokens)
    export.add_argument("--memory-tokens", type=int, default=ExportInfo().memory_tokens)
    command.add_parsers(commands)
    return parser


def share(text: str) -> float:
    """A number from 0 to 1; the name of the function stands in the error of argparse."""
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is no share: give a number from 0 to 1")
    return value


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    # No chatter of libraries between the lines of progress.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        return _run(arguments)
    except ModuleNotFoundError as exc:
        if exc.name not in _NEEDED:
            raise
        sys.stderr.write(f"Error: Training needs the package {exc.name}, which is not installed.\n")
        sys.stderr.write("Install what it needs with: pip install 'palimpsest[train]'.\n")
        return training.EXIT_FAILED


def _run(arguments: list[str]) -> int:
    place = _first_word(arguments)
    if place is not None and arguments[place] == "corpus":
        from trainer.corpora import command as corpora

        return corpora.run(arguments[place + 1 :])
    if place is not None and arguments[place] not in (*training.COMMANDS, *_OTHERS):
        arguments.insert(place, "train")
    is_training = place is not None and arguments[place] in training.COMMANDS
    options = _parser(is_whole=not is_training).parse_args(arguments)
    if options.threads:
        import torch

        torch.set_num_threads(options.threads)
    return training.run(options) if is_training else _run_other(options)


def _first_word(arguments: list[str]) -> int | None:
    """Where the command or the recipe stands; None = nowhere."""
    place = 0
    while place < len(arguments) and arguments[place].startswith("-"):
        place += 2 if arguments[place] == "--threads" else 1
    return place if place < len(arguments) else None


def _run_other(options: argparse.Namespace) -> int:
    from engine.errors import PalimpsestError
    from trainer.gguf import command
    from trainer.gguf_export import ExportInfo
    from trainer.stages import Course
    from trainer.starter import export_checkpoint, take_over, train
    from trainer.tasks import Mix
    from trainer.training import Settings

    if options.command in ("import", "adapter"):
        return command.run(options)
    if options.command == "export":
        info = ExportInfo(chunk_tokens=options.chunk_tokens, memory_tokens=options.memory_tokens)
        try:
            print(export_checkpoint(options.work, options.output, info, average=options.average))
        except PalimpsestError as exc:
            sys.stderr.write(f"Error: {exc}\n")
            return training.EXIT_FAILED
        return 0
    settings = Settings(
        course=Course.of(options.steps),
        seed=options.seed,
        is_bfloat16=options.bfloat16,
        checkpoint_s=options.checkpoint_s,
    )
    if options.after is not None:
        try:
            take_over(options.after, options.work, settings, options.from_step)
        except PalimpsestError as exc:
            sys.stderr.write(f"Error: {exc}\n")
            return training.EXIT_FAILED
    mix = Mix().with_natural(options.natural, answers=options.natural_answers)
    run = train(options.corpus, options.work, settings, minutes=options.minutes, mix=mix)
    step, last = run.progress.step, settings.course.total_steps
    if run.stopping and step < last:
        sys.stderr.write(f"Stopped after step {step} of {last}; the same command goes on.\n")
        return training.EXIT_CANCELLED
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
