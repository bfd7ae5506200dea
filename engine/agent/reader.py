"""The driver: runs the reading loop with a backend and hands every event to the observers."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from engine.agent.events import AnswerFinished, Event, Record, TokenDelta
from engine.agent.loop import Ask, Reading, Start, read
from engine.agent.plan import ReadingPlan
from engine.backends.base import Backend, Completion
from engine.cancel import CancelToken

_log = logging.getLogger(__name__)


class Observer(Protocol):
    """Somebody who is told everything that happens."""

    def observe(self, record: Record) -> None:
        """Take note of one event."""
        ...


def run_reading(
    plan: ReadingPlan,
    backend: Backend,
    *,
    run_id: str,
    store: Observer,
    displays: Sequence[Observer] = (),
    cancel: CancelToken | None = None,
    start: Start | None = None,
    next_sequence: int = 0,
) -> AnswerFinished:
    """Read to the end.

    Args:
        plan: what to read and how.
        backend: the model.
        run_id: stands on every record.
        store: told first; an error of it ends the run, because what is not recorded did not happen.
        displays: told afterwards; one that fails is left out from then on.
        cancel: stops the reading within one token.
        start: where to begin; the first chunk by default.
        next_sequence: number of the first record.

    Raises:
        engine.cancel.Cancelled: after `cancel.cancel()`; finished chunks are with the store.
        engine.errors.PalimpsestError: whatever the model or the store could not do.
    """
    with _closing(read(plan, start)) as reading:
        return _Drive(backend, run_id, store, displays, cancel or CancelToken(), next_sequence).run(reading)


@contextmanager
def _closing(reading: Reading) -> Iterator[Reading]:
    try:
        yield reading
    finally:
        reading.close()


class _Drive:
    """One run of the loop: counts records and keeps the list of working displays."""

    def __init__(
        self,
        backend: Backend,
        run_id: str,
        store: Observer,
        displays: Sequence[Observer],
        cancel: CancelToken,
        next_sequence: int,
    ) -> None:
        self._backend = backend
        self._run_id = run_id
        self._store = store
        self._displays = list(displays)
        self._cancel = cancel
        self._sequence = next_sequence

    def run(self, reading: Reading) -> AnswerFinished:
        reply: Sequence[Completion] | None = None
        try:
            while True:
                item = reading.send(reply)
                if isinstance(item, Ask):
                    reply = self._complete(item)
                else:
                    self._tell(item)
                    reply = None
        except StopIteration as stop:
            answer: AnswerFinished = stop.value
            return answer

    def _complete(self, ask: Ask) -> list[Completion]:
        self._cancel.check()

        def on_token(_: int, text: str) -> None:
            self._show(self._record(TokenDelta(chunk_index=ask.chunk_index, text=text)))

        return self._backend.generate(ask.requests, cancel=self._cancel, on_token=on_token)

    def _tell(self, event: Event) -> None:
        record = self._record(event)
        self._sequence += 1
        self._store.observe(record)
        self._show(record)

    def _record(self, event: Event) -> Record:
        return Record(run_id=self._run_id, sequence=self._sequence, event=event)

    def _show(self, record: Record) -> None:
        for display in list(self._displays):
            try:
                display.observe(record)
            except Exception:  # a display is not worth a reading of hours  # noqa: BLE001
                _log.exception("a display failed and is left out from now on")
                self._displays.remove(display)
