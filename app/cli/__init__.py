"""The command line. `main` maps every expected error to one sentence on standard error and an exit code."""

import logging
import sys
from collections.abc import Sequence

from app.cli.main import app
from engine.cancel import Cancelled
from engine.errors import (
    DocumentError,
    GenerationError,
    ModelError,
    PalimpsestError,
    PlanError,
    StoreError,
)

EXIT_CODES: dict[type[PalimpsestError], int] = {
    PlanError: 2,
    DocumentError: 3,
    ModelError: 4,
    GenerationError: 5,
    StoreError: 6,
}
"""0 = done (also when the document does not say), 1 = a bug or `verify` found damage, 2 = wrong usage or settings."""

EXIT_CANCELLED = 130


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    try:
        app(args=arguments, prog_name="palimpsest")
    except SystemExit as exc:  # how Typer reports wrong usage, --help and `typer.Exit`
        return exc.code if isinstance(exc.code, int) else int(exc.code is not None)
    except PalimpsestError as exc:
        _say(f"Error: {exc.message}", exc.hint)
        return next((code for kind, code in EXIT_CODES.items() if isinstance(exc, kind)), 1)
    except (Cancelled, KeyboardInterrupt):
        return EXIT_CANCELLED
    return 0


def main() -> None:
    """Entry point of the program."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    sys.exit(run())


def _say(*lines: str) -> None:
    for line in lines:
        if line:
            print(line, file=sys.stderr)
