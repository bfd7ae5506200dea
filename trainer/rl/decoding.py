"""Batched decoding with the trainer's own weights: the reference way of drawing rollouts, on a CPU or a GPU.

Prompts stand left-aligned in a KV cache that is allocated once for a batch; equal prompts (the G rollouts of a question
begin alike, and go on alike as long as the memory stays) are computed once. A row that is done leaves the batch. Every
row draws from a random source of its own, so that what is drawn for it does not depend on its neighbours.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor, nn

from engine.backends.base import FinishReason
from engine.cancel import CancelToken
from trainer.rl.data import TokenSet
from trainer.rl.forward import CachedForward, RowCache
from trainer.rl.grammar import State, TokenGrammar
from trainer.rl.logprobs import AllowedMasks, constrained_logprobs
from trainer.rl.vocabulary import Vocabulary


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One conversation to be completed.

    Attributes:
        ids: ids of the prompt.
        max_tokens: cap on the reply.
        seed: of the row's own random source.
        temperature: 0 = greedy. Nothing else bends the distribution: top-p 1, top-k off.
        grammar: GBNF that the reply must match; None = free.
        closed: replies that end without an end token, see `engine.backends.base.Request`.
    """

    ids: tuple[int, ...]
    max_tokens: int
    seed: int
    temperature: float = 1.0
    grammar: str | None = None
    closed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """What was drawn for a row; see `trainer.rl.data.Conversation`."""

    response_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    allowed: tuple[TokenSet | None, ...]
    finish_reason: FinishReason
    text: str
    num_text_ids: int
    """Ids of the response that are text: all but an end token."""


class Draws(Protocol):
    """What draws replies: `Decoder` here, `trainer.rl.served.ServedDecoder` through a server."""

    def draw(self, rows: Sequence[Row], cancel: CancelToken | None = None) -> list[Drawn]:
        """Complete every row, in the order given."""

    def weights_changed(self) -> None:
        """The policy was updated."""

    def close(self) -> None:
        """Let go of what is held; it is taken again when something is drawn."""


@dataclass(slots=True)
class Writing:
    """A row on its way: takes tokens as they come, whoever draws them."""

    index: int
    row: Row
    generator: torch.Generator
    grammar: TokenGrammar | None
    state: State = frozenset()
    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    allowed: list[TokenSet | None] = field(default_factory=list)
    text: bytes = b""
    finish_reason: FinishReason | None = None
    num_text_ids: int = 0

    def next_allowed(self) -> TokenSet | None:
        return None if self.grammar is None else self.grammar.allowed(self.state)

    def take(self, token_id: int, logprob: float, allowed: TokenSet | None, vocabulary: Vocabulary) -> None:
        self.ids.append(token_id)
        self.logprobs.append(logprob)
        self.allowed.append(allowed)
        if token_id in vocabulary.end_ids:
            self.finish_reason = "stop"
            return
        self.num_text_ids += 1
        self.text += vocabulary.piece(token_id)
        if self.grammar is not None:
            self.state = self.grammar.advance(self.state, token_id)
        if self.row.closed and self.text.decode("utf-8", "replace") in self.row.closed:
            self.finish_reason = "stop"
        elif self.num_text_ids == self.row.max_tokens:
            self.finish_reason = "length"

    def drawn(self) -> Drawn:
        assert self.finish_reason is not None, "only finished rows have one"
        return Drawn(
            response_ids=tuple(self.ids),
            logprobs=tuple(self.logprobs),
            allowed=tuple(self.allowed),
            finish_reason=self.finish_reason,
            text=self.text.decode("utf-8", "replace"),
            num_text_ids=self.num_text_ids,
        )


def begin(index: int, row: Row, vocabulary: Vocabulary) -> Writing:
    """A row of which nothing is drawn yet; `index` is its place among the rows."""
    generator = torch.Generator().manual_seed(row.seed)
    if row.grammar is None:
        return Writing(index, row, generator, None)
    grammar = vocabulary.grammar(row.grammar)
    return Writing(index, row, generator, grammar, grammar.start)


