"""Reads a safetensors file row by row.

The format is a length (8 bytes, little endian), a JSON header and the data. It is read here and not with the
safetensors library because that maps the file: a model's pages would count as our memory while it is written, and
numpy has no bfloat16. The parity gate reads the same file with the library, so a mistake here is seen there.
"""

import itertools
import json
import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import CheckpointError, UnsupportedCheckpointError

Array = NDArray[Any]
Floats = NDArray[np.float32]

_DTYPES: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "F16": np.dtype("<f2"), "BF16": np.dtype("<u2")}
_MAX_HEADER_BYTES = 100_000_000  # the limit of the format's own library
_MAX_DIMENSIONS = 4
_BLOCK_BYTES = 16 << 20
_COPY_AGAIN = "Download or copy the file again."


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorEntry:
    """Where a tensor lies.

    Attributes:
        name: as in the checkpoint.
        path: its file.
        dtype: ``F32``, ``F16`` or ``BF16``.
        shape: sizes, outermost first.
        start_byte: offset of its first byte in the file.
    """

    name: str
    path: Path
    dtype: str
    shape: tuple[int, ...]
    start_byte: int

    @property
    def num_values(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    @property
    def size_bytes(self) -> int:
        """Bytes in the file."""
        return self.num_values * _DTYPES[self.dtype].itemsize

    def rows(self) -> Iterator[tuple[slice, Floats]]:
        """Blocks of rows as F32, [R, ...], with the rows that each holds; a vector is one block.

        Raises:
            CheckpointError: the file shrank or cannot be read.
        """
        num_rows = self.shape[0] if len(self.shape) > 1 else 1
        row_values = max(self.num_values // max(num_rows, 1), 1)
        step = max(1, _BLOCK_BYTES // (row_values * _DTYPES[self.dtype].itemsize))
        try:
            with self.path.open("rb") as file:
                file.seek(self.start_byte)
                for first in range(0, num_rows, step):
                    last = min(first + step, num_rows)
                    block = _floats(
                        file.read((last - first) * row_values * _itemsize(self.dtype)), self.dtype
                    )
                    if block.size != (last - first) * row_values:
                        raise CheckpointError(
                            f"{self.path.name} ends in the middle of {self.name}.", hint=_COPY_AGAIN
                        )
                    shape = self.shape if len(self.shape) < 2 else (last - first, *self.shape[1:])
                    yield slice(first, last), block.reshape(shape)
        except OSError as exc:
            raise CheckpointError(f"{self.path.name} cannot be read.", hint="Check the disk.") from exc

    def read(self) -> Floats:
        """The whole tensor as F32, in memory of its own."""
        return np.concatenate([block for _, block in self.rows()])


def _itemsize(dtype: str) -> int:
    return _DTYPES[dtype].itemsize


def _floats(data: bytes, dtype: str) -> Floats:
    usable = len(data) - len(data) % _itemsize(dtype)
    values = np.frombuffer(data[:usable], dtype=_DTYPES[dtype])
    if dtype == "BF16":
        # bfloat16 is the upper half of a float.
        widened: Floats = (values.astype(np.uint32) << 16).view(np.float32)
        return widened
    return np.asarray(values, dtype=np.float32)


def read_entries(path: Path) -> dict[str, TensorEntry]:
    """The table of contents of a safetensors file.

    Raises:
        CheckpointError: the file is missing or damaged.
        UnsupportedCheckpointError: it holds weights that are no floats of 16 or 32 bits.
    """
    try:
        with path.open("rb") as file:
            size_bytes = path.stat().st_size
            length = file.read(8)
            header_bytes = struct.unpack("<Q", length)[0] if len(length) == 8 else 0
            if not 2 <= header_bytes <= min(_MAX_HEADER_BYTES, size_bytes - 8):
                raise CheckpointError(f"{path.name} is no safetensors file.", hint=_COPY_AGAIN)
            header = json.loads(file.read(header_bytes))
    except OSError as exc:
        raise CheckpointError(
            f"{path.name} is missing or cannot be read.", hint="All parts of the checkpoint must lie in it."
        ) from exc
    except (ValueError, RecursionError) as exc:
        raise CheckpointError(f"The header of {path.name} is damaged.", hint=_COPY_AGAIN) from exc
    if not isinstance(header, dict):
        raise CheckpointError(f"The header of {path.name} is damaged.", hint=_COPY_AGAIN)
    data_start = 8 + header_bytes
    entries = {
        name: _entry(name, value, path, data_start, size_bytes)
        for name, value in header.items()
        if name != "__metadata__"
    }
    _check_disjoint(list(entries.values()), path)
    return entries


def _entry(name: str, value: object, path: Path, data_start: int, size_bytes: int) -> TensorEntry:
    fields = value if isinstance(value, dict) else {}
    dtype, shape, offsets = (
        fields.get("dtype"),
        _counts(fields.get("shape")),
        _counts(fields.get("data_offsets")),
    )
    damaged = CheckpointError(f"The header of {path.name} is damaged at {name[:80]}.", hint=_COPY_AGAIN)
    if shape is None or offsets is None or len(offsets) != 2 or len(shape) > _MAX_DIMENSIONS:
        raise damaged
    if not isinstance(dtype, str) or dtype not in _DTYPES:
        raise UnsupportedCheckpointError(
            f"The tensor {name[:80]} has the type {str(dtype)[:20]}; F32, F16 and BF16 can be read.",
            hint="Use the checkpoint before it was quantised.",
        )
    entry = TensorEntry(name=name, path=path, dtype=dtype, shape=shape, start_byte=data_start + offsets[0])
    if offsets[1] - offsets[0] != entry.size_bytes or data_start + offsets[1] > size_bytes:
        raise damaged
    return entry


def _counts(value: object) -> tuple[int, ...] | None:
    """A list of counts; None if it is none."""
    if not isinstance(value, list):
        return None
    counts = tuple(one for one in value if type(one) is int and 0 <= one < 1 << 48)
    return counts if len(counts) == len(value) else None


def _check_disjoint(entries: list[TensorEntry], path: Path) -> None:
    entries.sort(key=lambda entry: entry.start_byte)
    for one, other in itertools.pairwise(entries):
        if one.start_byte + one.size_bytes > other.start_byte:
            raise CheckpointError(f"Tensors of {path.name} overlap.", hint=_COPY_AGAIN)
