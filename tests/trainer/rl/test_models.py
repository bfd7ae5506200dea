"""Policies from folders and from the bundled file; adapters."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers import models as tokenizer_models

from engine.agent.config import Mode
from engine.agent.plan import default_config, make_plan
from engine.agent.prompts import STANDARD
from engine.backends.base import Request, Segment
from engine.errors import CheckpointError, ModelNotFoundError, UnsupportedCheckpointError
from tests.trainer.rl.conftest import FAMILIES, STARTER, make_model
from tests.trainer.rl.talks import make_talk
from trainer.rl.backend import TorchBackend
from trainer.rl.data import conversations_of
from trainer.rl.decoding import Decoder
from trainer.rl.lora import adapters, adapters_off, add_adapters, merge_adapters, save_adapters
from trainer.rl.models import Policy, load_policy, save_policy
from trainer.rl.rollouts import Job, roll_out, run_seed
from trainer.rl.tasks import Task, make_document
from trainer.rl.update import Budget, Computing, score_all
from trainer.rl.vocabulary import Vocabulary

TEMPLATE = "{{ bos_token }}{% for m in messages %}<u>{{ m['content'] }}<e>{% endfor %}<a>"


def _tiny_policy(family: str, context_tokens: int = 512) -> Policy:
    """A policy whose vocabulary is single bytes."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = ["<pad>", "<e>", "<u>", "<a>", "<s>", *alphabet]
    tokenizer = Tokenizer(tokenizer_models.BPE(vocab={t: i for i, t in enumerate(tokens)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(tokens[:5])
    config_class, model_class = FAMILIES[family]
    torch.manual_seed(0)
    config = config_class(
        vocab_size=len(tokens) + 3,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        max_position_embeddings=context_tokens,
        eos_token_id=1,
        pad_token_id=0,
        bos_token_id=None,
    )
    model = model_class(config)
    vocabulary = Vocabulary(
        tokenizer, chat_template=TEMPLATE, end_ids={1}, bos_id=None, size=int(config.vocab_size)
    )
    return Policy(
        model=model,
        vocabulary=vocabulary,
        name="tiny",
        context_tokens=context_tokens,
        prompt_set=STANDARD.name,
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_a_folder_of_each_family_is_loaded_as_it_was_saved(family: str, tmp_path: Path) -> None:
    before = _tiny_policy(family)
    save_policy(before, tmp_path / "tiny")
    after = load_policy(tmp_path / "tiny")
    assert json.loads((tmp_path / "tiny" / "config.json").read_text())["model_type"] == family
    assert (after.context_tokens, after.prompt_set, set(after.vocabulary.end_ids)) == (
        512,
        STANDARD.name,
        {1},
    )
    state = before.model.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in after.model.state_dict().items())
    prompt = (Segment("<s> Say "), Segment("<e> naïve <a>", is_data=True), Segment("!"))
    ids = after.vocabulary.encode(prompt)
    assert ids == before.vocabulary.encode(prompt)
    assert ids[0] == 2
    assert ids.count(1) == 1, "data forges no end of turn"
    assert after.vocabulary.text(ids) == "<u><s> Say <e> naïve <a>!<e><a>"
    backend = TorchBackend(after, Decoder(after.model, after.vocabulary, cache_tokens=1_000))
    request = Request(prompt=prompt, max_tokens=5, grammar='root ::= "yes" | "né"')
    (completion,) = backend.generate([request])
    assert completion.text in ("yes", "né")


@pytest.mark.parametrize("mode", [Mode.FAITHFUL, Mode.GATED, Mode.EXTRACTIVE, Mode.PARALLEL])
def test_every_reading_mode_can_be_rolled_out_and_scored(mode: Mode) -> None:
    policy = _tiny_policy("qwen3", context_tokens=4_096)
    backend = TorchBackend(policy, Decoder(policy.model, policy.vocabulary, cache_tokens=50_000))
    config = default_config(backend, STANDARD, mode=mode, chunk_tokens=120, memory_tokens=30)
    document = make_document("d", ["The gate is red."] * 12)
    task = Task(task_id="t", document=document, question="What is red?", golds=(("gate",),))
    plan = make_plan([document], task.question, config=config, prompts=STANDARD, backend=backend)
    seeds = run_seed("modes", 0)
    job = Job(task=task, plan=plan)
    (rollout,) = roll_out([job], backend, group_size=2, temperature=1.0, seed_of=seeds)
    talks = list(conversations_of([rollout.group]))
    assert len(talks) >= 2 * sum(not chunk.is_repeat for chunk in plan.chunks) > 2
    is_free = [all(allowed is None for allowed in talk.allowed) for talk in talks if talk.purpose == "read"]
    assert all(is_free) if mode is Mode.FAITHFUL else not any(is_free)
    scores = score_all(policy.model, talks, Computing(), Budget(8_000))
    for talk, values in zip(talks, scores, strict=True):
        assert values == pytest.approx(talk.rollout_logprobs, abs=1e-4)


def test_what_cannot_be_loaded_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError):
        load_policy(tmp_path / "none")
    with pytest.raises(CheckpointError, match=r"config\.json"):
        load_policy(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
    with pytest.raises(UnsupportedCheckpointError, match="gpt2"):
        load_policy(tmp_path)
    file = tmp_path / "model.gguf"
    file.write_bytes(b"nothing of the kind")
    with pytest.raises(CheckpointError, match="no readable GGUF"):
        load_policy(file)


def test_the_starter_survives_a_save(tmp_path: Path, starter: Policy) -> None:
    save_policy(starter, tmp_path / "starter")
    again = load_policy(tmp_path / "starter")
    assert (again.prompt_set, again.chunk_tokens, again.memory_tokens) == (
        starter.prompt_set,
        starter.chunk_tokens,
        starter.memory_tokens,
    )
    state = starter.model.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in again.model.state_dict().items())
    text = " <|s1|> The naïve café, No. 7…"
    assert again.vocabulary.tokenize(text) == starter.vocabulary.tokenize(text)
    assert again.vocabulary.end_ids == starter.vocabulary.end_ids
    assert STARTER.exists()


def _scores(model: Any) -> list[float]:
    import random

    rng = random.Random(0)
    talks = [make_talk(rng) for _ in range(4)]
    return [value for values in score_all(model, talks, Computing(), Budget(100)) for value in values]


def test_adapters_start_at_nothing_and_are_switched_off_and_merged(tmp_path: Path) -> None:
    model = make_model()
    before = _scores(model)
    add_adapters(model, rank=3, alpha=6.0, seed=1)
    assert _scores(model) == before
    found = adapters(model)
    assert len(found) == 2 * 7
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert trained == {f"{name}.lora_{part}" for name in found for part in "AB"}
    with torch.no_grad():
        for module in found.values():
            module.lora_B.normal_(std=0.3)
    changed = _scores(model)
    assert max(abs(a - b) for a, b in zip(changed, before, strict=True)) > 0.1
    with adapters_off(model):
        assert _scores(model) == before
    save_adapters(model, tmp_path / "adapter", base="base")
    settings = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert (settings["r"], settings["lora_alpha"]) == (3, 6.0)
    merge_adapters(model)
    assert not adapters(model)
    assert _scores(model) == pytest.approx(changed, abs=1e-4)
