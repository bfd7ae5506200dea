"""The edge to llama.cpp's C interface: a context, whose KV cache holds several sequences side by side."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.backends.native import NativeModel, collected_errors, library
from engine.backends.wishes import KvType
from engine.cancel import Cancelled
from engine.errors import GenerationError, ModelLoadError

_ABORTED = 2
_NO_SLOT = 1

_KV_TYPES: dict[KvType, int] = {"f16": 1, "q8_0": 8}  # of enum ggml_type

Logits = np.ndarray[tuple[int], np.dtype[np.float32]]
"""Logits behind one token, [V]; a view that is valid until the next `compute`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextSettings:
    """How a context computes.

    Attributes:
        window_tokens: most tokens of one sequence.
        num_sequences: conversations that the cache can hold side by side.
        num_threads: threads that compute.
        batch_tokens: tokens that one call computes at most; a cancel waits for one call.
        is_unified: one pool of cells for all sequences, so that a prefix is shared without a copy and sequences of
            different lengths fill one batch, but attention runs over everybody's cells; else a cache for each.
        kv_type: type of keys and values in the cache.
        flash_attention: whether attention is computed block by block; quantised values need it.
        max_outputs: most tokens of one call whose logits are wanted.
    """

    window_tokens: int
    num_sequences: int = 1
    num_threads: int = 1
    batch_tokens: int = 512
    is_unified: bool = False
    kv_type: KvType = "f16"
    flash_attention: bool = True
    max_outputs: int = 1


@dataclass(frozen=True, slots=True)
class Piece:
    """Tokens to be computed behind what a sequence holds.

    Attributes:
        sequence: which one.
        ids: at least one.
        num_outputs: of the last so many tokens the logits are wanted.
    """

    sequence: int
    ids: Sequence[int]
    num_outputs: int = 1


class NativeContext:
    """The KV cache over a model, and the tokens that are in it, sequence by sequence.

    Args:
        model: stays alive until this context is freed.
        settings: see `ContextSettings`.

    Raises:
        ModelLoadError: there is no memory for the window.
    """

    def __init__(self, model: NativeModel, settings: ContextSettings) -> None:
        self._lib = library()
        self._model = model
        self.settings = settings
        self.cached: list[list[int]] = [[] for _ in range(settings.num_sequences)]
        self._should_abort: Callable[[], bool] = bool
        params = self._lib.llama_context_default_params()
        params.n_ctx = (settings.window_tokens * settings.num_sequences) % (1 << 32)
        params.n_batch = params.n_ubatch = settings.batch_tokens
        params.n_seq_max = settings.num_sequences
        params.kv_unified = settings.is_unified
        # Only so many rows of logits: the buffer for all would be [batch, vocabulary].
        params.n_outputs_max = settings.max_outputs
        params.n_threads = params.n_threads_batch = settings.num_threads
        params.type_k = params.type_v = _KV_TYPES[settings.kv_type]
        if not settings.flash_attention:
            params.flash_attn_type = self._lib.LLAMA_FLASH_ATTN_TYPE_DISABLED  # else llama.cpp finds out
        params.no_perf = True
        params.swa_full = True  # a sliding window that was cut to size cannot be rolled back to a prefix
        with collected_errors():
            # A size that C would cut to 32 bits must not become a small one.
            fits = settings.window_tokens * settings.num_sequences < 1 << 32
            self._pointer = fits and self._lib.llama_init_from_model(model.pointer, params)
        if not self._pointer:
            count = f", {settings.num_sequences} times" if settings.num_sequences > 1 else ""
            raise ModelLoadError(
                f"There is not enough memory for a context window of {settings.window_tokens} tokens{count}.",
                hint="Open the model with a smaller window.",
            )
        self._memory = self._lib.llama_get_memory(self._pointer)
        if not self._memory:
            self._lib.llama_free(self._pointer)
            raise ModelLoadError(
                "This model does not write text.", hint="Choose a model that is made for chat."
            )
        self._batch: Any = self._lib.llama_batch_init(settings.batch_tokens, 0, 1)
        self._fields = _BatchFields(self._batch, settings.batch_tokens)
        self._callback = self._lib.ggml_abort_callback(lambda _: self._should_abort())
        self._no_callback = self._lib.ggml_abort_callback()

    def keep_prefix(self, sequence: int, ids: Sequence[int]) -> int:
        """Roll a sequence back to what it shares with a prompt; the last token is always left to be computed.

        Returns:
            how many leading tokens need not be computed.
        """
        self.truncate(sequence, common_prefix(self.cached[sequence], list(ids[:-1])))
        return len(self.cached[sequence])

    def share_prefix(self, source: int, target: int, length: int) -> None:
        """Give the first tokens of one sequence to another one, which forgets its own."""
        self.truncate(target, 0)
        if self.settings.is_unified:
            self._lib.llama_memory_seq_cp(self._memory, source, target, 0, length)
            self.cached[target] = self.cached[source][:length]
        else:
            # Between caches of their own only whole sequences can be copied.
            self._lib.llama_memory_seq_cp(self._memory, source, target, -1, -1)
            self.cached[target] = list(self.cached[source])
            self.truncate(target, length)

    def truncate(self, sequence: int, length: int) -> None:
        """Keep the first tokens of a sequence only; a model that cannot forget partly forgets all of it."""
        held = self.cached[sequence]
        if length == len(held):
            return
        kept = self._lib.llama_memory_seq_rm(self._memory, sequence, length, -1)
        if kept and self._lib.llama_memory_seq_pos_max(self._memory, sequence) == length - 1:
            del held[length:]
        else:
            self._lib.llama_memory_seq_rm(self._memory, sequence, -1, -1)
            held.clear()

    def compute(self, pieces: Sequence[Piece], *, should_abort: Callable[[], bool] | None = None) -> None:
        """Compute tokens of different sequences in one call; afterwards `logits` has the rows that are wanted.

        Args:
            pieces: of different sequences, at most `batch_tokens` tokens in all.
            should_abort: asked between the operations of the model's graph, on the CPU only.

        Raises:
            Cancelled: `should_abort` said so; the cache holds what it held before.
            GenerationError: llama.cpp failed; the cache holds what it held before, or nothing.
        """
        before = [len(self.cached[piece.sequence]) for piece in pieces]
        self._fields.fill(pieces, before)
        if should_abort is not None:
            self._should_abort = should_abort
        self._lib.llama_set_abort_callback(
            self._pointer, self._callback if should_abort else self._no_callback, None
        )
        result: int = self._lib.llama_decode(self._pointer, self._batch)
        for piece in pieces:
            self.cached[piece.sequence].extend(piece.ids)
        if result == 0:
            return
        for piece, length in zip(pieces, before, strict=True):
            self.truncate(piece.sequence, length)
        if result == _ABORTED:
            raise Cancelled
        reason = "found no room in its cache" if result == _NO_SLOT else f"failed with code {result}"
        raise GenerationError(f"llama.cpp {reason}.", hint="The log at level DEBUG holds its reasons.")

    def logits(self, row: int) -> Logits:
        """Logits of the `row`-th output of the last `compute`, in the order of its pieces.

        Raises:
            GenerationError: they are no numbers.
        """
        pointer = self._lib.llama_get_logits_ith(self._pointer, self._fields.position_of(row))
        values: Logits = np.ctypeslib.as_array(pointer, (self._model.num_tokens,))
        if not np.isfinite(values.max()):
            raise GenerationError(
                "The model computes values that are no numbers.", hint="The model file may be damaged."
            )
        return values

    def free(self) -> None:
        """Give the memory back. A second call does nothing."""
        pointer, self._pointer = self._pointer, None
        if pointer:
            self._lib.llama_batch_free(self._batch)
            self._lib.llama_free(pointer)


