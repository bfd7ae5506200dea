"""Rollouts come back from the disk as they were."""

import random
from pathlib import Path

import pytest

from tests.trainer.rl.talks import make_group, make_talk
from trainer.rl.data import Conversation, TokenSet, load_groups, save_groups


def test_groups_survive_the_disk_exactly(tmp_path: Path) -> None:
    groups = [make_group(random.Random(seed)) for seed in range(3)]
    path = tmp_path / "groups.jsonl.gz"
    save_groups(groups, path, key="k", facts={"cursor": 7})
    assert load_groups(path) == (groups, {"cursor": 7})
    first = path.read_bytes()
    save_groups(groups, path, key="k", facts={"cursor": 7})
    assert path.read_bytes() == first
    assert list(tmp_path.iterdir()) == [path]


def test_groups_of_another_run_are_not_taken(tmp_path: Path) -> None:
    path = tmp_path / "groups.jsonl.gz"
    save_groups([make_group(random.Random(0))], path, key="one")
    assert load_groups(path, key="two") is None
    assert load_groups(path, key="one") is not None


def test_a_conversation_without_a_response_is_refused() -> None:
    talk = make_talk(random.Random(0))
    with pytest.raises(ValueError, match="needs a prompt"):
        Conversation(
            prompt_ids=talk.prompt_ids,
            response_ids=(),
            rollout_logprobs=(),
            allowed=(),
            turn=0,
            finish_reason="stop",
            purpose="read",
            chunk_index=0,
            max_tokens=4,
        )


def test_a_token_set_holds_what_it_says() -> None:
    assert 3 in TokenSet((1, 3))
    assert 2 not in TokenSet((1, 3))
    assert 3 not in TokenSet((1, 3), is_complement=True)
    assert 2 in TokenSet((1, 3), is_complement=True)
