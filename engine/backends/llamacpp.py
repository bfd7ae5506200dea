"""llama.cpp as a `Backend`: a GGUF file, read in this process.

Prompts are encoded and checked for a whole batch first, then completed one after the other in one sequence.
The KV cache of a request stays, and the next request computes only what differs from it: instructions,
question and an unchanged memory are the same for every chunk.
"""

import codecs
import logging
import threading
import time
import weakref
from collections.abc import Sequence
from pathlib import Path

import psutil

from engine.backends import gbnf
from engine.backends.base import Completion, FinishReason, ModelInfo, OnToken, Prompt, Request, check_window
from engine.backends.chat_template import ChatTemplate
from engine.backends.gguf_file import check_header, fingerprint
from engine.backends.native import NativeModel
from engine.backends.native_context import NativeContext, NativeSampler
from engine.backends.tokenization import PromptTokenizer
from engine.cancel import CancelToken
from engine.errors import TemplateError

logger = logging.getLogger(__name__)

_DEFAULT_CONTEXT_TOKENS = 8192
_MAX_METADATA_NUMBER = 1 << 24


class LlamaCppBackend:
    """A GGUF model in memory. One thread at a time generates; others wait.

    Args:
        path: the GGUF file; of a model in several files the first.
        context_tokens: window for prompt and reply; None = what the model was trained for, at most 8,192.
        num_threads: threads that compute; None = physical cores.
        num_gpu_layers: layers on the GPU; None = all if llama.cpp was built for one, else none.
        batch_tokens: prompt tokens computed in one call; where llama.cpp cannot be interrupted (on a GPU) a
            cancel waits for one such batch.
        chat_template: Jinja source to be used instead of the file's own.

    Raises:
        ModelNotFoundError: there is no such file.
        ModelLoadError: it cannot be loaded.
        TemplateError: it has no chat template, or one that is not valid.
    """

    def __init__(
        self,
        path: Path,
        *,
        context_tokens: int | None = None,
        num_threads: int | None = None,
        num_gpu_layers: int | None = None,
        batch_tokens: int = 512,
        chat_template: str | None = None,
    ) -> None:
        check_header(path)
        identity = fingerprint(path)
        model = NativeModel(path, num_gpu_layers=num_gpu_layers)
        # Freed by close(), else when nobody holds the backend any more or the interpreter ends.
        self._free_model = weakref.finalize(self, model.free)
        try:
            template = self._template(path, model, chat_template)
            if context_tokens is None:
                context_tokens = min(model.trained_context_tokens, _DEFAULT_CONTEXT_TOKENS)
            elif context_tokens > model.trained_context_tokens:
                logger.warning(
                    "window of %d tokens, but the model was trained for %d",
                    context_tokens,
                    model.trained_context_tokens,
                )
            context = NativeContext(
                model,
                context_tokens=context_tokens,
                num_threads=num_threads or psutil.cpu_count(logical=False) or 1,
                batch_tokens=batch_tokens,
            )
        except BaseException:
            self._free_model()
            raise
        self._free_context = weakref.finalize(self, context.free)
        self._model, self._context, self._chat = model, context, template
        self._tokenizer = PromptTokenizer(model)
        self._lock = threading.RLock()
        self._is_generating = False
        self._info = ModelInfo(
            name=model.metadata("general.name") or path.stem,
            fingerprint=identity,
            context_tokens=context_tokens,
            backend="llama.cpp",
            prompt_set=model.metadata("palimpsest.prompt_set"),
            chunk_tokens=_number(model.metadata("palimpsest.chunk_tokens")),
            memory_tokens=_number(model.metadata("palimpsest.memory_tokens")),
        )

    @staticmethod
    def _template(path: Path, model: NativeModel, override: str | None) -> ChatTemplate:
        source = override or model.metadata("tokenizer.chat_template")
        if not source:
            raise TemplateError(
                f"{path.name} has no chat template, so it was probably not made to follow instructions.",
                hint="Choose the instruction or chat edition of the model.",
            )
        return ChatTemplate(source, bos_token=model.bos_text, eos_token=model.eos_text)

    @property
    def info(self) -> ModelInfo:
        """What this model is."""
        return self._info

    def tokenize(self, text: str) -> list[int]:
        """Token ids of data text: no special tokens parsed, none added."""
        self._check_open()
        return self._tokenizer.data(text)

    def detokenize(self, token_ids: Sequence[int]) -> str:
        """Text of tokens, special tokens rendered; what is not UTF-8 becomes U+FFFD."""
        self._check_open()
        return b"".join(map(self._model.piece, token_ids)).decode("utf-8", "replace")

    def encode(self, prompt: Prompt) -> list[int]:
        """Token ids of a prompt through the chat template, as `generate` would give them to the model."""
        self._check_open()
        return self._tokenizer.prompt(self._chat.render(prompt))

    def generate(
        self,
        requests: Sequence[Request],
        *,
        cancel: CancelToken | None = None,
        on_token: OnToken | None = None,
    ) -> list[Completion]:
        """Complete a batch of independent conversations; see `engine.backends.base.Backend.generate`."""
        cancel = cancel or CancelToken()
        with self._lock:
            self._check_open()
            if self._is_generating:
                raise RuntimeError("generate() called out of on_token")
            self._is_generating = True
            try:
                cancel.check()
                prompts = [self._checked_prompt(request) for request in requests]
                return [
                    self._complete(index, request, ids, cancel, on_token)
                    for index, (request, ids) in enumerate(zip(requests, prompts, strict=True))
                ]
            finally:
                self._is_generating = False

    def _checked_prompt(self, request: Request) -> list[int]:
        ids = self.encode(request.prompt)
        check_window(len(ids), request.max_tokens, self._info.context_tokens)
        return ids

    def _complete(
        self, index: int, request: Request, ids: list[int], cancel: CancelToken, on_token: OnToken | None
    ) -> Completion:
        cancel.check()
        sampler = NativeSampler(self._model, request.sampling, self._native_grammar(request.grammar))
        try:
            started = time.perf_counter()
            cached_tokens = self._prefill(ids, cancel)
            ready = time.perf_counter()
            reply = _Reply(index, on_token)
            finish_reason = self._decode(sampler, reply, request.max_tokens, cancel)
        finally:
            sampler.free()
        return Completion(
            text=reply.text,
            prompt_token_ids=tuple(ids),
            token_ids=tuple(reply.token_ids),
            finish_reason=finish_reason,
            cached_tokens=cached_tokens,
            prefill_s=ready - started,
            decode_s=time.perf_counter() - ready,
        )

    def _native_grammar(self, source: str | None) -> str | None:
        """The grammar with control tokens named by id, so that a label is one token and never spelt out."""
        if source is None:
            return None
        tokens = {
            text: token_id
            for token_id, text in self._model.control.items()
            if text and not self._model.ends_turn(token_id)
        }
        return gbnf.parse(source).with_tokens(tokens)

    def _prefill(self, ids: list[int], cancel: CancelToken) -> int:
        cached_tokens = self._context.keep_prefix(ids)
        for start in range(cached_tokens, len(ids), self._context.batch_tokens):
            cancel.check()
            batch = ids[start : start + self._context.batch_tokens]
            self._context.decode(batch, should_abort=lambda: cancel.is_cancelled)
        return cached_tokens

    def _decode(
        self, sampler: NativeSampler, reply: "_Reply", max_tokens: int, cancel: CancelToken
    ) -> FinishReason:
        # No abort callback here: one token is as fine as a cancel needs, and a Python call for every
        # operation of the graph would slow down small models.
        while True:
            cancel.check()
            token_id = sampler.draw(self._context)
            if self._model.ends_turn(token_id):
                reply.finish()
                return "stop"
            reply.add(token_id, self._model.piece(token_id))
            if len(reply.token_ids) == max_tokens:
                reply.finish()
                return "length"
            cancel.check()
            self._context.decode([token_id])

    def _check_open(self) -> None:
        if not self._free_model.alive:
            raise RuntimeError("the backend is closed")

    def close(self) -> None:
        """Free the model. A second call does nothing."""
        with self._lock:
            if self._is_generating:
                raise RuntimeError("close() called out of on_token")
            self._free_context()
            self._free_model()


class _Reply:
    """Collects tokens and streams their text; a character may be spread over several tokens."""

    def __init__(self, index: int, on_token: OnToken | None) -> None:
        self.token_ids: list[int] = []
        self._index = index
        self._on_token = on_token
        self._pieces: list[str] = []
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    @property
    def text(self) -> str:
        return "".join(self._pieces)

    def add(self, token_id: int, piece: bytes) -> None:
        self.token_ids.append(token_id)
        self._emit(self._decoder.decode(piece))

    def finish(self) -> None:
        self._emit(self._decoder.decode(b"", final=True))

    def _emit(self, text: str) -> None:
        if text:
            self._pieces.append(text)
            if self._on_token is not None:
                self._on_token(self._index, text)


def _number(text: str | None) -> int | None:
    """A count out of the file's metadata; one that makes no sense counts as absent."""
    if text is None:
        return None
    if text.isascii() and text.isdigit() and len(text) < 12 and 0 < int(text) < _MAX_METADATA_NUMBER:
        return int(text)
    logger.warning("metadata of the model holds a number that makes no sense")
    return None
