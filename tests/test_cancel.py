import threading
import time

import pytest

from engine.cancel import Cancelled, CancelToken, PausableToken


def test_a_token_that_nobody_pauses_holds_nobody() -> None:
    token = CancelToken()
    assert token.hold() == 0.0
    assert token.held_s == 0.0
    token.cancel()
    with pytest.raises(Cancelled):
        token.hold()


def test_a_pause_holds_the_worker_until_it_ends() -> None:
    told: list[bool] = []
    token = PausableToken(on_hold=told.append)
    assert token.hold() == 0.0
    assert told == []
    token.pause()
    held: list[float] = []
    worker = threading.Thread(target=lambda: held.append(token.hold()))
    worker.start()
    time.sleep(0.2)
    assert worker.is_alive()
    assert told == [True]
    token.resume()
    worker.join(5)
    assert told == [True, False]
    assert 0.15 < held[0] < 5
    assert token.held_s == held[0]
    assert token.hold() == 0.0


def test_a_pause_can_be_cancelled() -> None:
    told: list[bool] = []
    token = PausableToken(on_hold=told.append)
    token.pause()
    threading.Timer(0.1, token.cancel).start()
    with pytest.raises(Cancelled):
        token.hold()
    assert told == [True, False]
    assert token.held_s > 0.05


def test_check_does_not_wait_for_the_end_of_a_pause() -> None:
    token = PausableToken()
    token.pause()
    token.check()