class _BatchFields:
    """The arrays of a `llama_batch`, filled through numpy: token by token takes longer than small models compute."""

    def __init__(self, batch: Any, size: int) -> None:
        self._batch = batch
        self._token = np.ctypeslib.as_array(batch.token, (size,))
        self._pos = np.ctypeslib.as_array(batch.pos, (size,))
        self._wanted = np.ctypeslib.as_array(batch.logits, (size,))
        np.ctypeslib.as_array(batch.n_seq_id, (size,))[:] = 1
        self._seq_id = batch.seq_id
        self._sequence_of = [-1] * size
        self._outputs: list[int] = []

    def fill(self, pieces: Sequence[Piece], starts: Sequence[int]) -> None:
        """Lay out pieces one behind the other; each begins at its position in its sequence."""
        at = 0
        self._outputs = []
        for piece, start in zip(pieces, starts, strict=True):
            end = at + len(piece.ids)
            self._token[at:end] = piece.ids
            self._pos[at:end] = np.arange(start, start + len(piece.ids))
            first_output = end - piece.num_outputs
            self._wanted[at:first_output] = 0
            self._wanted[first_output:end] = 1
            self._outputs.extend(range(first_output, end))
            for index in range(at, end):
                if self._sequence_of[index] != piece.sequence:
                    self._seq_id[index][0] = self._sequence_of[index] = piece.sequence
            at = end
        self._batch.n_tokens = at

    def position_of(self, row: int) -> int:
        """Where in the batch the `row`-th output stands."""
        return self._outputs[row]


def common_prefix(left: Sequence[int], right: Sequence[int]) -> int:
    """Number of leading tokens that are equal, for two lists of one type.

    By halving, since comparing slices is a hundred times as fast as comparing tokens one by one.
    """
    known, limit = 0, min(len(left), len(right))
    if left[:limit] == right[:limit]:
        return limit
    while limit - known > 1:
        middle = (known + limit) // 2
        if left[known:middle] == right[known:middle]:
            known = middle
        else:
            limit = middle
    return known
