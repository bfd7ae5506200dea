"""Ideal readings: right in every mode and for every family, in the engine's own form, and nothing else is learnt."""

import json
from pathlib import Path
from typing import Any

import pytest

from engine.agent.config import Mode
from engine.errors import PlanError
from tests.trainer.supervised.conftest import FAMILIES, STARTER
from trainer.rl.backend import TorchBackend
from trainer.rl.data import Group
from trainer.rl.decoding import Decoder
from trainer.rl.models import Policy, load_policy
from trainer.rl.recipe import Recipe, make_recipe
from trainer.rl.rollouts import roll_out
from trainer.rl.source import JobSource
from trainer.supervised.lessons import Lessons


def _recipe(model: Path, **sections: Any) -> Recipe:
    values: dict[str, Any] = {
        "stage": "sft",
        "model": {"path": str(model)},
        "reading": {"chunk_tokens": 260, "memory_tokens": 120},
        "data": {"chunks": [1, 3], "look_alikes": 2, "unanswerable": 0.2},
        "sft": {"noise": 0.0, "unchanged": 1.0},
    }
    for section, entries in sections.items():
        values[section] = {**values.get(section, {}), **entries}
    return make_recipe(values)


def _lessons(recipe: Recipe) -> tuple[Lessons, Policy]:
    policy = load_policy(Path(recipe.model.path))
    backend = TorchBackend(policy, Decoder(policy.model, policy.vocabulary, cache_tokens=1_000))
    return Lessons(JobSource(recipe, backend), backend, recipe.sft, recipe.run.seed), policy


def _draw(recipe: Recipe, count: int = 6) -> tuple[list[Group], Policy]:
    lessons, policy = _lessons(recipe)
    return lessons.draw(0, count)[0], policy


def _replies(groups: list[Group], purpose: str) -> list[str]:
    return [
        talk.reply
        for group in groups
        for trajectory in group.trajectories
        for talk in trajectory.conversations
        if talk.purpose == purpose
    ]


@pytest.mark.parametrize("mode", list(Mode))
def test_ideal_readings_are_right_in_every_mode(mode: Mode, folders: dict[str, Path]) -> None:
    groups, policy = _draw(_recipe(folders["qwen2"], reading={"mode": mode.value}))
    assert len(groups) == 6
    for group in groups:
        (trajectory,) = group.trajectories
        assert (trajectory.reward, trajectory.failure, trajectory.incidents) == (1.0, "", ())
        if group.golds:
            assert trajectory.gold_in_memory[-1] == 1.0
        for talk in trajectory.conversations:
            assert talk.response_ids[-1] == policy.vocabulary.turn_end_id
            assert policy.vocabulary.text(talk.response_ids[:-1]) == talk.reply
            assert talk.credit == 1.0
    reads = _replies(groups, "read")
    if mode is Mode.GATED:
        assert {reply.split("\n")[0] for reply in reads} == {"KEEP", "UPDATE"}
    elif mode is Mode.FAITHFUL:
        assert "(nothing has been found yet)" in reads
    else:
        assert "none" in reads
        assert any(reply.startswith("S") for reply in reads)
    answers = _replies(groups, "answer")
    assert answers
    assert {group.golds[0][0] for group in groups if group.golds} <= set(answers)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_taught(family: str, folders: dict[str, Path]) -> None:
    groups, policy = _draw(_recipe(folders[family]), 3)
    for group in groups:
        for talk in group.trajectories[0].conversations:
            # The turn is opened by the template and closed by its own token, once.
            assert talk.response_ids.count(policy.vocabulary.turn_end_id) == 1
            assert policy.vocabulary.text(talk.response_ids).endswith("<|im_end|>"), "not another end token"
            bos = policy.vocabulary.bos_id
            assert bos is None or (talk.prompt_ids[0] == bos and bos not in talk.response_ids)
    assert all(group.trajectories[0].reward == 1.0 for group in groups)


def test_the_bundled_model_is_taught_in_its_own_words() -> None:
    recipe = _recipe(STARTER, reading={"chunk_tokens": 120}, sft={"under_grammar": True})
    groups, _ = _draw(recipe)
    reads = _replies(groups, "read")
    assert "<|none|>" in reads
    assert any(reply.startswith("<|s") for reply in reads)
    for group in groups:
        for talk in group.trajectories[0].conversations:
            for token, allowed in zip(talk.response_ids, talk.allowed, strict=True):
                assert allowed is not None
                assert token in allowed
            if talk.reply.startswith("<|s"):
                assert len(talk.response_ids) == talk.reply.count("<|") + 1, "labels are single tokens"


def test_what_slips_in_is_not_learnt_and_is_dropped_again(folders: dict[str, Path]) -> None:
    recipe = _recipe(
        folders["qwen2"], sft={"noise": 0.999}, data={"chunks": [4], "unanswerable": 0.0, "look_alikes": 0}
    )
    groups, _ = _draw(recipe)
    slips = [
        (trajectory, talk)
        for group in groups
        for trajectory in group.trajectories
        for talk in trajectory.conversations
        if talk.credit == 0.0
    ]
    assert len(slips) >= 6
    assert all(talk.reply != "none" for _, talk in slips), "a slip changes the memory"
    dropping = [
        talk.reply
        for trajectory, slip in slips
        for talk in trajectory.conversations
        if talk.turn > slip.turn and talk.purpose == "read" and talk.credit and talk.reply != "none"
    ]
    # The evidence is named and the slip, which is an item of the memory by then, is not.
    assert dropping
    assert all("M" not in reply for reply in dropping)
    assert all(group.trajectories[0].reward == 1.0 for group in groups)


