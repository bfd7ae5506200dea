"""What is checked of a GGUF file before llama.cpp sees it, and the hash that a model is recognised by.

A model file is untrusted input. llama.cpp checks the rest of the header itself (string lengths, tensor
bounds); what is refused here are the cases that deserve a clearer sentence than it can give.
"""

import hashlib
import re
import struct
from pathlib import Path

from engine.errors import ModelLoadError, ModelNotFoundError

_MAGIC = b"GGUF"
_HEADER = struct.Struct("<4sIQQ")
_VERSIONS = (2, 3)
_MIN_TENSOR_BYTES = 24  # name length 8, number of dimensions 4, type 4, offset 8
_MIN_PAIR_BYTES = 13  # key length 8, type 4, value at least 1
_MIB = 1 << 20
_FULL_HASH_LIMIT_BYTES = 1 << 30
_EDGE_BYTES = 16 * _MIB
_NUM_SAMPLES = 64
_SPLIT_NAME = re.compile(r"^(?P<stem>.+)-00001-of-(?P<count>\d{5})\.gguf$")


def check_header(path: Path) -> None:
    """Refuse a file that cannot be a model.

    Raises:
        ModelNotFoundError: there is no such file, or it may not be read.
        ModelLoadError: it is no GGUF file, too short, or its counts cannot be true.
    """
    try:
        if path.is_dir():
            raise ModelNotFoundError(f"{path} is a folder.", hint="Choose the .gguf file inside it.")
        size_bytes = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(_HEADER.size)
    except OSError as exc:
        reason = "does not exist" if isinstance(exc, FileNotFoundError) else "cannot be read"
        raise ModelNotFoundError(f"The model file {path} {reason}.", hint="Check the path.") from exc
    if head[:4] != _MAGIC:
        raise ModelLoadError(
            f"{path.name} is not a GGUF file.",
            hint="llama.cpp reads models in the GGUF format; download the GGUF edition of the model.",
        )
    if len(head) < _HEADER.size:
        raise _truncated(path)
    _, version, num_tensors, num_pairs = _HEADER.unpack(head)
    if version not in _VERSIONS:
        raise ModelLoadError(
            f"{path.name} has GGUF version {version}, which cannot be read.",
            hint="Versions 2 and 3 are supported; convert the model again.",
        )
    if num_tensors * _MIN_TENSOR_BYTES + num_pairs * _MIN_PAIR_BYTES > size_bytes:
        raise _truncated(path)


def _truncated(path: Path) -> ModelLoadError:
    return ModelLoadError(
        f"The model file {path.name} is damaged or incomplete.", hint="Download or copy it again."
    )


def fingerprint(path: Path) -> str:
    """Hash that identifies the weights, tokenizer and template in a model file.

    The SHA-256 of the whole file if it is smaller than 1 GiB. Hashing tens of gigabytes at every start would
    take minutes, so a larger one gives ``sampled:`` and the SHA-256 over its size (8 bytes, little endian),
    its first and last 16 MiB and 64 evenly spaced blocks of 1 MiB: another quantisation, fine-tune or
    template changes it, a forger who keeps those bytes does not. A model in several files has the SHA-256
    over the hashes of all its parts.

    Raises:
        ModelNotFoundError: a part cannot be read.
    """
    parts = _parts(path)
    try:
        hashes = [_fingerprint_one(part) for part in parts]
    except OSError as exc:
        raise ModelNotFoundError(
            f"A part of the model {path.name} cannot be read.", hint="All parts must lie in one folder."
        ) from exc
    if len(hashes) == 1:
        return hashes[0]
    prefix = "sampled:" if any(value.startswith("sampled:") for value in hashes) else ""
    return prefix + hashlib.sha256("\n".join(hashes).encode()).hexdigest()


def _parts(path: Path) -> list[Path]:
    match = _SPLIT_NAME.match(path.name)
    if match is None:
        return [path]
    stem, count = match["stem"], int(match["count"])
    return [path.with_name(f"{stem}-{number:05d}-of-{count:05d}.gguf") for number in range(1, count + 1)]


def _fingerprint_one(path: Path) -> str:
    with path.open("rb") as file:
        size_bytes = path.stat().st_size
        if size_bytes < _FULL_HASH_LIMIT_BYTES:
            return hashlib.file_digest(file, "sha256").hexdigest()
        digest = hashlib.sha256(size_bytes.to_bytes(8, "little"))
        digest.update(file.read(_EDGE_BYTES))
        file.seek(size_bytes - _EDGE_BYTES)
        digest.update(file.read(_EDGE_BYTES))
        for sample in range(_NUM_SAMPLES):
            file.seek((size_bytes - _MIB) * sample // (_NUM_SAMPLES - 1))
            digest.update(file.read(_MIB))
        return "sampled:" + digest.hexdigest()
