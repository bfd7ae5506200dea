"""Readings that this server conducts: one at a time, in a thread of its own, the others wait in order."""

import logging
import secrets
import threading
import traceback
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime

from app.progress import ProgressMeter
from app.server.feed import Feed
from app.server.problems import Refused, describe_failure
from app.wire import StreamEvent, record_to_event
from engine.agent.events import AnswerFinished, ChunkFinished, Record
from engine.agent.plan import ReadingPlan
from engine.agent.probe import Estimate
from engine.agent.reader import Observer
from engine.agent.result import Result
from engine.cancel import Cancelled, CancelToken
from engine.errors import PalimpsestError
from engine.front import Front, Prospect
from engine.traces.rows import DocumentRow

_log = logging.getLogger(__name__)

MAX_QUEUED = 64
_NUM_REMEMBERED = 256
"""Readings that ended without ever becoming a run have no trace; that many are remembered."""


class Reading:
    """One ask or resume, from the request to its end.

    Attributes:
        ticket: its id until it has a run id, and after.
        question: for listings.
        documents: what is read, in order.
        created_at: UTC.
        run_id: of the trace; None until it has begun.
        feed: its events.
        token: stops it.
        outcome: the result, or what prevented it; cancelled, if it never began.
    """

    def __init__(self, question: str, documents: Sequence[DocumentRow], *, run_id: str | None = None) -> None:
        self.ticket = f"ask-{secrets.token_hex(6)}"
        self.question = question
        self.documents = tuple(documents)
        self.created_at = datetime.now(UTC)
        self.run_id = run_id
        self.feed = Feed()
        self.token = CancelToken()
        self.outcome: Future[Result] = Future()

    @property
    def id(self) -> str:
        """What clients call it."""
        return self.run_id or self.ticket

    @property
    def names(self) -> list[str]:
        """Names of its documents."""
        return [row.name for row in self.documents]

    def failure(self) -> BaseException | None:
        """What ended it without a result; None = it was cancelled before it began. Only once it has ended."""
        try:
            return self.outcome.exception(timeout=0)
        except CancelledError:
            return None


class ReadingFront(Front):
    """What the engine tells of a reading, as events of its feed.

    Args:
        reading: the reading.
        on_begin: called when the run stands in the trace, before its first chunk.
    """

    def __init__(self, reading: Reading, on_begin: Callable[[ReadingPlan], None]) -> None:
        self._reading = reading
        self._on_begin = on_begin
        self._meter: ProgressMeter | None = None

    def announce(self, prospects: Sequence[Prospect], estimate: Estimate | None) -> None:
        """The run stands in the trace."""
        (prospect,) = prospects
        self._reading.run_id = prospect.run_id
        self._on_begin(prospect.plan)
        self._meter = ProgressMeter(prospects, self._reading.names)
        self._reading.feed.set_state(_started(self._reading, prospect.plan))
        self._show_progress()

    def display(self, prospects: Sequence[Prospect]) -> AbstractContextManager[Observer | None]:
        """This front shows the reading itself."""
        return nullcontext(self)

    def observe(self, record: Record) -> None:
        """Hand on one event."""
        assert self._meter is not None, "the engine announces a reading before it begins"
        event = record.event
        commits = isinstance(event, ChunkFinished | AnswerFinished)
        self._reading.feed.publish(record_to_event(record, self._reading.names), commits=commits)
        if isinstance(event, ChunkFinished):
            self._meter.finish_chunk(record.run_id, event.chunk_index)
            self._show_progress()

    def _show_progress(self) -> None:
        assert self._meter is not None
        values = {"run_id": self._reading.run_id, **self._meter.values()}
        self._reading.feed.set_state(StreamEvent(name="progress", data=values))


def _started(reading: Reading, plan: ReadingPlan) -> StreamEvent:
    return StreamEvent(
        name="started",
        data={
            "run_id": reading.run_id,
            "documents": reading.names,
            "pages": sum(len(document.pages) for document in plan.documents),
            "tokens": plan.num_tokens,
            "model": plan.spec.model_name,
            "mode": plan.config.mode.value,
            "warnings": [
                f"{name}: {warning}"
                for name, document in zip(reading.names, plan.documents, strict=True)
                for warning in document.warnings
            ],
        },
    )


Work = Callable[[Reading], Result]
"""Conducts a reading to its end, in the worker thread."""


