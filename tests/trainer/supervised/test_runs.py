"""Runs of the supervised stages: what they minimise, what they leave, and that a kill at any time changes nothing."""

import gzip
import json
import random
import signal
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from tests.trainer.processes import Trainer
from tests.trainer.rl.talks import make_group
from tests.trainer.small_recipe import set_options
from tests.trainer.supervised.conftest import FAMILIES, ROOT, STARTER
from trainer.__main__ import main
from trainer.rl.checkpoint import load_checkpoint
from trainer.rl.data import Conversation, Group, Trajectory, conversations_of
from trainer.rl.errors import RunError
from trainer.rl.models import load_policy
from trainer.rl.recipe import Recipe, load_recipe
from trainer.rl.run_folder import find_recipe, locked
from trainer.supervised.replies import SupervisedStage, best_reading
from trainer.supervised.stages import open_run

STAGES = ("pretrain", "sft", "expert-iteration")
SMALL = [
    f"model.path={STARTER}",
    "model.precision=float32",
    "model.gradient_checkpointing=false",
    "run.threads=1",
    "run.steps=3",
    "run.checkpoint_steps=1",
    "run.evaluation_steps=0",
    "optimizer.lr=1e-3",
    "optimizer.warmup=0",
    "optimizer.updates=2",
]
READING = ["reading.chunk_tokens=64", "reading.memory_tokens=64", "data.texts=", "data.chunks=1,2"]
OWN = {
    "pretrain": ["text.sequence_tokens=96", "text.sequences=6"],
    "sft": [*READING, "sft.questions=4", "sft.on_policy=0.5"],
    "expert-iteration": [*READING, "rollout.groups=3", "rollout.group_size=2", "rollout.canary_gap=0.02"],
}
TEXT = "".join(
    f"In {1800 + n} the mill at Fairbrook made {37 * n} barrels of flour. Nobody wrote down why.\n\n"
    for n in range(60)
)


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    """A folder with a text, a note below it, and a file that is not what it says."""
    folder = tmp_path / "documents"
    (folder / "more").mkdir(parents=True)
    (folder / "mill.txt").write_text(TEXT)
    (folder / "more" / "note.md").write_text("# Note\n\nThe weir was mended twice.\n")
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7 nothing of the kind")
    return folder


def _settings(stage: str, documents: Path, more: Sequence[str] = ()) -> list[str]:
    text = [f"text.folder={documents}"] if stage == "pretrain" else []
    return [*SMALL, *OWN[stage], *text, *more]


def _recipe(stage: str, documents: Path, *more: str) -> Recipe:
    return load_recipe(
        ROOT / "resources" / "recipes" / f"qwen-{stage}.toml", _settings(stage, documents, more)
    )


