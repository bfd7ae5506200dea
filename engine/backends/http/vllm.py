"""vLLM's server: prompts as token ids, the ids that it took and drew in the reply, grammars through xgrammar.

It parses special tokens in every text, so data that looks like one is cut apart
(`engine.backends.http.vocabulary`). Its chat template is not to be had, so what the template puts around a
message is read off a rendered message once, and is checked to give the same ids again. Seen with vLLM 0.32.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from engine.backends import gbnf
from engine.backends.base import FinishReason, Prompt, Request, Segment
from engine.backends.http import failures
from engine.backends.http.client import Client
from engine.backends.http.dialect import EncodedPrompt, ServedModel
from engine.backends.http.ebnf import to_xgrammar
from engine.backends.http.vocabulary import ServerTokenizer
from engine.errors import GenerationError, PromptMismatchError, TemplateError

_NUM_PARALLEL = 32  # requests that wait at the server cost nothing; it forms its own batches
_LOOKAHEAD = 8
_MARK = "PALIMPSESTMESSAGE"
_TEMPLATE_SETTINGS = {"enable_thinking": False, "date_string": "26 Jul 2024"}
_MONTHS = "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec"
_WEEKDAYS = "Mon|Tues|Wednes|Thurs|Fri|Satur|Sun"
_DATE_PART = re.compile(rf"\d+|\b(?:{_MONTHS})[a-z]*\b|\b(?:{_WEEKDAYS})day\b")
_PROBE = "Über 1,234.5 km — naïve «x» 日本\n\tdef f(a): return a  # 😀"


class VllmDialect:
    """Speaks to ``vllm serve``.

    Args:
        client: the connection.
        card: the model's entry of ``/v1/models``.

    Raises:
        TemplateError: the model has no chat template, or one that cannot be read off.
    """

    path = "/v1/completions"
    proves_tokens = True

    def __init__(self, client: Client, card: Mapping[str, Any]) -> None:
        self._client = client
        self._name = client.field(card, "id", str)
        self._tokenizer = ServerTokenizer(self._ask)
        self._before, self._after = self._read_frame()
        self._model = ServedModel(
            name=self._name,
            server="vllm",
            context_tokens=client.field(card, "max_model_len", int),
            num_parallel=_NUM_PARALLEL,
            lookahead=_LOOKAHEAD,
            identity={
                # Templates print the day; tomorrow it is the same model.
                "frame": [_DATE_PART.sub("", text) for text in (self._before, self._after)],
                "tokens of a probe": self._tokenizer.data(_PROBE),
            },
        )

    @property
    def model(self) -> ServedModel:
        """The model that is served."""
        return self._model

    def tokenize(self, text: str) -> list[int]:
        """Ids of data text: no special tokens."""
        return self._tokenizer.data(text)

    def detokenize(self, token_ids: Sequence[int]) -> str:
        """Text of tokens, special tokens rendered."""
        reply = self._client.post("/detokenize", {"model": self._name, "tokens": list(token_ids)})
        text: str = self._client.field(reply, "prompt", str)
        return text

    def encode(self, prompt: Prompt) -> EncodedPrompt:
        """A prompt through the chat template."""
        return EncodedPrompt(tuple(self._tokenizer.prompt(self._framed(prompt))))

    def _framed(self, prompt: Prompt) -> Prompt:
        """The prompt in its frame, neighbouring wording joined as the template would have written it."""
        segments: list[Segment] = []
        for segment in (Segment(self._before), *prompt, Segment(self._after)):
            if segments and not segment.is_data and not segments[-1].is_data:
                segments[-1] = Segment(segments[-1].text + segment.text)
            elif segment.text:
                segments.append(segment)
        return tuple(segments)

    def body(self, request: Request, prompt: EncodedPrompt) -> dict[str, Any]:
        """The JSON of a request."""
        sampling = request.sampling
        body: dict[str, Any] = {
            "model": self._name,
            "prompt": list(prompt.ids),
            "max_tokens": request.max_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "top_k": sampling.top_k,
            "min_p": 0.0,
            "repetition_penalty": 1.0,
            "seed": sampling.seed,
            "skip_special_tokens": False,
            "spaces_between_special_tokens": False,
            "return_token_ids": True,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if request.grammar is not None:
            literals = (value for *_, value in gbnf.parse(request.grammar).literals)
            special = self._tokenizer.special_tokens(literals)
            body["structured_outputs"] = {"grammar": to_xgrammar(request.grammar, special)}
        return body

    def reply(self, request: Request, prompt: EncodedPrompt) -> "VllmReply":
        """A reader for the reply to this request."""
        return VllmReply(self._client, prompt.ids)

    def _ask(self, text: str, parse_special: bool) -> list[tuple[int, str]]:
        reply = self._client.post(
            "/tokenize",
            {"model": self._name, "prompt": text, "add_special_tokens": False, "return_token_strs": True},
        )
        ids = self._client.field(reply, "tokens", list)
        return list(zip(ids, self._client.field(reply, "token_strs", list), strict=True))

    def _read_frame(self) -> tuple[str, str]:
        """What the template puts before and behind a message, thinking off."""
        try:
            reply = self._client.post(
                "/tokenize",
                {
                    "model": self._name,
                    "messages": [{"role": "user", "content": _MARK}],
                    "add_generation_prompt": True,
                    "chat_template_kwargs": _TEMPLATE_SETTINGS,
                },
            )
        except GenerationError as exc:
            if type(exc) is not GenerationError:
                raise
            raise TemplateError(
                f"The chat template of {self._name} cannot render a message.",
                hint="Serve the instruction edition of the model, or give vLLM a template with --chat-template.",
            ) from exc
        ids = self._client.field(reply, "tokens", list)
        before, mark, after = self.detokenize(ids).partition(_MARK)
        again = [token_id for token_id, _ in self._ask(before + mark + after, True)]
        if not mark or _MARK in after or again != ids:
            raise TemplateError(
                f"What the chat template of {self._name} puts around a message cannot be told from its tokens.",
                hint="Serve the model with llama-server, or open its GGUF file directly.",
            )
        return before, after


class VllmReply:
    """Reads the events of ``/v1/completions``; the first one repeats the ids of the prompt that the model was given."""

    def __init__(self, client: Client, prompt_ids: Sequence[int]) -> None:
        self.text = ""
        self.token_ids: list[int] = []
        self.cached_tokens = 0
        self.finish_reason: FinishReason | None = None
        self.prefill_s: float | None = None
        self.decode_s: float | None = None
        self._client = client
        self._prompt_ids = list(prompt_ids)
        self._taken: list[int] | None = None

    def feed(self, event: Mapping[str, Any]) -> str:
        """Take in one event; return the text that it adds."""
        details = (event.get("usage") or {}).get("prompt_tokens_details") or {}
        self.cached_tokens = int(details.get("cached_tokens") or self.cached_tokens)
        added = ""
        for choice in self._client.field(event, "choices", list):
            added += self._choice(choice)
        self.text += added
        return added

    def _choice(self, choice: Mapping[str, Any]) -> str:
        if choice.get("prompt_token_ids") is not None:
            self._taken = choice["prompt_token_ids"]
        self.token_ids += choice.get("token_ids") or []
        reason = choice.get("finish_reason")
        if reason == "stop":
            # vLLM counts the token that ended the turn among the reply's; nothing else stops a reply of ours.
            self.finish_reason = "stop"
            self.token_ids = self.token_ids[:-1]
        elif reason == "length":
            self.finish_reason = "length"
        elif reason is not None:
            raise failures.bad_reply(self._client.address, f"broke off a reply ('{reason}')")
        text: str = self._client.field(choice, "text", str)
        return text

    def check(self) -> None:
        """Check that the server took the prompt that was sent, token by token."""
        if self._taken is None:
            raise failures.bad_reply(
                self._client.address, "did not say which prompt it took (return_token_ids)"
            )
        if self._taken != self._prompt_ids:
            raise PromptMismatchError(
                f"The server took a prompt of {len(self._taken)} tokens, other than the {len(self._prompt_ids)} sent.",
                hint="Start it without --truncate-prompt-tokens, or update vLLM.",
            )
