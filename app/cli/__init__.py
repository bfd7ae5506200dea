"""The command line. `main` maps every expected error to one sentence on standard error and an exit code."""

import logging
import sys
from collections.abc import Sequence

from engine.cancel import Cancelled
from engine.errors import (
    DocumentError,
    GenerationError,
    ModelError,
    PalimpsestError,
    PlanError,
    StoreError,
    WindowError,
)

EXIT_CODES: dict[type[PalimpsestError], int] = {
    PlanError: 2,
    DocumentError: 3,
    ModelError: 4,
    GenerationError: 5,
    StoreError: 6,
    WindowError: 7,
}
"""0 = done (also when the document does not say), 1 = a bug or `verify` found damage, 2 = wrong usage or settings."""

EXIT_CANCELLED = 130


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    try:
        if arguments[:1] == ["gui"] or not (arguments or _needs_help()):
            _open_window(arguments[1:])
        else:
            _run_command(arguments)
    except SystemExit as exc:  # how Typer reports wrong usage, --help and `typer.Exit`
        return exc.code if isinstance(exc.code, int) else int(exc.code is not None)
    except PalimpsestError as exc:
        _say(f"Error: {exc.message}", exc.hint)
        return next((code for kind, code in EXIT_CODES.items() if isinstance(exc, kind)), 1)
    except (Cancelled, KeyboardInterrupt):
        return EXIT_CANCELLED
    return 0


def _run_command(arguments: Sequence[str]) -> None:
    from app.cli.main import app

    app(args=arguments, prog_name="palimpsest")


def _open_window(arguments: Sequence[str]) -> None:
    """The command `gui` without the others, for whose modules the window would have to wait a second."""
    import typer

    from app.cli.gui import gui

    alone = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)
    alone.command()(gui)
    alone(args=arguments, prog_name="palimpsest gui")


def _needs_help() -> bool:
    """Whether the program's name alone is better answered by the help than by a window."""
    from app.cli.gui import can_open_window

    return not can_open_window()


def main() -> None:
    """Entry point of the program."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    sys.exit(run())


def _say(*lines: str) -> None:
    for line in lines:
        if line:
            print(line, file=sys.stderr)
