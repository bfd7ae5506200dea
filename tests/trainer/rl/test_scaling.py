"""float16 with loss scaling, and bases in 16 and 4 bits."""

import shutil
from pathlib import Path

import pytest
import torch

from tests.trainer.rl.conftest import STARTER, make_model
from tests.trainer.rl.test_run import LEARNS, _metrics, _recipe
from trainer.rl.checkpoint import load_checkpoint
from trainer.rl.errors import RecipeError
from trainer.rl.loop import Run
from trainer.rl.models import load_policy, save_policy
from trainer.rl.optimizer import Stepper
from trainer.rl.recipe import OptimizerConfig
from trainer.rl.scaling import LossScale


def test_the_factor_halves_with_overflows_and_doubles_after_good_updates() -> None:
    scale = LossScale(is_on=True, growth_updates=2)
    first = scale.factor
    assert scale.shrink()
    assert (scale.factor, scale.num_overflows) == (first / 2, 1)
    scale.grow()
    other = LossScale(is_on=True, growth_updates=2)
    other.load(scale.state())
    other.grow()
    assert other.factor == first
    while other.factor > 1:
        assert other.shrink()
    assert not other.shrink(), "what is not finite at 1 is no overflow of float16"
    off = LossScale(is_on=False)
    off.grow()
    assert not off.shrink()
    assert off.factor == 1


def test_scaled_gradients_make_the_same_update_bit_for_bit() -> None:
    plain, scaled = make_model(), make_model()
    steppers = [
        Stepper(plain, OptimizerConfig(lr=0.1)),
        Stepper(scaled, OptimizerConfig(lr=0.1), is_scaled=True),
    ]
    torch.manual_seed(1)
    for one, two in zip(plain.parameters(), scaled.parameters(), strict=True):
        one.grad = torch.randn_like(one)
        two.grad = one.grad * steppers[1].scale.factor
    assert steppers[0].step() == steppers[1].step()
    assert all(torch.equal(a, b) for a, b in zip(plain.parameters(), scaled.parameters(), strict=True))


@pytest.mark.slow
def test_a_run_in_float16_skips_overflows_and_goes_on_bit_for_bit(tmp_path: Path) -> None:
    half = (
        LEARNS,
        "model.precision=float16",
        "rollout.canary_gap=0.1",
        "run.steps=2",
        "optimizer.updates=1",
        "loss.kl=0",  # no second copy of the policy to load and to score with
    )
    stopped, straight = tmp_path / "stopped", tmp_path / "straight"
    first = Run(_recipe(*half), straight)
    # Gradients are too small here to overflow of themselves; beyond float32's range they do.
    first.parts.stepper.scale.factor = 2.0**140
    first._save(0)
    shutil.copytree(straight, stopped)
    Run(_recipe(*half, "run.steps=1"), stopped).run()
    Run(_recipe(*half), stopped).run()
    Run(_recipe(*half), straight).run()
    first_line, last = _metrics(straight)
    assert first_line["skipped"] == first_line["overflows"] == 1
    assert first_line["loss_scale"] == 2.0**139
    assert last["overflows"] >= 1
    assert (stopped / "metrics.jsonl").read_bytes() == (straight / "metrics.jsonl").read_bytes()
    one, two = (load_checkpoint(folder / "last.pt") for folder in (stopped, straight))
    assert all(torch.equal(value, two["model"][name]) for name, value in one["model"].items())
    assert one["stepper"]["scale"] == two["stepper"]["scale"]


def test_a_bfloat16_base_trains_alike_in_half_the_memory(tmp_path: Path) -> None:
    policy = load_policy(STARTER)
    for parameter in policy.model.parameters():
        parameter.data = parameter.data.bfloat16().float()
    save_policy(policy, tmp_path / "model")
    settings = (LEARNS, f"model.path={tmp_path / 'model'}", "model.precision=bfloat16", "model.lora_rank=4")
    for bits in (32, 16):
        Run(_recipe(*settings, f"model.base_bits={bits}", "run.steps=2"), tmp_path / str(bits)).run()
    assert _metrics(tmp_path / "32")[-1]["grad_norm"] > 0
    for name in ("metrics.jsonl", "adapter/adapter_model.safetensors", "policy/model.safetensors"):
        assert (tmp_path / "16" / name).read_bytes() == (tmp_path / "32" / name).read_bytes()
    held = load_policy(tmp_path / "model", base_bits=16).model
    matrices = [p for name, p in held.named_parameters() if "proj.weight" in name]
    assert {p.dtype for p in matrices} == {torch.bfloat16}
    assert {p.dtype for p in held.parameters() if p.dtype != torch.bfloat16} == {torch.float32}
    with pytest.raises(RecipeError, match=r"needs model\.precision = bfloat16"):
        _recipe("model.base_bits=16", "model.lora_rank=4")


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is at hand")
def test_4_bits_without_a_gpu_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="needs a CUDA GPU"):
        load_policy(tmp_path, base_bits=4)
    with pytest.raises(RecipeError, match=r"needs model\.lora_rank"):
        _recipe("model.base_bits=4")
