"""One rollout batch becomes updates of the weights.

A mini-batch is cut into packs that fit the memory; each pack's loss is divided by the size of the whole mini-batch, so
that the cut does not matter. When memory runs out, the budget halves and the mini-batch starts again from zero
gradients.

Readings of one question begin alike and mostly go on alike: of the same chunk and memory they say the same. Equal
conversations are computed once, whatever their advantages, and equal prompts once for all their replies
(`trainer.rl.packing`); the loss is that of all of them.
"""

import logging
import math
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

from trainer.rl.data import Conversation
from trainer.rl.distributed import SOLO, Ranks, Sharding
from trainer.rl.errors import TrainingMemoryError
from trainer.rl.logprobs import Scores, is_blockwise, score_pack
from trainer.rl.loss import Denominator, LossConfig, Sums, Terms, policy_loss
from trainer.rl.packing import Pack, bundle_tokens, make_pack, plan_bundles, plan_packs

_log = logging.getLogger(__name__)
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A conversation to be trained on.

    Attributes:
        conversation: what was said.
        advantage: of every response token.
        old: log pi_old of the response, [N]; None = the policy is still what it was, so that log pi_theta is it.
        reference: log pi_ref of the response, [N]; None = there is no KL term.
    """

    conversation: Conversation
    advantage: float
    old: tuple[float, ...] | None = None
    reference: tuple[float, ...] | None = None


class Budget:
    """Most tokens of a packed row; halves when memory runs out.

    Args:
        tokens: to begin with.
    """

    def __init__(self, tokens: int) -> None:
        self.tokens = tokens

    def attempt(self, work: Callable[[int], _T], longest: int) -> _T:
        """Do something within the budget, again with half of it as often as memory runs out.

        Args:
            work: is given the budget; must be able to start again.
            longest: tokens of the longest conversation, below which no budget helps.

        Raises:
            TrainingMemoryError: a row with the longest conversation alone does not fit.
        """
        while True:
            try:
                return work(self.tokens)
            except (torch.OutOfMemoryError, RuntimeError, MemoryError) as exc:
                if not is_out_of_memory(exc):
                    raise
                if self.tokens <= longest:
                    raise TrainingMemoryError(
                        f"A conversation of {longest} tokens does not fit the memory.",
                        hint="Train with smaller chunks, gradient checkpointing, adapters or a smaller model.",
                    ) from exc
            # Outside the handler: the exception holds on to the tensors that filled the memory.
            self.tokens = max(longest, self.tokens // 2)
            _log.warning("out of memory: rows of %d tokens from now on", self.tokens)
            if torch.cuda.is_available():
                torch.cuda.empty_cache()


def is_out_of_memory(exc: BaseException) -> bool:
    """Whether memory ran out, on a GPU or where torch's CPU allocator says so."""
    if isinstance(exc, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(exc, RuntimeError) and "DefaultCPUAllocator: can't allocate memory" in str(exc)


@dataclass(frozen=True, slots=True, kw_only=True)
class Computing:
    """How scores are computed.

    Attributes:
        temperature: of the rollouts.
        head_tokens: positions whose logits exist at one time.
        autocast: dtype of the computation; None = that of the weights.
        pad_multiple: rows are padded to a multiple of it; 1 = not at all.
        ranks: the processes that share a mini-batch.
        sharding: of the policy; None = every process has it whole.
    """

    temperature: float = 1.0
    head_tokens: int = 512
    autocast: torch.dtype | None = None
    pad_multiple: int = 1
    ranks: Ranks = SOLO
    sharding: Sharding | None = None

    def scores(self, model: nn.Module, pack: Pack) -> Scores:
        """Score a pack."""
        context: AbstractContextManager[object] = nullcontext()
        if self.autocast is not None:
            context = torch.autocast(pack.ids.device.type, dtype=self.autocast)
        with context:
            return score_pack(model, pack, temperature=self.temperature, chunk_tokens=self.head_tokens)

    def scores_with_gradient(self, model: nn.Module, pack: Pack) -> Scores:
        """Score a pack that is trained on; every process must do so equally often."""
        if self.sharding is None:
            return self.scores(model, pack)

        def work() -> tuple[Tensor, ...]:
            found = self.scores(model, pack)
            return found.logprobs, found.entropy

        return Scores(*self.sharding.compute(work))

    def packs(self, model: nn.Module, conversations: Sequence[Conversation], budget: int) -> Iterator[Pack]:
        """The conversations in rows for a model."""
        device = next(model.parameters()).device
        bundles = plan_bundles(conversations, budget, is_shared=is_blockwise(model))
        sizes = [bundle_tokens(conversations, bundle) for bundle in bundles]
        for places in plan_packs(sizes, budget):
            length = sum(sizes[place] - len(bundles[place]) for place in places)
            pad_to = math.ceil(length / self.pad_multiple) * self.pad_multiple
            yield make_pack(conversations, [bundles[place] for place in places], device=device, pad_to=pad_to)


@dataclass(frozen=True, slots=True)
class Distinct:
    """Conversations, equal ones once.

    Attributes:
        talks: one of each, in the order of first appearance.
        places: for each conversation given, the place in `talks` of its equal.
    """

    talks: tuple[Conversation, ...]
    places: tuple[int, ...]

    @classmethod
    def of(cls, conversations: Sequence[Conversation]) -> "Distinct":
        """Equal are those with the same ids, drawn from the same sets."""
        keys = [(talk.prompt_ids, talk.response_ids, talk.allowed) for talk in conversations]
        first: dict[object, Conversation] = {}
        for key, talk in zip(keys, conversations, strict=True):
            first.setdefault(key, talk)
        places = {key: place for place, key in enumerate(first)}
        return cls(tuple(first.values()), tuple(places[key] for key in keys))


def score_all(
    model: nn.Module, conversations: Sequence[Conversation], computing: Computing, budget: Budget
) -> list[tuple[float, ...]]:
    """Log-probabilities of every response under a model, in the order given."""
    if not conversations:
        return []
    distinct = Distinct.of(conversations)

    @torch.no_grad()
    def work(tokens: int) -> list[tuple[float, ...]]:
        found: dict[int, tuple[float, ...]] = {}
        for pack in computing.packs(model, distinct.talks, tokens):
            logprobs = computing.scores(model, pack).logprobs
            for number, row in enumerate(pack.rows):
                found[row] = tuple(logprobs[pack.conversation == number].tolist())
        return [found[place] for place in distinct.places]

    return budget.attempt(work, max(talk.num_tokens for talk in conversations))


def mini_batches(samples: Sequence[Sample], count: int, seed: int) -> list[list[Sample]]:
    """Shuffle and cut. Turn-major order would give an update of first turns only."""
    order = list(range(len(samples)))
    random.Random(seed).shuffle(order)
    size = max(1, math.ceil(len(samples) / count))
    return [[samples[i] for i in order[start : start + size]] for start in range(0, len(order), size)]


def accumulate(
    model: nn.Module,
    batch: Sequence[Sample],
    config: LossConfig,
    computing: Computing,
    budget: Budget,
    scale: float = 1.0,
) -> Sums:
    """Gradients of a mini-batch's loss, added to zero, and sums for the metrics.

    Args:
        model: the policy.
        batch: the mini-batch; the same in every process.
        config: the objective.
        computing: how scores are computed, and by how many processes.
        budget: most tokens of a row.
        scale: factor on the gradients, see `trainer.rl.scaling`; sums are without it.

    Raises:
        TrainingMemoryError: see `Budget.attempt`.
    """
    whole = Denominator(
        num_tokens=sum(len(sample.conversation.response_ids) for sample in batch),
        num_conversations=len(batch),
    )
    # Without a KL term a conversation without advantage has no gradient: it only counts in the denominator.
    live = [sample for sample in batch if sample.advantage or config.kl]
    distinct = Distinct.of([sample.conversation for sample in live])
    owners: list[list[Sample]] = [[] for _ in distinct.talks]
    for place, sample in zip(distinct.places, live, strict=True):
        owners[place].append(sample)
    ranks = computing.ranks
    # FSDP2 takes the mean of the processes' gradients, and the loss is a sum over their packs.
    factor = scale * ranks.count

    def work(tokens: int) -> Sums:
        model.zero_grad(set_to_none=True)
        sums = Sums()
        for pack, counts in _shared(computing, model, distinct.talks, tokens):
            scores = computing.scores_with_gradient(model, pack)
            terms = _terms([owners[row] for row in pack.rows], scores)
            loss, measured = policy_loss(terms, config, whole)
            (loss * (factor * counts)).backward()  # type: ignore[no-untyped-call]
            if counts:
                sums.add(measured)
        return sums

    if ranks.count == 1:
        return budget.attempt(work, max((talk.num_tokens for talk in distinct.talks), default=0))
    # A process that began again alone would wait for collectives that never come.
    everyone = ranks.everyone(work(budget.tokens))
    for other in everyone[1:]:
        everyone[0].add(other)
    return everyone[0]


def _shared(
    computing: Computing, model: nn.Module, conversations: Sequence[Conversation], tokens: int
) -> Iterator[tuple[Pack, bool]]:
    """This process's packs and whether they count; all processes have equally many, the last may be a repetition.

    Gradients are gathered and scattered at every layer, so a process without work must go along.
    """
    ranks = computing.ranks
    packs = list(computing.packs(model, conversations, tokens))
    for start in range(0, len(packs), ranks.count):
        place = start + ranks.rank
        yield packs[min(place, len(packs) - 1)], place < len(packs)


def _terms(owners: Sequence[Sequence[Sample]], scores: Scores) -> Terms:
    """The terms of all samples of a pack.

    Args:
        owners: the samples of each conversation in the pack.
        scores: of the conversations, each once.
    """
    device = scores.logprobs.device
    samples = [sample for each in owners for sample in each]
    places: list[int] = []  # in `scores`, of each token of each sample
    start = 0
    for each in owners:
        end = start + len(each[0].conversation.response_ids)
        places += [*range(start, end)] * len(each)
        start = end
    index = torch.tensor(places, device=device)
    logprobs = scores.logprobs.index_select(0, index)
    lengths = torch.tensor([len(sample.conversation.response_ids) for sample in samples], device=device)

    def tensor(values: Iterator[float]) -> Tensor:
        return torch.tensor(list(values), dtype=torch.float32, device=device)

    has_old = all(sample.old is not None for sample in samples)
    has_reference = all(sample.reference is not None for sample in samples)
    return Terms(
        logprobs=logprobs,
        old=tensor(v for sample in samples for v in sample.old or ()) if has_old else logprobs.detach(),
        rollout=tensor(value for sample in samples for value in sample.conversation.rollout_logprobs),
        reference=tensor(v for sample in samples for v in sample.reference or ()) if has_reference else None,
        advantages=tensor(sample.advantage for sample in samples for _ in sample.conversation.response_ids),
        conversation=torch.arange(len(samples), device=device).repeat_interleave(lengths),
        entropy=scores.entropy.index_select(0, index),
    )
