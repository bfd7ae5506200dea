"""What is computed for a conversation does not depend on what stands beside it, nor on how the head is cut."""

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from tests.trainer.rl.conftest import FAMILIES, VOCABULARY_SIZE, make_model
from tests.trainer.rl.talks import make_talk
from trainer.rl.data import Conversation
from trainer.rl.logprobs import AllowedMasks, score_pack
from trainer.rl.models import checkpoint_layers
from trainer.rl.packing import bundle_tokens, make_pack, plan_bundles, plan_packs


def _talks(seed: int, count: int = 6) -> list[Conversation]:
    rng = random.Random(seed)
    return [make_talk(rng) for _ in range(count)]


def _siblings(seed: int) -> list[Conversation]:
    """Three prompts with one, three and four replies each, in no order; one reply is a single token."""
    rng = random.Random(seed)
    first = _talks(seed, 3)
    talks = [first[0]]
    for talk, count in ((first[1], 3), (first[2], 4)):
        talks += [replace(make_talk(rng), prompt_ids=talk.prompt_ids) for _ in range(count)]
    one = talks[2]
    talks[2] = replace(
        one,
        response_ids=one.response_ids[:1],
        rollout_logprobs=one.rollout_logprobs[:1],
        allowed=one.allowed[:1],
    )
    rng.shuffle(talks)
    return talks


def _bundles(talks: Sequence[Conversation], *, is_shared: bool = True) -> list[list[int]]:
    return plan_bundles(talks, 10_000, is_shared=is_shared)


def _alone(model: nn.Module, talk: Conversation) -> Tensor:
    """Log-probabilities by transformers' own forward pass over one conversation, all logits at once."""
    ids = torch.tensor([[*talk.prompt_ids, *talk.response_ids]])
    logits = model(input_ids=ids).logits[0, len(talk.prompt_ids) - 1 : -1]
    mask = AllowedMasks(VOCABULARY_SIZE, "cpu").rows(talk.allowed)
    if mask is not None:
        logits = logits.masked_fill(~mask, float("-inf"))
    found: Tensor = logits.log_softmax(-1).gather(-1, torch.tensor(talk.response_ids)[:, None])[:, 0]
    return found


@given(st.lists(st.integers(1, 40), min_size=1, max_size=40), st.integers(1, 60))
def test_every_conversation_stands_in_one_row_within_the_budget(lengths: list[int], budget: int) -> None:
    rows = plan_packs(lengths, budget)
    assert sorted(index for row in rows for index in row) == list(range(len(lengths)))
    for row in rows:
        assert sum(lengths[index] for index in row) <= budget or len(row) == 1
    # No two rows could have been one: else first fit did not do its work.
    full = sorted(sum(lengths[index] for index in row) for row in rows)
    assert len(full) < 2 or full[0] + full[1] > budget


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(1, 9)), min_size=1, max_size=20), st.integers(1, 300)
)
def test_bundles_have_one_prompt_and_keep_to_the_budget(kinds: list[tuple[int, int]], budget: int) -> None:
    one = _talks(0)[0]
    talks = [
        replace(
            one,
            prompt_ids=(kind,) * (9 + kind),
            response_ids=(1,) * length,
            rollout_logprobs=(0.0,) * length,
            allowed=(None,) * length,
        )
        for kind, length in kinds
    ]
    bundles = plan_bundles(talks, budget)
    assert sorted(index for bundle in bundles for index in bundle) == list(range(len(talks)))
    for bundle in bundles:
        assert len({talks[index].prompt_ids for index in bundle}) == 1
        assert bundle_tokens(talks, bundle) <= budget or len(bundle) == 1
    if budget >= 12 + 9 * 20:
        assert len(bundles) == len({kind for kind, _ in kinds})
    short = [replace(talk, prompt_ids=talk.prompt_ids[:1]) for talk in talks if len(talk.response_ids) > 1]
    assert plan_bundles(short, budget) == [[index] for index in range(len(short))]
    assert plan_bundles(talks, budget, is_shared=False) == [[index] for index in range(len(talks))]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("pad_to", [0, 300])
