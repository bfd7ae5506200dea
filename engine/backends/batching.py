"""Continuous batching: conversations take turns in the sequences of one context and are computed together.

Prompts go first, then all replies grow side by side, one call a step: a call reads every weight once, however many
replies it serves. A conversation begins with the longest prefix that any sequence holds of its prompt.
"""

import codecs
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from engine.backends.base import Completion, FinishReason, OnToken, Request
from engine.backends.lookup import MAX_DRAFT_TOKENS, PromptLookup
from engine.backends.native import NativeModel
from engine.backends.native_context import Logits, NativeContext, Piece, common_prefix
from engine.cancel import CancelToken

_WORTH_COPYING = 16
"""Tokens of prefix that another sequence must hold more than one's own before they are copied."""


class Sampler(Protocol):
    """Draws the tokens of one reply."""

    num_close_calls: int

    def draw(self, logits: Logits) -> int:
        """The next token."""
        ...

    def free(self) -> None:
        """Give the memory back."""
        ...


class Batcher:
    """Completes conversations in the sequences of one context.

    Args:
        model: the model.
        context: its context.
        looks_up: whether replies are drafted by prompt lookup; needs a model that can forget tokens.
    """

    def __init__(self, model: NativeModel, context: NativeContext, *, looks_up: bool = True) -> None:
        self._model = model
        self._context = context
        self._looks_up = looks_up

    def run(
        self,
        requests: Sequence[Request],
        prompts: Sequence[list[int]],
        samplers: Callable[[Request], Sampler],
        cancel: CancelToken,
        on_token: OnToken | None,
    ) -> list[Completion]:
        """Complete all of them; see `engine.backends.base.Backend.generate`.

        Args:
            requests: what to complete.
            prompts: their token ids, checked to fit the window.
            samplers: makes the sampler of a request.
            cancel: stops everything within one token.
            on_token: told every piece of text.
        """
        jobs = [
            _Job(index, request, ids, self._model, on_token)
            for index, (request, ids) in enumerate(zip(requests, prompts, strict=True))
        ]
        try:
            _Round(self._context, jobs, samplers, cancel, looks_up=self._looks_up).run()
        finally:
            for job in jobs:
                job.free()
        return [job.completion() for job in jobs]


class _Round:
    """One call of `Batcher.run`."""

    def __init__(
        self,
        context: NativeContext,
        jobs: Sequence["_Job"],
        samplers: Callable[[Request], Sampler],
        cancel: CancelToken,
        *,
        looks_up: bool,
    ) -> None:
        self._context = context
        self._settings = context.settings
        self._samplers = samplers
        self._cancel = cancel
        self._looks_up = looks_up
        self._waiting = deque(jobs)
        self._active: dict[int, _Job] = {}

    def run(self) -> None:
        while self._waiting or self._active:
            self._admit()
            prompts = [job for job in self._active.values() if job.is_in_prompt]
            if prompts:
                self._read(prompts)
            else:
                # llama.cpp computes caches that are apart in one go only if they come in a row: in any other order, one
                # after the other, it reads all weights once more for each break.
                self._write(sorted(self._active.values(), key=lambda job: job.sequence))

    def _admit(self) -> None:
        """Give free sequences to those who wait, unless a prefix that they share is about to be computed."""
        while self._waiting and len(self._active) < self._settings.num_sequences:
            job = self._waiting[0]
            own, sequence = self._best_free(job.ids)
            held, source = self._best_of(job.ids)
            pending = max(
                (common_prefix(o.ids, job.ids) for o in self._active.values() if o.is_in_prompt), default=0
            )
            if pending >= max(own, held) + _WORTH_COPYING:
                return
            self._waiting.popleft()
            if held >= own + _WORTH_COPYING:
                self._context.share_prefix(source, sequence, held)
            cached_tokens = self._context.keep_prefix(sequence, job.ids)
            self._active[sequence] = job
            job.begin(sequence, cached_tokens, self._samplers(job.request), looks_up=self._looks_up)

    def _best_free(self, ids: Sequence[int]) -> tuple[int, int]:
        """How much of a prompt the best free sequence holds, and which it is."""
        cached = self._context.cached
        free = [number for number in range(len(cached)) if number not in self._active]
        best = max(free, key=lambda number: (common_prefix(cached[number], ids), -len(cached[number])))
        return common_prefix(cached[best], ids), best

    def _best_of(self, ids: Sequence[int]) -> tuple[int, int]:
        cached = self._context.cached
        best = max(range(len(cached)), key=lambda number: common_prefix(cached[number], ids))
        return min(common_prefix(cached[best], ids), len(ids) - 1), best

    def _read(self, jobs: Sequence["_Job"]) -> None:
        """Compute the next tokens of prompts; those that are through draw their first token.

        Caches apart want batches of equal lengths, which prompts do not have; so there they go one by one.
        """
        room = self._settings.batch_tokens
        pieces: list[Piece] = []
        chosen: list[_Job] = []
        for job in jobs if self._settings.is_unified else jobs[:1]:
            ids = job.ids[job.num_computed : job.num_computed + room]
            if not ids:
                break
            chosen.append(job)
            is_last = job.num_computed + len(ids) == len(job.ids)
            pieces.append(Piece(job.sequence, ids, num_outputs=int(is_last)))
            room -= len(ids)
        self._hold()
        self._context.compute(pieces, should_abort=lambda: self._cancel.is_cancelled)
        row = 0
        for job, piece in zip(chosen, pieces, strict=True):
            job.num_computed += len(piece.ids)
            if piece.num_outputs:
                job.end_of_prompt()
                self._draw(job, [row], [])
                row += 1

    def _write(self, jobs: Sequence["_Job"]) -> None:
        """Compute one more token of every reply, and the tokens that are guessed to follow."""
        share = min(self._settings.max_outputs, self._settings.batch_tokens) // len(jobs)
        if len(jobs) > 1 and not self._settings.is_unified:
            # Of caches apart, llama.cpp computes pieces of different lengths one after the other: on a CPU guesses then
            # cost what the tokens cost that they spare (docs/log.md).
            share = 1
        drafts = [job.draft(share - 1) for job in jobs]
        pieces = [
            Piece(job.sequence, [job.token_ids[-1], *draft], num_outputs=1 + len(draft))
            for job, draft in zip(jobs, drafts, strict=True)
        ]
        # No abort callback here: one token is as fine as a cancel needs, and a Python call for every
        # operation of the graph would slow down small models.
        self._hold()
        self._context.compute(pieces)
        row = 0
        for job, draft in zip(jobs, drafts, strict=True):
            rows = list(range(row, row + 1 + len(draft)))
            row += len(rows)
            self._draw(job, rows, draft)

    def _hold(self) -> None:
        """Stop or pause here if the user wants it; a pause is none of the jobs' time."""
        held_s = self._cancel.hold()
        if held_s:
            for job in self._active.values():
                job.leave_out(held_s)

    def _draw(self, job: "_Job", rows: Sequence[int], draft: Sequence[int]) -> None:
        """Draw behind the last token and behind each guess that came true."""
        num_right = 0
        for place, row in enumerate(rows):
            self._cancel.check()
            token_id = job.sampler.draw(self._context.logits(row))
            job.take(token_id)
            if job.finish_reason is not None or place == len(draft) or token_id != draft[place]:
                break
            num_right += 1
        job.judge(len(draft), num_right)
        if job.finish_reason is not None:
            # What was guessed beyond the end of the reply stays in the cache: it is no prefix of anything, and is
            # rolled back when the sequence is used again.
            del self._active[job.sequence]
        elif num_right < len(draft):
            self._context.truncate(job.sequence, len(job.ids) + len(job.token_ids) - 1)