class ReadingQueue:
    """Conducts readings one at a time, in the order in which they came. Thread-safe."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="reading")
        self._lock = threading.Lock()
        self._waiting: list[tuple[Reading, Future[None]]] = []
        self._at_work: Reading | None = None
        self._remembered: OrderedDict[str, Reading] = OrderedDict()
        self._is_closed = False

    def submit(self, reading: Reading, work: Work) -> None:
        """Put a reading at the end of the queue.

        Raises:
            Refused: the server is stopping, the queue is full, or the run is in it already.
        """
        with self._lock:
            self._check_place(reading)
            turn = self._executor.submit(self._conduct, reading, work)
            self._waiting.append((reading, turn))
            self._tell_positions()

    def _check_place(self, reading: Reading) -> None:
        if self._is_closed:
            raise Refused(503, "shutting_down", "The server is stopping.", hint="Ask again when it is back.")
        if len(self._waiting) >= MAX_QUEUED:
            raise Refused(
                503, "queue_full", f"{MAX_QUEUED} readings are waiting already.", hint="Ask again later."
            )
        if reading.run_id and self._active(reading.run_id):
            raise Refused(
                409,
                "already_reading",
                f"The run {reading.run_id} is being read already.",
                hint=f"Follow it: GET /v1/runs/{reading.run_id}/events",
            )

    def active(self) -> list[Reading]:
        """The reading at work, then those that wait, in order."""
        with self._lock:
            return self._all()

    def find(self, ticket_or_run: str) -> Reading | None:
        """The active reading with this id, or one that ended and is remembered by its ticket."""
        with self._lock:
            return self._active(ticket_or_run) or self._remembered.get(ticket_or_run)

    def is_active(self, reading: Reading) -> bool:
        """Whether it waits or is at work."""
        with self._lock:
            return reading in self._all()

    def position(self, reading: Reading) -> int | None:
        """Its place, 1 = next; None when it does not wait."""
        with self._lock:
            places = {waiting.ticket: place for place, (waiting, _) in enumerate(self._waiting, start=1)}
        return places.get(reading.ticket)

    def cancel(self, reading: Reading) -> None:
        """Stop a reading within a token, or take it out of the queue. One that ended stays as it is."""
        reading.token.cancel()
        with self._lock:
            turn = next((turn for waiting, turn in self._waiting if waiting is reading), None)
        if turn is not None and turn.cancel():
            self._forget(reading)
            reading.feed.drop_state("queued")
            reading.outcome.cancel()
            _close(reading)

    def close(self) -> None:
        """Stop everything, and wait until the reading at work has saved what it finished."""
        with self._lock:
            self._is_closed = True
            active = self._all()
        for reading in reversed(active):  # those that wait first, so that none of them begins
            self.cancel(reading)
        self._executor.shutdown(wait=True)

    def _conduct(self, reading: Reading, work: Work) -> None:
        with self._lock:
            self._waiting = [entry for entry in self._waiting if entry[0] is not reading]
            self._at_work = reading
            self._tell_positions()
        reading.feed.drop_state("queued")
        reading.outcome.set_running_or_notify_cancel()
        try:
            result = work(reading)
        except Exception as exc:  # whoever waits gets it, and the thread lives on  # noqa: BLE001
            if not isinstance(exc, PalimpsestError | Cancelled):
                _log.exception("a reading failed")
            # A reading is remembered for a while; the documents that it read must not be.
            traceback.clear_frames(exc.__traceback__)
            self._forget(reading)
            reading.outcome.set_exception(exc)
        else:
            self._forget(reading)  # first, so that whoever has the result can resume or ask at once
            reading.outcome.set_result(result)
        _close(reading)

    def _forget(self, reading: Reading) -> None:
        with self._lock:
            self._waiting = [entry for entry in self._waiting if entry[0] is not reading]
            if self._at_work is reading:
                self._at_work = None
            self._remembered[reading.ticket] = reading
            while len(self._remembered) > _NUM_REMEMBERED:
                self._remembered.popitem(last=False)
            self._tell_positions()

    def _all(self) -> list[Reading]:
        at_work = [self._at_work] if self._at_work else []
        return [*at_work, *(reading for reading, _ in self._waiting)]

    def _active(self, ticket_or_run: str) -> Reading | None:
        return next(
            (reading for reading in self._all() if ticket_or_run in (reading.ticket, reading.run_id)), None
        )

    def _tell_positions(self) -> None:
        for place, (reading, _) in enumerate(self._waiting, start=1):
            known = reading.feed.states.get("queued")
            if known is None or known.data["position"] != place:
                data = {"id": reading.id, "position": place}
                reading.feed.set_state(StreamEvent(name="queued", data=data))


def _close(reading: Reading) -> None:
    """The last event of a reading that has ended."""
    error = reading.failure()
    if error is None and not reading.outcome.cancelled():
        event = StreamEvent(name="result", data=reading.outcome.result().to_dict(), is_last=True)
    else:
        problem = describe_failure(error, reading.run_id)
        name = "stopped" if problem["error"]["code"] == "stopped" else "error"
        event = StreamEvent(
            name=name, data={"id": reading.id, "run_id": reading.run_id, **problem}, is_last=True
        )
    reading.feed.close(event)
