"""The edge to llama.cpp's C interface: a context with its KV cache, and samplers."""

import ctypes
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from engine.backends.base import Sampling
from engine.backends.native import NativeModel, collected_errors, library
from engine.cancel import Cancelled
from engine.errors import GenerationError, ModelLoadError

_SEQUENCE = 0
_ABORTED = 2
_NO_SLOT = 1
_CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])


class NativeContext:
    """One sequence's KV cache over a model, and the tokens that are in it.

    Args:
        model: stays alive until this context is freed.
        context_tokens: size of the window.
        num_threads: threads that compute.
        batch_tokens: tokens that one decode call gets; a cancel waits for one batch at most.

    Raises:
        ModelLoadError: there is no memory for the window.
    """

    def __init__(
        self, model: NativeModel, *, context_tokens: int, num_threads: int, batch_tokens: int = 512
    ) -> None:
        self._lib = library()
        self._model = model
        self.batch_tokens = min(batch_tokens, context_tokens)
        self.cached: list[int] = []
        self._should_abort: Callable[[], bool] = bool
        params = self._lib.llama_context_default_params()
        params.n_ctx = context_tokens
        params.n_batch = params.n_ubatch = self.batch_tokens
        params.n_seq_max = 1
        params.n_outputs_max = (
            1  # logits of the last token only: the buffer for all would be [batch, vocabulary]
        )
        params.n_threads = params.n_threads_batch = num_threads
        params.no_perf = True
        params.swa_full = True  # a sliding window that was cut to size cannot be rolled back to a prefix
        with collected_errors():
            self._pointer = self._lib.llama_init_from_model(model.pointer, params)
        if not self._pointer:
            raise ModelLoadError(
                f"There is not enough memory for a context window of {context_tokens} tokens.",
                hint="Open the model with a smaller window.",
            )
        self._memory = self._lib.llama_get_memory(self._pointer)
        if not self._memory:
            self._lib.llama_free(self._pointer)
            raise ModelLoadError(
                "This model does not write text.", hint="Choose a model that is made for chat."
            )
        self._batch: Any = self._lib.llama_batch_init(self.batch_tokens, 0, 1)
        self._callback = self._lib.ggml_abort_callback(lambda _: self._should_abort())
        self._no_callback = self._lib.ggml_abort_callback()

    def keep_prefix(self, ids: Sequence[int]) -> int:
        """Roll the cache back to what it shares with a prompt; the last token is always left to be computed.

        Returns:
            how many leading tokens need not be computed.
        """
        common = 0
        for have, want in zip(self.cached, ids[:-1], strict=False):
            if have != want:
                break
            common += 1
        self._truncate(common)
        return len(self.cached)

    def _truncate(self, length: int) -> None:
        """Keep the first tokens only; a model that cannot forget partly forgets all."""
        kept = self._lib.llama_memory_seq_rm(self._memory, _SEQUENCE, length, -1)
        last = self._lib.llama_memory_seq_pos_max(self._memory, _SEQUENCE)
        if kept and last == length - 1:
            del self.cached[length:]
        else:
            self._lib.llama_memory_clear(self._memory, False)
            self.cached.clear()

    def decode(self, ids: Sequence[int], *, should_abort: Callable[[], bool] | None = None) -> None:
        """Compute tokens behind those in the cache; afterwards the logits of the last one can be sampled.

        Args:
            ids: at most `batch_tokens` of them, at least one.
            should_abort: asked between the operations of the model's graph, on the CPU only.

        Raises:
            Cancelled: `should_abort` said so; the cache holds what it held before.
            GenerationError: llama.cpp failed; the cache holds what it held before, or nothing.
        """
        count, start = len(ids), len(self.cached)
        batch = self._batch
        batch.n_tokens = count
        for index, token_id in enumerate(ids):
            batch.token[index] = token_id
            batch.pos[index] = start + index
            batch.n_seq_id[index] = 1
            batch.seq_id[index][0] = _SEQUENCE
            batch.logits[index] = index == count - 1
        if should_abort is not None:
            self._should_abort = should_abort
        self._lib.llama_set_abort_callback(
            self._pointer, self._callback if should_abort else self._no_callback, None
        )
        result: int = self._lib.llama_decode(self._pointer, batch)
        if result == 0:
            self.cached.extend(ids)
            return
        self._truncate(start)
        if result == _ABORTED:
            raise Cancelled
        reason = "found no room in its cache" if result == _NO_SLOT else f"failed with code {result}"
        raise GenerationError(f"llama.cpp {reason}.", hint="The log at level DEBUG holds its reasons.")

    def logits(self) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
        """Logits behind the last token, [V]; valid until the next `decode`.

        Raises:
            GenerationError: they are no numbers.
        """
        pointer = self._lib.llama_get_logits_ith(self._pointer, -1)
        values: np.ndarray[tuple[int], np.dtype[np.float32]] = np.ctypeslib.as_array(
            pointer, (self._model.num_tokens,)
        )
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


