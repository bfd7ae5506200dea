"""Timing a reading of the engine: everything from the open model to the result, loading left out."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from engine.backends.base import Backend
from engine.models.opening import open_model


class Clock:
    """Counts the seconds of a reading, without those that are taken out of it.

    Its `open_model` is given to a `Session` as its opener; `start` is called before the session is asked.

    Args:
        load: loads the model.
    """

    def __init__(self, load: Callable[..., Backend] = open_model) -> None:
        self._load = load
        self._began = time.perf_counter()
        self._left_out = 0.0

    def start(self) -> None:
        """Count from now on."""
        self._began = time.perf_counter()
        self._left_out = 0.0

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave the block out: it belongs to the benchmark."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self._left_out += time.perf_counter() - began

    def open_model(self, path: Path, **settings: Any) -> Backend:
        """Load a model outside the time that is counted; arguments as of `engine.models.opening.open_model`."""
        with self.paused():
            return self._load(path, **settings)

    @property
    def seconds(self) -> float:
        """Seconds counted so far."""
        return time.perf_counter() - self._began - self._left_out
