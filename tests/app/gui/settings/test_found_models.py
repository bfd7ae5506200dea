"""Model files of other programs, laid out as these programs do."""

import hashlib
import json
import threading
from pathlib import Path

import pytest

from app.gui.settings.found_models import find_models

BODY = b"GGUF" + bytes(200_000)


def put(path: Path, body: bytes = BODY) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)
    return path


@pytest.fixture(autouse=True)
def _no_names(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OLLAMA_MODELS", "HF_HUB_CACHE", "HF_HOME"):
        monkeypatch.delenv(name, raising=False)


def find(tmp_path: Path) -> dict[str, str]:
    found = find_models(tmp_path / "data", tmp_path, threading.Event())
    return {model.name: model.owner for model in found if model.path.is_relative_to(tmp_path)}


def test_files_of_every_program_are_found_by_name(tmp_path: Path) -> None:
    put(tmp_path / "data" / "models" / "own.gguf")
    put(tmp_path / ".lmstudio" / "models" / "org" / "name" / "lm.gguf")
    put(tmp_path / ".lmstudio" / "models" / "org" / "name" / "mmproj-lm.gguf")
    put(tmp_path / ".lmstudio" / "models" / "org" / "big" / "big-00001-of-00002.gguf")
    put(tmp_path / ".lmstudio" / "models" / "org" / "big" / "big-00002-of-00002.gguf")
    hub = tmp_path / ".cache" / "huggingface" / "hub" / "models--org--name"
    blob = put(hub / "blobs" / "abc")
    (hub / "snapshots" / "1").mkdir(parents=True)
    (hub / "snapshots" / "1" / "hf.gguf").symlink_to(blob)
    digest = "sha256:" + hashlib.sha256(BODY).hexdigest()
    put(tmp_path / ".ollama" / "models" / "blobs" / digest.replace(":", "-"))
    layers = [{"mediaType": "application/vnd.ollama.image.model", "digest": digest}]
    manifest = tmp_path / ".ollama" / "models" / "manifests" / "registry" / "library" / "tiny" / "1b"
    put(manifest, json.dumps({"layers": layers}).encode())
    assert find(tmp_path) == {
        "own": "Palimpsest",
        "lm": "LM Studio",
        "big-00001-of-00002": "LM Studio",
        "tiny:1b": "Ollama",
        "hf": "Hugging Face",
    }


@pytest.mark.parametrize(
    "manifest",
    [
        b"{",
        b"[]",
        b"{}",
        b'{"layers": 3}',
        b'{"layers": [{"mediaType": "application/vnd.ollama.image.model", "digest": "sha256:../../etc/passwd"}]}',
    ],
)
def test_hostile_manifests_name_no_file(tmp_path: Path, manifest: bytes) -> None:
    put(tmp_path / ".ollama" / "models" / "manifests" / "r" / "l" / "bad" / "1", manifest)
    assert find(tmp_path) == {}


def test_what_is_no_model_is_left_out(tmp_path: Path) -> None:
    put(tmp_path / ".lmstudio" / "models" / "a.gguf", b"GGUF")
    put(tmp_path / ".lmstudio" / "models" / "b.gguf", b"<html>" * 50_000)
    assert find(tmp_path) == {}


def test_nothing_is_looked_for_once_nobody_wants_to_know(tmp_path: Path) -> None:
    put(tmp_path / ".lmstudio" / "models" / "lm.gguf")
    stop = threading.Event()
    stop.set()
    found = find_models(tmp_path / "data", tmp_path, stop)
    assert all(not model.path.is_relative_to(tmp_path) for model in found)
