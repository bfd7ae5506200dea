"""Policies of several runs, averaged."""

import re
import shutil
from pathlib import Path

import pytest
import torch

from engine.errors import CheckpointError
from trainer.rl.average import write_average
from trainer.rl.errors import RunError
from trainer.rl.export import export_run
from trainer.rl.models import Policy, load_policy, save_policy

STARTER = Path(__file__).parents[3] / "resources" / "models" / "palimpsest-starter.gguf"


def _run(folder: Path, noise: float, seed: int) -> Policy:
    """What a run leaves that began with the bundled model."""
    policy = load_policy(STARTER)
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in policy.model.parameters():
            parameter.add_(noise * torch.randn_like(parameter))
    save_policy(policy, folder / "policy")
    (folder / "recipe.json").write_text('{"run": {"name": "one of two"}}', "utf-8")
    return policy


def test_the_mean_of_runs_is_exported(tmp_path: Path) -> None:
    one, two = (_run(tmp_path / str(seed), 1e-3, seed) for seed in (1, 2))
    write_average([tmp_path / "1" / "policy", tmp_path / "2" / "policy"], tmp_path / "mean")
    mean = load_policy(tmp_path / "mean").model.state_dict()
    ones, twos = one.model.state_dict(), two.model.state_dict()
    assert all(torch.allclose(mean[name], (ones[name] + twos[name]) / 2, atol=1e-7) for name in mean)
    assert not torch.equal(ones["model.embed_tokens.weight"], twos["model.embed_tokens.weight"])
    report = export_run(tmp_path / "1", tmp_path / "mean.gguf", average=[tmp_path / "2"])
    assert report.parity.kind == "f16"
    exported = load_policy(tmp_path / "mean.gguf")
    assert (exported.prompt_set, exported.license) == (one.prompt_set, "cc-by-sa-4.0")
    read = exported.model.state_dict()
    assert all(torch.allclose(read[name], mean[name], rtol=1e-3, atol=1e-4) for name in mean)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "2", "mean", "mean.gguf"]


def test_what_is_no_run_of_the_model_is_not_averaged(tmp_path: Path) -> None:
    _run(tmp_path / "1", 0.0, 1)
    shutil.copytree(tmp_path / "1", tmp_path / "other")
    tokenizer = tmp_path / "other" / "policy" / "tokenizer.json"
    tokenizer.write_text(tokenizer.read_text("utf-8").replace('"Ġthe"', '"Ġtheu"'), "utf-8")
    output = tmp_path / "mean.gguf"
    with pytest.raises(RunError, match=f"{re.escape(str(tmp_path))}/other trained another model"):
        export_run(tmp_path / "1", output, average=[tmp_path / "other"])
    with pytest.raises(RunError, match="holds no trained policy"):
        export_run(tmp_path / "1", output, average=[tmp_path / "none"])
    (tmp_path / "other" / "policy" / "model.safetensors").write_bytes(b"\0" * 8)
    with pytest.raises(CheckpointError):
        export_run(tmp_path / "1", output, average=[tmp_path / "other"])
    assert not output.exists()


def test_a_mean_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    policy = tmp_path / "1" / "policy"
    _run(tmp_path / "1", 0.0, 1)
    (tmp_path / "file").write_text("no folder", "utf-8")
    with pytest.raises(RunError, match="mean of the runs cannot be written"):
        write_average([policy, policy], tmp_path / "file" / "mean")
