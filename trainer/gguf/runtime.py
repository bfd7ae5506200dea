"""llama.cpp's side of the comparison: token ids and logits of a file, on the processor.

Keys and values are cached in F32 and flash attention is off: the gate measures the file, not the settings that it may
be read with later.
"""

import ctypes
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import psutil

from engine.backends.native import NativeModel, collected_errors, library
from engine.errors import ModelLoadError
from trainer.gguf.safetensors_file import Floats

BLOCK_TOKENS = 64
"""Tokens of one call; logits of more would be large: [64, V]."""

_F32 = 0  # of enum ggml_type


def idle_threads() -> int:
    """Cores less one: llama.cpp's threads spin while they wait, and starve each other where somebody else computes."""
    return max(1, (psutil.cpu_count(logical=False) or 2) - 1)


class ModelFile:
    """A GGUF file, opened for comparison; a context manager.

    Args:
        path: the file.
        window_tokens: longest text.
        adapter: a GGUF adapter to apply.
        num_threads: threads that compute; None = one a core, and one core is left to others.

    Raises:
        ModelLoadError: llama.cpp refuses one of the files.
    """

    def __init__(
        self, path: Path, *, window_tokens: int, adapter: Path | None = None, num_threads: int | None = None
    ) -> None:
        self._lib: Any = library()
        self._model = NativeModel(path, num_gpu_layers=0)
        self._vocab = self._model.vocabulary
        self._context: Any = None
        self._adapter: Any = None
        try:
            self._open(window_tokens, num_threads or idle_threads())
            if adapter is not None:
                self._apply(adapter)
        except BaseException:
            self.close()
            raise

    def _open(self, window_tokens: int, num_threads: int) -> None:
        params = self._lib.llama_context_default_params()
        params.n_ctx = window_tokens
        params.n_batch = params.n_ubatch = BLOCK_TOKENS
        params.n_threads = params.n_threads_batch = num_threads
        params.type_k = params.type_v = _F32
        params.flash_attn_type = 0
        params.n_seq_max = 2
        params.kv_unified = True
        params.no_perf = True
        with collected_errors() as errors:
            self._context = self._lib.llama_init_from_model(self._model.pointer, params)
            if not self._context:
                raise ModelLoadError(
                    "llama.cpp cannot open the written file.", hint="; ".join(list(errors)[-2:])
                )
        self._memory = self._lib.llama_get_memory(self._context)

    def _apply(self, adapter: Path) -> None:
        with collected_errors() as errors:
            self._adapter = self._lib.llama_adapter_lora_init(self._model.pointer, os.fsencode(adapter))
            if not self._adapter:
                raise ModelLoadError(
                    "llama.cpp cannot load the written adapter.", hint="; ".join(list(errors)[-2:])
                )
        adapters = (self._lib.llama_adapter_lora_p_ctypes * 1)(self._adapter)
        scales = (ctypes.c_float * 1)(1.0)
        if self._lib.llama_set_adapters_lora(self._context, adapters, 1, scales) != 0:
            raise ModelLoadError("llama.cpp cannot apply the written adapter.")

    def ids(self, text: str, *, parse_special: bool = False, add_special: bool = False) -> list[int]:
        """Ids of a text.

        Args:
            text: any text.
            parse_special: whether special tokens in it are taken as such.
            add_special: whether begin and end are added where the file says so.
        """
        data = text.encode()
        capacity = len(data) + 16
        buffer = (self._lib.llama_token * capacity)()
        count: int = self._lib.llama_tokenize(
            self._vocab, data, len(data), buffer, capacity, add_special, parse_special
        )
        if count < 0:
            raise ValueError("llama.cpp made more ids than bytes")
        return list(buffer[:count])

    def ends_turn(self, token_id: int) -> bool:
        """Whether llama.cpp stops at this token."""
        return self._model.ends_turn(token_id)

    def logits(self, ids: Sequence[int]) -> Iterator[tuple[slice, Floats]]:
        """Logits behind every token of a text in blocks, [T, V], with the positions that each holds."""
        self._lib.llama_memory_clear(self._memory, True)
        yield from self._decode(ids, 0)

    def far_logits(self, near: Sequence[int], far: Sequence[int], gap: int) -> Iterator[tuple[slice, Floats]]:
        """Logits behind the tokens of `far` but its first, which stand `gap` positions behind those of `near`.

        llama.cpp lets no sequence leave out positions, but one may begin anywhere. So the first token of `far`
        begins a second sequence, alone; then that sequence is given the cells of `near` too, and goes on. The gap
        costs nothing.

        Returns:
            blocks [T, V], with the places in `far` that each holds.
        """
        self._lib.llama_memory_clear(self._memory, True)
        position = len(near) + gap
        for _ in self._decode(near, 0):
            pass
        for _ in self._decode(far[:1], position, sequence=1):
            pass
        self._lib.llama_memory_seq_cp(self._memory, 0, 1, 0, len(near))
        for rows, values in self._decode(far[1:], position + 1, sequence=1):
            yield slice(rows.start + 1, rows.stop + 1), values

    def _decode(
        self, ids: Sequence[int], first_position: int, sequence: int = 0
    ) -> Iterator[tuple[slice, Floats]]:
        for start in range(0, len(ids), BLOCK_TOKENS):
            block = ids[start : start + BLOCK_TOKENS]
            batch = self._lib.llama_batch_init(len(block), 0, 1)
            try:
                batch.n_tokens = len(block)
                for index, token in enumerate(block):
                    batch.token[index] = token
                    batch.pos[index] = first_position + start + index
                    batch.n_seq_id[index] = 1
                    batch.seq_id[index][0] = sequence
                    batch.logits[index] = True
                with collected_errors() as errors:
                    code = self._lib.llama_decode(self._context, batch)
                    if code != 0:
                        raise ModelLoadError(
                            f"llama.cpp cannot compute the written file (code {code}).",
                            hint="; ".join(list(errors)[-2:]),
                        )
            finally:
                self._lib.llama_batch_free(batch)
            size = self._model.num_tokens
            values = np.ctypeslib.as_array(self._lib.llama_get_logits(self._context), (len(block), size))
            yield slice(start, start + len(block)), np.array(values, dtype=np.float32)

    def close(self) -> None:
        """Give the memory back."""
        if self._context:
            self._lib.llama_free(self._context)
            self._context = None
        if self._adapter:
            self._lib.llama_adapter_lora_free(self._adapter)
            self._adapter = None
        self._model.free()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
