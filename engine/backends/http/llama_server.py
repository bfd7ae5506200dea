"""llama.cpp's own server: prompts as token ids, the model's template, exact grammars, token ids in the reply.

Its chat template is rendered here, in the same sandbox as a local model's, and its tokenizer is asked segment
by segment, so the ids of a prompt are those that the same file gives in this process. Seen with the server of
llama.cpp as of October 2026.
"""

import functools
import re
from collections.abc import Mapping, Sequence
from typing import Any

from engine.backends import gbnf
from engine.backends.base import FinishReason, Prompt, Request
from engine.backends.chat_template import ChatTemplate
from engine.backends.http import failures
from engine.backends.http.client import Client
from engine.backends.http.dialect import EncodedPrompt, ServedModel
from engine.backends.http.vocabulary import ServerTokenizer
from engine.errors import PromptMismatchError, TemplateError

_FOLDER = re.compile(r".*[/\\]")
UNNAMED_TOKEN = -1
"""Stands in a reply for a token whose id the server withholds."""

_RANDOM_SEED = 0xFFFFFFFF  # asks the server for a seed of its own
_MODEL_FACTS = ("vocab_type", "n_vocab", "n_embd", "n_params", "size", "ftype")


class LlamaServerDialect:
    """Speaks to ``llama-server``.

    Args:
        client: the connection.
        card: the model's entry of ``/v1/models``.
        props: what ``/props`` told.

    Raises:
        TemplateError: the model has no chat template, or one that is not valid.
    """

    path = "/completion"
    proves_tokens = True

    def __init__(self, client: Client, card: Mapping[str, Any], props: Mapping[str, Any]) -> None:
        self._client = client
        name = client.field(card, "id", str)
        settings = client.field(props, "default_generation_settings", dict)
        template = props.get("chat_template")
        if not isinstance(template, str) or not template:
            raise TemplateError(
                f"The model {name} has no chat template, so it was probably not made to follow instructions.",
                hint="Start the server with the instruction or chat edition of the model.",
            )
        bos, eos = (str(props.get(key) or "") for key in ("bos_token", "eos_token"))
        self._chat = ChatTemplate(template, bos_token=bos, eos_token=eos)
        self._tokenizer = ServerTokenizer(self._ask, bos_id=self._bos_id())
        self.special_text = functools.cache(self._special_text)
        facts = card.get("meta")
        self._model = ServedModel(
            # Without an alias the id is a path, whose folder says where the file lies and not what it is.
            name=_FOLDER.sub("", name),
            server="llama-server",
            context_tokens=client.field(settings, "n_ctx", int),
            num_parallel=max(1, client.field(props, "total_slots", int)),
            identity={
                "template": template,
                "bos": bos,
                "eos": eos,
                **({key: facts.get(key) for key in _MODEL_FACTS} if isinstance(facts, dict) else {}),
            },
        )
        self._id = name

    @property
    def model(self) -> ServedModel:
        """The model that is served."""
        return self._model

    def tokenize(self, text: str) -> list[int]:
        """Ids of data text: no special tokens."""
        return self._tokenizer.data(text)

    def detokenize(self, token_ids: Sequence[int]) -> str:
        """Text of tokens, special tokens rendered."""
        reply = self._client.post("/detokenize", {"tokens": list(token_ids)})
        text: str = self._client.field(reply, "content", str)
        return text

    def encode(self, prompt: Prompt) -> EncodedPrompt:
        """A prompt through the chat template."""
        return EncodedPrompt(tuple(self._tokenizer.prompt(self._chat.render(prompt))))

    def body(self, request: Request, prompt: EncodedPrompt) -> dict[str, Any]:
        """The JSON of a request; every sampler that we do not name is off."""
        sampling = request.sampling
        body: dict[str, Any] = {
            "model": self._id,
            "prompt": list(prompt.ids),
            "n_predict": request.max_tokens,
            "samplers": ["temperature", "top_k", "top_p"],  # in the order of our own sampler
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "top_k": sampling.top_k,
            "seed": sampling.seed % _RANDOM_SEED,
            "cache_prompt": True,
            "return_tokens": True,
            "return_progress": True,
            "stream": True,
        }
        if request.grammar is not None:
            body["grammar"] = self._grammar(request.grammar)
        return body

    def _grammar(self, source: str) -> str:
        """The grammar with special tokens named by id, so that a label is one token and never spelt out."""
        grammar = gbnf.parse(source)
        return grammar.with_tokens(self._tokenizer.special_tokens(value for *_, value in grammar.literals))

    def reply(self, request: Request, prompt: EncodedPrompt) -> "LlamaServerReply":
        """A reader for the reply to this request."""
        return LlamaServerReply(self, len(prompt.ids))

    def _ask(self, text: str, parse_special: bool) -> list[tuple[int, str]]:
        reply = self._client.post(
            "/tokenize",
            {"content": text, "add_special": False, "parse_special": parse_special, "with_pieces": True},
        )
        tokens = self._client.field(reply, "tokens", list)
        # A piece that is not UTF-8 comes as a list of bytes.
        return [
            (
                self._client.field(token, "id", int),
                piece if isinstance(piece := token.get("piece"), str) else "",
            )
            for token in tokens
        ]

    def _bos_id(self) -> int | None:
        """Id of the begin-of-sequence token if the model wants prompts to start with it."""
        bare, full = (
            self._client.field(
                self._client.post("/tokenize", {"content": "x", "add_special": add_special}), "tokens", list
            )
            for add_special in (False, True)
        )
        return full[0] if len(full) > len(bare) and full[0] != bare[0] else None

    def _special_text(self, token_id: int) -> str:
        """Text of a token that the server did not put into words, "" if it is a part of a character."""
        text = self.detokenize([token_id])
        return "" if "\ufffd" in text else text

    def fault(self, what: str) -> Exception:
        """An error about a reply."""
        return failures.bad_reply(self._client.address, what)


