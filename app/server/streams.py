"""Streams of Server-Sent Events, and waiting for a result while the client may go away."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.server.feed import Subscription
from app.server.problems import INTERNAL, Refused, describe_failure, to_problem
from app.server.readings import Reading
from app.server.replay import Replay
from app.wire import StreamEvent
from engine.errors import PalimpsestError
from engine.results import load_result
from engine.traces.rows import RunRow
from engine.traces.store import TraceStore

PING_INTERVAL_S = 15.0
POLL_INTERVAL_S = 1.0
_PING = b": still here\n\n"

Write = Callable[[bytes], Awaitable[None]]


class EventStream(Response):
    """A response that is written while things happen.

    Args:
        produce: writes all events, and returns after the last.
        on_disconnect: called if the client goes away before.
    """

    media_type = "text/event-stream"

    def __init__(
        self, produce: Callable[[Write], Awaitable[None]], *, on_disconnect: Callable[[], None] | None = None
    ) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._produce = produce
        self._on_disconnect = on_disconnect

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send everything."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})

        async def write(data: bytes) -> None:
            await send({"type": "http.response.body", "body": data, "more_body": True})
            # Sending need not wait, and a replay would be written to a client that has gone before anybody notices.
            await asyncio.sleep(0)

        if await finishes_first(self._produce_all(write), receive):
            await send({"type": "http.response.body", "body": b""})
        elif self._on_disconnect is not None:
            self._on_disconnect()

    async def _produce_all(self, write: Write) -> None:
        """The status line is gone already: an error on the way is the last event."""
        try:
            await self._produce(write)
        except PalimpsestError as exc:
            await write(StreamEvent(name="error", data=dict(to_problem(exc)), is_last=True).encode())
        except Exception:
            await write(StreamEvent(name="error", data=dict(INTERNAL), is_last=True).encode())
            raise


async def finishes_first(work: Awaitable[None], receive: Receive) -> bool:
    """Wait for some work, but not longer than the client; False = the client went away and the work was cancelled."""
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_disconnect(receive))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
            return True
        return False
    finally:
        for other in (task, gone):
            other.cancel()
        await asyncio.wait({task, gone})


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def ended(reading: Reading) -> None:
    """Wait for the end of a reading. Cancelling the wait does not touch the reading."""
    outcome = asyncio.wrap_future(reading.outcome)
    outcome.add_done_callback(
        lambda done: done.cancelled() or done.exception()
    )  # else asyncio complains of it
    await asyncio.wait({outcome})


async def follow_reading(
    reading: Reading,
    write: Write,
    *,
    database: Path,
    after: int = -1,
    subscription: Subscription | None = None,
) -> None:
    """Write the events of a reading of this server until its last.

    Args:
        reading: what to follow.
        write: sends bytes to the client.
        database: the trace database, for what has happened before.
        after: number of the last event that the client knows.
        subscription: one that was made before the reading began; None = read the trace first.
    """
    while True:
        if subscription is None:
            # In this order nothing falls between the two; what comes twice is known by its number.
            subscription = reading.feed.subscribe()
            if reading.run_id is not None:
                after = await _write_trace(database, reading.run_id, write, after=after)
        try:
            while not subscription.is_behind:
                try:
                    # Not `wait_for`: before Python 3.12 it drops a cancellation that comes with an event, and the
                    # stream of a client that has gone would be written to the end.
                    async with asyncio.timeout(PING_INTERVAL_S):
                        event = await subscription.next()
                except TimeoutError:
                    await write(_PING)
                    continue
                if event.sequence is not None:
                    if event.sequence <= after:
                        continue
                    after = event.sequence
                await write(event.encode())
                if event.is_last:
                    return
        finally:
            reading.feed.unsubscribe(subscription)
        subscription = None


async def follow_trace(database: Path, run_id: str, write: Write, *, after: int = -1) -> None:
    """Write the events of a run that this server does not read, until nobody else does either."""
    while True:
        last = await asyncio.to_thread(
            _last_event, database, run_id
        )  # before the rest: what is over stays over
        after = await _write_trace(database, run_id, write, after=after)
        if last is not None:
            await write(last.encode())
            return
        await asyncio.sleep(POLL_INTERVAL_S)
        await write(_PING)


async def _write_trace(database: Path, run_id: str, write: Write, *, after: int) -> int:
    """Write what the trace holds; returns the number of the last event written, or `after`."""
    async with Replay(database, run_id, after=after) as trace:
        while batch := await trace.next_batch():
            for event in batch:
                await write(event.encode())
                after = after if event.sequence is None else event.sequence
    return after


def _last_event(database: Path, run_id: str) -> StreamEvent | None:
    """How the stream of a run ends; None while another process reads it."""
    with TraceStore(database) as store:
        run = store.get_run(run_id)
        if run.status == "running":
            return None
        if run.is_finished:
            return StreamEvent(name="result", data=load_result(store, run.run_id).to_dict(), is_last=True)
        name, problem = _unfinished(run)
    return StreamEvent(name=name, data={"id": run.run_id, "run_id": run.run_id, **problem}, is_last=True)


def _unfinished(run: RunRow) -> tuple[str, dict[str, object]]:
    if run.status == "failed":
        failure = Refused(
            500,
            "failed",
            run.error or "The reading failed.",
            hint=f"POST /v1/runs/{run.run_id}/resume tries again.",
        )
        return "error", describe_failure(failure, run.run_id)
    return "stopped", describe_failure(None, run.run_id)
