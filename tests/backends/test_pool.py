"""Several backends as one."""

import pytest

from engine.agent.events import AnswerFinished
from engine.backends.pool import PoolBackend
from engine.backends.scripted import Fault, ScriptedBackend
from engine.cancel import Cancelled, CancelToken
from engine.errors import GenerationError, ModelLoadError
from tests.agent.test_lookahead import essence, plan_with, read, reply
from tests.backends.test_contract import request_of


def test_a_reading_over_two_members_is_as_over_one() -> None:
    members = [ScriptedBackend(reply), ScriptedBackend(reply)]
    pool = PoolBackend(members)
    assert pool.info.lookahead == 2
    places = dict.fromkeys((4, 5, 11, 20), "red")
    together = read(plan_with(pool, places), pool, 6)
    single = ScriptedBackend(reply)
    alone = read(plan_with(single, places), single, 1)
    assert essence(together) == essence(alone)
    assert together.of(AnswerFinished)[0].answered
    assert min(len(member.requests) for member in members) > 5
    pool.close()
    assert all(member.is_closed for member in members)


def test_tokens_are_told_by_the_number_of_the_request() -> None:
    pool = PoolBackend([ScriptedBackend(lambda request: request.prompt[1].text.upper()) for _ in range(3)])
    told: dict[int, str] = {}
    words = [f"word {number}" for number in range(7)]

    def note(index: int, text: str) -> None:
        told[index] = told.get(index, "") + text

    completions = pool.generate([request_of(word) for word in words], on_token=note)
    assert [completion.text for completion in completions] == [word.upper() for word in words]
    assert [told[index] for index in range(7)] == [word.upper() for word in words]


def test_an_error_of_one_member_stops_the_others() -> None:
    slow = ScriptedBackend(lambda request: "x " * 500, faults={0: Fault(delay_s=0.05)})
    broken = ScriptedBackend(lambda request: "y", faults={0: Fault(error=GenerationError("It broke."))})
    with pytest.raises(GenerationError, match="It broke"):
        PoolBackend([slow, broken]).generate([request_of(max_tokens=600), request_of()])


def test_cancelling_stops_all_members() -> None:
    cancel = CancelToken()
    members = [ScriptedBackend(lambda request: "x " * 500) for _ in range(2)]
    with pytest.raises(Cancelled):
        PoolBackend(members).generate(
            [request_of(max_tokens=600)] * 2, cancel=cancel, on_token=lambda index, text: cancel.cancel()
        )


def test_different_models_are_refused() -> None:
    members = [ScriptedBackend([], name="one"), ScriptedBackend([], name="other")]
    with pytest.raises(ModelLoadError, match="one and other"):
        PoolBackend(members)
    assert all(member.is_closed for member in members)


def test_a_token_follows_its_parent() -> None:
    parent = CancelToken()
    child = CancelToken(parent)
    child.check()
    parent.cancel()
    assert child.is_cancelled
    other = CancelToken()
    CancelToken(other).cancel()
    assert not other.is_cancelled
