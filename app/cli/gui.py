"""The command that opens the window. Nothing heavy is imported here: the window has to be there at once."""

import importlib.util
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from app.cli.data import DataDir
from engine.errors import WindowError


def gui(
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="[FILE...]", help="Documents to open in it.")
    ] = None,
    self_test: Annotated[
        bool,
        typer.Option(
            "--self-test",
            help="Open it, read the sample with the bundled model, check the answer, print one JSON object, and "
            "exit with 0 or 1. Works without a display.",
        ),
    ] = False,
    data: DataDir = None,
) -> None:
    """Open the window; `palimpsest` alone does the same."""
    check_window(needs_display=not self_test)
    from app.gui.application import run

    raise typer.Exit(run(files or [], data=data, self_test=self_test))


def check_window(*, needs_display: bool = True) -> None:
    """Find out what would make Qt end the whole program, while there is time for a sentence.

    Raises:
        WindowError: there is no Qt, or nothing to show a window on.
    """
    if not _has_qt():
        raise WindowError(
            "The window needs PySide6, which is not installed.",
            hint="Install it with: pip install 'palimpsest[desktop]'. All other commands work without it.",
        )
    if needs_display and not _has_display():
        raise WindowError(
            "There is no display to open a window on.",
            hint="Use the command line (palimpsest --help) or the local API (palimpsest serve).",
        )


def can_open_window() -> bool:
    """Whether `gui` would open one."""
    return _has_qt() and _has_display()


def _has_qt() -> bool:
    return importlib.util.find_spec("PySide6") is not None


def _has_display() -> bool:
    variables = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    return sys.platform in ("win32", "darwin") or any(os.environ.get(name) for name in variables)
