"""The count of bytes beside what torch's allocator gave out when the same was really done."""

import dataclasses
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from engine.errors import ModelNotFoundError
from tests.trainer.rl.conftest import FAMILIES, STARTER
from tests.trainer.rl.test_decoding import _Plain
from trainer.__main__ import main
from trainer.rl.data import Conversation
from trainer.rl.decoding import Decoder, Row
from trainer.rl.estimate import RESERVE_BYTES, Estimate, describe, estimate
from trainer.rl.lora import add_adapters
from trainer.rl.models import checkpoint_layers, load_policy, read_shape
from trainer.rl.optimizer import Stepper
from trainer.rl.parts import AUTOCAST
from trainer.rl.recipe import Recipe, make_recipe
from trainer.rl.update import Budget, Computing, Sample, accumulate

CHUNK, REPLY, ROWS, VOCABULARY_SIZE = 240, 60, 6, 1500
PROMPT = CHUNK + REPLY + 400


class _Endless(_Plain):
    size = VOCABULARY_SIZE
    end_ids = frozenset()


def _recipe(folder: Path, family: str = "qwen2", **sections: Mapping[str, object]) -> Recipe:
    config = FAMILIES[family][0](
        vocab_size=VOCABULARY_SIZE,
        hidden_size=192,
        intermediate_size=512,
        num_hidden_layers=2,
        num_attention_heads=6,
        num_key_value_heads=2,
        head_dim=32,
        max_position_embeddings=1024,
        tie_word_embeddings=family == "qwen2",
    )
    config.architectures = [FAMILIES[family][1].__name__]
    config.save_pretrained(folder)
    values: dict[str, Mapping[str, object]] = {
        "model": {"path": str(folder), "device": "cpu"},
        "reading": {"chunk_tokens": CHUNK, "memory_tokens": REPLY},
        "rollout": {"cache_tokens": ROWS * (PROMPT + REPLY)},
        "optimizer": {"token_budget": 2 * (PROMPT + REPLY), "head_tokens": 32},
        "loss": {"kl": 0.0},
    }
    return make_recipe(
        {name: {**values.get(name, {}), **sections.get(name, {})} for name in values | sections}
    )


def _model(recipe: Recipe) -> nn.Module:
    torch.manual_seed(0)
    model = read_shape(Path(recipe.model.path)).empty_model()
    if recipe.model.lora_rank:
        add_adapters(model, rank=recipe.model.lora_rank, alpha=1.0, seed=0)
    if recipe.model.gradient_checkpointing:
        checkpoint_layers(model)
    return model


