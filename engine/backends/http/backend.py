"""A model behind a server as a `Backend`.

Requests of a batch run side by side, as many as the server computes at once, in an event loop that lives in the
thread of the caller: `on_token` is called there, and a cancel or an error closes the streams of all requests,
whereupon servers stop computing. Tokenising goes by a connection of its own and may be done by other threads
meanwhile.
"""

import asyncio
import hashlib
import json
import threading
import time
from collections.abc import Sequence
from contextlib import aclosing

from engine.backends.base import Completion, ModelInfo, OnToken, Prompt, Request, check_window
from engine.backends.http.client import Client
from engine.backends.http.dialect import Dialect, EncodedPrompt, ServedModel
from engine.cancel import CancelToken
from engine.errors import BackendDiedError

_CANCEL_POLL_S = 0.01

_Job = tuple[int, Request, EncodedPrompt]


class ServerBackend:
    """A served model, opened. One thread at a time generates; others wait.

    Args:
        client: the connection; closed with the backend.
        dialect: how to speak to the server.
        context_tokens: window to use; None = the server's own.
        num_parallel: most requests at once; None = what the server says or is known to stand.
        lookahead: see `ModelInfo`; None = 8 for vLLM, which runs on a GPU as a rule, else 1.
        prompt_set: see `ModelInfo`; servers do not tell.
        chunk_tokens: see `ModelInfo`.
        memory_tokens: see `ModelInfo`.
    """

    def __init__(
        self,
        client: Client,
        dialect: Dialect,
        *,
        context_tokens: int | None = None,
        num_parallel: int | None = None,
        lookahead: int | None = None,
        prompt_set: str | None = None,
        chunk_tokens: int | None = None,
        memory_tokens: int | None = None,
    ) -> None:
        self._client = client
        self._dialect = dialect
        self._runner = asyncio.Runner()
        self._lock = threading.RLock()
        self._is_generating = False
        self._is_closed = False
        model = dialect.model
        self.num_parallel = num_parallel or model.num_parallel
        """Most requests at once; more take turns."""
        self._info = ModelInfo(
            name=model.name,
            fingerprint=fingerprint(model),
            context_tokens=context_tokens or model.context_tokens,
            backend=model.server,
            prompt_set=prompt_set,
            chunk_tokens=chunk_tokens,
            memory_tokens=memory_tokens,
            lookahead=lookahead or model.lookahead,
            proves_tokens=dialect.proves_tokens,
        )

    @property
    def info(self) -> ModelInfo:
        """What this model is."""
        return self._info

    def tokenize(self, text: str) -> list[int]:
        """Token ids of data text: no special tokens parsed, none added."""
        self._check_open()
        return self._dialect.tokenize(text)

    def detokenize(self, token_ids: Sequence[int]) -> str:
        """Text of tokens, special tokens rendered; what is not UTF-8 becomes U+FFFD."""
        self._check_open()
        return self._dialect.detokenize(token_ids)

    def encode(self, prompt: Prompt) -> list[int]:
        """Token ids of a prompt through the chat template, as `generate` would give them to the model."""
        self._check_open()
        return list(self._dialect.encode(prompt).ids)

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
                jobs = [self._job(index, request, cancel) for index, request in enumerate(requests)]
                return self._runner.run(self._complete_all(jobs, cancel, on_token))
            finally:
                self._is_generating = False

    def _job(self, index: int, request: Request, cancel: CancelToken) -> _Job:
        cancel.check()
        prompt = self._dialect.encode(request.prompt)
        check_window(len(prompt.ids), request.max_tokens, self._info.context_tokens)
        return index, request, prompt

    async def _complete_all(
        self, jobs: Sequence[_Job], cancel: CancelToken, on_token: OnToken | None
    ) -> list[Completion]:
        completions: dict[int, Completion] = {}
        waiting = iter(jobs)

        async def work() -> None:
            for index, request, prompt in waiting:
                completions[index] = await self._complete(index, request, prompt, cancel, on_token)

        workers = {asyncio.create_task(work()) for _ in range(min(self.num_parallel, len(jobs)))}
        pending = workers
        try:
            while pending:
                done, pending = await asyncio.wait(
                    pending, timeout=_CANCEL_POLL_S, return_when=asyncio.FIRST_EXCEPTION
                )
                cancel.check()
                for worker in done:
                    worker.result()
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
        return [completions[index] for index in range(len(jobs))]

    async def _complete(
        self,
        index: int,
        request: Request,
        prompt: EncodedPrompt,
        cancel: CancelToken,
        on_token: OnToken | None,
    ) -> Completion:
        def emit(text: str) -> None:
            if text and on_token is not None:
                on_token(index, text)

        reply = self._dialect.reply(request, prompt)
        started = ready = time.perf_counter()
        body = self._dialect.body(request, prompt)
        async with aclosing(self._client.stream(self._dialect.path, body)) as events:
            async for event in events:
                cancel.check()
                if not reply.text and not reply.token_ids:
                    ready = time.perf_counter()
                emit(reply.feed(event))
        if reply.finish_reason is None:
            raise BackendDiedError(
                f"The server at {self._client.address} cut a reply off.",
                hint="The reading is saved: see the server's log, start it again and resume.",
            )
        reply.check()
        return Completion(
            text=reply.text,
            prompt_token_ids=prompt.ids,
            token_ids=tuple(reply.token_ids),
            finish_reason=reply.finish_reason,
            cached_tokens=reply.cached_tokens,
            prefill_s=ready - started if reply.prefill_s is None else reply.prefill_s,
            decode_s=time.perf_counter() - ready if reply.decode_s is None else reply.decode_s,
        )

    def _check_open(self) -> None:
        if self._is_closed:
            raise RuntimeError("the backend is closed")

    def close(self) -> None:
        """Close the connections; the server goes on. A second call does nothing."""
        with self._lock:
            if self._is_generating:
                raise RuntimeError("close() called out of on_token")
            if not self._is_closed:
                self._is_closed = True
                self._runner.run(self._client.close_streams())
                self._runner.close()
                self._client.close()


def fingerprint(model: ServedModel) -> str:
    """Hash over what a server tells of a model: its kind, the model's name, template, tokenizer or digest.

    The address is left out, so that a server may move. A server that loads other weights under the same name,
    with the same tokenizer and template, is not noticed.
    """
    facts = {"server": model.server, "name": model.name, **model.identity}
    return hashlib.sha256(
        json.dumps(facts, sort_keys=True, ensure_ascii=False).encode("utf-8", "replace")
    ).hexdigest()
