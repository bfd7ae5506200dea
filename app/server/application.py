"""The application: routes, the guard before them, and how errors are told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from app.server.guard import Guard, HostRule
from app.server.problems import INTERNAL, make_problem, status_and_code, to_problem
from app.server.routes import documents, library, runs
from app.server.routes.shared import Json
from app.server.service import Service, Settings
from app.server.versions import program_version
from engine.errors import PalimpsestError

_DESCRIPTION = """\
Answers questions about documents of any length by reading every page, on this machine.

Add documents, ask, and follow the reading as a stream of events. Every error is one JSON object with a code, a
sentence and a hint. See docs/api.md.
"""
_DESCRIBED = "GET /v1/openapi.json describes every request."
_BEARER = {"type": "http", "scheme": "bearer", "description": "The token that `palimpsest serve` prints."}


def create_app(settings: Settings, hosts: HostRule) -> FastAPI:
    """Put everything together.

    Args:
        settings: see `Settings`.
        hosts: names that the server answers to.
    """
    service = Service(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(service.queue.close)

    app = FastAPI(
        title="Palimpsest",
        version=program_version(),
        description=_DESCRIPTION,
        openapi_url="/v1/openapi.json",
        # Its pages load scripts from elsewhere, and nothing here does.
        docs_url=None,
        redoc_url=None,
        # Variables of the environment must not make this program send anything anywhere.
        telemetry={"auto_configure": False, "tracing": False, "metrics": False, "logs": False},
        lifespan=lifespan,
    )
    app.state.service = service
    app.add_middleware(Guard, hosts=hosts, token=settings.token, max_upload_bytes=settings.max_upload_bytes)
    for module in (documents, runs, library):
        app.include_router(module.router, prefix="/v1")
    app.add_exception_handler(PalimpsestError, _tell_expected)
    app.add_exception_handler(RequestValidationError, _tell_invalid)
    app.add_exception_handler(HTTPException, _tell_http)
    app.add_exception_handler(Exception, _tell_bug)
    _describe_security(app)
    return app


def _describe_security(app: FastAPI) -> None:
    """The guard stands before the routes, so that FastAPI does not see it; the document must name it all the same."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = generate()
            document["components"]["securitySchemes"] = {"token": _BEARER}
            document["security"] = [{"token": []}]
        return generate()

    app.openapi = openapi  # type: ignore[method-assign]


async def _tell_expected(_: Request, error: Exception) -> Json:
    assert isinstance(error, PalimpsestError)
    return Json(to_problem(error), status_and_code(error)[0])


async def _tell_invalid(_: Request, error: Exception) -> Json:
    """What a request lacks or has too much of. The values themselves are not repeated: one is a password."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return Json(make_problem("invalid_json", "The body is not valid JSON."), 400)
    if first["loc"] == ("body",) and first["type"] != "missing":
        hint = "Send it with the header 'Content-Type: application/json'."
        return Json(make_problem("invalid_request", "The body is not a JSON object.", hint), 422)
    place = ".".join(str(part) for part in first["loc"] if part != "body")
    message = f"{place}: {first['msg']}." if place else f"{first['msg']}."
    return Json(make_problem("invalid_request", message, _DESCRIBED), 422)


async def _tell_http(_: Request, error: Exception) -> Json:
    """What the framework refuses: unknown paths and methods, broken forms; and the guard's 413, as a whole."""
    assert isinstance(error, HTTPException)
    detail: object = error.detail  # a string to Starlette, anything to FastAPI
    if isinstance(detail, dict):
        return Json(detail, error.status_code)
    status = HTTPStatus(error.status_code)
    code = status.phrase.lower().replace(" ", "_")
    problem = make_problem(code, f"{str(detail).rstrip('.')}.", _DESCRIBED)
    return Json(problem, status, error.headers)


async def _tell_bug(_: Request, error: Exception) -> Json:
    """The framework raises the exception once more behind this answer, and the server logs it."""
    return Json(INTERNAL, 500)
