"""Training on a device that is not the CPU: nothing is left behind on the other one, and the same comes of it.

No GPU is needed, see `tests.trainer.second_device`.
"""

import json
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.trainer.processes import Trainer
from tests.trainer.rl.test_run import LEARNS
from tests.trainer.rl.test_run import SMALL as SMALL_DAPO
from tests.trainer.second_device import register
from tests.trainer.small_recipe import RECIPES, set_options
from tests.trainer.supervised.test_runs import OWN, SMALL, TEXT
from trainer.__main__ import main
from trainer.rl.forward import RowCache

DAPO = [*SMALL_DAPO, LEARNS, "optimizer.updates=2", "run.evaluation_steps=2"]
CASES = {
    "dapo": ("starter-dapo", [*DAPO, "advantage.credit=likelihood", "loss.importance_cap=2"]),
    "adapters": (
        "starter-dapo",
        [*DAPO, "model.lora_rank=4", "model.gradient_checkpointing=true", "loss.variant=gspo"],
    ),
    **{
        stage: (f"qwen-{stage}", [*SMALL, *OWN[stage], "run.evaluation_steps=2", "run.evaluation_tasks=3"])
        for stage in ("pretrain", "sft", "expert-iteration")
    },
}


def _metrics(folder: Path) -> list[dict[str, Any]]:
    path = folder / "metrics.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.mark.parametrize("case", CASES)
def test_a_run_is_the_same_as_on_the_cpu_also_when_it_was_stopped(case: str, tmp_path: Path) -> None:
    recipe, settings = CASES[case]
    if case == "pretrain":
        (tmp_path / "documents").mkdir()
        (tmp_path / "documents" / "mill.txt").write_text(TEXT)
        settings = [*settings, f"text.folder={tmp_path / 'documents'}"]
    arguments = [str(RECIPES / f"{recipe}.toml"), *set_options(*settings)]
    here, there = tmp_path / "here", tmp_path / "there"
    assert main([*arguments, "--folder", str(here), *set_options("model.device=cpu")]) == 0
    on_it = [*arguments, "--folder", str(there), *set_options("model.device=second")]
    stopped = Trainer(on_it, tmp_path / "stopped.log", prepare=register)
    stopped.signal_when(signal.SIGINT, lambda: len(_metrics(there)) >= 2)
    assert stopped.wait() == 130, stopped.errors
    assert len(_metrics(there)) < len(_metrics(here))
    resumed = Trainer(on_it, tmp_path / "resumed.log", prepare=register)
    assert resumed.wait() == 0, resumed.errors
    assert len(_metrics(there)) == len(_metrics(here))
    for ours, theirs in zip(_metrics(here)[:2], _metrics(there)[:2], strict=True):
        assert _figures(theirs) == pytest.approx(_figures(ours), rel=1e-3, abs=1e-4)
    assert (there / "policy" / "model.safetensors").exists()


def _figures(line: dict[str, Any]) -> dict[str, float]:
    """The figures of a line of metrics by their names."""
    found = {name: float(value) for name, value in line.items() if isinstance(value, (int, float))}
    return found | {
        f"{name}.{key}": value
        for name, part in line.items()
        if isinstance(part, dict)
        for key, value in _figures(part).items()
    }


def _forgetful() -> None:
    """A device, and a trainer that makes its masks on the CPU."""
    register()
    mask = RowCache.mask
    setattr(RowCache, "mask", lambda cache: mask(cache).cpu())  # noqa: B010 - mypy knows no other way


def test_what_is_left_on_the_cpu_is_found(tmp_path: Path) -> None:
    recipe, settings = CASES["dapo"]
    arguments = [
        str(RECIPES / f"{recipe}.toml"),
        "--folder",
        str(tmp_path / "run"),
        *set_options(*settings, "model.device=second"),
    ]
    trainer = Trainer(arguments, tmp_path / "log", prepare=_forgetful)
    assert trainer.wait() == 1
    assert "tensors on second and on cpu" in trainer.errors


@pytest.mark.parametrize(
    "device",
    [
        "gpu",
        "meta",
        "cuda:9",
        pytest.param("cuda", marks=pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is at hand")),
    ],
)
def test_a_device_that_is_not_there_is_told_in_a_sentence(
    device: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [str(RECIPES / "starter-dapo.toml"), "--folder", str(tmp_path / "run")]
    assert main([*arguments, *set_options(*SMALL_DAPO, f"model.device={device}")]) == 2
    assert capsys.readouterr().err.startswith(
        f"Error: model.device = '{device}': there is no such device here.\nIt is cpu"
    )
