"""Metrics of rollouts, and a log that can be cut back."""

import dataclasses
import random
from pathlib import Path

import pytest

from tests.trainer.rl.talks import make_group
from trainer.rl.data import Group
from trainer.rl.metrics import JsonLines, accuracy_table, draw_metrics, rollout_metrics, scalars


def _groups() -> list[Group]:
    rewards = ((1.0, 1.0), (0.0, 0.0), (1.0, 0.0))
    groups = []
    for number, pair in enumerate(rewards):
        group = make_group(random.Random(number), size=2)
        trajectories = tuple(
            dataclasses.replace(t, reward=r) for t, r in zip(group.trajectories, pair, strict=True)
        )
        groups.append(dataclasses.replace(group, trajectories=trajectories, num_chunks=2 + 8 * (number == 2)))
    groups[1] = dataclasses.replace(groups[1], golds=(), position=None)
    return groups


def test_rewards_memory_and_failures() -> None:
    found = rollout_metrics(_groups())
    assert (found["reward_mean"], found["reward_std"]) == (0.5, 0.5)
    assert (found["reward_answerable"], found["reward_unanswerable"]) == (0.75, 0.0)
    assert found["pass_rate"] == pytest.approx(2 / 3)
    assert found["memory_tokens_by_turn"] == [1.0, 2.0]
    assert found["gold_in_memory_by_turn"] == [0.0, 1.0]
    drawn = draw_metrics(_groups())
    assert (drawn["all_0"], drawn["all_1"], drawn["groups"]) == (
        pytest.approx(1 / 3),
        pytest.approx(1 / 3),
        3,
    )


def test_the_table_is_by_length_and_position_of_the_evidence() -> None:
    table = accuracy_table(_groups())
    assert table["table"] == {
        "2 chunks, middle third": [1.0, 2],
        "2 chunks, nowhere": [0.0, 2],
        "10 chunks, middle third": [0.5, 2],
    }
    assert list(table["table"])[-1].startswith("10")


def test_nothing_drawn_is_no_error() -> None:
    assert rollout_metrics([])["reward_mean"] is None
    assert accuracy_table([])["table"] == {}


def test_a_log_is_cut_back_to_a_size(tmp_path: Path) -> None:
    log = JsonLines(tmp_path / "log.jsonl")
    assert log.read() == []
    size = log.append({"step": 0, "word": "naïve"})
    log.append({"step": 1})
    log.cut(size)
    assert log.read() == [{"step": 0, "word": "naïve"}]
    log.cut(10_000)
    assert (tmp_path / "log.jsonl").stat().st_size == size


def test_scalars_are_found_at_every_depth() -> None:
    line = {
        "step": 1,
        "loss": 0.5,
        "none": None,
        "by_turn": [1, 2],
        "evaluation": {"reward_mean": 1.0, "table": {"a": 1}},
    }
    assert scalars(line) == {"step": 1, "loss": 0.5, "evaluation/reward_mean": 1.0}
