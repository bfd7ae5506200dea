"""How long the event loop was kept from its work: what a user feels as a window that hangs."""

import math
import time
from array import array
from dataclasses import dataclass

from PySide6.QtCore import QObject, Qt, QTimer

_INTERVAL_MS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Stalls:
    """Delays of the event loop.

    Attributes:
        num_turns: turns that were measured.
        median_ms: of all delays.
        p99_ms: 99 % of all delays are at most this long.
        p999_ms: 99.9 % likewise.
        largest_ms: the longest.
    """

    num_turns: int
    median_ms: float
    p99_ms: float
    p999_ms: float
    largest_ms: float


class StallMonitor(QObject):
    """A timer that notes by how much it comes late; whatever holds the event loop up makes it late.

    Args:
        parent: owner.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._delays_ms = array("d")
        self._last = 0.0
        self._timer = QTimer(self, interval=_INTERVAL_MS, timerType=Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._note)

    def start(self) -> None:
        """Measure from now on; what was measured before is forgotten."""
        self._delays_ms = array("d")
        self._last = time.perf_counter()
        self._timer.start()

    def stop(self) -> Stalls:
        """Stop measuring; the turn that is going on counts."""
        self._note()
        self._timer.stop()
        return self.stalls()

    def stalls(self) -> Stalls:
        """What was measured so far."""
        delays = sorted(self._delays_ms)
        return Stalls(
            num_turns=len(delays),
            median_ms=_quantile(delays, 0.5),
            p99_ms=_quantile(delays, 0.99),
            p999_ms=_quantile(delays, 0.999),
            largest_ms=delays[-1] if delays else 0.0,
        )

    def _note(self) -> None:
        now = time.perf_counter()
        self._delays_ms.append(max(0.0, (now - self._last) * 1000 - _INTERVAL_MS))
        self._last = now


def _quantile(ordered: list[float], share: float) -> float:
    """The smallest value that `share` of all are at most."""
    return ordered[math.ceil(share * len(ordered)) - 1] if ordered else 0.0
