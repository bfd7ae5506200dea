"""Routes about what is there: search, models, health."""

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Query

from app.server.routes.shared import PROBLEMS, Json, ServiceDep
from app.server.schemas import HealthBody, HitBody, ModelBody
from app.server.versions import program_version
from engine.models.catalogue import list_models
from engine.traces.store import TraceStore

router = APIRouter(tags=["library"], responses=PROBLEMS)


@router.get("/search", summary="Search pages", response_model=list[HitBody])
def search(
    service: ServiceDep,
    text: Annotated[
        str,
        Query(
            min_length=1,
            max_length=1000,
            description='Words that a page must hold; "words in quotes" are a phrase.',
        ),
    ],
    limit: Annotated[int, Query(ge=1, le=1000, description="Most pages to list.")] = 20,
) -> Json:
    """Find pages in all documents, best first."""
    with TraceStore(service.database) as store:
        return Json([asdict(hit) for hit in store.search(text, limit)])


@router.get("/models", summary="List models", response_model=list[ModelBody])
def models(service: ServiceDep) -> Json:
    """The bundled model, then the GGUF files in the data folder's `models`."""
    return Json(
        [
            ModelBody(name=model.name, size_bytes=model.size_bytes, bundled=model.is_bundled)
            for model in list_models(service.settings.folder)
        ]
    )


@router.get("/health", summary="Check the server", response_model=HealthBody)
def health(service: ServiceDep) -> Json:
    """Whether the server is up and its database can be opened, and what it is doing."""
    with TraceStore(service.database):
        pass
    active = service.queue.active()
    at_work = [reading for reading in active if service.queue.position(reading) is None]
    return Json(
        HealthBody(
            version=program_version(),
            running=at_work[0].id if at_work else None,
            queued=len(active) - len(at_work),
        )
    )