def test_turns_without_anything_to_find_can_be_left_out(folders: dict[str, Path]) -> None:
    groups, _ = _draw(_recipe(folders["qwen2"], sft={"unchanged": 0.0}))
    for group in groups:
        for talk in group.trajectories[0].conversations:
            assert bool(talk.credit) == (talk.reply != "none")


def test_on_policy_the_tutor_replies_to_what_the_policy_makes_of_its_memory() -> None:
    """Each conversation is one of the policy's own greedy reading; the lessons are what it should have said there."""
    recipe = _recipe(
        STARTER,
        reading={"chunk_tokens": 120},
        data={"chunks": [4], "look_alikes": 6, "unanswerable": 0.3},
        sft={"on_policy": 1.0, "unchanged": 0.0},
    )
    groups, policy = _draw(recipe, 16)
    backend = TorchBackend(policy, Decoder(policy.model, policy.vocabulary, cache_tokens=1_000))
    jobs = JobSource(recipe, backend).training(0, 16)
    own = roll_out(jobs, backend, group_size=1, temperature=0.0, seed_of=lambda *_: 0)
    corrected: list[str] = []
    for group, rollout in zip(groups, own, strict=True):
        (taught,), (read,) = group.trajectories, rollout.group.trajectories
        assert (taught.reward, taught.answer, taught.gold_in_memory) == (
            read.reward,
            read.answer,
            read.gold_in_memory,
        )
        for lesson, talk in zip(taught.conversations, read.conversations, strict=True):
            assert lesson.prompt_ids == talk.prompt_ids
            if talk.purpose == "answer":
                assert (lesson.reply, bool(lesson.credit)) == (talk.reply, read.reward == 1.0)
            elif not lesson.credit:
                assert lesson.reply == talk.reply
            elif lesson.reply == "<|none|>":
                assert talk.reply != "<|none|>", "what it left be is no lesson here"
                corrected.append(talk.reply)
    assert corrected, "it took nothing in error: choose harder documents"
    assert {group.trajectories[0].reward for group in groups} == {0.0, 1.0}


def test_ideal_readings_stay_what_they_are_beside_those_on_policy() -> None:
    reading = {"chunk_tokens": 120}
    ideal, _ = _draw(_recipe(STARTER, reading=reading, sft={"noise": 0.3}), 8)
    mixed, _ = _draw(_recipe(STARTER, reading=reading, sft={"noise": 0.3, "on_policy": 0.5}), 8)
    same = [one == other for one, other in zip(ideal, mixed, strict=True)]
    assert 0 < sum(same) < 8


def _question_file(folder: Path, *, with_evidence: bool = True) -> Path:
    facts = {"Ann": "red", "Ben": "blue", "Cora": "green"}
    filler = "It rained in the valley that year, and the road was closed for a week. "
    sentences = [f"The gate of {who} was painted {colour} in May. " for who, colour in facts.items()]
    text = "".join(filler * 12 + sentence for sentence in sentences).strip()
    path = folder / "questions.jsonl"
    lines = [
        {
            "id": who,
            "question": f"What colour is the gate of {who}?",
            "golds": [[colour, colour.upper()]],
            "text": text,
            **({"evidence": [sentence.strip()]} if with_evidence else {}),
        }
        for (who, colour), sentence in zip(facts.items(), sentences, strict=True)
    ]
    path.write_text("\n".join(map(json.dumps, lines)))
    return path


def test_a_joint_gate_names_the_questions_that_a_chunk_helps_with(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    data = {"kind": "file", "file": str(_question_file(tmp_path))}
    groups, _ = _draw(_recipe(folders["qwen2"], data=data, sft={"joint": 3}), 3)
    gates = _replies(groups, "gate")
    named = [word for reply in gates for word in reply.split() if word != "none"]
    # Each of the three facts stands in the one document; each pass names all three, and its own chunk is then read.
    assert len(named) == 3 * 3
    assert "none" in gates
    reads = _replies(groups, "read")
    assert len(reads) < len(gates)
    assert all(group.trajectories[0].reward == 1.0 for group in groups)


def test_questions_without_evidence_cannot_be_taught(folders: dict[str, Path], tmp_path: Path) -> None:
    data = {"kind": "file", "file": str(_question_file(tmp_path, with_evidence=False))}
    lessons, _ = _lessons(_recipe(folders["qwen2"], data=data))
    with pytest.raises(PlanError, match="evidence is not known"):
        lessons.draw(0, 2)


def test_what_cannot_be_taught_is_left_out_and_counted(folders: dict[str, Path], tmp_path: Path) -> None:
    path = _question_file(tmp_path)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    lines[0]["golds"] = ["an answer that is nowhere"]
    lines[1]["evidence"] = []
    path.write_text("\n".join(map(json.dumps, lines)))
    recipe = _recipe(
        STARTER,
        reading={"chunk_tokens": 120, "memory_tokens": 64},
        data={"kind": "file", "file": str(path)},
    )
    lessons, _ = _lessons(recipe)
    groups, cursor, left_out = lessons.draw(0, 2)
    assert [group.task_id for group in groups] == ["Cora", "Cora"]
    assert cursor > 2
    assert set(left_out) == {
        "its evidence is not known",
        "a reply cannot be said under the grammar that holds the model",
    }
