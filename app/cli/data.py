"""The option that says where all state lies."""

from pathlib import Path
from typing import Annotated

import typer

from engine.paths import DATA_DIR_VARIABLE

DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        help=f"Folder that holds all state: runs, models, settings. Default: {DATA_DIR_VARIABLE}, else the "
        "platform's usual place.",
        file_okay=False,
        rich_help_panel="General",
    ),
]
