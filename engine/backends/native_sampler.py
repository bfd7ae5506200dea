"""The edge to llama.cpp's C interface: samplers and grammars."""

import ctypes
from collections import OrderedDict
from typing import Any

import numpy as np

from engine.backends.base import Sampling
from engine.backends.native import NativeModel, library
from engine.backends.native_context import Logits
from engine.errors import GenerationError

CLOSE_CALL = 1e-3
"""Two logits nearer to each other than this may change places with the shape of a batch."""

_CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])
_MAX_GRAMMARS = 64

_Candidates = np.ndarray[Any, Any]


class GrammarCache:
    """Parsed grammars, to be cloned for each reply: the same few come again chunk after chunk."""

    def __init__(self, model: NativeModel) -> None:
        self._lib = library()
        self._model = model
        self._parsed: OrderedDict[str, Any] = OrderedDict()

    def new(self, source: str) -> Any:
        """A grammar sampler in its first state; the caller frees it.

        Raises:
            GenerationError: llama.cpp refuses the grammar.
        """
        parsed = self._parsed.get(source)
        if parsed is None:
            parsed = self._lib.llama_sampler_init_grammar(self._model.vocabulary, source.encode(), b"root")
            if not parsed:
                raise GenerationError("llama.cpp refuses the grammar of a reply.")
            self._parsed[source] = parsed
            if len(self._parsed) > _MAX_GRAMMARS:
                self._lib.llama_sampler_free(self._parsed.popitem(last=False)[1])
        self._parsed.move_to_end(source)
        return self._lib.llama_sampler_clone(parsed)

    def free(self) -> None:
        """Give the memory back."""
        while self._parsed:
            self._lib.llama_sampler_free(self._parsed.popitem()[1])


class NativeSampler:
    """Draws the tokens of one reply.

    The grammar is asked about the token that was drawn without it, and only if it refuses, all tokens are put
    to it and another one is drawn: checking a whole vocabulary at every step costs more than the model's own
    computing for small models. Without top-k and top-p the distribution is the same as if the grammar had
    come first.

    Temperature comes before top-k and top-p, as in servers and in training; llama.cpp's own programs have it
    last.

    Args:
        sampling: how tokens are drawn.
        grammar: what `GrammarCache.new` made, freed with this sampler; None = free.

    Attributes:
        num_close_calls: greedy draws whose two best logits were nearer than `CLOSE_CALL`.
    """

    def __init__(self, sampling: Sampling, grammar: Any = None) -> None:
        self._lib = library()
        self._grammar = grammar
        self._chain = None if sampling.temperature == 0 else self._make_chain(sampling)
        self.num_close_calls = 0

    def _make_chain(self, sampling: Sampling) -> Any:
        lib = self._lib
        samplers = [lib.llama_sampler_init_temp(sampling.temperature)]
        if sampling.top_k > 0:
            samplers.append(lib.llama_sampler_init_top_k(sampling.top_k))
        if sampling.top_p < 1:
            samplers.append(lib.llama_sampler_init_top_p(sampling.top_p, 1))
        # 0xFFFFFFFF asks llama.cpp for a random seed.
        samplers.append(lib.llama_sampler_init_dist(sampling.seed % 0xFFFFFFFF))
        chain = lib.llama_sampler_chain_init(lib.llama_sampler_chain_default_params())
        for sampler in samplers:
            lib.llama_sampler_chain_add(chain, sampler)
        return chain

    def draw(self, logits: Logits) -> int:
        """The next token.

        Raises:
            GenerationError: no token fits the grammar.
        """
        token_id = self._greedy(logits) if self._chain is None else self._pick(_candidates(logits))
        if self._grammar is None:
            return token_id
        if not self._allows(token_id):
            token_id = self._draw_allowed(logits)
        self._lib.llama_sampler_accept(self._grammar, token_id)
        return token_id

    def _greedy(self, logits: Logits) -> int:
        best = int(logits.argmax())
        if np.count_nonzero(logits > logits[best] - CLOSE_CALL) > 1:
            self.num_close_calls += 1
        return best

    def _draw_allowed(self, logits: Logits) -> int:
        candidates = _candidates(logits)
        self._apply(self._grammar, candidates)
        allowed = candidates[np.isfinite(candidates["logit"])]
        # llama.cpp ends the process if it is made to accept a token that its grammar refuses.
        if not len(allowed):
            raise GenerationError("No token of the model fits the grammar of its reply.")
        if self._chain is None:
            return int(allowed["id"][self._greedy(allowed["logit"])])
        return self._pick(allowed)

    def _allows(self, token_id: int) -> bool:
        candidates = np.array([(token_id, 0.0, 0.0)], _CANDIDATE)
        self._apply(self._grammar, candidates)
        return bool(np.isfinite(candidates["logit"][0]))

    def _pick(self, candidates: _Candidates) -> int:
        array = self._apply(self._chain, candidates)
        return int(array.data[array.selected].id)

    def _apply(self, sampler: Any, candidates: _Candidates) -> Any:
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


def _candidates(logits: Logits) -> _Candidates:
    candidates = np.zeros(len(logits), _CANDIDATE)
    candidates["id"] = np.arange(len(logits), dtype=np.int32)
    candidates["logit"] = logits
    return candidates