class Decoder:
    """Draws replies.

    Args:
        model: a transformers decoder with submodules `model` and `lm_head`.
        vocabulary: its tokens.
        cache_tokens: most columns times rows of one batch's KV cache.
        autocast: dtype of the computation; None = that of the weights.
    """

    def __init__(
        self,
        model: nn.Module,
        vocabulary: Vocabulary,
        *,
        cache_tokens: int,
        autocast: torch.dtype | None = None,
    ) -> None:
        self._model = model
        self._vocabulary = vocabulary
        self._cache_tokens = cache_tokens
        self._forward = CachedForward(model, autocast)

    def weights_changed(self) -> None:
        """Nothing is to be done: what draws are the trained weights themselves."""

    def close(self) -> None:
        """Nothing is held that the policy does not hold."""

    @torch.no_grad()
    def draw(self, rows: Sequence[Row], cancel: CancelToken | None = None) -> list[Drawn]:
        """Complete every row, in the order given.

        Raises:
            engine.cancel.Cancelled: within one token of `cancel.cancel()`.
            GenerationError: a grammar is faulty, or no token fits it.
        """
        cancel = cancel or CancelToken()
        drawn: dict[int, Drawn] = {}
        with self._forward.drawing():
            for batch in self._batches(rows):
                for writing in self._run([(index, rows[index]) for index in batch], cancel):
                    drawn[writing.index] = writing.drawn()
        return [drawn[index] for index in range(len(rows))]

    def _batches(self, rows: Sequence[Row]) -> Iterator[list[int]]:
        """Rows of like length side by side, as many as the cache holds."""
        batch: list[int] = []
        columns = 0
        for index in sorted(range(len(rows)), key=lambda i: (len(rows[i].ids), i)):
            wanted = len(rows[index].ids) + rows[index].max_tokens
            if batch and max(columns, wanted) * (len(batch) + 1) > self._cache_tokens:
                yield batch
                batch, columns = [], 0
            batch.append(index)
            columns = max(columns, wanted)
        if batch:
            yield batch

    def _run(self, rows: Sequence[tuple[int, Row]], cancel: CancelToken) -> list[Writing]:
        everyone = [begin(index, row, self._vocabulary) for index, row in rows]
        active = everyone
        device = next(self._model.parameters()).device
        num_columns = max(len(row.ids) + row.max_tokens for _, row in rows)
        cache = RowCache([len(row.ids) for _, row in rows], num_columns, device)
        masks = AllowedMasks(self._vocabulary.size, device)
        logits = self._forward.prompts([row.ids for _, row in rows], cache)
        while True:
            cancel.check()
            self._draw_tokens(active, logits, masks)
            places = [place for place, writing in enumerate(active) if writing.finish_reason is None]
            if not places:
                return everyone
            if len(places) < len(active):
                cache.keep(places)
                active = [active[place] for place in places]
            logits = self._forward.tokens([writing.ids[-1] for writing in active], cache)

    def _draw_tokens(self, active: Sequence[Writing], logits: Tensor, masks: AllowedMasks) -> None:
        allowed = [writing.next_allowed() for writing in active]
        temperatures = torch.tensor([w.row.temperature or 1.0 for w in active], device=logits.device)
        every = constrained_logprobs(logits / temperatures[:, None], masks.rows(allowed), 1.0)
        chosen = self._choose(active, every)
        logprobs = every.gather(-1, chosen[:, None]).squeeze(-1).tolist()
        for writing, token_id, logprob, each in zip(active, chosen.tolist(), logprobs, allowed, strict=True):
            writing.take(token_id, logprob, each, self._vocabulary)

    @staticmethod
    def _choose(active: Sequence[Writing], logprobs: Tensor) -> Tensor:
        """A token for each row, [rows]: the best one, or the one where the row's number falls in the sums."""
        greedy = logprobs.argmax(-1)
        if all(writing.row.temperature == 0 for writing in active):
            return greedy
        numbers = [float(torch.rand((), generator=w.generator, dtype=torch.float64)) for w in active]
        sums = cumulative(logprobs)
        # The sum of all is 1 but for rounding. Below it, the first sum above the number belongs to a token that has
        # some probability, so that nothing is drawn which the grammar shut out.
        total = sums[:, -1]
        wanted = torch.tensor(numbers, dtype=torch.float64, device=sums.device) * total
        wanted = torch.minimum(wanted, torch.nextafter(total, torch.zeros_like(total)))
        drawn = torch.searchsorted(sums, wanted[:, None], right=True).squeeze(-1)
        is_greedy = torch.tensor([w.row.temperature == 0 for w in active], device=sums.device)
        return torch.where(is_greedy, greedy, drawn)


def cumulative(logprobs: Tensor) -> Tensor:
    """Sums of the probabilities up to each token, [rows, V]; float64, so that no token is lost in rounding."""
    return logprobs.double().exp().cumsum(-1)


def row_seed(*parts: object) -> int:
    """A seed out of names and numbers: run, step, prompt, rollout, turn. Stable between processes."""
    digest = hashlib.sha256("\x1f".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") % 2**63
