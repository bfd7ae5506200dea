"""A real vLLM draws rollouts, on the CPU; needs PALIMPSEST_VLLM (sh scripts/vllm_cpu.sh makes such an environment)."""

import logging
import os
import time
from collections.abc import Iterator

import pytest
import torch

from tests.trainer.rl.test_run import _metrics, _recipe
from trainer.rl.data import TokenSet
from trainer.rl.decoding import Decoder, Drawn, Row
from trainer.rl.loop import Run
from trainer.rl.models import Policy
from trainer.rl.served import ServedDecoder
from trainer.rl.served_canary import as_conversation, mean_gap

_log = logging.getLogger(__name__)
_GRAMMAR = 'root ::= ("<|none|>" | "<|s1|>" | "<|s2|>" | [a-z]{1,6} "."){2,4}'


def _rows(count: int) -> list[Row]:
    """Free and restricted replies to prompts of 200 tokens that begin alike."""
    return [
        Row(
            ids=(*range(300, 490), *range(300 + number, 310 + number)),
            max_tokens=32,
            seed=2**62 + number,
            grammar=_GRAMMAR if number % 2 else None,
        )
        for number in range(count)
    ]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    if not os.environ.get("PALIMPSEST_VLLM"):
        pytest.skip("PALIMPSEST_VLLM names no environment with vLLM (sh scripts/vllm_cpu.sh makes one)")
    before = os.environ.get("VLLM_CPU_KVCACHE_SPACE")
    os.environ["VLLM_CPU_KVCACHE_SPACE"] = "1"
    recipe = _recipe(
        "rollout.engine=vllm",
        f"rollout.vllm={os.environ['PALIMPSEST_VLLM']}",
        "rollout.vllm_options=--enforce-eager,--max-num-seqs,32",
        "rollout.temperature=1.0",
        "reading.context_tokens=1024",
        "rollout.canary_gap=0.005",
        "run.steps=2",
    )
    made = Run(recipe, tmp_path_factory.mktemp("served"))
    yield made
    made.parts.backend.decoder.close()
    if before is None:
        del os.environ["VLLM_CPU_KVCACHE_SPACE"]


@pytest.fixture
def served(run: Run) -> ServedDecoder:
    decoder = run.parts.backend.decoder
    assert isinstance(decoder, ServedDecoder)
    return decoder


def _gap(run: Run, rows: list[Row], drawn: list[Drawn]) -> float:
    talks = [as_conversation(row, each) for row, each in zip(rows, drawn, strict=True)]
    ours = run.parts.scores(talks)
    return mean_gap([(values, talk.rollout_logprobs) for values, talk in zip(ours, talks, strict=True)])


def _shake(policy: Policy) -> None:
    with torch.no_grad():
        for parameter in policy.model.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))


def test_vllm_draws_from_the_policys_own_distribution(run: Run, served: ServedDecoder) -> None:
    rows = _rows(48)
    served.draw(rows[:2])
    began = time.perf_counter()
    drawn = served.draw(rows)
    seconds = time.perf_counter() - began
    own = Decoder(run.parts.policy.model, run.parts.policy.vocabulary, cache_tokens=65_536)
    began = time.perf_counter()
    others = own.draw(rows)
    own_seconds = time.perf_counter() - began
    _log.info(
        "tokens a second: vLLM %.0f, own %.0f",
        sum(len(each.response_ids) for each in drawn) / seconds,
        sum(len(each.response_ids) for each in others) / own_seconds,
    )
    assert served.canary is not None
    assert served.canary.is_restricted
    gap = _gap(run, rows, drawn)
    _log.info("gap %.2g nats a token, sync %s s", gap, served.sync_s)
    assert gap < 1e-3
    for row, each in zip(rows, drawn, strict=True):
        assert all((allowed is None) == (row.grammar is None) for allowed in each.allowed)
        assert each.text == run.parts.policy.vocabulary.text(each.response_ids[: each.num_text_ids])
    assert any(isinstance(allowed, TokenSet) for each in drawn for allowed in each.allowed)
    assert [each.response_ids for each in served.draw(rows[:4])] == [each.response_ids for each in drawn[:4]]


def test_vllm_follows_the_weights(run: Run, served: ServedDecoder) -> None:
    rows = _rows(8)
    before = served.draw(rows)
    state = {name: value.clone() for name, value in run.parts.policy.model.state_dict().items()}
    _shake(run.parts.policy)
    # Not told of it, it draws with the old weights: what the canary is there to notice.
    assert _gap(run, rows, served.draw(rows)) > 0.05
    served.weights_changed()
    after = served.draw(rows)
    _log.info("sync %s s, canary %s", served.sync_s, served.canary)
    assert _gap(run, rows, after) < 1e-3
    run.parts.policy.model.load_state_dict(state)
    served.weights_changed()
    assert [each.response_ids for each in served.draw(rows)] == [each.response_ids for each in before]


def test_vllm_carries_a_whole_run(run: Run) -> None:
    run.run()
    lines = _metrics(run.folder)
    assert [line["step"] for line in lines] == [0, 1]
    assert all(line["rollout_gap"] < 1e-3 for line in lines)
    assert (run.folder / "policy" / "config.json").exists()
