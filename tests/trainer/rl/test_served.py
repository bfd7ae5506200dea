"""Rollouts by a server: what is sent, what is recorded, and what stops a run."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.backends.http.address import parse_address
from engine.backends.http.client import Client
from engine.cancel import Cancelled, CancelToken
from engine.errors import (
    OutOfMemoryError,
    PromptMismatchError,
    ServedModelError,
    ServerError,
    ServerReplyError,
    ServerStartError,
    ServerUnreachableError,
)
from tests.trainer.rl.conftest import STARTER
from tests.trainer.rl.served_stub import StubVllm, serve
from tests.trainer.rl.test_run import LEARNS, _metrics, _recipe
from trainer.rl.data import TokenSet
from trainer.rl.decoding import Decoder, Row
from trainer.rl.errors import MismatchError, RecipeError
from trainer.rl.loop import Run
from trainer.rl.lora import adapters, add_adapters, merge_adapters
from trainer.rl.models import Policy, load_policy
from trainer.rl.recipe import make_recipe
from trainer.rl.served import ServedDecoder, served_decoder
from trainer.rl.served_replies import one_end, read_reply, request_body
from trainer.rl.served_weights import save_weights

LABELS = 'root ::= "<|none|>" | "<|s1|>" | "<|s2|>"'


@pytest.fixture
def stub() -> Iterator[StubVllm]:
    with serve(StubVllm(load_policy(STARTER))) as served:
        yield served


def make_run(stub: StubVllm, folder: Path, *more: str) -> Run:
    engine = ("rollout.engine=vllm", f"rollout.server={stub.address}", "reading.context_tokens=1024")
    return Run(_recipe("run.steps=2", *engine, *more), folder)


def decoder_of(run: Run) -> ServedDecoder:
    decoder = run.parts.backend.decoder
    assert isinstance(decoder, ServedDecoder)
    return decoder


def shake(policy: Policy) -> None:
    with torch.no_grad():
        for parameter in policy.model.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))


ROWS = [
    Row(ids=(9, 8, 7), max_tokens=6, seed=1),
    Row(ids=(9, 8, 7), max_tokens=6, seed=2, grammar=LABELS, closed=("<|none|>", "<|s1|>", "<|s2|>")),
    Row(ids=(5, 6), max_tokens=4, seed=3, grammar='root ::= [a-z]{1,3} " " [a-z]+'),
]


def test_a_run_by_a_server_is_the_run_by_the_own_decoder(stub: StubVllm, tmp_path: Path) -> None:
    make_run(stub, tmp_path / "served", "loss.importance_cap=0").run()
    Run(_recipe("run.steps=2", "reading.context_tokens=1024"), tmp_path / "own").run()
    served, own = (_metrics(tmp_path / name) for name in ("served", "own"))
    assert len(served) == 2
    for ours, theirs in zip(own, served, strict=True):
        assert theirs["rollout_gap_max"] < 1e-3
        assert theirs["response_tokens"] == ours["response_tokens"]
        assert theirs["loss"] == pytest.approx(ours["loss"], abs=1e-4)
    # Sent before each step's rollouts, into two folders in turn, and no more often than the weights changed.
    assert [Path(folder).name for folder in stub.loaded] == ["0", "1"]
    assert stub.resets == 2


def test_what_is_drawn_and_recorded_is_what_the_own_decoder_records(stub: StubVllm, tmp_path: Path) -> None:
    run = make_run(stub, tmp_path)
    own = Decoder(run.parts.policy.model, run.parts.policy.vocabulary, cache_tokens=4096)
    served = decoder_of(run)
    for ours, theirs in zip(own.draw(ROWS), served.draw(ROWS), strict=True):
        assert theirs.response_ids == ours.response_ids
        assert (theirs.allowed, theirs.finish_reason, theirs.text) == (
            ours.allowed,
            ours.finish_reason,
            ours.text,
        )
        assert theirs.logprobs == pytest.approx(ours.logprobs, abs=1e-5)
    assert served.canary is not None
    assert served.canary.is_restricted
    assert served.canary.prompt_gap < 1e-4
    served.draw(ROWS[:1])
    assert len(stub.loaded) == 1, "weights that did not change are not sent again"
    shake(run.parts.policy)
    served.weights_changed()
    served.draw(ROWS[:1])
    assert len(stub.loaded) == 2
    assert served.canary.prompt_gap < 1e-4
    served.close()


def test_wrong_weights_stop_the_run(stub: StubVllm, tmp_path: Path) -> None:
    stub.is_deaf = True
    run = make_run(stub, tmp_path, LEARNS)
    with pytest.raises(
        MismatchError, match=r"Log-probabilities of the canary prompt differ by \S+ nats a token"
    ) as caught:
        run.run()  # the update moves the weights, and the server keeps the old ones
    assert caught.value.hint
    assert len(_metrics(tmp_path)) == 1
    assert not (tmp_path / "policy").exists()


def test_a_child_that_reloads_wrongly_is_started_again(
    stub: StubVllm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(stub, tmp_path)
    served, starts = decoder_of(run), list[Path]()

    class Child:
        def stop(self) -> None:
            """The stub goes on."""

    def start(folder: Path) -> None:
        starts.append(folder)
        stub.policy.model.load_state_dict(load_policy(folder).model.state_dict())
        served._server._child = Child()  # type: ignore[assignment]
        served._server._connect(stub.address, None)

    monkeypatch.setattr(served._server, "_start", start)
    served.draw(ROWS[:1])
    served._server._child = Child()  # type: ignore[assignment]
    stub.is_deaf = True
    for number in (1, 2):
        shake(run.parts.policy)
        served.weights_changed()
        served.draw(ROWS[:1])
        assert served.canary is not None
        assert served.canary.prompt_gap < 1e-4
        assert len(starts) == number
    assert len(stub.loaded) == 2, "what reloaded wrongly once is not asked to again"
    served.close()


def test_a_run_that_was_stopped_goes_on_with_what_was_drawn(stub: StubVllm, tmp_path: Path) -> None:
    run = make_run(stub, tmp_path)
    groups, _ = run.stage.rollouts(0, 0)
    num_asked = len(stub.bodies)
    again = make_run(stub, tmp_path)
    assert again.stage.rollouts(0, 0)[0] == groups
    assert len(stub.bodies) == num_asked, "nothing is drawn twice"
    for each in (run, again):
        decoder_of(each).close()


def test_the_address_of_the_server_is_no_part_of_what_a_run_is(stub: StubVllm) -> None:
    one, two = (
        make_recipe({"stage": "dapo", "rollout": {"engine": "vllm", "server": address}})
        for address in ("127.0.0.1:1", "127.0.0.1:2")
    )
    assert one.identity == two.identity != make_recipe({"stage": "dapo"}).identity
    assert one.loss.importance_cap == 2.0
    assert make_recipe({"stage": "dapo"}).loss.importance_cap == 0.0


def test_log_probabilities_without_the_grammar_are_replaced_by_the_trainers_own(
    stub: StubVllm, tmp_path: Path
) -> None:
    stub.is_raw = True
    run = make_run(stub, tmp_path, "rollout.temperature=1.0")
    served = decoder_of(run)
    own = Decoder(run.parts.policy.model, run.parts.policy.vocabulary, cache_tokens=4096)
    drawn = served.draw(ROWS)
    assert served.canary is not None
    assert not served.canary.is_restricted
    assert served.canary.reply_gap < 1e-4
    for ours, theirs in zip(own.draw(ROWS), drawn, strict=True):
        assert theirs.logprobs == pytest.approx(ours.logprobs, abs=1e-5)
    served.close()


@pytest.mark.parametrize(
    ("fault", "error", "match"),
    [
        ({"reloads": False}, ServerError, "does not reload weights"),
        ({"shift": 1}, ServedModelError, "whose tokens are not those of the policy"),
        ({"window": 512}, ServedModelError, "window of 512 tokens; 1024"),
        ({"failure": (500, "CUDA out of memory")}, OutOfMemoryError, "ran out of memory"),
        ({"forces": (9, 1)}, MismatchError, "shuts out"),
    ],
    ids=["no reload", "another tokenizer", "window", "memory", "no grammar"],
)
def test_what_is_wrong_with_a_server_is_one_sentence(
    stub: StubVllm, tmp_path: Path, fault: dict[str, Any], error: type[Exception], match: str
) -> None:
    for name, value in fault.items():
        setattr(stub, name, value)
    run = make_run(stub, tmp_path)
    with pytest.raises(error, match=match):
        decoder_of(run).draw(ROWS)
    decoder_of(run).close()


def test_no_server_and_no_environment(tmp_path: Path) -> None:
    unreachable = Run(
        _recipe("rollout.engine=vllm", "rollout.server=127.0.0.1:9", "reading.context_tokens=1024"),
        tmp_path / "a",
    )
    with pytest.raises(ServerUnreachableError):
        unreachable.run()
    absent = Run(_recipe("rollout.engine=vllm", f"rollout.vllm={tmp_path / 'none'}"), tmp_path / "b")
    with pytest.raises(ServerStartError, match="vLLM is not installed in"):
        absent.run()


@pytest.mark.parametrize("more", [["rollout.engine=vllm"], ["rollout.server=1:2"], ["rollout.vllm=x"]])
def test_engine_and_server_belong_together(more: list[str]) -> None:
    with pytest.raises(RecipeError, match="needs either"):
        _recipe(*more)


def test_several_processes_and_a_server_do_not_go_together(
    stub: StubVllm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(stub, tmp_path)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(RecipeError, match="one process"):
        served_decoder(run.recipe, run.parts.policy, tmp_path, lambda talks, temperature: [])


def test_a_cancelled_draw_ends(stub: StubVllm, tmp_path: Path) -> None:
    cancel = CancelToken()
    served = decoder_of(make_run(stub, tmp_path))
    served.draw([])
    num_asked = len(stub.bodies)
    cancel.cancel()
    with pytest.raises(Cancelled):
        served.draw(ROWS, cancel)
    assert len(stub.bodies) == num_asked
    served.close()


def test_a_request_bends_nothing(starter: Policy) -> None:
    body = request_body(ROWS[1], "m", starter.vocabulary)
    assert (body["top_p"], body["top_k"], body["min_p"], body["temperature"]) == (1.0, 0, 0.0, 1.0)
    assert (body["repetition_penalty"], body["presence_penalty"], body["frequency_penalty"]) == (
        1.0,
        0.0,
        0.0,
    )
    assert body["prompt"] == [9, 8, 7]
    assert body["seed"] == 2
    assert "Token(" in body["structured_outputs"]["grammar"]
    assert "structured_outputs" not in request_body(ROWS[0], "m", starter.vocabulary)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"prompt_token_ids": [9, 8]}, PromptMismatchError),
        ({"logprobs": {"token_logprobs": [-1.0]}}, ServerReplyError),
        ({"logprobs": {"token_logprobs": [-1.0, None]}}, ServerReplyError),
        ({"token_ids": [10**9, 1]}, ServerReplyError),
        ({"token_ids": [20], "logprobs": {"token_logprobs": [-1.0]}}, ServerReplyError),
        ({"logprobs": None}, ServerReplyError),
    ],
)
def test_replies_that_are_none(starter: Policy, change: dict[str, Any], error: type[Exception]) -> None:
    client = Client(parse_address("127.0.0.1:9"))
    choice = {
        "prompt_token_ids": [9, 8, 7],
        "token_ids": [20, 1],
        "logprobs": {"token_logprobs": [-1.0, -0.5]},
        "finish_reason": "stop",
    }
    drawn = read_reply(client, {"choices": [choice]}, ROWS[0], starter.vocabulary)
    assert (drawn.response_ids, drawn.num_text_ids, drawn.finish_reason) == ((20, 1), 1, "stop")
    with pytest.raises(error):
        read_reply(client, {"choices": [choice | change]}, ROWS[0], starter.vocabulary)
    client.close()


def test_of_several_end_tokens_a_grammar_leaves_the_tokenizers_own(
    starter: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    vocabulary = starter.vocabulary
    own = vocabulary.turn_end_id
    monkeypatch.setattr(vocabulary, "end_ids", frozenset({own, 50}))
    assert one_end(TokenSet((own, 40, 50)), vocabulary) == TokenSet((own, 40))
    assert one_end(TokenSet((3,), is_complement=True), vocabulary) == TokenSet((3, 50), is_complement=True)
    assert one_end(None, vocabulary) is None


def test_adapters_are_merged_into_what_is_sent_and_stay_on_the_policy(tmp_path: Path) -> None:
    policy = load_policy(STARTER)
    add_adapters(policy.model, rank=4, alpha=8.0, seed=0)
    with torch.no_grad():
        for module in adapters(policy.model).values():
            module.lora_B.normal_(std=0.05)
    save_weights(policy, tmp_path)
    assert adapters(policy.model)
    assert json.loads((tmp_path / "config.json").read_text())["architectures"] == ["Qwen2ForCausalLM"]
    sent = load_policy(tmp_path)
    merge_adapters(policy.model)
    assert sent.vocabulary.end_ids == policy.vocabulary.end_ids
    for name, value in policy.model.state_dict().items():
        assert torch.equal(sent.model.state_dict()[name], value), name
