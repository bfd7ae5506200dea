"""Opens a checkpoint folder as transformers writes it; every file in it is untrusted input.

Only JSON and safetensors are read: no pickle, no code that a folder brings along.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import CheckpointError, UnsupportedCheckpointError
from trainer.gguf.safetensors_file import TensorEntry, read_entries

Json = dict[str, Any]

_MAX_JSON_BYTES = 256 << 20
_MAX_TEXT_BYTES = 8 << 20
_SHARD_NAME = re.compile(r"[\w.-]+\.safetensors")
_LICENSE = re.compile(r"^license:\s*[\"']?([\w.+-]{1,64})", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A checkpoint, opened; weights stay on the disk.

    Attributes:
        folder: where it lies.
        config: `config.json`.
        generation: `generation_config.json`, empty where there is none.
        tensors: its weights by name.
        license: what its `README.md` says, if it says so.
    """

    folder: Path
    config: Mapping[str, Any]
    generation: Mapping[str, Any]
    tensors: Mapping[str, TensorEntry]
    license: str | None

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.name

    @property
    def size_bytes(self) -> int:
        """Bytes of all weights."""
        return sum(entry.size_bytes for entry in self.tensors.values())


def open_checkpoint(folder: Path) -> Checkpoint:
    """Open a folder with `config.json` and safetensors, in one file or in shards.

    Raises:
        CheckpointError: something is missing or damaged.
        UnsupportedCheckpointError: the weights are in a format that is not read.
    """
    folder = folder.expanduser().resolve()
    if not folder.is_dir():
        raise CheckpointError(
            f"{folder} is no folder.", hint="Name the folder that holds config.json and model.safetensors."
        )
    return Checkpoint(
        folder=folder,
        config=read_json(folder / "config.json"),
        generation=read_json(folder / "generation_config.json", is_optional=True),
        tensors=_open_weights(folder),
        license=read_license(folder / "README.md"),
    )


def read_json(path: Path, *, is_optional: bool = False) -> Json:
    """A JSON object from a file; empty if it is optional and absent.

    Raises:
        CheckpointError: it is missing, too long, or no JSON object.
    """
    if is_optional and not path.exists():
        return {}
    try:
        if path.stat().st_size > _MAX_JSON_BYTES:
            raise CheckpointError(f"{path.name} is too long.", hint="It should hold less than 256 MB.")
        value = json.loads(path.read_bytes())
    except OSError as exc:
        raise CheckpointError(
            f"{path.name} is missing in {path.parent} or cannot be read.",
            hint="Name a checkpoint folder as transformers' save_pretrained writes it.",
        ) from exc
    except (ValueError, RecursionError) as exc:
        raise CheckpointError(f"{path.name} is no valid JSON.", hint="Download or copy it again.") from exc
    if not isinstance(value, dict):
        raise CheckpointError(f"{path.name} holds no JSON object.", hint="Download or copy it again.")
    return value


def read_text(path: Path) -> str | None:
    """A short text file; None if there is none.

    Raises:
        CheckpointError: it is too long or no UTF-8.
    """
    if not path.is_file():
        return None
    try:
        if path.stat().st_size > _MAX_TEXT_BYTES:
            raise CheckpointError(f"{path.name} is too long.", hint="It should hold less than 8 MB.")
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise CheckpointError(f"{path.name} cannot be read as text.", hint="Copy it again.") from exc


def _open_weights(folder: Path) -> dict[str, TensorEntry]:
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        return _open_shards(folder, read_json(index))
    single = folder / "model.safetensors"
    if single.is_file():
        return read_entries(single)
    if any(folder.glob("*.bin")) or any(folder.glob("*.pth")) or any(folder.glob("*.pt")):
        raise UnsupportedCheckpointError(
            f"{folder.name} holds weights as pickle files, which can run code when they are opened.",
            hint="Save it again with transformers: model.save_pretrained(folder, safe_serialization=True).",
        )
    raise CheckpointError(f"{folder.name} holds no model.safetensors.", hint="Copy the weights into it too.")


def _open_shards(folder: Path, index: Json) -> dict[str, TensorEntry]:
    placed = index.get("weight_map")
    if not isinstance(placed, dict) or not placed:
        raise CheckpointError("model.safetensors.index.json has no weight_map.", hint="Copy it again.")
    shards: dict[str, dict[str, TensorEntry]] = {}
    for file_name in sorted({str(value) for value in placed.values()}):
        # A name with a folder in it would lead out of the checkpoint.
        if not _SHARD_NAME.fullmatch(file_name):
            raise CheckpointError(f"The index names the file {file_name[:80]!r}.", hint="Copy it again.")
        shards[file_name] = read_entries(folder / file_name)
    found: dict[str, TensorEntry] = {}
    for name, file_name in ((name, str(value)) for name, value in placed.items()):
        if name not in shards[file_name]:
            raise CheckpointError(f"{file_name} lacks the tensor {name[:80]}.", hint="Copy it again.")
        found[name] = shards[file_name][name]
    return found


def read_license(readme: Path) -> str | None:
    """Identifier of the licence that a model card names, or None."""
    try:
        text = read_text(readme)
    except CheckpointError:  # a model card says nothing that the model needs
        return None
    if text is None or not text.startswith("---"):
        return None
    match = _LICENSE.search(text.removeprefix("---").partition("\n---")[0])
    return match[1] if match else None
