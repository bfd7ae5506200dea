"""A copy of a model that has learnt nothing: what a loop reaches by its grammar and by chance alone.

The copy has the model's shape, tokenizer, template and wording. In every matrix the weights are shuffled, so that
they keep their distribution and their precision and lose all order; what is one-dimensional (norms, biases) stays.
It works for every file type: quantised weights are shuffled by their blocks, which are valid wherever they stand.
"""

import hashlib
import math
import os
import shutil
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from engine.backends.gguf_file import check_header, fingerprint
from engine.errors import ModelLoadError
from engine.models.opening import SIDECAR_SUFFIX

_SCALARS = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_STRING, _ARRAY, _UINT32 = 8, 9, 4
_BLOCKS = {
    0: (1, 4),  # F32
    1: (1, 2),  # F16
    2: (32, 18),  # Q4_0
    3: (32, 20),  # Q4_1
    6: (32, 22),  # Q5_0
    7: (32, 24),  # Q5_1
    8: (32, 34),  # Q8_0
    10: (256, 84),  # Q2_K
    11: (256, 110),  # Q3_K
    12: (256, 144),  # Q4_K
    13: (256, 176),  # Q5_K
    14: (256, 210),  # Q6_K
    30: (1, 2),  # BF16
}
"""For ggml's types by number: weights and bytes of a block."""


@dataclass(frozen=True, slots=True)
class _Tensor:
    """A tensor's entry in the header: sizes, ggml type, offset in the data."""

    sizes: tuple[int, ...]
    kind: int
    offset: int


def write_untrained(model: Path, folder: Path, *, seed: int = 0) -> Path:
    """Write an untrained copy of a model, unless it is there.

    Args:
        model: a GGUF file.
        folder: where the copy goes, named after the model's fingerprint and the seed.
        seed: of the shuffling.

    Raises:
        engine.errors.ModelError: the file cannot be read, or holds weights of a type that is not known here.
    """
    check_header(model)
    name = hashlib.sha256(f"{fingerprint(model)}/{seed}".encode()).hexdigest()[:16]
    target = folder / f"untrained-{name}.gguf"
    if target.is_file():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_suffix(f".{os.getpid()}.tmp")
    try:
        shutil.copyfile(model, unfinished)
        with unfinished.open("r+b") as file:
            try:
                _shuffle_all(file, np.random.default_rng(seed))
            except (struct.error, KeyError, ValueError, UnicodeDecodeError) as exc:
                raise ModelLoadError(
                    f"No untrained copy of {model.name} can be made: its weights are of a type that is not known.",
                    hint="Compare with a file in F16, BF16, F32, Q8_0 or a K-quant.",
                ) from exc
        sidecar = model.with_name(model.stem + SIDECAR_SUFFIX)
        if sidecar.is_file():
            shutil.copyfile(sidecar, target.with_name(target.stem + SIDECAR_SUFFIX))
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)
    return target


def _shuffle_all(file: IO[bytes], rng: np.random.Generator) -> None:
    tensors, start = _read_header(file)
    for tensor in tensors:
        if len([size for size in tensor.sizes if size > 1]) < 2:
            continue
        weights, size_bytes = _BLOCKS[tensor.kind]
        num_blocks = math.prod(tensor.sizes) // weights
        file.seek(start + tensor.offset)
        data = file.read(num_blocks * size_bytes)
        blocks = np.frombuffer(data, dtype=np.uint8).reshape(num_blocks, size_bytes)
        file.seek(start + tensor.offset)
        file.write(rng.permutation(blocks, axis=0).tobytes())


def _read_header(file: IO[bytes]) -> tuple[list[_Tensor], int]:
    """All tensors, and where the data begins.

    Source: the GGUF specification, version 3 (ggml, docs/gguf.md).
    """
    _, _, num_tensors, num_pairs = struct.unpack("<4sIQQ", file.read(24))
    alignment = 32
    for _ in range(num_pairs):
        key = _read_string(file)
        kind = _read_int(file, "<I")
        if key == b"general.alignment" and kind == _UINT32:
            alignment = _read_int(file, "<I")
        else:
            _skip_value(file, kind)
    tensors = list(_read_tensors(file, num_tensors))
    return tensors, -(-file.tell() // alignment) * alignment


def _read_tensors(file: IO[bytes], count: int) -> Iterator[_Tensor]:
    for _ in range(count):
        _read_string(file)
        sizes = tuple(_read_int(file, "<Q") for _ in range(_read_int(file, "<I")))
        kind = _read_int(file, "<I")
        yield _Tensor(sizes, kind, _read_int(file, "<Q"))


def _skip_value(file: IO[bytes], kind: int) -> None:
    if kind == _STRING:
        _read_string(file)
    elif kind == _ARRAY:
        inner, count = _read_int(file, "<I"), _read_int(file, "<Q")
        if inner in _SCALARS:
            file.seek(count * _SCALARS[inner], 1)
        else:
            for _ in range(count):
                _skip_value(file, inner)
    else:
        file.seek(_SCALARS[kind], 1)


def _read_string(file: IO[bytes]) -> bytes:
    return file.read(_read_int(file, "<Q"))


def _read_int(file: IO[bytes], form: str) -> int:
    (value,) = struct.unpack(form, file.read(struct.calcsize(form)))
    return int(value)
