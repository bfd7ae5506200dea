import time

import pytest
from pytestqt.qtbot import QtBot

from app.gui.stalls import StallMonitor, Stalls, _quantile


def test_what_holds_the_event_loop_up_is_measured(qtbot: QtBot) -> None:
    monitor = StallMonitor()
    monitor.start()
    qtbot.wait(200)
    time.sleep(0.3)
    qtbot.wait(50)
    stalls = monitor.stop()
    assert stalls.largest_ms >= 250
    assert stalls.num_turns > 5
    assert stalls.median_ms < 100


def test_a_stall_that_goes_on_counts(qtbot: QtBot) -> None:
    monitor = StallMonitor()
    monitor.start()
    time.sleep(0.2)
    assert monitor.stop().largest_ms >= 150


def test_starting_again_forgets(qtbot: QtBot) -> None:
    monitor = StallMonitor()
    monitor.start()
    time.sleep(0.2)
    monitor.stop()
    monitor.start()
    assert monitor.stalls() == Stalls(num_turns=0, median_ms=0.0, p99_ms=0.0, p999_ms=0.0, largest_ms=0.0)


@pytest.mark.parametrize(("share", "value"), [(0.5, 50.0), (0.99, 99.0), (0.999, 100.0), (1.0, 100.0)])
def test_quantiles(share: float, value: float) -> None:
    assert _quantile([float(number) for number in range(1, 101)], share) == value
