"""Training learns, and continues bit for bit after it was stopped."""

import json
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from engine.errors import ModelNotFoundError
from tests.trainer.processes import Trainer
from trainer.__main__ import main
from trainer.model import Shape, StarterModel
from trainer.rl.errors import RunError
from trainer.rl.starter_file import StarterFile
from trainer.stages import LEVELS, Course, Progress
from trainer.starter import DataSource, load_checkpoint, take_over
from trainer.tokens import Codec
from trainer.training import Settings, Training

BUNDLED = Path(__file__).parents[2] / "resources" / "models" / "palimpsest-starter.gguf"


def _settings(codec: Codec, *, is_bfloat16: bool = False) -> Settings:
    shape = Shape(hidden=48, layers=3, intermediate=64, heads=6, kv_heads=3, vocabulary=len(codec))
    course = Course(total_steps=48, foundation_steps=8, min_steps=8, batch_tokens=512)
    return Settings(shape=shape, course=course, is_bfloat16=is_bfloat16)


@pytest.mark.parametrize("is_bfloat16", [False, True])
def test_the_loss_falls_and_a_stopped_run_continues_bit_for_bit(
    source: DataSource, codec: Codec, tmp_path: Path, is_bfloat16: bool
) -> None:
    settings = _settings(codec, is_bfloat16=is_bfloat16)
    whole = Training(settings, tmp_path / "whole", codec, source.rounds)
    whole.run()
    parts = Training(settings, tmp_path / "parts", codec, source.rounds)
    parts.run(steps=20)
    parts = Training(settings, tmp_path / "parts", codec, source.rounds)
    assert 20 <= parts.progress.step < 48
    parts.run()
    assert parts.progress.step == whole.progress.step
    assert parts.progress.tokens == whole.progress.tokens
    for name, value in whole.model.state_dict().items():
        # Some product in bfloat16 is not repeated bit for bit.
        assert is_bfloat16 or torch.equal(value, parts.model.state_dict()[name]), name
    last = json.loads((tmp_path / "whole" / "metrics.jsonl").read_text().splitlines()[-1])
    assert last["loss"]["reply"] < 6.0


def test_a_finished_run_learns_on_in_another_folder(
    source: DataSource, codec: Codec, work: Path, tmp_path: Path
) -> None:
    shutil.copyfile(work / "tokenizer.json", tmp_path / "tokenizer.json")
    finished = Training(_settings(codec), tmp_path / "run", codec, source.rounds)
    finished.run(steps=16)
    settings = _settings(codec)
    take_over(tmp_path, tmp_path / "on", settings, 40)
    on = Training(_settings(codec), tmp_path / "on" / "run", codec, source.rounds)
    assert (on.progress.step, on.progress.tokens) == (40, finished.progress.tokens)
    for name, value in finished.model.state_dict().items():
        assert torch.equal(value, on.model.state_dict()[name]), name
    on.run()
    take_over(tmp_path, tmp_path / "on", settings, 40)  # the same command once more: it goes on where it was
    again = Training(_settings(codec), tmp_path / "on" / "run", codec, source.rounds)
    assert again.progress.step == on.progress.step >= 48
    (tmp_path / "none").mkdir()
    with pytest.raises(RunError, match="holds no run"):
        take_over(tmp_path / "none", tmp_path / "other", settings, 40)


def test_the_bundled_model_learns_on(work: Path, tmp_path: Path) -> None:
    settings = Settings(course=Course(total_steps=3_002, batch_tokens=512))
    take_over(BUNDLED, tmp_path, settings, 3_000)
    codec = Codec.load(tmp_path / "tokenizer.json")
    source = DataSource(work, codec)
    training = Training(settings, tmp_path / "run", codec, source.rounds)
    assert (training.progress.step, LEVELS[training.progress.level]) == (3_000, LEVELS[-1])
    weights = StarterFile(BUNDLED)
    expected = StarterModel(Shape.of(weights.config()))
    weights.load_tensors(expected)
    for name, value in expected.state_dict().items():
        assert torch.equal(value, training.model.state_dict()[name]), name
    training.run()
    assert training.progress.step >= 3_002
    # What was learnt is there: its sentences are found from the first step on.
    assert training.progress.averages["flag-no"] > 0
    assert training.losses["reply"] < 2.0
    with pytest.raises(ModelNotFoundError):
        take_over(tmp_path / "none.gguf", tmp_path / "other", settings, 1)


def test_a_signal_ends_the_command_as_an_error_that_can_be_told_from_the_end(
    work: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "stopped"
    shutil.copytree(work / "corpus", folder / "corpus")
    (folder / "corpus" / "DONE").touch()
    command = ["--threads", "1", "starter", "--corpus", str(tmp_path), "--work", str(folder)]
    command += ["--after", str(BUNDLED), "--from-step", "3000", "--checkpoint-s", "0"]
    checkpoint = folder / "run" / "checkpoint.pt"
    written: set[int] = set()

    def is_training() -> bool:
        if checkpoint.exists():
            written.add(checkpoint.stat().st_mtime_ns)
        return len(written) > 1

    stopped = Trainer(command, tmp_path / "stopped.log")
    stopped.signal_when(signal.SIGTERM, is_training)
    assert stopped.wait() == 130
    step = torch.load(checkpoint, weights_only=False)["progress"]["step"]
    assert step > 3000
    assert (
        f"Stopped after step {step} of {Course().total_steps}; the same command goes on.\n" in stopped.errors
    )
    last = Trainer([*command, "--steps", str(step + 1)], tmp_path / "last.log")
    assert last.wait() == 0


def test_stages_are_averaged(
    codec: Codec, work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The mean of a run and of the file that it came from is exported; what is no stage of it is refused."""
    first, second = tmp_path / "first", tmp_path / "second"
    for folder, seed in ((first, 1), (second, 2)):
        shutil.copytree(work, folder)
        settings = replace(_settings(codec), seed=seed)
        Training(settings, folder / "run", codec, DataSource(folder, codec).rounds).save()
    file, mean = tmp_path / "first.gguf", tmp_path / "mean.gguf"
    assert main(["export", "--work", str(first), "--output", str(file)]) == 0
    arguments = ["export", "--work", str(second), "--output", str(mean), "--average"]
    assert main([*arguments, str(file), str(first)]) == 0
    states = [load_checkpoint(folder)[0].state_dict() for folder in (first, second)]
    averaged = StarterModel(_settings(codec).shape)
    StarterFile(mean).load_tensors(averaged)
    for name, value in averaged.state_dict().items():
        # Weights are rounded to F16 twice at most.
        expected = (2 * states[0][name] + states[1][name]) / 3
        assert torch.allclose(value, expected, atol=1e-3, rtol=2e-3), name
    before = mean.read_bytes()
    for wrong, said in (
        (BUNDLED, "is not a stage"),
        (tmp_path / "none", "There is no model"),
        (tmp_path, "no run"),
    ):
        assert main([*arguments, str(wrong)]) == 4
        assert said in capsys.readouterr().err
    assert mean.read_bytes() == before


def test_a_level_is_left_when_mastered_or_held_long_enough() -> None:
    course = Course(min_steps=10, max_steps=50)
    progress = Progress(step=20)
    assert not progress.promote(course)
    for kind in ("needle", "needle-none", "topic", "cloze", "topic-none", "cloze-none"):
        for _ in range(400):
            progress.observe(kind, LEVELS[0], True)
    assert progress.promote(course)
    assert progress.level == 1
    progress.step = 80
    assert not progress.promote(course)
    for _ in range(60):
        progress.observe("needle", LEVELS[1], True)
    assert progress.promote(course)