def _metrics(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def _by_hand(stage: SupervisedStage, talks: Sequence[Conversation]) -> float:
    """Mean negative log-likelihood of all reply tokens, each conversation alone through the plain model."""
    total, count = 0.0, 0
    model: Any = stage.parts.policy.model
    with torch.no_grad():
        for talk in talks:
            ids = torch.tensor([[*talk.prompt_ids, *talk.response_ids]])
            logits = model(input_ids=ids[:, :-1]).logits[0, len(talk.prompt_ids) - 1 :].float()
            total += float(F.cross_entropy(logits, ids[0, len(talk.prompt_ids) :], reduction="sum"))
            count += len(talk.response_ids)
    return total / count


@pytest.mark.parametrize("stage", ["sft", "expert-iteration"])
def test_the_loss_is_the_mean_log_likelihood_of_the_replies(
    stage: str, documents: Path, tmp_path: Path
) -> None:
    learner = open_run(_recipe(stage, documents, "optimizer.updates=1"), tmp_path / "run").stage
    assert isinstance(learner, SupervisedStage)
    groups, _ = learner.rollouts(0, 0)
    learnt = learner.chosen(groups)
    assert 0 < len(learnt) <= len(list(conversations_of(groups)))
    expected = _by_hand(learner, learnt)
    line = learner.update(0, groups)
    assert line["nats_per_token"] == pytest.approx(expected, rel=1e-5)
    assert line["learnt"] == len(learnt)
    assert line["learnt_tokens"] == sum(talk.num_tokens for talk in learnt)
    assert line["tokens"] == sum(len(talk.response_ids) for talk in learnt)


def test_the_loss_of_text_is_that_of_every_next_token(documents: Path, tmp_path: Path) -> None:
    learner = open_run(_recipe("pretrain", documents, "optimizer.updates=1"), tmp_path / "run").stage
    assert isinstance(learner, SupervisedStage)
    expected: list[float] = []
    update = learner.update

    def watch(step: int, groups: Sequence[Group]) -> dict[str, Any]:
        expected.append(_by_hand(learner, learner.chosen(groups)))
        return update(step, groups)

    learner.update = watch  # type: ignore[method-assign]
    line, _ = learner.learn(0, 0)
    assert line["nats_per_token"] == pytest.approx(expected[0], rel=1e-5)
    assert (line["conversations"], line["prompt_tokens"]) == (6, 6)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_trains_every_family(
    stage: str, family: str, documents: Path, tmp_path: Path, folders: dict[str, Path]
) -> None:
    own = ["reading.chunk_tokens=200", "reading.memory_tokens=100"] if stage != "pretrain" else []
    recipe = _recipe(stage, documents, f"model.path={folders[family]}", "run.steps=1", *own)
    run = open_run(recipe, tmp_path / "run")
    before = {name: value.clone() for name, value in run.parts.policy.model.state_dict().items()}
    run.run()
    lines = _metrics(tmp_path / "run")
    assert [line["step"] for line in lines] == [0]
    assert all(line["skipped"] == 0 for line in lines)
    policy = load_policy(tmp_path / "run" / "policy")
    is_changed = any(
        not torch.equal(value, before[name]) for name, value in policy.model.state_dict().items()
    )
    # Readings of random weights are hardly ever right, and then there is nothing to learn from.
    assert is_changed == any(line["learnt"] for line in lines)
    assert stage == "expert-iteration" or is_changed


@pytest.mark.parametrize("stage", ["pretrain", "sft"])
def test_what_is_learnt_becomes_likelier(
    stage: str, documents: Path, tmp_path: Path, folders: dict[str, Path]
) -> None:
    own = {
        "pretrain": ["text.held_out=0.2"],
        "sft": [f"model.path={folders['qwen2']}", "reading.chunk_tokens=200", "run.evaluation_chunks=1"],
    }
    recipe = _recipe(
        stage,
        documents,
        "run.steps=6",
        "run.evaluation_steps=6",
        "run.evaluation_tasks=4",
        "optimizer.lr=3e-4",
        *own[stage],
    )
    run = open_run(recipe, tmp_path / "run")
    run.run()
    first, *lines = _metrics(tmp_path / "run")
    last = lines[-1]["evaluation"]
    if stage == "pretrain":
        assert last["nats_per_token"] < first["evaluation"]["nats_per_token"] - 0.1
        assert last["pieces"] > 0
    else:
        assert last["questions"] == 4
    assert lines[-1]["nats_per_token"] < lines[0]["nats_per_token"] - 0.1


def test_adapters_and_bfloat16_train_too(documents: Path, tmp_path: Path) -> None:
    more = (
        "run.steps=1",
        "model.lora_rank=4",
        "model.precision=bfloat16",
        "model.gradient_checkpointing=true",
    )
    open_run(_recipe("sft", documents, *more), tmp_path / "run").run()
    (line,) = _metrics(tmp_path / "run")
    assert line["skipped"] == 0
    assert (tmp_path / "run" / "adapter" / "adapter_model.safetensors").exists()


def test_updates_that_are_not_finite_change_nothing(documents: Path, tmp_path: Path) -> None:
    run = open_run(_recipe("sft", documents, "run.steps=1", "optimizer.updates=1"), tmp_path / "run")
    before = {name: value.clone() for name, value in run.parts.policy.model.state_dict().items()}
    for parameter in run.parts.policy.model.parameters():
        parameter.register_hook(lambda gradient: gradient * float("nan"))  # type: ignore[no-untyped-call]
    run.run()
    (line,) = _metrics(tmp_path / "run")
    assert (line["skipped"], line["nats_per_token"]) == (1, None)
    assert all(
        torch.equal(value, before[name]) for name, value in run.parts.policy.model.state_dict().items()
    )


# -- which reading is learnt ------------------------------------------------------------------------------------------


def _reading(reward: float, *lengths: int, **options: Any) -> Trajectory:
    talk = make_group(random.Random(0)).trajectories[0].conversations[0]

    def of_length(length: int) -> Conversation:
        return replace(
            talk,
            response_ids=(5,) * length,
            rollout_logprobs=(-0.1,) * length,
            allowed=(None,) * length,
            finish_reason=options.get("finish_reason", "stop"),
        )

    return Trajectory(
        conversations=tuple(map(of_length, lengths)),
        reward=reward,
        incidents=options.get("incidents", ()),
        failure=options.get("failure", ""),
    )


def _group(*readings: Trajectory) -> Group:
    return Group(
        task_id="t", question="?", golds=(("a",),), num_chunks=1, position=None, trajectories=readings
    )


def test_the_shortest_right_reading_of_a_group_is_learnt() -> None:
    long, short, wrong = _reading(1.0, 3, 4), _reading(1.0, 2, 3), _reading(0.0, 1)
    assert best_reading(_group(long, wrong, short), 1.0) is short
    assert best_reading(_group(wrong), 1.0) is None
    half = _reading(0.5, 1)
    assert best_reading(_group(half, long), 0.5) is long, "what is worth more goes before what is shorter"
    assert best_reading(_group(half), 1.0) is None
    same = _reading(1.0, 2, 3)
    assert best_reading(_group(short, same), 1.0) is short


@pytest.mark.parametrize(
    "options", [{"finish_reason": "length"}, {"incidents": ("wrong format",)}, {"failure": "no answer"}]
)
def test_readings_in_which_something_went_wrong_are_not_learnt(options: dict[str, Any]) -> None:
    assert best_reading(_group(_reading(1.0, 2, **options)), 1.0) is None


# -- kill, stop, go on ------------------------------------------------------------------------------------------------


def _start(stage: str, documents: Path, folder: Path, more: Sequence[str] = ()) -> Trainer:
    recipe = ROOT / "resources" / "recipes" / f"qwen-{stage}.toml"
    settings = set_options(*_settings(stage, documents, more))
    return Trainer([str(recipe), "--folder", str(folder), *settings], folder.with_name("log"))


def _num_lines(folder: Path) -> int:
    file = folder / "metrics.jsonl"
    return file.read_bytes().count(b"\n") if file.exists() else 0


def _assert_same(one: Path, two: Path) -> None:
    assert (one / "metrics.jsonl").read_bytes() == (two / "metrics.jsonl").read_bytes()
    left, right = load_checkpoint(one / "last.pt"), load_checkpoint(two / "last.pt")
    assert all(torch.equal(value, right["model"][name]) for name, value in left["model"].items())
    for path in (one / "rollouts").glob("*.gz"):
        assert gzip.decompress(path.read_bytes()) == gzip.decompress(
            (two / "rollouts" / path.name).read_bytes()
        )


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_a_run_that_was_killed_goes_on_bit_for_bit(stage: str, documents: Path, tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    open_run(_recipe(stage, documents), whole).run()
    # Before the first step is done; then between a step's metrics and its checkpoint, or soon after it.
    for is_time in ((killed / "last.pt").exists, lambda: _num_lines(killed) == 2):
        process = _start(stage, documents, killed)
        process.signal_when(signal.SIGKILL, is_time)
        assert process.wait() == -signal.SIGKILL
    if stage == "pretrain":
        (documents / "mill.txt").write_text("Something else altogether.")
    process = _start(stage, documents, killed)
    assert process.wait() == 0, process.errors
    _assert_same(whole, killed)


@pytest.mark.slow
def test_ctrl_c_saves_and_the_same_command_goes_on(documents: Path, tmp_path: Path) -> None:
    more = ("run.checkpoint_steps=50", "run.steps=5")
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    open_run(_recipe("sft", documents, *more), whole).run()
    process = _start("sft", documents, stopped, more)
    process.signal_when(signal.SIGINT, lambda: _num_lines(stopped) >= 1)
    assert process.wait() == 130, process.errors
    assert "the same command goes on" in process.errors
    done = load_checkpoint(stopped / "last.pt")["step"]
    assert 1 <= done == _num_lines(stopped) < 5, "saved where it stopped, far from the next checkpoint"
    # The folder of the run alone says what is to be done, too.
    assert main(["train", str(stopped), "--set", "run.threads=1"]) == 0
    _assert_same(whole, stopped)


def test_two_processes_keep_out_of_one_folder(documents: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with locked(folder), pytest.raises(RunError, match="Another process"), locked(folder):
        pass
    with locked(folder):
        pass


def test_the_folder_of_a_run_is_a_recipe(documents: Path, tmp_path: Path) -> None:
    recipe = _recipe("pretrain", documents)
    open_run(recipe, tmp_path / "run")
    found, folder = find_recipe(tmp_path / "run", ["run.steps=9"])
    assert folder == tmp_path / "run"
    assert found.run.steps == 9
    assert found.identity == recipe.identity
    with pytest.raises(RunError, match="holds no training run"):
        find_recipe(documents, [])
