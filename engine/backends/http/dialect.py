"""What differs between servers: how prompts are encoded, requests written and streams read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from engine.backends.base import FinishReason, Prompt, Request


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedModel:
    """What a server tells of the model that it serves.

    Attributes:
        name: the server's id of it.
        server: kind of server: "llama-server", "vllm", "ollama", "lm-studio", "openai".
        context_tokens: window of one request, prompt and reply.
        num_parallel: requests that the server computes side by side.
        lookahead: see `engine.backends.base.ModelInfo`.
        identity: whatever tells this model from others; hashed into the fingerprint.
    """

    name: str
    server: str
    context_tokens: int
    num_parallel: int
    lookahead: int = 1
    identity: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class EncodedPrompt:
    """A prompt as it is sent.

    Attributes:
        ids: what receipts are taken from, [P]: the ids that are sent, or stand-ins where text is sent.
        content: the text, where text is sent.
    """

    ids: tuple[int, ...]
    content: str = ""


class Reply(Protocol):
    """Reads one streamed reply, event by event."""

    text: str
    """What was streamed so far."""
    token_ids: list[int]
    """Ids of the reply without its end token, [N]."""
    cached_tokens: int
    """Leading prompt tokens that were not computed anew, as far as the server says."""
    finish_reason: FinishReason | None
    """None until the server says that the reply is complete."""
    prefill_s: float | None
    """By the server's own clock, in seconds; None = it does not say."""
    decode_s: float | None
    """By the server's own clock, in seconds; None = it does not say."""

    def feed(self, event: Mapping[str, Any]) -> str:
        """Take in one event; return the text that it adds.

        Raises:
            engine.errors.GenerationError: the event is not what it should be, or another prompt was taken.
        """
        ...

    def check(self) -> None:
        """The stream has ended and the reply is complete.

        Raises:
            engine.errors.GenerationError: what the server took is not what was sent.
        """
        ...


class Dialect(Protocol):
    """One kind of server."""

    path: str
    """Where requests are sent."""
    proves_tokens: bool
    """Whether `EncodedPrompt.ids` are what the model is given; else stand-ins, whose number alone is checked."""

    @property
    def model(self) -> ServedModel:
        """The model that was chosen when the server was opened."""
        ...

    def tokenize(self, text: str) -> list[int]:
        """Ids of data text: no special tokens."""
        ...

    def detokenize(self, token_ids: Sequence[int]) -> str:
        """Text of tokens, special tokens rendered."""
        ...

    def encode(self, prompt: Prompt) -> EncodedPrompt:
        """A prompt through the chat template."""
        ...

    def body(self, request: Request, prompt: EncodedPrompt) -> dict[str, Any]:
        """The JSON of a request.

        Raises:
            engine.errors.GenerationError: the grammar is faulty.
        """
        ...

    def reply(self, request: Request, prompt: EncodedPrompt) -> Reply:
        """A reader for the reply to this request."""
        ...
