"""A backend that replays replies: for tests, demonstrations and anything else that needs no model.

Its tokens need no vocabulary. Text is cut into words with their leading space, digits and signs, and each of
these into at most three UTF-8 bytes; the id is the number of bytes times 2**24 plus the bytes. That is
stable, reversible, about three characters a token, and splits characters across tokens as byte-level
tokenizers do. Texts of the form ``<|name|>`` are single tokens where special tokens are parsed: in wording
and in replies, never in data. Their ids are those of the table below, under 2**24.
"""

import codecs
import dataclasses
import hashlib
import os
import re
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from engine.backends import gbnf
from engine.backends.base import (
    Completion,
    FinishReason,
    ModelInfo,
    OnToken,
    Prompt,
    Request,
    Segment,
    check_window,
)
from engine.backends.tokenization import utf8_safe
from engine.cancel import CancelToken

_WORD = re.compile(r" ?[^\W\d_]+|\d|\s+?|[^\w\s]|_")
_SPECIAL = re.compile(r"(<\|[a-z]+\d*\|>)")
_BYTES_PER_TOKEN = 3
_NAMES = ("user", "end", "assistant", "read", "answer", "q", "memory", "section", "none", "yes", "no")
_SPECIAL_TEXTS = (
    *(f"<|{name}|>" for name in _NAMES),
    *(f"<|{kind}{number}|>" for kind in "ms" for number in range(1, 1000)),
)
_SPECIAL_IDS = {text: token_id for token_id, text in enumerate(_SPECIAL_TEXTS, start=1)}
END_ID = _SPECIAL_IDS["<|end|>"]
_DELAY_STEP_S = 0.005

Replies = Sequence[str] | Callable[[Request], str]


class ScriptError(Exception):
    """The script does not fit what it is asked: a fault of the test, not of the program."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Something that goes wrong at one request.

    Attributes:
        error: raised instead of a reply.
        kills_process: end this process with SIGKILL, as the system does when memory runs out.
        delay_s: pause before each token, in seconds; a cancel ends it.
        after_tokens: tokens that are streamed before the error or the kill.
    """

    error: BaseException | None = None
    kills_process: bool = False
    delay_s: float = 0.0
    after_tokens: int = 0


