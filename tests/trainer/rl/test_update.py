"""A step: packs, memory that runs out, the guard, and that it learns."""

import dataclasses
import random
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.trainer.rl.conftest import make_model
from tests.trainer.rl.talks import make_talk
from tests.trainer.rl.test_decoding import _Plain
from trainer.rl.advantages import AdvantageConfig, group_advantages
from trainer.rl.attention import PACKED
from trainer.rl.data import Conversation, Group, Trajectory
from trainer.rl.decoding import Decoder, Row, row_seed
from trainer.rl.errors import TrainingMemoryError
from trainer.rl.loss import LossConfig
from trainer.rl.optimizer import Stepper
from trainer.rl.packing import Pack
from trainer.rl.recipe import OptimizerConfig
from trainer.rl.update import Budget, Computing, Sample, accumulate, mini_batches, score_all


def _samples(model: nn.Module, count: int = 10, seed: int = 0) -> list[Sample]:
    rng = random.Random(seed)
    talks = [make_talk(rng) for _ in range(count)]
    scores = score_all(model, talks, Computing(), Budget(64))
    return [
        Sample(
            conversation=talk,
            advantage=rng.uniform(-1, 1),
            old=tuple(value + rng.gauss(0, 0.3) for value in values),
            reference=tuple(value + rng.gauss(0, 0.3) for value in values),
        )
        for talk, values in zip(talks, scores, strict=True)
    ]


def _gradients(
    model: nn.Module, samples: Sequence[Sample], computing: Computing, budget: Budget, config: LossConfig
) -> tuple[float, Tensor]:
    loss = accumulate(model, samples, config, computing, budget).means()["loss"]
    flat = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
    return loss, flat


@pytest.mark.parametrize(
    "config", [LossConfig(kl=0.1), LossConfig(variant="gspo", aggregation="sequence")], ids=str
)
def test_neither_packs_nor_padding_nor_order_change_the_update(config: LossConfig) -> None:
    model = make_model()
    samples = _samples(model)
    loss, gradient = _gradients(model, samples, Computing(), Budget(10_000), config)
    shuffled = list(samples)
    random.Random(5).shuffle(shuffled)
    for computing, tokens, batch in (
        (Computing(), 1, samples),
        (Computing(head_tokens=3), 80, samples),
        (Computing(pad_multiple=64), 100, shuffled),
    ):
        other, slopes = _gradients(model, batch, computing, Budget(tokens), config)
        assert other == pytest.approx(loss, rel=1e-5, abs=1e-7)
        assert float((slopes - gradient).norm()) <= 1e-5 * float(gradient.norm())


class _Small(Computing):
    """A machine on which rows beyond some length do not fit: raises what torch raises there."""

    most_tokens = 90
    failures = 0

    def scores(self, model: nn.Module, pack: Pack) -> Any:
        if pack.ids.shape[1] > self.most_tokens:
            _Small.failures += 1
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return super().scores(model, pack)


def test_when_memory_runs_out_the_budget_halves_and_the_update_is_the_same() -> None:
    model = make_model()
    samples = _samples(model)
    loss, gradient = _gradients(model, samples, Computing(), Budget(400), LossConfig())
    _Small.failures = 0
    budget = Budget(400)
    other, slopes = _gradients(model, samples, _Small(), budget, LossConfig())
    assert _Small.failures >= 2
    assert budget.tokens < 100
    assert other == pytest.approx(loss, rel=1e-5)
    assert float((slopes - gradient).norm()) <= 1e-5 * float(gradient.norm())


def test_memory_that_runs_out_in_the_middle_of_a_mini_batch_leaves_nothing_behind() -> None:
    model = make_model()
    samples = _samples(model)
    _, gradient = _gradients(model, samples, Computing(), Budget(100), LossConfig())
    calls = 0

    class Once(Computing):
        def scores(self, model: nn.Module, pack: Pack) -> Any:
            nonlocal calls
            calls += 1
            if calls == 3:
                raise torch.OutOfMemoryError("CUDA out of memory.")
            return super().scores(model, pack)

    _, slopes = _gradients(model, samples, Once(), Budget(100), LossConfig())
    assert calls > 3
    assert float((slopes - gradient).norm()) <= 1e-5 * float(gradient.norm())


def test_torchs_own_allocator_is_understood_and_other_errors_are_not_swallowed() -> None:
    attempts: list[int] = []

    def greedy(tokens: int) -> int:
        attempts.append(tokens)
        # The first attempt asks the real allocator for more than any machine has.
        return torch.empty(2**60 if tokens > 30 else 1, dtype=torch.uint8).numel()

    assert Budget(60).attempt(greedy, longest=10) == 1
    assert attempts == [60, 30]
    with pytest.raises(TrainingMemoryError, match="40 tokens"):
        Budget(60).attempt(lambda _: torch.empty(2**60).numel(), longest=40)

    def faulty(_: int) -> int:
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes"):
        Budget(60).attempt(faulty, longest=1)


def test_conversations_without_advantage_count_in_the_denominator_only() -> None:
    model = make_model()
    samples = _samples(model)
    samples[3:6] = [dataclasses.replace(sample, advantage=0.0) for sample in samples[3:6]]
    config = LossConfig(kl=0.0)
    loss, gradient = _gradients(model, samples, Computing(), Budget(100), config)
    # A tiny advantage is computed like any other.
    tiny = [dataclasses.replace(s, advantage=s.advantage or 1e-30) for s in samples]
    other, slopes = _gradients(model, tiny, Computing(), Budget(100), config)
    assert other == pytest.approx(loss, rel=1e-6)
    assert float((slopes - gradient).norm()) <= 1e-5 * float(gradient.norm())


