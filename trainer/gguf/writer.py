"""Writes a checkpoint as a GGUF file, tensor by tensor: memory is bounded by the largest tensor, not by the model."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import gguf
import numpy as np

from engine.errors import CheckpointError, UnsupportedCheckpointError
from trainer.gguf.architecture import Architecture, add_architecture, read_architecture
from trainer.gguf.checkpoint import Checkpoint
from trainer.gguf.lora import Adapter, LowRank
from trainer.gguf.rope import frequency_factors
from trainer.gguf.safetensors_file import Array, Floats, TensorEntry
from trainer.gguf.tensors import Target, check_tensors, list_targets, permute_rows
from trainer.gguf.vocabulary import Vocabulary, add_vocabulary, read_vocabulary

Progress = Callable[[int, int], None]
"""Is told how many bytes of how many are done."""

ROPE_FACTORS = "rope_freqs.weight"


class FloatType(StrEnum):
    """Types of weights that are written directly."""

    F32 = "f32"
    F16 = "f16"
    BF16 = "bf16"


_FILE_TYPES = {
    FloatType.F32: gguf.LlamaFileType.ALL_F32,
    FloatType.F16: gguf.LlamaFileType.MOSTLY_F16,
    FloatType.BF16: gguf.LlamaFileType.MOSTLY_BF16,
}
_TENSOR_TYPES: dict[FloatType, tuple[gguf.GGMLQuantizationType, np.dtype[Any]]] = {
    FloatType.F32: (gguf.GGMLQuantizationType.F32, np.dtype(np.float32)),
    FloatType.F16: (gguf.GGMLQuantizationType.F16, np.dtype(np.float16)),
    FloatType.BF16: (gguf.GGMLQuantizationType.BF16, np.dtype(np.uint16)),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FileInfo:
    """What a file says of itself beyond shape and tokenizer.

    Attributes:
        name: of the model.
        version: of the model.
        description: one sentence.
        license: identifier of its licence.
        languages: codes.
        fields: further metadata by its key.
    """

    name: str
    version: str | None = None
    description: str | None = None
    license: str | None = None
    languages: tuple[str, ...] = ()
    fields: Mapping[str, str | int | tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A checkpoint, checked as a whole, and what is to be merged into it.

    Attributes:
        checkpoint: the checkpoint.
        shape: its sizes.
        vocabulary: its tokenizer.
        targets: the tensors of the file.
        adapter: is merged while writing.
    """

    checkpoint: Checkpoint
    shape: Architecture
    vocabulary: Vocabulary
    targets: tuple[Target, ...]
    adapter: Adapter | None = None

    def size_bytes(self, kind: FloatType) -> int:
        """Bytes of all tensors in a file of this type; metadata comes on top."""
        matrix = _TENSOR_TYPES[kind][1].itemsize
        return sum((matrix if one.is_matrix else 4) * int(np.prod(one.shape)) for one in self.targets)


def read_source(checkpoint: Checkpoint) -> Source:
    """Check everything of a checkpoint that can be checked before writing.

    Raises:
        CheckpointError: files contradict each other or are damaged.
        UnsupportedCheckpointError: the model or its tokenizer is of a kind that cannot be written.
    """
    shape = read_architecture(checkpoint.config)
    targets = list_targets(shape)
    check_tensors(targets, checkpoint.tensors, shape)
    vocabulary = read_vocabulary(checkpoint, shape.vocabulary)
    return Source(checkpoint=checkpoint, shape=shape, vocabulary=vocabulary, targets=tuple(targets))


def write_model(
    path: Path, source: Source, kind: FloatType, info: FileInfo, progress: Progress | None = None
) -> None:
    """Write a model.

    Raises:
        CheckpointError: weights cannot be read or are not finite.
        UnsupportedCheckpointError: a weight does not fit into the type.
        OSError: the file cannot be written.
    """
    writer = gguf.GGUFWriter(str(path), source.shape.family.name)
    try:
        _add_metadata(writer, source, kind, info)
        factors = frequency_factors(source.shape.rope, source.shape.head_size)
        if factors is not None:
            writer.add_tensor_info(ROPE_FACTORS, factors.shape, factors.dtype, factors.nbytes)
        for target in source.targets:
            _announce(writer, target, kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        if factors is not None:
            writer.write_tensor_data(factors)
        done, total = 0, source.size_bytes(kind)
        for target in source.targets:
            part = source.adapter.parts.get(target.source) if source.adapter else None
            values = _convert(source.checkpoint.tensors[target.source], target, kind, part)
            writer.write_tensor_data(values)
            done += values.nbytes
            if progress is not None:
                progress(done, total)
    finally:
        writer.close()


def _announce(writer: gguf.GGUFWriter, target: Target, kind: FloatType) -> None:
    raw, dtype = _TENSOR_TYPES[kind if target.is_matrix else FloatType.F32]
    size_bytes = int(np.prod(target.shape)) * dtype.itemsize
    writer.add_tensor_info(target.name, target.shape, dtype, size_bytes, raw_dtype=raw)


def _convert(entry: TensorEntry, target: Target, kind: FloatType, part: LowRank | None) -> Array:
    kind = kind if target.is_matrix else FloatType.F32
    out = np.empty(target.shape, _TENSOR_TYPES[kind][1])
    for rows, block in entry.rows():
        values = block if part is None else block + part.delta(rows)
        if not np.isfinite(values).all():
            raise CheckpointError(
                f"{target.source} holds values that are not finite.", hint="The training run has diverged."
            )
        out[rows if target.is_matrix else slice(None)] = _cast(values, target, kind)
    if target.permuted_heads is not None:
        out = permute_rows(out, target.permuted_heads)
    return np.ascontiguousarray(out)


def _cast(values: Floats, target: Target, kind: FloatType) -> Array:
    if kind is FloatType.F32:
        return values
    if kind is FloatType.BF16:
        packed = gguf.quants.quantize(values, gguf.GGMLQuantizationType.BF16)
        return np.ascontiguousarray(packed).view(np.uint16).reshape(values.shape)
    with np.errstate(over="ignore"):
        halves = values.astype(np.float16)
    if not np.isfinite(halves).all():
        raise UnsupportedCheckpointError(
            f"{target.source} holds values beyond 65504, which F16 cannot hold.",
            hint="Use --type bf16 or f32.",
        )
    return halves


def _add_metadata(writer: gguf.GGUFWriter, source: Source, kind: FloatType, info: FileInfo) -> None:
    writer.add_type(gguf.GGUFType.MODEL)
    writer.add_name(info.name)
    if info.version is not None:
        writer.add_version(info.version)
    if info.description is not None:
        writer.add_description(info.description)
    if info.license is not None:
        writer.add_license(info.license)
    if info.languages:
        writer.add_languages(list(info.languages))
    writer.add_file_type(_FILE_TYPES[kind])
    add_architecture(writer, source.shape)
    add_vocabulary(writer, source.vocabulary)
    for key, value in info.fields.items():
        if isinstance(value, str):
            writer.add_string(key, value)
        elif isinstance(value, int):
            writer.add_uint32(key, value)
        else:
            writer.add_array(key, list(value))