def _bytes(tensors: Iterable[torch.Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _peak(work: Callable[[], object], log: Path) -> int:
    """The most that the allocator had given out while something was done, beyond what it had before."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        work()
    seen.export_chrome_trace(str(log))
    events = json.loads(log.read_text())["traceEvents"]
    sizes = [(e["ts"], e["args"]["Bytes"]) for e in events if e.get("name") == "[memory]"]
    now = most = 0
    for _, size in sorted(sizes, key=lambda pair: pair[0]):
        now += size
        most = max(most, now)
    return most


def _talk() -> Conversation:
    return Conversation(
        prompt_ids=tuple(range(PROMPT)),
        response_ids=(5,) * REPLY,
        rollout_logprobs=(-1.0,) * REPLY,
        allowed=(None,) * REPLY,
        turn=0,
        finish_reason="length",
        purpose="update",
        chunk_index=0,
        max_tokens=REPLY,
    )


@pytest.mark.parametrize(
    ("family", "settings"),
    [
        ("qwen2", {}),
        ("qwen3", {"precision": "bfloat16", "gradient_checkpointing": True}),
        ("llama", {"gradient_checkpointing": True}),
        ("qwen2", {"precision": "bfloat16", "gradient_checkpointing": True, "lora_rank": 8}),
    ],
)
def test_what_was_counted_is_what_the_allocator_gives(
    family: str, settings: dict[str, object], tmp_path: Path
) -> None:
    recipe = _recipe(tmp_path / "model", family, model=settings)
    found = estimate(recipe)
    model = _model(recipe)
    stepper = Stepper(model, recipe.optimizer)
    trained = [p for p in model.parameters() if p.requires_grad]
    for parameter in trained:
        parameter.grad = torch.zeros_like(parameter)
    stepper.step()
    weights = _bytes([*model.parameters(), *model.buffers()])
    moments = _bytes(value for state in stepper.optimizer.state.values() for value in state.values())
    assert (found.weights, found.moments) == (weights, moments)
    assert found.gradients == _bytes(trained)
    assert found.trained == sum(p.numel() for p in trained)
    held = weights + moments
    # Kernels of a CPU take room of their own for bfloat16, which no tensor shows.
    error = 1e-3 if recipe.model.precision == "float32" else 0.12
    autocast = AUTOCAST[recipe.model.precision]

    decoder = Decoder(model, _Endless(), cache_tokens=10**6, autocast=autocast)  # type: ignore[arg-type]
    prompts = [tuple((row + place) % VOCABULARY_SIZE for place in range(PROMPT)) for row in range(ROWS)]
    rows = [Row(ids=prompt, max_tokens=REPLY, seed=0) for prompt in prompts]
    drawing = _peak(lambda: decoder.draw(rows), tmp_path / "log")
    assert found.batch_rows == ROWS
    value_bytes = 4 if recipe.model.precision == "float32" else 2
    values = 2 * 2 * 2 * 32  # keys and values of two layers, two heads of 32
    assert found.cache == pytest.approx(ROWS * (PROMPT + REPLY) * values * value_bytes, rel=1e-2)
    assert found.drawing == pytest.approx(held + drawing, rel=error)

    # A row of replies to one prompt, and one of two conversations of their own.
    replies = [
        dataclasses.replace(_talk(), response_ids=(n,) * REPLY) for n in range((PROMPT + 2 * REPLY) // REPLY)
    ]
    talks = [*replies, *(dataclasses.replace(_talk(), prompt_ids=(n,) * PROMPT) for n in (6, 7))]
    samples = [Sample(conversation=talk, advantage=1.0) for talk in talks]
    computing = Computing(head_tokens=recipe.optimizer.head_tokens, autocast=autocast)
    budget = Budget(recipe.optimizer.token_budget)
    updating = _peak(lambda: accumulate(model, samples, recipe.loss, computing, budget), tmp_path / "log")
    assert found.row_tokens == 2 * (PROMPT + REPLY - 1)
    assert found.updating == pytest.approx(held + updating, rel=error)

    stepping = _peak(stepper.optimizer.step, tmp_path / "log")
    assert found.stepping == pytest.approx(held + found.gradients + stepping, rel=1e-3)


def test_what_the_reference_and_bitsandbytes_change(tmp_path: Path) -> None:
    plain = estimate(_recipe(tmp_path))
    with_reference = estimate(_recipe(tmp_path, loss={"kl": 0.01}))
    assert with_reference.reference == plain.weights
    assert with_reference.peak == plain.peak + plain.weights
    # Two moments of a byte each instead of four, but for small tensors.
    eight = estimate(_recipe(tmp_path, optimizer={"is_8bit": True, "token_budget": 1520, "head_tokens": 32}))
    assert plain.moments / 4 < eight.moments < plain.moments / 4 * 1.1
    lora = {"lora_rank": 8}
    quantised = estimate(_recipe(tmp_path, model={**lora, "base_bits": 4}))
    whole = estimate(_recipe(tmp_path, model=lora))
    half = estimate(_recipe(tmp_path, model={**lora, "base_bits": 16, "precision": "bfloat16"}))
    matrices = 2 * (192 * 192 * 2 + 192 * 64 * 2 + 3 * 192 * 512)
    assert whole.weights - quantised.weights == pytest.approx(matrices * (4 - 0.516), rel=1e-3)
    assert whole.weights - half.weights == matrices * 2
    assert whole.drawing - quantised.drawing == whole.weights - quantised.weights


def test_checkpointing_and_smaller_rows_take_less(tmp_path: Path) -> None:
    plain = estimate(_recipe(tmp_path))
    assert estimate(_recipe(tmp_path, model={"gradient_checkpointing": True})).updating < 0.7 * plain.updating
    small = estimate(_recipe(tmp_path, optimizer={"token_budget": 760, "head_tokens": 32}))
    assert small.row_tokens == plain.row_tokens // 2
    assert small.updating < plain.updating
    assert estimate(_recipe(tmp_path, rollout={"cache_tokens": 1})).batch_rows == 1


def test_on_a_gpu_replies_to_a_shared_prompt_take_keys_of_all_heads(tmp_path: Path) -> None:
    here, there = (estimate(_recipe(tmp_path, model={"device": device})) for device in ("cpu", "cuda"))
    replies = (PROMPT + 2 * REPLY) // REPLY
    added = (
        replies * (PROMPT + REPLY) * 2 * (6 - 2) * 32 * 2 * 4
    )  # in two layers keys and values of four heads more
    assert added < there.updating - here.updating < 1.3 * added
    assert there.moments == here.moments


def test_pretraining_draws_nothing(tmp_path: Path) -> None:
    recipe = make_recipe(
        {
            "stage": "pretrain",
            "model": {"path": str(STARTER), "device": "cpu"},
            "text": {"folder": str(tmp_path), "sequence_tokens": 128},
            "optimizer": {"token_budget": 2 * 129},
        }
    )
    found = estimate(recipe)
    assert (found.batch_rows, found.cache, found.row_tokens) == (0, 0, 256)
    assert found.weights >= _bytes(load_policy(STARTER).model.parameters())
    assert "readings" not in describe(found, None)


def _estimate(**values: int) -> Estimate:
    names = [field.name for field in dataclasses.fields(Estimate)]
    return Estimate(**dict.fromkeys(names, 1) | values)


@pytest.mark.parametrize(
    ("found", "advice"),
    [
        (_estimate(drawing=30 << 30, cache=20 << 30), "rollout.cache_tokens"),
        (_estimate(updating=30 << 30), "optimizer.token_budget"),
        (_estimate(stepping=30 << 30), "model.lora_rank"),
        (_estimate(stepping=30 << 30, parameters=9), "model.base_bits"),
    ],
)
def test_what_does_not_fit_is_told_what_to_change(found: Estimate, advice: str) -> None:
    assert not found.fits(24)
    assert advice in describe(found, 24).splitlines()[-1]
    assert describe(found, 32).splitlines()[-1] == "fits 32 GiB."


def test_the_command_needs_no_weights(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _recipe(tmp_path / "model")
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        f'[model]\npath = "{tmp_path / "model"}"\n[optimizer]\ntoken_budget = 900\n[rollout]\ncache_tokens = 3000\n'
    )
    assert main(["estimate", str(recipe), "--gpu-gib", "24"]) == 0
    assert capsys.readouterr().out.endswith("fits 24 GiB.\n")
    assert main(["estimate", str(recipe), "--json", "--gpu-gib", "1", "--set", "model.lora_rank=4"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["fits"] is False
    assert found["peak"] == max(found["drawing"], found["updating"], found["stepping"]) + RESERVE_BYTES
    assert found["trained"] < found["parameters"] / 10
    assert main(["estimate", str(recipe), "--set", "model.path=nowhere"]) == 4
    assert "There is no model nowhere." in capsys.readouterr().err


def test_a_missing_model_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match="There is no model"):
        read_shape(tmp_path / "none.gguf")
