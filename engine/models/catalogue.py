"""Which model files there are."""

from dataclasses import dataclass
from pathlib import Path

from engine.errors import ModelNotFoundError
from engine.paths import RESOURCES, user_models

BUNDLED = RESOURCES / "models" / "palimpsest-starter.gguf"
"""The starter model: small, trained from scratch for reading alone; always there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile:
    """A model file.

    Attributes:
        name: what `--model` accepts beside a path.
        path: the file.
        size_bytes: its size.
        is_bundled: whether it comes with the program.
    """

    name: str
    path: Path
    size_bytes: int
    is_bundled: bool


def list_models(data_folder: Path) -> list[ModelFile]:
    """The bundled model, then the GGUF files in the data folder's `models`."""
    paths = [BUNDLED] if BUNDLED.is_file() else []
    own = user_models(data_folder)
    if own.is_dir():
        paths += sorted(own.glob("*.gguf"))
    return [
        ModelFile(name=path.stem, path=path, size_bytes=path.stat().st_size, is_bundled=path == BUNDLED)
        for path in paths
    ]


def find_model(wanted: str | None, data_folder: Path) -> Path:
    """The file for a name or path; the bundled model if nothing is wanted.

    Raises:
        ModelNotFoundError: there is no such file.
    """
    if wanted is None:
        if BUNDLED.is_file():
            return BUNDLED
        raise ModelNotFoundError(
            "The bundled model is missing from this installation.",
            hint="Reinstall, or name a GGUF with --model.",
        )
    path = Path(wanted).expanduser()
    if path.is_file():
        return path
    for model in list_models(data_folder):
        if wanted in (model.name, model.path.name):
            return model.path
    raise ModelNotFoundError(
        f"There is no model '{wanted}'.",
        hint="Give the path of a GGUF file; `palimpsest models list` shows the models that have a name.",
    )
