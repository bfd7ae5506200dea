"""The protocol that every language-model backend fulfils, and the values that cross it.

A prompt is a sequence of `Segment`s: our own wording may hold the model's special tokens; *data* (document
text, question, memory) is tokenised apart with special-token parsing off, so that no document can forge a
delimiter, and so that the token ids of a chunk stand unbroken in the ids of the prompt: that is what coverage
is proven with.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from engine.cancel import CancelToken
from engine.errors import ContextOverflowError

FinishReason = Literal["stop", "length"]


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of a user message.

    Attributes:
        text: the text.
        is_data: True for text that is not ours: it is tokenised on its own and never parsed for special
            tokens.
        token_ids: ids of data, if the caller has them from `tokenize` of the same backend; None = not known. They
            spare tokenising a document twice and say nothing that the text does not say.
    """

    text: str
    is_data: bool = False
    token_ids: tuple[int, ...] | None = field(default=None, compare=False, repr=False)


Prompt = tuple[Segment, ...]
"""The content of one user message. An independent conversation holds just this one message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How tokens are drawn. Temperature 0 is greedy.

    Attributes:
        temperature: >= 0.
        top_p: nucleus, in (0, 1]; 1 is off.
        top_k: number of candidates kept; 0 is off.
        seed: of the sampler; the same seed and requests give the same tokens on one machine and build.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.temperature < 0 or not 0 < self.top_p <= 1 or self.top_k < 0:
            raise ValueError(f"sampling out of range: {self}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One independent conversation to be completed.

    Attributes:
        prompt: content of the user message; the backend wraps it in the model's chat template, thinking off.
        max_tokens: cap on the reply, in tokens, at least 1.
        sampling: see `Sampling`.
        grammar: GBNF grammar whose rule `root` the reply must match; None = free.
        closed: replies that nothing can follow under the grammar: there the turn ends without asking the model for
            its end token, which would be the only one allowed.
    """

    prompt: Prompt
    max_tokens: int
    sampling: Sampling = Sampling()
    grammar: str | None = None
    closed: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.max_tokens < 1:
            raise ValueError(f"max_tokens must be at least 1, not {self.max_tokens}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """What came back for one `Request`.

    Attributes:
        text: the reply, special tokens rendered (the starter model's labels are special tokens), end token
            left out.
        prompt_token_ids: ids the model was really given, [P].
        token_ids: ids of the reply without the end token, [N].
        finish_reason: "stop" = the model ended its turn; "length" = `max_tokens` was reached.
        cached_tokens: leading prompt tokens whose KV was reused instead of computed.
        num_close_calls: tokens drawn greedily whose two best logits were so near to each other (1e-3) that another
            shape of batch could have swapped them.
        prefill_s: seconds until the first token could be sampled.
        decode_s: seconds from then to the last token.
    """

    text: str
    prompt_token_ids: tuple[int, ...]
    token_ids: tuple[int, ...]
    finish_reason: FinishReason
    cached_tokens: int = 0
    num_close_calls: int = 0
    prefill_s: float = 0.0
    decode_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """What the engine must know of a loaded model.

    Attributes:
        name: for people.
        fingerprint: hash that identifies weights, tokenizer and template; a run is resumed only with an equal
            one.
        context_tokens: size of the window that was opened, prompt + reply.
        backend: "llama.cpp", "scripted", ...
        prompt_set: name of the prompt set that the model brings, or None.
        chunk_tokens: chunk size that the model was made for, or None.
        memory_tokens: memory size that the model was made for, or None.
        lookahead: chunks of one reading that are worth computing at once on the guess that the memory stays: 1 where
            several prompts take as long together as one after the other, as on a CPU.
        runtime: settings that it was opened with, by name, for people.
        proves_tokens: whether `Completion.prompt_token_ids` are of the model's own tokenizer, so that receipts over
            them prove what it was given. False = a server that takes text and tells no more than a count.
    """

    name: str
    fingerprint: str
    context_tokens: int
    backend: str
    prompt_set: str | None = None
    chunk_tokens: int | None = None
    memory_tokens: int | None = None
    lookahead: int = 1
    runtime: tuple[tuple[str, str | int], ...] = ()
    proves_tokens: bool = True


OnToken = Callable[[int, str], None]
"""Called with (index of the request in the batch, text of the piece) for each piece as it is generated."""


class Backend(Protocol):
    """A loaded language model."""

    @property
    def info(self) -> ModelInfo:
        """What this model is."""
        ...

    def tokenize(self, text: str) -> list[int]:
        """Token ids of data text: no special tokens parsed, none added."""
        ...

    def encode(self, prompt: Prompt) -> list[int]:
        """Token ids of a prompt through the chat template, as `generate` would give them to the model."""
        ...

    def generate(
        self,
        requests: Sequence[Request],
        *,
        cancel: CancelToken | None = None,
        on_token: OnToken | None = None,
    ) -> list[Completion]:
        """Complete a batch of independent conversations; completions come in the order of the requests.

        All prompts are encoded and checked before anything is computed. After any of these exceptions, and
        after one out of `on_token`, the backend can be used again.

        Raises:
            engine.cancel.Cancelled: within one token of `cancel.cancel()`.
            engine.errors.ContextOverflowError: a prompt plus its `max_tokens` exceeds the window.
            engine.errors.TemplateError: the chat template cannot render a prompt.
            engine.errors.GenerationError: a grammar is invalid, or the model failed.
            engine.errors.BackendDiedError: the model went away.
        """
        ...

    def close(self) -> None:
        """Free the model. A second call does nothing."""
        ...


def check_window(num_prompt_tokens: int, max_tokens: int, context_tokens: int) -> None:
    """Refuse a request that does not fit, before anything is computed for it.

    Raises:
        ContextOverflowError: prompt and longest reply exceed the window.
    """
    if num_prompt_tokens + max_tokens > context_tokens:
        raise ContextOverflowError(
            f"A prompt of {num_prompt_tokens} tokens and a reply of up to {max_tokens} exceed the window of "
            f"{context_tokens} tokens.",
            hint="Read smaller chunks or open the model with a larger window.",
        )