class LlamaServerReply:
    """Reads the events of ``/completion``.

    The server leaves special tokens out of the text and gives their ids. A token without text is held back until
    the next one, since only the last event tells whether it ended the turn. Of a character that is spread over
    several tokens the server names the last token only; the ids of the others are `UNNAMED_TOKEN`.
    """

    def __init__(self, dialect: LlamaServerDialect, num_prompt_tokens: int) -> None:
        self.text = ""
        self.token_ids: list[int] = []
        self.cached_tokens = 0
        self.finish_reason: FinishReason | None = None
        self.prefill_s: float | None = None
        self.decode_s: float | None = None
        self._dialect = dialect
        self._num_prompt_tokens = num_prompt_tokens
        self._num_taken = num_prompt_tokens
        self._was_truncated = False
        self._is_held = False

    def feed(self, event: Mapping[str, Any]) -> str:
        """Take in one event; return the text that it adds."""
        if "prompt_progress" in event:
            return ""
        content, tokens = event.get("content"), event.get("tokens")
        num_drawn = event.get("tokens_predicted")
        if not isinstance(content, str) or not isinstance(tokens, list) or not isinstance(num_drawn, int):
            raise self._dialect.fault("sent an event without text, tokens and their number")
        is_last = event.get("stop") is True
        ends_turn = is_last and event.get("stop_type") == "eos"
        num_unnamed = num_drawn - len(self.token_ids) - len(tokens)
        added = self._release(ends_turn and not tokens and not num_unnamed)
        self.token_ids += [UNNAMED_TOKEN] * num_unnamed + tokens
        self._is_held = bool(tokens) and not content
        added += content
        if is_last:
            added += self._release(ends_turn)
            self._stop(event, ends_turn)
        self.text += added
        return added

    def _release(self, ends_turn: bool) -> str:
        """Text of the token that was held back; the one that ended the turn is no part of the reply."""
        if not self._is_held:
            return ""
        self._is_held = False
        if ends_turn:
            self.token_ids.pop()
            return ""
        return self._dialect.special_text(self.token_ids[-1])

    def _stop(self, event: Mapping[str, Any], ends_turn: bool) -> None:
        self.finish_reason = "stop" if ends_turn else "length"
        self._was_truncated = event.get("truncated") is True
        self._num_taken = event.get("tokens_evaluated", -1)
        timings = event.get("timings")
        if isinstance(timings, dict):
            self.cached_tokens = int(timings.get("cache_n", 0))
            self.prefill_s = timings.get("prompt_ms", 0.0) / 1000
            self.decode_s = timings.get("predicted_ms", 0.0) / 1000

    def check(self) -> None:
        """Check that the server took the whole prompt."""
        if self._was_truncated or self._num_taken != self._num_prompt_tokens:
            raise PromptMismatchError(
                f"The server took {self._num_taken} of {self._num_prompt_tokens} tokens of a prompt.",
                hint="Start it without --context-shift and with a larger window (-c).",
            )
