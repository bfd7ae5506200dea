"""The benchmark of the trainer, tiny."""

import json
import os
from pathlib import Path

import pytest

from benchmarks import training, training_fits
from benchmarks.random_checkpoint import make_checkpoint
from benchmarks.training import make_prompts, table
from trainer.rl.estimate import GIB


def _run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> dict[str, object]:
    work = "--shape tiny --prompt-tokens 32 --reply-tokens 4 --group-size 2 --micro-batch 2 --steps 1 --repeats 1"
    output = tmp_path / "report.json"
    monkeypatch.setattr("sys.argv", ["training", *work.split(), "--output", str(output), *arguments])
    training.main()
    report: dict[str, object] = json.loads(output.read_text())
    return report


def test_the_trainers_own_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    report = _run(tmp_path, monkeypatch, "--lora-rank", "2", "--gradient-checkpointing")
    assert report["left_out"] == "TRL: no --trl"
    assert report["work"]["tokens_per_step"] == 2 * 2 * 36  # type: ignore[index]
    side = report["sides"]["palimpsest"]  # type: ignore[index]
    assert side["peak_bytes"] > side["loaded_bytes"] * 0.5 > 0
    both, drawing, update = (
        side[name]["median"] for name in ("tokens_per_s", "rollout_tokens_per_s", "update_tokens_per_s")
    )
    assert 1 / both == pytest.approx(1 / drawing + 1 / update)
    assert "| palimpsest |" in capsys.readouterr().out


@pytest.mark.skipif("PALIMPSEST_TRL" not in os.environ, reason="PALIMPSEST_TRL names no python with TRL")
def test_beside_trl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = _run(tmp_path, monkeypatch, "--trl", os.environ["PALIMPSEST_TRL"])
    assert set(report["sides"]) == {"palimpsest", "trl"}  # type: ignore[call-overload]
    assert all(value > 0 for value in report["ratios"].values())  # type: ignore[attr-defined]
    assert "| ratio |" in table(report)


def test_prompts_have_exactly_the_length_that_was_asked_for(tmp_path: Path) -> None:
    prompts = make_prompts(make_checkpoint(tmp_path / "model", "qwen2"), 3, 50)
    assert len(set(prompts)) == 3  # make_prompts itself refuses other lengths


def test_what_fits(tmp_path: Path) -> None:
    plain = training_fits.count("tiny", training_fits.WAYS["adapters"], tmp_path)
    small = training_fits.count(
        "tiny", (*training_fits.WAYS["adapters"], *training_fits.SIZES["smallest"]), tmp_path
    )
    assert (plain.prompt_tokens + plain.reply_tokens) == training_fits.CONVERSATION_TOKENS
    assert small.row_tokens < plain.row_tokens
    assert small.batch_rows == 8 < plain.batch_rows
    assert small.peak < plain.peak < 8 * GIB
