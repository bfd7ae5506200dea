"""The driver: runs reading loops with a backend and hands every event to the observers."""

import dataclasses
import logging
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Protocol

from engine.agent.events import AnswerFinished, Event, Record, TokenDelta, Transient
from engine.agent.loop import Start, read
from engine.agent.plan import ReadingPlan
from engine.agent.steps import Ask
from engine.backends.base import Backend, Completion, Request
from engine.cancel import CancelToken
from engine.errors import GenerationError

_log = logging.getLogger(__name__)


class Observer(Protocol):
    """Somebody who is told everything that happens."""

    def observe(self, record: Record) -> None:
        """Take note of one event."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One reading to be driven.

    Attributes:
        plan: what to read and how.
        run_id: stands on every record.
        store: told first; an error of it ends everything, because what is not recorded did not happen.
        displays: told afterwards; one that fails is left out from then on.
        start: where to begin; the first chunk by default.
        next_sequence: number of the first record.
    """

    plan: ReadingPlan
    run_id: str
    store: Observer
    displays: Sequence[Observer] = ()
    start: Start | None = None
    next_sequence: int = 0


def run_reading(
    reading: Reading, backend: Backend, *, cancel: CancelToken | None = None, lookahead: int | None = None
) -> AnswerFinished:
    """Read for one question to the end; see `run_readings`.

    Raises:
        GenerationError: the model gave no usable answer.
    """
    (outcome,) = run_readings([reading], backend, cancel=cancel, lookahead=lookahead)
    if isinstance(outcome, GenerationError):
        raise outcome
    return outcome


def run_readings(
    readings: Sequence[Reading],
    backend: Backend,
    *,
    cancel: CancelToken | None = None,
    lookahead: int | None = None,
) -> list[AnswerFinished | GenerationError]:
    """Read for several questions in one pass: what they ask at one time goes to the model as one batch.

    Args:
        readings: what to read.
        backend: the model.
        cancel: stops or holds all of them within one token.
        lookahead: see `engine.agent.loop.read`; None = what the backend says it gains from.

    Returns:
        for each reading its answer, or that the model gave no usable one.

    Raises:
        engine.cancel.Cancelled: after `cancel.cancel()`; finished chunks are with the stores.
        engine.errors.PalimpsestError: whatever the model or a store could not do.
    """
    with ExitStack() as stack:
        drives = [_Drive(each, lookahead or backend.info.lookahead) for each in readings]
        for drive in drives:
            stack.callback(drive.close)
        _drive_all(drives, backend, cancel or CancelToken())
        return [drive.outcome for drive in drives]


def _drive_all(drives: Sequence["_Drive"], backend: Backend, cancel: CancelToken) -> None:
    """Complete what the readings ask until none asks any more.

    What is shared comes last, so that nobody is ahead of the others by more than one look of the joint gate and all
    of them ask for the next one together.
    """
    for drive in drives:
        drive.go_on(None)
    while asking := [(drive, drive.ask) for drive in drives if drive.ask is not None]:
        cancel.hold()
        own = [(drive, ask) for drive, ask in asking if not ask.is_shared]
        if own:
            _complete_own(own, backend, cancel)
        else:
            _complete_shared(asking, backend, cancel)


def _complete_own(asking: Sequence[tuple["_Drive", Ask]], backend: Backend, cancel: CancelToken) -> None:
    requests = [request for _, ask in asking for request in ask.requests]
    owners = [(drive, chunk) for drive, ask in asking for chunk in ask.chunk_indices]

    def on_token(index: int, text: str) -> None:
        drive, chunk_index = owners[index]
        drive.show(TokenDelta(chunk_index=chunk_index, text=text))

    completions = iter(backend.generate(requests, cancel=cancel, on_token=on_token))
    for drive, ask in asking:
        drive.go_on([next(completions) for _ in ask.requests])


def _complete_shared(asking: Sequence[tuple["_Drive", Ask]], backend: Backend, cancel: CancelToken) -> None:
    """Complete each request once for all who ask it; those who are ahead of others wait for them."""
    first = min(ask.chunk_indices[-1] or 0 for _, ask in asking)
    asking = [(drive, ask) for drive, ask in asking if (ask.chunk_indices[-1] or 0) == first]
    sharers: Counter[Request] = Counter(request for _, ask in asking for request in ask.requests)
    completions: dict[Request, Completion] = {}
    for completion, (request, share) in zip(
        backend.generate(list(sharers), cancel=cancel), sharers.items(), strict=True
    ):
        # The time of a call that serves several runs is split among them.
        completions[request] = dataclasses.replace(
            completion, prefill_s=completion.prefill_s / share, decode_s=completion.decode_s / share
        )
    for drive, ask in asking:
        drive.go_on([completions[request] for request in ask.requests])


class _Drive:
    """One reading on its way: counts records and keeps the list of working displays.

    Attributes:
        ask: what it waits for; None = it has ended.
    """

    def __init__(self, reading: Reading, lookahead: int) -> None:
        self._run_id = reading.run_id
        self._store = reading.store
        self._displays = list(reading.displays)
        self._sequence = reading.next_sequence
        self._loop = read(reading.plan, reading.start, lookahead=lookahead)
        self._outcome: AnswerFinished | GenerationError | None = None
        self.ask: Ask | None = None

    @property
    def outcome(self) -> AnswerFinished | GenerationError:
        """How it ended."""
        assert self._outcome is not None, "it has not ended"
        return self._outcome

    def go_on(self, reply: Sequence[Completion] | None) -> None:
        """Let the loop go on to its next ask, or to its end."""
        self.ask = None
        try:
            while True:
                item = self._loop.send(reply)
                reply = None
                if isinstance(item, Ask):
                    self.ask = item
                    return
                self._tell(item)
        except StopIteration as stop:
            self._outcome = stop.value
        except GenerationError as exc:
            self._outcome = exc

    def close(self) -> None:
        """End the loop where it stands."""
        self._loop.close()

    def show(self, event: Event) -> None:
        """Tell the displays."""
        self._show(self._record(event))

    def _tell(self, event: Event) -> None:
        record = self._record(event)
        if not isinstance(event, Transient):
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
