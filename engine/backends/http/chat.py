"""Any other OpenAI-compatible server: text in, text out, and a count of tokens that is held against what was sent.

Such a server (Ollama, LM Studio, others) tells neither token ids nor its template. What is weaker than elsewhere:

* Budgets are kept by stand-ins that overestimate (`engine.backends.http.counting`).
* The window is proven once, when the server is opened: a text of equal words is sent whose exact number of
  tokens is known from two shorter ones. After that each reply's ``usage.prompt_tokens`` must lie within the
  bounds that the sent text allows.
* Data is not tokenised apart. What looks like a special token in it is broken up with a space.
* Grammars are not sent; the caller must be able to live with a reply that ignores them.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from engine.backends import gbnf
from engine.backends.base import FinishReason, Prompt, Request
from engine.backends.http import counting, failures
from engine.backends.http.client import Client
from engine.backends.http.dialect import EncodedPrompt, ServedModel
from engine.backends.tokenization import utf8_safe
from engine.errors import PromptMismatchError

FRAME_TOKENS = 64
"""Tokens reserved for what the chat template puts around a message."""

_MARKUP = re.compile(
    r"(?<=<)(?=[|｜/!]?[^\s<>]{1,60}[|｜]?>)|(?<=\[)(?=/?[A-Z_]{2,30}\])|(?<=<)(?=<SYS>>|</SYS>>)"
)
_PROBE_WORDS = (64, 192)
_WINDOW_HINTS = {
    "ollama": "Start Ollama with OLLAMA_CONTEXT_LENGTH set to the window that you want, or name a smaller one.",
    "lm-studio": "Load the model in LM Studio with a larger context length, or name a smaller window.",
}
_DEFAULT_HINT = "Start the server with a larger window, or name a smaller one with --context-tokens."


class ChatDialect:
    """Speaks ``/v1/chat/completions``.

    Args:
        client: the connection.
        model: the model, as far as it is known.
    """

    path = "/v1/chat/completions"
    proves_tokens = False

    def __init__(self, client: Client, model: ServedModel) -> None:
        self._client = client
        self._model = model

    @property
    def model(self) -> ServedModel:
        """The model that is served."""
        return self._model

    def tokenize(self, text: str) -> list[int]:
        """Stand-ins of data text."""
        return counting.stand_ins(text)

    def detokenize(self, token_ids: Sequence[int]) -> str:
        """Text of stand-ins."""
        return counting.join(token_ids)

    def encode(self, prompt: Prompt) -> EncodedPrompt:
        """Stand-ins of a prompt, with room for the template, and the text that is sent."""
        ids = [0] * FRAME_TOKENS
        pieces: list[str] = []
        for segment in prompt:
            ids += counting.stand_ins(segment.text)
            text = utf8_safe(segment.text)
            pieces.append(_MARKUP.sub(" ", text) if segment.is_data else text)
        return EncodedPrompt(tuple(ids), "".join(pieces))

    def body(self, request: Request, prompt: EncodedPrompt) -> dict[str, Any]:
        """The JSON of a request; the grammar is checked and left out."""
        if request.grammar is not None:
            gbnf.parse(request.grammar)
        sampling = request.sampling
        body = self._message(prompt.content, request.max_tokens)
        body |= {"temperature": sampling.temperature, "top_p": sampling.top_p, "seed": sampling.seed}
        if sampling.top_k:
            body["top_k"] = sampling.top_k
        return body | {"stream": True, "stream_options": {"include_usage": True}}

    def _message(self, content: str, max_tokens: int) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self._model.name,
            "messages": [{"role": "user", "content": content}],
            "max_tokens": max_tokens,
        }
        if self._model.server == "ollama":
            body["reasoning_effort"] = "none"
        return body

    def reply(self, request: Request, prompt: EncodedPrompt) -> "ChatReply":
        """A reader for the reply to this request."""
        return ChatReply(self, request, prompt)

    def load(self) -> None:
        """Have the server load the model: some do so at the first request only."""
        self._count(1)

    def prove_window(self) -> None:
        """Make sure that the server takes a prompt as long as its window is said to be.

        The same short word again and again has a number of tokens that grows by the same amount with each; two
        short texts give that amount, a long one must follow it. Costs one prompt of the length of the window.

        Raises:
            PromptMismatchError: the server took less than was sent.
        """
        few, more = _PROBE_WORDS
        base = self._count(few)
        per_word, rest = divmod(self._count(more) - base, more - few)
        if rest or per_word < 1:
            raise failures.bad_reply(
                self._client.address, "counts the tokens of a prompt in a way that cannot be checked"
            )
        words = (self._model.context_tokens - 16 - base) // per_word + few
        if words <= more:
            return
        expected = base + per_word * (words - few)
        counted = self._count(words)
        if counted != expected:
            raise self._mismatch(
                f"took {counted} of the {expected} tokens of a prompt that its window should hold"
            )

    def _count(self, words: int) -> int:
        body = self._message(" ".join(["the"] * words), 1) | {"temperature": 0.0}
        reply = self._client.post(self.path, body)
        count: int = self._client.field(self._client.field(reply, "usage", dict), "prompt_tokens", int)
        return count

    def _mismatch(self, what: str) -> PromptMismatchError:
        return PromptMismatchError(
            f"The server at {self._client.address} {what}.",
            hint=_WINDOW_HINTS.get(self._model.server, _DEFAULT_HINT),
        )

    def check_count(self, counted: int | None, prompt: EncodedPrompt) -> None:
        """Hold the server's count of prompt tokens against what was sent.

        Raises:
            PromptMismatchError: it is out of bounds, or missing.
        """
        if counted is None:
            raise failures.bad_reply(
                self._client.address,
                "does not say how many tokens of a prompt it took (stream_options.include_usage)",
            )
        least = counting.fewest_tokens(prompt.content)
        if not least <= counted <= len(prompt.ids):
            raise self._mismatch(
                f"took {counted} tokens of a prompt that must have between {least} and {len(prompt.ids)}"
            )

    def check_end(self, counted: int, max_tokens: int) -> None:
        """A reply that ends for its length before its cap has hit the end of a window smaller than assumed.

        Raises:
            PromptMismatchError: it has.
        """
        if counted < max_tokens:
            raise self._mismatch(
                f"cut a reply off after {counted} of {max_tokens} tokens, at the end of its window"
            )

    def field(self, value: Any, name: str, kind: type[Any]) -> Any:
        """A checked field of a reply."""
        return self._client.field(value, name, kind)


class ChatReply:
    """Reads the events of ``/v1/chat/completions``. Thinking that the server sends apart is not part of the reply."""

    def __init__(self, dialect: ChatDialect, request: Request, prompt: EncodedPrompt) -> None:
        self.text = ""
        self.token_ids: list[int] = []
        self.cached_tokens = 0
        self.finish_reason: FinishReason | None = None
        self.prefill_s: float | None = None
        self.decode_s: float | None = None
        self._dialect = dialect
        self._request = request
        self._prompt = prompt
        self._usage: Mapping[str, Any] = {}

    def feed(self, event: Mapping[str, Any]) -> str:
        """Take in one event; return the text that it adds."""
        if isinstance(event.get("usage"), dict):
            self._usage = event["usage"]
        added = ""
        for choice in self._dialect.field(event, "choices", list):
            delta = self._dialect.field(choice, "delta", dict)
            added += delta.get("content") or ""
            if choice.get("finish_reason") is not None:
                self.finish_reason = "length" if choice["finish_reason"] == "length" else "stop"
        self.text += added
        return added

    def check(self) -> None:
        """Hold the server's counts against what was sent."""
        counted = self._usage.get("prompt_tokens")
        self._dialect.check_count(counted if isinstance(counted, int) else None, self._prompt)
        details = self._usage.get("prompt_tokens_details") or {}
        self.cached_tokens = int(details.get("cached_tokens") or 0)
        replied = self._usage.get("completion_tokens")
        if self.finish_reason == "length" and isinstance(replied, int):
            self._dialect.check_end(replied, self._request.max_tokens)
        self.token_ids = counting.stand_ins(self.text)
