"""`palimpsest train` and `rollouts`: the trainer as a child, with its words and its exit code."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from app import cli, trainer_process
from tests.trainer.small_recipe import RECIPES, ROOT, SMALL, set_options


def _train(folder: Path, *overrides: str) -> list[str]:
    settings = set_options(*SMALL, *overrides)
    return ["train", str(RECIPES / "qwen-sft.toml"), "--folder", str(folder), *settings]


def test_a_recipe_is_trained_and_looked_at(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    assert cli.run(_train(run, "run.steps=2")) == 0
    assert "the trained model is" in capfd.readouterr().out
    assert cli.run(["rollouts", str(run), "--step", "1", "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["step"] == 1
    assert cli.run(["rollouts", str(run), "--limit", "1"]) == 0
    assert "credit" in capfd.readouterr().out
    assert cli.run(["train", "plot", str(run), "--output", str(tmp_path / "plots")]) == 0
    assert (tmp_path / "plots" / "training.svg").exists()
    assert cli.run(["train", "estimate", str(run), "--gpu-gib", "24"]) == 0
    assert capfd.readouterr().out.endswith("fits 24 GiB.\n")
    # A run alone is enough to go on.
    assert cli.run(["train", str(run), "--set", "run.steps=3"]) == 0
    assert len((run / "metrics.jsonl").read_text().splitlines()) == 3


def test_what_is_wrong_comes_through(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.run(_train(tmp_path / "run", "sft.nois=1")) == 2
    assert "has no 'nois'" in capfd.readouterr().err
    assert cli.run(["rollouts", str(tmp_path)]) == 4
    assert "holds no rollouts" in capfd.readouterr().err
    assert cli.run(["train", "plot", str(tmp_path)]) == 4
    assert "holds no metrics" in capfd.readouterr().err
    assert cli.run(["train", "export", str(tmp_path), "--output", str(tmp_path / "x.gguf")]) == 4
    assert "no trained policy" in capfd.readouterr().err
    assert (
        cli.run(["train", "export-verl", str(RECIPES / "starter-dapo.toml"), "--output", str(tmp_path)]) == 2
    )
    assert "no checkpoint folder" in capfd.readouterr().err


def test_without_torch_the_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(trainer_process, "missing_packages", lambda *_: ["torch"])
    assert cli.run(_train(tmp_path)) == 4
    error = capsys.readouterr().err
    assert "Training needs packages that are not installed: torch." in error
    assert "pip install 'palimpsest[train]'" in error


def test_missing_packages_are_found() -> None:
    assert trainer_process.missing_packages(("torch", "no_such_package_here")) == ["no_such_package_here"]
    assert trainer_process.missing_packages(()) == []


@pytest.mark.slow
def test_ctrl_c_in_a_terminal_reaches_both_and_saves(tmp_path: Path) -> None:
    run = tmp_path / "run"
    command = [sys.executable, "-m", "palimpsest", *_train(run, "run.steps=400", "run.checkpoint_steps=300")]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    metrics = run / "metrics.jsonl"
    while not (metrics.exists() and metrics.read_bytes().count(b"\n") >= 2):
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to every process of the group
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors
    assert "the same command goes on" in errors
    assert "Traceback" not in errors
    assert (run / "last.pt").stat().st_mtime >= metrics.stat().st_mtime
