"""Two processes under torchrun, over gloo on the CPU: the run of one process."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.trainer.processes import Trainer, ranks
from tests.trainer.rl.test_run import LEARNS, RECIPE, ROOT, SMALL
from tests.trainer.small_recipe import set_options
from trainer.rl.checkpoint import load_checkpoint
from trainer.rl.data import load_groups
from trainer.rl.distributed import SOLO, Ranks, gathered, join_ranks
from trainer.rl.errors import RecipeError
from trainer.rl.loop import Run
from trainer.rl.recipe import load_recipe
from trainer.rl.viewer import show_rollouts

# Several updates a step, a KL term and a mini-batch of several rows: each process has some of them. With this seed
# readings of one question differ in reward at every step: else the gradient is rounding, and AdamW makes full steps
# of rounding.
SETTINGS = [
    *SMALL,
    LEARNS,
    "optimizer.updates=2",
    "optimizer.token_budget=300",
    "loss.kl=0.01",
    "optimizer.lr=1e-4",
]


def _arguments(folder: Path, *more: str) -> list[str]:
    return ["rl", str(RECIPE), "--folder", str(folder), *set_options(*SETTINGS, *more)]


def _torchrun(folder: Path, *more: str) -> subprocess.Popen[bytes]:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [*torchrun, "-m", "trainer", *_arguments(folder, *more)]
    return subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE)


def _two(folder: Path, *more: str) -> list[Trainer]:
    """What torchrun starts, without the seconds that it and they take to load torch."""
    return ranks(_arguments(folder, *more), folder.with_name("log"), 2)


def _finish(processes: Sequence[Trainer], code: int = 0) -> None:
    for process in processes:
        assert process.wait() == code, process.errors


def _metrics(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def _assert_same(one: Path, two: Path) -> None:
    assert min(row["grad_norm"] for row in _metrics(one)) > 0.1
    for ours, theirs in zip(_metrics(one), _metrics(two), strict=True):
        assert theirs["loss"] == pytest.approx(ours["loss"], rel=1e-5, abs=1e-8)
        assert theirs["grad_norm"] == pytest.approx(ours["grad_norm"], rel=1e-4)
        for name in ("tokens", "conversations", "reward_mean", "cursor", "skipped"):
            assert theirs[name] == ours[name]
    first, second = (load_checkpoint(folder / "last.pt") for folder in (one, two))
    assert first["model"].keys() == second["model"].keys()
    for name, value in first["model"].items():
        # Attention hardly depends on what is added to all keys: the gradient of that bias is next to nothing but
        # rounding, and AdamW makes a step of full size even of rounding. Its moments are compared below.
        most = 2e-4 if name.endswith("k_proj.bias") else 1e-5
        assert torch.allclose(value, second["model"][name], rtol=0, atol=most), name
    moments = [state["stepper"]["optimizer"]["state"] for state in (first, second)]
    assert moments[0].keys() == moments[1].keys()
    averages = [torch.cat([each["exp_avg"].flatten() for each in every.values()]) for every in moments]
    assert float((averages[0] - averages[1]).norm()) <= 1e-5 * float(averages[0].norm())
    for step in range(3):
        drawn = [load_groups(folder / "rollouts" / f"{step:06d}.jsonl.gz") for folder in (one, two)]
        replies = [
            [talk.response_ids for g in groups for t in g.trajectories for talk in t.conversations]
            for groups, _ in filter(None, drawn)
        ]
        assert len(replies) == 2
        assert replies[0] == replies[1]


@pytest.mark.slow
@pytest.mark.parametrize("more", [(), ("model.lora_rank=4", "model.gradient_checkpointing=true")], ids=str)
def test_two_processes_are_one_run_and_may_be_stopped(tmp_path: Path, more: tuple[str, ...]) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    Run(load_recipe(RECIPE, [*SETTINGS, *more]), one).run()
    first, second = _two(two, *more)
    # As torchrun ends its processes: after the step under way, saved.
    first.signal_when(signal.SIGTERM, (two / "rollouts" / "000001.jsonl.gz").exists)
    second.signal(signal.SIGTERM)
    _finish((first, second), code=130)
    assert load_checkpoint(two / "last.pt")["step"] in (1, 2)
    _finish(_two(two, *more))
    _assert_same(one, two)
    assert any("rewards:" in line for line in show_rollouts(two, step=1))
    assert (two / "policy" / "model.safetensors").exists()


@pytest.mark.slow
def test_a_run_of_two_processes_under_torchrun_goes_on_with_one(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    Run(load_recipe(RECIPE, SETTINGS), one).run()
    process = _torchrun(two)
    while not (two / "rollouts" / "000001.jsonl.gz").exists():
        assert process.poll() is None, process.communicate()[1].decode()
        time.sleep(0.002)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=240)
    assert process.returncode != 0, errors.decode()
    assert load_checkpoint(two / "last.pt")["step"] in (1, 2)
    Run(load_recipe(RECIPE, SETTINGS), two).run()
    _assert_same(one, two)


def test_what_is_shared_comes_back_in_order() -> None:
    items = list(range(7))
    shares = [Ranks(rank=rank, count=3).share(items) for rank in range(3)]
    assert shares == [[0, 3, 6], [1, 4], [2, 5]]
    assert SOLO.gather(SOLO.share(items)) == items
    assert gathered({"a": [torch.ones(2), 3]})["a"][1] == 3


@pytest.mark.parametrize("setting", ["optimizer.is_8bit=true", "model.base_bits=4", "model.base_bits=16"])
def test_what_cannot_be_cut_is_refused(setting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    recipe = load_recipe(RECIPE, [*SMALL, "model.lora_rank=4", "model.precision=bfloat16", setting])
    with pytest.raises(RecipeError, match="Several processes"):
        join_ranks(recipe, is_gpu=False)
