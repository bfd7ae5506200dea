"""How a reading that was asked for is answered: as a stream, as its result, or with its id."""

import asyncio
from typing import Any

from fastapi import Request
from starlette.responses import Response

from app.server.problems import stopped
from app.server.readings import Reading, Work
from app.server.routes.shared import Json
from app.server.schemas import AskBody, ResultBody, ResumeBody, RunDetails
from app.server.service import Service
from app.server.streams import EventStream, Write, ended, finishes_first, follow_reading
from app.server.views import get_reading
from engine.cancel import Cancelled
from engine.traces.store import TraceStore

STREAM_EXAMPLE = """\
event: chunk_finished
data: {"run_id":"20261122-140501-5f3a9c","sequence":2,"chunk":1,"outcome":"unchanged",...}
id: 2

event: progress
data: {"run_id":"20261122-140501-5f3a9c","chunks_done":1,"chunks_total":9,"eta_s":1.2,...}

"""
ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "model": ResultBody,
        "description": "The result, as `palimpsest ask --json` prints it; with `stream` all events, the last one "
        "`result`, `stopped` or `error`.",
        "content": {"text/event-stream": {"schema": {"type": "string"}, "example": STREAM_EXAMPLE}},
    },
    202: {"model": RunDetails, "description": "With `wait` false: the reading has its place in the queue."},
}
"""Of `ask` and `resume`."""


async def conduct(
    request: Request, service: Service, reading: Reading, work: Work, body: AskBody | ResumeBody
) -> Response:
    """Queue a reading and answer as the client wishes.

    Raises:
        engine.errors.PalimpsestError: whatever ended it without a result.
    """
    cancel = (lambda: service.queue.cancel(reading)) if body.cancel_on_disconnect else None
    if body.stream:
        # Made before the reading is queued, so that no event is missed.
        subscription = reading.feed.subscribe()
        service.queue.submit(reading, work)

        async def produce(write: Write) -> None:
            await follow_reading(reading, write, database=service.database, subscription=subscription)

        return EventStream(produce, on_disconnect=cancel)
    service.queue.submit(reading, work)
    if not body.wait:
        details = await asyncio.to_thread(get_details, service, reading.id)
        return Json(details, 202, {"Location": f"/v1/runs/{reading.id}"})
    if not await finishes_first(ended(reading), request.receive):
        if cancel is not None:
            cancel()
        return Response(status_code=204)  # to nobody
    return _result(reading)


def get_details(service: Service, id_: str) -> RunDetails:
    """One reading, by ticket or run id; blocks.

    Raises:
        engine.errors.RunNotFoundError: there is none, or several.
    """
    with TraceStore(service.database) as store:
        return get_reading(store, service.queue, id_)


def _result(reading: Reading) -> Json:
    error = reading.failure()
    if reading.outcome.cancelled() or isinstance(error, Cancelled):
        raise stopped(reading.run_id)
    if error is not None:
        raise error
    return Json(reading.outcome.result().to_dict())
