"""Routes about readings: ask, resume, cancel, follow, list, export."""

import asyncio
import contextlib
import json
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, Body, Header, Path, Query, Request
from starlette.responses import Response

from app.export import html, markdown
from app.export.bundle import make_bundle
from app.server.problems import Refused
from app.server.routes.conduct import ANSWERS, STREAM_EXAMPLE, conduct, get_details
from app.server.routes.shared import PROBLEMS, Json, ServiceDep
from app.server.schemas import RUN_EXAMPLE, AskBody, ResumeBody, RunBody, RunDetails
from app.server.service import Service
from app.server.streams import EventStream, Write, ended, follow_reading, follow_trace
from app.server.views import list_readings
from engine.results import load_result
from engine.traces.rows import RunRow
from engine.traces.store import TraceStore

router = APIRouter(tags=["readings"], responses=PROBLEMS)

CANCEL_WAIT_S = 10.0
_HTML_POLICY = "default-src 'none'; style-src 'unsafe-inline'"

RunPath = Annotated[
    str,
    Path(
        description="Id of a reading; of a run also its first letters.", examples=[RUN_EXAMPLE], max_length=64
    ),
]


class ExportFormat(StrEnum):
    """What an export is."""

    MARKDOWN = "md"
    HTML = "html"
    JSON = "json"


@router.post("/ask", summary="Ask a question", responses=ANSWERS)
async def ask(request: Request, body: AskBody, service: ServiceDep) -> Response:
    """Read documents from the first page to the last and answer a question.

    One reading computes at a time; others wait their turn. A client that goes away does not stop the reading.
    """
    reading, work = await asyncio.to_thread(service.prepare_ask, body)
    return await conduct(request, service, reading, work, body)


@router.get("/runs", summary="List readings", response_model=list[RunBody])
def list_runs(
    service: ServiceDep,
    limit: Annotated[int, Query(ge=1, le=10_000, description="Most runs of the trace to list.")] = 100,
) -> Json:
    """Readings that wait or are being prepared, then the runs in the trace, the newest first."""
    with TraceStore(service.database) as store:
        return Json(list_readings(store, service.queue, limit))


@router.get("/runs/{run}", summary="Look at a reading", response_model=RunDetails)
def get_run(run: RunPath, service: ServiceDep) -> Json:
    """Status, question, documents; progress while it is read; the result when it is finished."""
    return Json(get_details(service, run))


@router.get(
    "/runs/{run}/events",
    summary="Follow a reading",
    response_class=Response,
    responses={
        200: {
            "description": "All events of the run from its first, out of the trace and then live; the last one is "
            "`result`, `stopped` or `error`.",
            "content": {"text/event-stream": {"schema": {"type": "string"}, "example": STREAM_EXAMPLE}},
        }
    },
)
async def follow_run(
    run: RunPath,
    service: ServiceDep,
    last_event_id: Annotated[
        int | None,
        Header(
            ge=-1,
            description="Number of the last event that the client has; only later ones are sent.",
        ),
    ] = None,
) -> Response:
    """Replay the events of a run, then go on live if it is being read.

    Replies are streamed piece by piece (`token_delta`) only while they are made; every other event of the engine is
    the same, live or replayed.
    """
    after = -1 if last_event_id is None else last_event_id
    reading = service.queue.find(run)
    if reading is None:
        run = (await asyncio.to_thread(service.get_run, run)).run_id
        reading = service.queue.find(run)
    if reading is not None and (reading.run_id is None or service.queue.is_active(reading)):
        following = reading

        async def produce(write: Write) -> None:
            await follow_reading(following, write, database=service.database, after=after)

        return EventStream(produce)
    known = run if reading is None or reading.run_id is None else reading.run_id

    async def replay(write: Write) -> None:
        await follow_trace(service.database, known, write, after=after)

    return EventStream(replay)


@router.post("/runs/{run}/resume", summary="Go on with a run", responses=ANSWERS)
async def resume(
    request: Request,
    run: RunPath,
    service: ServiceDep,
    body: Annotated[ResumeBody | None, Body()] = None,
) -> Response:
    """Go on with a run that was stopped, killed or failed, from its last finished chunk; the result is the same.

    A finished run is only reported.
    """
    body = body or ResumeBody()
    known = service.queue.find(run)
    row = await asyncio.to_thread(service.get_run, (known and known.run_id) or run)
    if row.is_finished:
        return await _finished(service, row, is_stream=body.stream)
    reading, work = await asyncio.to_thread(service.prepare_resume, row, body)
    return await conduct(request, service, reading, work, body)


async def _finished(service: Service, row: RunRow, *, is_stream: bool) -> Response:
    if not is_stream:
        return Json(await asyncio.to_thread(_load_result, service, row.run_id))

    async def produce(write: Write) -> None:
        await follow_trace(service.database, row.run_id, write, after=2**62)

    return EventStream(produce)


def _load_result(service: Service, run_id: str) -> dict[str, Any]:
    with TraceStore(service.database) as store:
        return load_result(store, run_id).to_dict()


@router.post(
    "/runs/{run}/cancel",
    summary="Stop a reading",
    response_model=RunDetails,
    responses={202: {"model": RunDetails, "description": "It has been told to stop and has not yet."}},
)
async def cancel(run: RunPath, service: ServiceDep) -> Json:
    """Stop a reading within a token, or take it out of the queue. What was read is kept and can be resumed."""
    reading = service.queue.find(run)
    if reading is None:
        row = await asyncio.to_thread(service.get_run, run)
        reading = service.queue.find(row.run_id)
    if reading is None or not service.queue.is_active(reading):
        raise Refused(
            409,
            "not_reading",
            "This server is not reading that run.",
            hint="A run that another program reads is stopped there.",
        )
    service.queue.cancel(reading)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(CANCEL_WAIT_S):
            await ended(reading)
    details = await asyncio.to_thread(get_details, service, reading.id)
    return Json(details, 200 if reading.outcome.done() else 202)


@router.get(
    "/runs/{run}/export",
    summary="Export a run",
    response_class=Response,
    responses={
        200: {
            "description": "Question, answer, quotes, coverage and the memory's timeline; as JSON also every prompt "
            "and reply.",
            "content": {"text/markdown": {}, "text/html": {}, "application/json": {}},
        }
    },
)
def export(
    run: RunPath,
    service: ServiceDep,
    format_: Annotated[
        ExportFormat, Query(alias="format", description="What to write.")
    ] = ExportFormat.MARKDOWN,
) -> Response:
    """The same file as `palimpsest export` writes."""
    reading = service.queue.find(run)
    with TraceStore(service.database) as store:
        row = store.get_run((reading and reading.run_id) or run)
        bundle = make_bundle(store, row.run_id, with_calls=format_ is ExportFormat.JSON)
    kind, render = _RENDERERS[format_]
    return Response(
        render(bundle).encode("utf-8", "replace"),
        media_type=kind,
        headers={
            "Content-Disposition": f'attachment; filename="{row.run_id}.{format_.value}"',
            "Content-Security-Policy": _HTML_POLICY,
            "X-Content-Type-Options": "nosniff",
        },
    )


def _render_json(bundle: dict[str, Any]) -> str:
    return json.dumps(bundle, ensure_ascii=False, indent=2) + "\n"


_RENDERERS: dict[ExportFormat, tuple[str, Callable[[dict[str, Any]], str]]] = {
    ExportFormat.MARKDOWN: ("text/markdown", markdown.render),
    ExportFormat.HTML: ("text/html", html.render),
    ExportFormat.JSON: ("application/json", _render_json),
}