@pytest.mark.parametrize("make", [_talks, _siblings])
def test_packed_scores_and_gradients_are_those_of_each_conversation_alone(
    family: str, pad_to: int, make: Callable[[int], list[Conversation]]
) -> None:
    model = make_model(family)
    talks = make(1)
    bundles = _bundles(talks)
    wanted = torch.cat([_alone(model, talks[index]) for bundle in bundles for index in bundle])
    wanted.sum().backward()  # type: ignore[no-untyped-call]
    slopes = [p.grad.clone() for p in model.parameters() if p.grad is not None]
    model.zero_grad()
    pack = make_pack(talks, bundles, pad_to=pad_to)
    assert pack.ids.shape[1] == max(
        pad_to, sum(bundle_tokens(talks, bundle) - len(bundle) for bundle in bundles)
    )
    assert pack.rows == tuple(index for bundle in bundles for index in bundle)
    scores = score_pack(model, pack, temperature=1.0, chunk_tokens=5)
    assert torch.allclose(scores.logprobs, wanted, rtol=1e-5, atol=1e-5)
    scores.logprobs.sum().backward()  # type: ignore[no-untyped-call]
    found = [p.grad for p in model.parameters() if p.grad is not None]
    for ours, theirs in zip(found, slopes, strict=True):
        assert float((ours - theirs).norm()) <= 1e-5 * float(theirs.norm()) + 1e-6


def test_one_mask_for_the_whole_row_gives_the_same(model: nn.Module) -> None:
    talks = _siblings(2)
    pack = make_pack(talks, _bundles(talks))
    size = pack.ids.shape[1]
    mask = torch.zeros(1, 1, size, size, dtype=torch.bool)
    start = 0
    for prompt, *replies in pack.blocks:
        end = start + prompt
        mask[..., start:end, start:end] = torch.ones(prompt, prompt).tril().bool()
        for reply in replies:
            mask[..., end : end + reply, start : start + prompt] = True
            mask[..., end : end + reply, end : end + reply] = torch.ones(reply, reply).tril().bool()
            end += reply
        start = end
    decoder = model.get_submodule("model")
    with torch.no_grad():
        masked = decoder(
            input_ids=pack.ids, position_ids=pack.positions, attention_mask=mask, use_cache=False
        )
        blocks = decoder(input_ids=pack.ids, position_ids=pack.positions, use_cache=False, blocks=pack.blocks)
    assert torch.allclose(masked.last_hidden_state, blocks.last_hidden_state, atol=1e-5)


def test_gradient_checkpointing_changes_nothing(model: Any) -> None:
    pack = make_pack(_siblings(3), _bundles(_siblings(3)))
    grads = []
    for _ in range(2):
        model.zero_grad()
        score_pack(model, pack, temperature=1.0, chunk_tokens=8).logprobs.sum().backward()  # type: ignore[no-untyped-call]
        grads.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
        checkpoint_layers(model)
    assert model.get_submodule("model.layers.0").gradient_checkpointing
    for one, two in zip(*grads, strict=True):
        assert torch.equal(one, two)


def test_no_more_logits_exist_than_one_chunk(model: nn.Module) -> None:
    pack = make_pack(_talks(4, 12), [[row] for row in range(12)])
    seen: list[int] = []
    saved: list[int] = []

    def note(_: nn.Module, __: object, logits: Tensor) -> None:
        seen.append(len(logits))

    def keep(tensor: Tensor) -> Tensor:
        if tensor.ndim == 2 and tensor.shape[1] == VOCABULARY_SIZE:
            saved.append(len(tensor))
        return tensor

    hook = model.get_submodule("lm_head").register_forward_hook(note)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        scores = score_pack(model, pack, temperature=1.0, chunk_tokens=4)
        num_forward = len(seen)
        # Nothing of the size of logits waits for the backward pass.
        assert saved == []
        scores.logprobs.sum().backward()  # type: ignore[no-untyped-call]
    hook.remove()
    assert len(pack.targets) > 20
    assert max(seen) == 4
    assert len(seen) == 2 * num_forward, "each chunk is computed again in the backward pass"


def test_chunks_and_temperature(model: nn.Module) -> None:
    pack = make_pack(_talks(5), [[row] for row in range(6)])
    with torch.no_grad():
        one = score_pack(model, pack, temperature=0.7, chunk_tokens=3)
        two = score_pack(model, pack, temperature=0.7, chunk_tokens=10_000)
        warm = score_pack(model, pack, temperature=1.4, chunk_tokens=10_000)
    assert torch.allclose(one.logprobs, two.logprobs, atol=1e-5)
    assert torch.allclose(one.entropy, two.entropy, atol=1e-5)
    assert float(warm.entropy.mean()) > float(two.entropy.mean())
    assert bool(torch.isfinite(one.entropy).all())
    shut = [n for n, allowed in enumerate(pack.allowed) if allowed is not None and len(allowed.ids) == 1]
    assert all(abs(float(one.logprobs[n])) < 1e-6 for n in shut if not pack.allowed[n].is_complement)  # type: ignore[union-attr]