class _Counting(Computing):
    """Counts the tokens that are computed."""

    tokens = 0

    def scores(self, model: nn.Module, pack: Pack) -> Any:
        _Counting.tokens += pack.ids.shape[1]
        return super().scores(model, pack)


@pytest.mark.parametrize(
    "config", [LossConfig(kl=0.1), LossConfig(variant="gspo", aggregation="sequence", kl=0.0)], ids=str
)
def test_equal_conversations_are_computed_once_and_count_as_often_as_they_are_there(
    config: LossConfig,
) -> None:
    model = make_model()
    first = _samples(model, count=4)
    again = [
        dataclasses.replace(sample, advantage=-0.5 * sample.advantage + 0.1 * number)
        for number, sample in enumerate(first[:3] * 2)
    ]
    computed = []
    found = []
    for batch in (first + again, first):
        _Counting.tokens = 0
        found.append(_gradients(model, batch, _Counting(), Budget(100), config))
        computed.append(_Counting.tokens)
    assert computed[0] == computed[1]
    # One conversation a call is never merged; each call divides by its own size, which is undone here.
    whole = sum(len(sample.conversation.response_ids) for sample in first + again)
    loss, gradient = 0.0, torch.zeros_like(found[0][1])
    for sample in first + again:
        own = len(sample.conversation.response_ids)
        share = own / whole if config.aggregation == "token" else 1 / len(first + again)
        alone, slope = _gradients(model, [sample], Computing(), Budget(100), config)
        loss, gradient = loss + share * alone, gradient + share * slope
    assert found[0][0] == pytest.approx(loss, rel=1e-5)
    assert float((found[0][1] - gradient).norm()) <= 1e-5 * float(gradient.norm())


def test_equal_prompts_are_computed_once_with_the_same_update() -> None:
    model = make_model()
    samples = _samples(model, count=12)
    prompts = [tuple(range(2 + number, 32)) for number in range(3)]
    batch = [
        dataclasses.replace(
            sample, conversation=dataclasses.replace(sample.conversation, prompt_ids=prompts[n % 3])
        )
        for n, sample in enumerate(samples)
    ]
    replies = sum(len(sample.conversation.response_ids) - 1 for sample in batch)
    found = []
    for attention in (PACKED, "sdpa"):
        config: Any = model.config
        config._attn_implementation = attention
        for tokens in (10_000, 50) if attention == PACKED else (1,):
            _Counting.tokens = 0
            loss, gradient = _gradients(model, batch, _Counting(), Budget(tokens), LossConfig(kl=0.1))
            found.append((_Counting.tokens, loss, gradient))
    (whole, loss, gradient), *others = found
    assert whole == sum(map(len, prompts)) + replies
    assert others[-1][0] == 4 * sum(map(len, prompts)) + replies
    assert whole < others[0][0] < others[-1][0]
    for _, other, slopes in others:
        assert other == pytest.approx(loss, rel=1e-5)
        assert float((slopes - gradient).norm()) <= 1e-5 * float(gradient.norm())


def test_mini_batches_are_shuffled_and_hold_everything() -> None:
    samples = _samples(make_model(), count=11)
    parts = mini_batches(samples, 3, seed=1)
    assert [len(part) for part in parts] == [4, 4, 3]
    assert sorted(id(s) for part in parts for s in part) == sorted(map(id, samples))
    assert [s for part in parts for s in part] != samples
    assert parts == mini_batches(samples, 3, seed=1) != mini_batches(samples, 3, seed=2)


def _bandit(config: AdvantageConfig, loss: LossConfig) -> float:
    """Even tokens are rewarded; returns the mean reward of the last steps, after starting from about a half."""
    model = make_model(seed=3)
    decoder = Decoder(model, _Plain(), cache_tokens=10**6)  # type: ignore[arg-type]
    stepper = Stepper(model, OptimizerConfig(lr=3e-3, warmup=0))
    last: list[float] = []
    for step in range(30):
        groups = []
        for prompt in ((5, 6), (7, 8, 9), (10,)):
            rows = [Row(ids=prompt, max_tokens=1, seed=row_seed(step, prompt, g)) for g in range(16)]
            talks = [
                Conversation(
                    prompt_ids=prompt,
                    response_ids=drawn.response_ids,
                    rollout_logprobs=drawn.logprobs,
                    allowed=drawn.allowed,
                    turn=0,
                    finish_reason=drawn.finish_reason,
                    purpose="answer",
                    chunk_index=None,
                    max_tokens=1,
                )
                for drawn in decoder.draw(rows)
            ]
            readings = [
                Trajectory(conversations=(t,), reward=float(t.response_ids[0] % 2 == 0)) for t in talks
            ]
            groups.append(
                Group(
                    task_id="",
                    question="",
                    golds=(),
                    num_chunks=1,
                    position=None,
                    trajectories=tuple(readings),
                )
            )
        samples = [
            Sample(conversation=talk, advantage=advantage)
            for group in groups
            for trajectory, values in zip(group.trajectories, group_advantages(group, config), strict=True)
            for talk, advantage in zip(trajectory.conversations, values, strict=True)
        ]
        accumulate(model, samples, loss, Computing(), Budget(1_000))
        assert stepper.step() is not None
        if step >= 25:
            last += [reward for group in groups for reward in group.rewards]
    return sum(last) / len(last)


@pytest.mark.parametrize("variant", ["dapo", "gspo", "cispo"])
def test_rewards_rise(variant: Any) -> None:
    assert _bandit(AdvantageConfig(), LossConfig(variant=variant, kl=0.0)) > 0.9


def test_rewards_do_not_rise_with_advantages_of_others() -> None:
    assert _bandit(AdvantageConfig(is_shuffled=True), LossConfig(kl=0.0)) < 0.75