class _Job:
    """One conversation on its way."""

    def __init__(
        self, index: int, request: Request, ids: list[int], model: NativeModel, on_token: OnToken | None
    ) -> None:
        self.request = request
        self.ids = ids
        self.sequence = -1
        self.num_computed = 0
        self.token_ids: list[int] = []
        self.finish_reason: FinishReason | None = None
        self._model = model
        self._sampler: Sampler | None = None
        self._index = index
        self._on_token = on_token
        self._lookup: PromptLookup | None = None
        self._cached_tokens = 0
        self._num_close_calls = 0
        self._text = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._began = self._ready = self._ended = 0.0

    @property
    def is_in_prompt(self) -> bool:
        return self.num_computed < len(self.ids)

    @property
    def sampler(self) -> Sampler:
        assert self._sampler is not None, "begin() comes first"
        return self._sampler

    def begin(self, sequence: int, cached_tokens: int, sampler: Sampler, *, looks_up: bool) -> None:
        self.sequence = sequence
        self.num_computed = self._cached_tokens = cached_tokens
        self._sampler = sampler
        self._lookup = PromptLookup(self.ids) if looks_up else None
        self._began = time.perf_counter()

    def end_of_prompt(self) -> None:
        self._ready = time.perf_counter()

    def leave_out(self, seconds: float) -> None:
        """Time that passed while nothing was computed does not count."""
        self._began += seconds
        if not self.is_in_prompt:
            self._ready += seconds

    def draft(self, room: int) -> list[int]:
        """Guesses behind the last token; never more than the reply may still have."""
        most = min(room, MAX_DRAFT_TOKENS, self.request.max_tokens - len(self.token_ids) - 1)
        return self._lookup.draft(most) if self._lookup is not None and most > 0 else []

    def judge(self, num_drafted: int, num_right: int) -> None:
        if self._lookup is not None and num_drafted:
            self._lookup.learn(num_drafted, num_right)

    def take(self, token_id: int) -> None:
        """Add a token to the reply, or end the reply."""
        if self._model.ends_turn(token_id):
            self._finish("stop")
            return
        self.token_ids.append(token_id)
        if self._lookup is not None:
            self._lookup.add(token_id)
        self._emit(self._decoder.decode(self._model.piece(token_id)))
        if self._text in self.request.closed:
            self._finish("stop")
        elif len(self.token_ids) == self.request.max_tokens:
            self._finish("length")

    def _finish(self, reason: FinishReason) -> None:
        self._emit(self._decoder.decode(b"", final=True))
        self.finish_reason = reason
        self._ended = time.perf_counter()
        self.free()

    def _emit(self, text: str) -> None:
        if text:
            self._text += text
            if self._on_token is not None:
                self._on_token(self._index, text)

    def free(self) -> None:
        """Let go of the sampler. A second call does nothing."""
        sampler, self._sampler = self._sampler, None
        if sampler is not None:
            self._num_close_calls = sampler.num_close_calls
            sampler.free()

    def completion(self) -> Completion:
        assert self.finish_reason is not None, "only finished jobs have one"
        return Completion(
            text=self._text,
            prompt_token_ids=tuple(self.ids),
            token_ids=tuple(self.token_ids),
            finish_reason=self.finish_reason,
            cached_tokens=self._cached_tokens,
            num_close_calls=self._num_close_calls,
            prefill_s=self._ready - self._began,
            decode_s=self._ended - self._ready,
        )
