"""Where things lie: the program's own resources and the user's data."""

import os
from pathlib import Path

import platformdirs

DATA_DIR_VARIABLE = "PALIMPSEST_DATA_DIR"

RESOURCES = Path(__file__).resolve().parent.parent / "resources"
"""Icons, samples and the bundled model: a neighbour of the engine in a checkout, in a wheel and in a package."""


def data_dir(chosen: Path | None = None) -> Path:
    """The folder that holds all state: the one chosen, else the environment's, else the platform's usual place."""
    if chosen is not None:
        return chosen
    named = os.environ.get(DATA_DIR_VARIABLE)
    return Path(named) if named else platformdirs.user_data_path("palimpsest", appauthor=False)


def trace_database(folder: Path) -> Path:
    """The trace database in a data folder."""
    return folder / "traces.db"


def user_models(folder: Path) -> Path:
    """Where a user may put GGUF files, in a data folder."""
    return folder / "models"