class NativeSampler:
    """Draws tokens, at most one request long.

    The grammar is asked about the token that was drawn without it, and only if it refuses, all tokens are put
    to it and another one is drawn: checking a whole vocabulary at every step costs more than the model's own
    computing for small models. Without top-k and top-p the distribution is the same as if the grammar had
    come first.

    Temperature comes before top-k and top-p, as in servers and in training; llama.cpp's own programs have it
    last.

    Raises:
        GenerationError: llama.cpp refuses the grammar.
    """

    def __init__(self, model: NativeModel, sampling: Sampling, grammar: str | None) -> None:
        self._lib = lib = library()
        self._model = model
        self._grammar: Any = None
        if grammar is not None:
            self._grammar = lib.llama_sampler_init_grammar(model.vocabulary, grammar.encode(), b"root")
            if not self._grammar:
                raise GenerationError("llama.cpp refuses the grammar of a reply.")
        self._chain = lib.llama_sampler_chain_init(lib.llama_sampler_chain_default_params())
        for sampler in self._samplers(sampling):
            lib.llama_sampler_chain_add(self._chain, sampler)

    def _samplers(self, sampling: Sampling) -> list[Any]:
        lib = self._lib
        if sampling.temperature == 0:
            return [lib.llama_sampler_init_greedy()]
        samplers = [lib.llama_sampler_init_temp(sampling.temperature)]
        if sampling.top_k > 0:
            samplers.append(lib.llama_sampler_init_top_k(sampling.top_k))
        if sampling.top_p < 1:
            samplers.append(lib.llama_sampler_init_top_p(sampling.top_p, 1))
        # 0xFFFFFFFF asks llama.cpp for a random seed.
        samplers.append(lib.llama_sampler_init_dist(sampling.seed % 0xFFFFFFFF))
        return samplers

    def draw(self, context: NativeContext) -> int:
        """The next token.

        Raises:
            GenerationError: no token fits the grammar, or the logits are no numbers.
        """
        logits = context.logits()
        token_id = self._pick(self._candidates(logits))
        if self._grammar is None:
            return token_id
        if not self._allows(token_id):
            token_id = self._draw_allowed(logits)
        self._lib.llama_sampler_accept(self._grammar, token_id)
        return token_id

    def _draw_allowed(self, logits: np.ndarray[tuple[int], np.dtype[np.float32]]) -> int:
        candidates = self._candidates(logits)
        self._apply(self._grammar, candidates)
        allowed = candidates[np.isfinite(candidates["logit"])]
        # llama.cpp ends the process if it is made to accept a token that its grammar refuses.
        if not len(allowed):
            raise GenerationError("No token of the model fits the grammar of its reply.")
        return self._pick(allowed)

    def _allows(self, token_id: int) -> bool:
        candidates = np.array([(token_id, 0.0, 0.0)], _CANDIDATE)
        self._apply(self._grammar, candidates)
        return bool(np.isfinite(candidates["logit"][0]))

    def _pick(self, candidates: np.ndarray[Any, Any]) -> int:
        array = self._apply(self._chain, candidates)
        return int(array.data[array.selected].id)

    def _candidates(self, logits: np.ndarray[tuple[int], np.dtype[np.float32]]) -> np.ndarray[Any, Any]:
        candidates = np.zeros(len(logits), _CANDIDATE)
        candidates["id"] = np.arange(len(logits), dtype=np.int32)
        candidates["logit"] = logits
        return candidates

    def _apply(self, sampler: Any, candidates: np.ndarray[Any, Any]) -> Any:
        lib = self._lib
        array = lib.llama_token_data_array(
            data=candidates.ctypes.data_as(lib.llama_token_data_p),
            size=len(candidates),
            selected=-1,
            sorted=False,
        )
        lib.llama_sampler_apply(sampler, ctypes.byref(array))
        return array

    def free(self) -> None:
        """Give the memory back. A second call does nothing."""
        chain, self._chain = self._chain, None
        if chain:
            self._lib.llama_sampler_free(chain)
        grammar, self._grammar = self._grammar, None
        if grammar:
            self._lib.llama_sampler_free(grammar)
