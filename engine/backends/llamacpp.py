"""llama.cpp as a `Backend`: a GGUF file, read in this process.

Prompts are encoded and checked for a whole batch first, then completed side by side in the sequences of one context
(`engine.backends.batching`). The KV cache of a request stays, and the next request computes only what differs from it:
instructions, question and an unchanged memory are the same for every chunk.
"""

import functools
import logging
import threading
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path

from engine.backends import gbnf
from engine.backends.automatic import RuntimeSettings, choose_settings
from engine.backends.base import Completion, ModelInfo, OnToken, Prompt, Request, check_window
from engine.backends.batching import Batcher, Sampler
from engine.backends.chat_template import ChatTemplate
from engine.backends.gguf_file import check_header, fingerprint
from engine.backends.lookup import MAX_DRAFT_TOKENS
from engine.backends.native import NativeModel, supports_gpu
from engine.backends.native_context import ContextSettings, NativeContext
from engine.backends.native_sampler import GrammarCache, NativeSampler
from engine.backends.tokenization import PromptTokenizer
from engine.backends.wishes import Wishes
from engine.cancel import CancelToken
from engine.errors import TemplateError

logger = logging.getLogger(__name__)

_DEFAULT_CONTEXT_TOKENS = 8192
_MAX_METADATA_NUMBER = 1 << 24
_MAX_GRAMMARS = 256


class LlamaCppBackend:
    """A GGUF model in memory. One thread at a time generates; others wait.

    Args:
        path: the GGUF file; of a model in several files the first.
        context_tokens: window for prompt and reply; None = what the model was trained for, at most 8,192.
        num_gpu_layers: layers on the GPU; None = all if llama.cpp was built for one, else none.
        wishes: settings of the runtime that shall not be chosen automatically.
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
        num_gpu_layers: int | None = None,
        wishes: Wishes | None = None,
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
            uses_gpu = num_gpu_layers != 0 and supports_gpu()
            settings = choose_settings(model, context_tokens, wishes or Wishes(), uses_gpu=uses_gpu)
            context = _open_context(model, context_tokens, settings)
        except BaseException:
            self._free_model()
            raise
        self._free_context = weakref.finalize(self, context.free)
        self._model, self._chat = model, template
        self._batcher = Batcher(model, context, looks_up=model.can_forget)
        self._grammars = GrammarCache(model)
        self._free_grammars = weakref.finalize(self, self._grammars.free)
        self._native_grammar = functools.lru_cache(_MAX_GRAMMARS)(grammar_writer(model))
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
            lookahead=settings.num_sequences if uses_gpu else 1,
            runtime=(
                ("threads", settings.num_threads),
                ("gpu", "yes" if uses_gpu else "no"),
                ("sequences", settings.num_sequences),
                ("cache", "one pool" if settings.is_unified else "one a sequence"),
                ("kv type", settings.kv_type),
                ("flash attention", "yes" if settings.flash_attention else "no"),
                ("batch tokens", settings.batch_tokens),
            ),
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
                return self._batcher.run(requests, prompts, self._sampler, cancel, on_token)
            finally:
                self._is_generating = False

    def _checked_prompt(self, request: Request) -> list[int]:
        ids = self.encode(request.prompt)
        check_window(len(ids), request.max_tokens, self._info.context_tokens)
        return ids

    def _sampler(self, request: Request) -> Sampler:
        """What draws the reply to a request."""
        grammar = None
        if request.grammar is not None:
            grammar = self._grammars.new(self._native_grammar(request.grammar))
        return NativeSampler(request.sampling, grammar)

    def _check_open(self) -> None:
        if not self._free_model.alive:
            raise RuntimeError("the backend is closed")

    def close(self) -> None:
        """Free the model. A second call does nothing."""
        with self._lock:
            if self._is_generating:
                raise RuntimeError("close() called out of on_token")
            self._free_grammars()
            self._free_context()
            self._free_model()


def _open_context(model: NativeModel, window_tokens: int, settings: RuntimeSettings) -> NativeContext:
    # One call must be able to hold a token of every sequence.
    batch_tokens = max(min(settings.batch_tokens, window_tokens), settings.num_sequences)
    return NativeContext(
        model,
        ContextSettings(
            window_tokens=window_tokens,
            num_sequences=settings.num_sequences,
            num_threads=settings.num_threads,
            batch_tokens=batch_tokens,
            is_unified=settings.is_unified,
            kv_type=settings.kv_type,
            flash_attention=settings.flash_attention,
            max_outputs=max(settings.num_sequences, min(1 + MAX_DRAFT_TOKENS, batch_tokens)),
        ),
    )


def grammar_writer(model: NativeModel) -> Callable[[str], str]:
    """Writes a grammar with control tokens named by id, so that a label is one token and never spelt out."""
    tokens = {
        text: token_id for token_id, text in model.control.items() if text and not model.ends_turn(token_id)
    }
    return lambda source: gbnf.parse(source).with_tokens(tokens)


def _number(text: str | None) -> int | None:
    """A count out of the file's metadata; one that makes no sense counts as absent."""
    if text is None:
        return None
    if text.isascii() and text.isdigit() and len(text) < 12 and 0 < int(text) < _MAX_METADATA_NUMBER:
        return int(text)
    logger.warning("metadata of the model holds a number that makes no sense")
    return None
