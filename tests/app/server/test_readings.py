"""The queue of readings, with work that the test holds in its hand."""

import threading
from collections.abc import Callable

import pytest

from app.server.problems import Refused, describe_failure, status_and_code
from app.server.readings import MAX_QUEUED, Reading, ReadingQueue, Work
from engine import errors
from engine.agent.coverage import Certificate
from engine.agent.events import AnswerFinished
from engine.agent.result import Result, Timings
from engine.errors import ModelLoadError, PalimpsestError

RESULT = Result(
    run_id="r",
    question="?",
    documents=(),
    answer=AnswerFinished(text="42", answered=True, claims=()),
    coverage=Certificate(pages=0, pages_read=0, chunks=0, chunks_read=0, tokens=0, tokens_read=0, skipped=()),
    model="m",
    mode="gated",
    timings=Timings(prefill_tokens=0, decode_tokens=0, wall_s=0),
)


class Held:
    """Work that begins when its turn comes and ends when the test says so."""

    def __init__(self) -> None:
        self.has_begun = threading.Event()
        self.may_end = threading.Event()

    def __call__(self, reading: Reading) -> Result:
        self.has_begun.set()
        while not self.may_end.wait(0.01):
            reading.token.check()
        return RESULT


@pytest.fixture
def queue() -> ReadingQueue:
    return ReadingQueue()


def test_one_computes_and_the_others_wait_in_order(queue: ReadingQueue) -> None:
    readings, works = [Reading(str(n), ()) for n in range(3)], [Held() for _ in range(3)]
    for reading, work in zip(readings, works, strict=True):
        queue.submit(reading, work)
    for turn in range(3):
        assert works[turn].has_begun.wait(5)
        assert [work.has_begun.is_set() for work in works] == [n <= turn for n in range(3)]
        assert [queue.position(reading) for reading in readings[turn:]] == [None, 1, 2][: 3 - turn]
        assert queue.active() == readings[turn:]
        works[turn].may_end.set()
        assert readings[turn].outcome.result(5) is RESULT
    queue.close()


def test_cancelling_what_waits_moves_the_others_up(queue: ReadingQueue) -> None:
    readings, works = [Reading(str(n), ()) for n in range(3)], [Held() for _ in range(3)]
    for reading, work in zip(readings, works, strict=True):
        queue.submit(reading, work)
    assert works[0].has_begun.wait(5)
    queue.cancel(readings[1])
    assert readings[1].outcome.cancelled()
    assert queue.position(readings[2]) == 1
    assert readings[2].feed.states["queued"].data["position"] == 1
    queue.cancel(readings[0])
    assert isinstance(readings[0].outcome.exception(5), Exception)
    assert works[2].has_begun.wait(5)
    assert not works[1].has_begun.is_set()
    queue.close()
    assert queue.active() == []
    assert queue.find(readings[1].ticket) is readings[1]


def test_closing_stops_everything_and_starts_nothing(queue: ReadingQueue) -> None:
    readings, works = [Reading(str(n), ()) for n in range(3)], [Held() for _ in range(3)]
    for reading, work in zip(readings, works, strict=True):
        queue.submit(reading, work)
    assert works[0].has_begun.wait(5)
    queue.close()
    assert all(reading.outcome.done() for reading in readings)
    assert not works[1].has_begun.is_set()
    with pytest.raises(Refused, match="stopping"):
        queue.submit(Reading("late", ()), Held())
    queue.close()


def test_the_queue_has_an_end(queue: ReadingQueue) -> None:
    for _ in range(MAX_QUEUED):
        queue.submit(Reading("?", ()), Held())
    while len(queue.active()) - MAX_QUEUED == 0 and queue.position(queue.active()[0]) is not None:
        pass  # until the first has begun and no longer waits
    queue.submit(Reading("?", ()), Held())
    with pytest.raises(Refused, match="waiting already"):
        queue.submit(Reading("?", ()), Held())
    queue.close()


def test_a_run_is_read_once_at_a_time(queue: ReadingQueue) -> None:
    queue.submit(Reading("?", (), run_id="run-1"), Held())
    with pytest.raises(Refused, match="being read already"):
        queue.submit(Reading("?", (), run_id="run-1"), Held())
    queue.close()


def _raise(error: Exception) -> Work:
    def work(reading: Reading) -> Result:
        raise error

    return work


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda: ModelLoadError("It cannot be loaded."), "model_load"),
        (lambda: ZeroDivisionError("a bug with a secret in it"), "internal"),
    ],
)
def test_a_failure_ends_the_reading_and_not_the_thread(
    queue: ReadingQueue, make: Callable[[], Exception], code: str, caplog: pytest.LogCaptureFixture
) -> None:
    failing, after, work = Reading("?", ()), Reading("?", ()), Held()
    queue.submit(failing, _raise(make()))
    queue.submit(after, work)
    work.may_end.set()
    assert after.outcome.result(5) is RESULT
    problem = describe_failure(failing.failure(), None)
    assert problem["error"]["code"] == code
    assert "secret" not in str(problem)
    assert ("Traceback" in caplog.text) == (code == "internal")
    queue.close()


def test_every_error_of_the_engine_has_a_status_and_a_code_of_its_own() -> None:
    kinds = [
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, PalimpsestError)
    ]
    told = [status_and_code(kind("It failed.")) for kind in kinds]
    assert len({code for _, code in told}) == len(kinds) > 20
    assert {status for status, _ in told} <= {404, 409, 415, 422, 500, 502, 503, 504}
    assert status_and_code(errors.RunNotFoundError("There is none.")) == (404, "run_not_found")
    assert status_and_code(errors.ModelLoadError("It is broken.")) == (422, "model_load")