class ScriptedBackend:
    """Replays replies in order, or asks a function for them.

    Args:
        replies: texts for the first, second, ... request, or a function of the request.
        faults: by number of the request, counted from 0 over all calls of `generate`.
        context_tokens: size of the window.
        name: name of the model; part of the fingerprint.
        prompt_set: see `ModelInfo`.
        chunk_tokens: see `ModelInfo`.
        memory_tokens: see `ModelInfo`.
        checks_grammar: whether a reply must match the grammar of its request.

    Attributes:
        requests: every request that was started, in order.
        is_closed: whether `close` was called.
    """

    def __init__(
        self,
        replies: Replies,
        *,
        faults: Mapping[int, Fault] | None = None,
        context_tokens: int = 8192,
        name: str = "scripted",
        prompt_set: str | None = None,
        chunk_tokens: int | None = None,
        memory_tokens: int | None = None,
        checks_grammar: bool = True,
    ) -> None:
        self.requests: list[Request] = []
        self.is_closed = False
        self._replies = replies
        self._faults = dict(faults or {})
        self._checks_grammar = checks_grammar
        self._previous: list[int] = []
        self._info = ModelInfo(
            name=name,
            fingerprint=hashlib.sha256(name.encode()).hexdigest(),
            context_tokens=context_tokens,
            backend="scripted",
            prompt_set=prompt_set,
            chunk_tokens=chunk_tokens,
            memory_tokens=memory_tokens,
        )

    @property
    def info(self) -> ModelInfo:
        """What this model is."""
        return self._info

    def tokenize(self, text: str) -> list[int]:
        """Token ids of data text: no special tokens parsed, none added."""
        return [_pack(piece) for piece in _pieces(text)]

    def detokenize(self, token_ids: Sequence[int]) -> str:
        """Text of tokens, special tokens rendered; what is not UTF-8 becomes U+FFFD."""
        return b"".join(map(_unpack, token_ids)).decode("utf-8", "replace")

    def encode(self, prompt: Prompt) -> list[int]:
        """Token ids of a whole prompt: ``<|user|>`` prompt ``<|end|><|assistant|>``."""
        ids: list[int] = []
        for segment in (Segment("<|user|>"), *prompt, Segment("<|end|><|assistant|>")):
            ids += self.tokenize(segment.text) if segment.is_data else self._special(segment.text)
        return ids

    def _special(self, text: str) -> list[int]:
        ids: list[int] = []
        for part in _SPECIAL.split(text):
            special = _SPECIAL_IDS.get(part)
            ids += self.tokenize(part) if special is None else [special]
        return ids

    def generate(
        self,
        requests: Sequence[Request],
        *,
        cancel: CancelToken | None = None,
        on_token: OnToken | None = None,
    ) -> list[Completion]:
        """Complete a batch of independent conversations; see `engine.backends.base.Backend.generate`.

        Raises:
            ScriptError: no reply is left, or one does not match the grammar of its request.
        """
        if self.is_closed:
            raise RuntimeError("the backend is closed")
        cancel = cancel or CancelToken()
        cancel.check()
        prompts = [self.encode(request.prompt) for request in requests]
        for request, ids in zip(requests, prompts, strict=True):
            check_window(len(ids), request.max_tokens, self._info.context_tokens)
        return [
            self._complete(index, request, ids, cancel, on_token)
            for index, (request, ids) in enumerate(zip(requests, prompts, strict=True))
        ]

    def _complete(
        self, index: int, request: Request, ids: list[int], cancel: CancelToken, on_token: OnToken | None
    ) -> Completion:
        cancel.check()
        number = len(self.requests)
        self.requests.append(request)
        fault = self._faults.get(number, Fault())
        reply_ids = self._special(self._reply(number, request))
        finish_reason: FinishReason = "stop" if len(reply_ids) < request.max_tokens else "length"
        reply_ids = reply_ids[: request.max_tokens]
        cached_tokens = _common_prefix(self._previous, ids[:-1])
        started = time.perf_counter()
        text: list[str] = []
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        for done, token_id in enumerate(reply_ids):
            _strike(fault, done)
            _pause(fault.delay_s, cancel)
            cancel.check()
            is_last = done == len(reply_ids) - 1
            piece = decoder.decode(_unpack(token_id), final=is_last)
            if piece:
                text.append(piece)
                if on_token is not None:
                    on_token(index, piece)
        _strike(fault, len(reply_ids))
        cancel.check()
        self._previous = [*ids, *reply_ids]
        return Completion(
            text="".join(text),
            prompt_token_ids=tuple(ids),
            token_ids=tuple(reply_ids),
            finish_reason=finish_reason,
            cached_tokens=cached_tokens,
            decode_s=time.perf_counter() - started,
        )

    def _reply(self, number: int, request: Request) -> str:
        if callable(self._replies):
            reply = self._replies(request)
        elif number < len(self._replies):
            reply = self._replies[number]
        else:
            raise ScriptError(f"the script has {len(self._replies)} replies, and one more was asked for")
        if request.grammar is not None and self._checks_grammar:
            grammar = gbnf.parse(request.grammar)
            if not grammar.matches(reply):
                raise ScriptError(f"reply {number} does not match the grammar of its request: {reply!r}")
        return reply

    def close(self) -> None:
        """Free the model. A second call does nothing."""
        self.is_closed = True


def _strike(fault: Fault, done: int) -> None:
    """Let the fault happen at its token."""
    if done < fault.after_tokens:
        return
    if fault.kills_process:
        os.kill(os.getpid(), signal.SIGKILL)
    if fault.error is not None:
        raise fault.error


def _pause(delay_s: float, cancel: CancelToken) -> None:
    end = time.monotonic() + delay_s
    while (left := end - time.monotonic()) > 0:
        cancel.check()
        time.sleep(min(left, _DELAY_STEP_S))


def _common_prefix(left: Sequence[int], right: Sequence[int]) -> int:
    count = 0
    for one, other in zip(left, right, strict=False):
        if one != other:
            break
        count += 1
    return count


def _pieces(text: str) -> Iterator[bytes]:
    for word in _WORD.findall(utf8_safe(text)):
        encoded = word.encode()
        for start in range(0, len(encoded), _BYTES_PER_TOKEN):
            yield encoded[start : start + _BYTES_PER_TOKEN]


def _pack(piece: bytes) -> int:
    return len(piece) << 24 | int.from_bytes(piece, "big")


def _unpack(token_id: int) -> bytes:
    length = token_id >> 24
    if length == 0:
        return _SPECIAL_TEXTS[token_id - 1].encode()
    return (token_id & 0xFFFFFF).to_bytes(length, "big")
