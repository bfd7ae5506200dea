"""Routes about documents."""

import asyncio
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.datastructures import FormData, UploadFile

from app.server.problems import Refused
from app.server.routes.shared import PROBLEMS, Json, ServiceDep
from app.server.schemas import AddedDocument, DocumentBody, PathBody, json_schema
from app.server.service import Service, require_token
from engine.traces.store import TraceStore

router = APIRouter(tags=["documents"], responses=PROBLEMS)

_MAX_FIELD_BYTES = 4096
_UPLOAD_SCHEMA = {
    "type": "object",
    "required": ["file"],
    "properties": {
        "file": {"type": "string", "format": "binary", "description": "PDF, EPUB, HTML, Markdown or text."},
        "password": {"type": "string", "description": "Of an encrypted document."},
    },
    "additionalProperties": False,
}
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {"schema": _UPLOAD_SCHEMA},
            "application/json": {"schema": json_schema(PathBody)},
        },
    }
}


@router.post(
    "/documents",
    status_code=201,
    summary="Add a document",
    response_model=AddedDocument,
    response_description="The document as it was read.",
    openapi_extra=_BODY,
)
async def add_document(request: Request, service: ServiceDep) -> Json:
    """Upload a file, or name one on the server's machine by its path (only on a server with a token).

    An upload is kept in the data folder. The same text twice is one document. Nothing is asked of a model yet.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return await _add_upload(request, service)
    if kind == "application/json":
        return await _add_path(request, service)
    raise Refused(
        415,
        "unsupported_body",
        "A document comes as multipart/form-data or as JSON with a path.",
        hint='curl: -F file=@report.pdf, or --json \'{"path": "/..."}\'.',
    )


async def _add_upload(request: Request, service: Service) -> Json:
    async with request.form(max_files=1, max_fields=1, max_part_size=_MAX_FIELD_BYTES) as form:
        upload, password = _read_form(form)
        added = await asyncio.to_thread(
            service.intake.add_upload, upload.file, upload.filename or "", password=password
        )
    return Json(added, 201)


def _read_form(form: FormData) -> tuple[UploadFile, str | None]:
    upload, password = form.get("file"), form.get("password")
    unknown = set(form) - {"file", "password"}
    if unknown or not isinstance(upload, UploadFile) or isinstance(password, UploadFile):
        raise Refused(
            422, "invalid_request", "The form needs one file in the field 'file', and may have a 'password'."
        )
    return upload, password


async def _add_path(request: Request, service: Service) -> Json:
    require_token(service.settings, "A path")
    try:
        body = PathBody.model_validate_json(await request.body())
    except ValidationError as exc:
        raise RequestValidationError(exc.errors()) from exc
    added = await asyncio.to_thread(service.intake.add_path, Path(body.path), password=body.password)
    return Json(added, 201)


@router.get("/documents", summary="List documents", response_model=list[DocumentBody])
def list_documents(service: ServiceDep) -> Json:
    """All documents that were ever added or read, the newest first."""
    with TraceStore(service.database) as store:
        return Json([DocumentBody.of(row) for row in store.list_documents()])
