"""Model files that are on this disk already: the program's own, and those that other programs have downloaded.

Only looked at, never changed. No Qt; runs on a thread of its own.
"""

import json
import logging
import os
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from engine.models.catalogue import list_models

_log = logging.getLogger(__name__)

_MAGIC = b"GGUF"
_MIN_BYTES = 100_000
_MAX_DEPTH = 5
_LATER_PART = re.compile(r"-(\d{5})-of-\d{5}\.gguf$")
_OLLAMA_MODEL = "application/vnd.ollama.image.model"
_MAX_MANIFEST_BYTES = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundModel:
    """A model file.

    Attributes:
        name: for people; untrusted.
        path: the file.
        size_bytes: its size.
        owner: "Palimpsest", "LM Studio", "Ollama" or "Hugging Face".
    """

    name: str
    path: Path
    size_bytes: int
    owner: str


def find_models(data_folder: Path, home: Path, stop: threading.Event) -> tuple[FoundModel, ...]:
    """Every model file in the usual places, each file once.

    Args:
        data_folder: ours.
        home: the user's home folder, below which other programs keep theirs.
        stop: set when nobody wants to know any more.
    """
    found: dict[Path, FoundModel] = {}
    for each in _all(data_folder, home, stop):
        try:
            real = each.path.resolve()
        except OSError:
            continue
        found.setdefault(real, each)
    return tuple(found.values())


def _all(data_folder: Path, home: Path, stop: threading.Event) -> Iterator[FoundModel]:
    for model in list_models(data_folder):
        if not model.is_bundled:
            yield FoundModel(
                name=model.name, path=model.path, size_bytes=model.size_bytes, owner="Palimpsest"
            )
    for folder in (home / ".lmstudio" / "models", home / ".cache" / "lm-studio" / "models"):
        yield from _files(folder, "LM Studio", stop)
    yield from _ollama(_named("OLLAMA_MODELS") or home / ".ollama" / "models")
    yield from _ollama(Path("/usr/share/ollama/.ollama/models"))
    yield from _files(_hugging_face(home), "Hugging Face", stop)


def _named(variable: str) -> Path | None:
    value = os.environ.get(variable)
    return Path(value) if value else None


def _hugging_face(home: Path) -> Path:
    cache, base = _named("HF_HUB_CACHE"), _named("HF_HOME")
    return cache or (base / "hub" if base else home / ".cache" / "huggingface" / "hub")


def _files(folder: Path, owner: str, stop: threading.Event) -> Iterator[FoundModel]:
    for path in _walk(folder, 0, stop):
        part = _LATER_PART.search(path.name)
        if part and part[1] != "00001":
            continue
        if path.name.lower().startswith("mmproj"):  # eyes for a model, no model
            continue
        size = _size_of_model(path)
        if size is not None:
            yield FoundModel(name=path.stem, path=path, size_bytes=size, owner=owner)


def _walk(folder: Path, depth: int, stop: threading.Event) -> Iterator[Path]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:  # not there, or not ours to read
        return
    for entry in entries:
        if stop.is_set():
            return
        if entry.is_dir(follow_symlinks=False):
            # The cache of Hugging Face holds each file as a blob and, by name, as a link in a snapshot.
            if depth < _MAX_DEPTH and entry.name != "blobs":
                yield from _walk(Path(entry.path), depth + 1, stop)
        elif entry.name.endswith(".gguf"):
            yield Path(entry.path)


def _ollama(folder: Path) -> Iterator[FoundModel]:
    """Ollama keeps files by hash; the names are in its manifests: HOST/NAMESPACE/MODEL/TAG."""
    manifests = folder / "manifests"
    if not os.access(manifests, os.R_OK | os.X_OK):
        return
    for manifest in sorted(manifests.glob("*/*/*/*")):
        digest = _digest(manifest)
        if digest is None:
            continue
        path = folder / "blobs" / digest.replace(":", "-")
        size = _size_of_model(path)
        if size is not None:
            name = f"{manifest.parent.name}:{manifest.name}"
            yield FoundModel(name=name, path=path, size_bytes=size, owner="Ollama")


def _digest(manifest: Path) -> str | None:
    try:
        if manifest.stat().st_size > _MAX_MANIFEST_BYTES:
            return None
        layers = json.loads(manifest.read_text("utf-8"))["layers"]
        digest = next(layer["digest"] for layer in layers if layer["mediaType"] == _OLLAMA_MODEL)
    except (OSError, ValueError, LookupError, TypeError, StopIteration):
        _log.info("%s is no manifest of a model", manifest.name)
        return None
    return digest if isinstance(digest, str) and re.fullmatch(r"sha256:[0-9a-f]{64}", digest) else None


def _size_of_model(path: Path) -> int | None:
    """The size of a GGUF file; None = it is none."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            magic = file.read(len(_MAGIC))
    except OSError:
        return None
    return size if magic == _MAGIC and size >= _MIN_BYTES else None
