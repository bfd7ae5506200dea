"""What the routes share: the service, and how answers are written."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import Depends, Request
from pydantic import BaseModel
from starlette.responses import Response

from app.server.schemas import Problem
from app.server.service import Service
from app.wire import to_json

PROBLEMS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": Problem, "description": "The request was refused."},
    "5XX": {"model": Problem, "description": "The server or the model failed."},
}
"""For every route."""


def get_service(request: Request) -> Service:
    """The one service of the application."""
    service: Service = request.app.state.service
    return service


ServiceDep = Annotated[Service, Depends(get_service)]


class Json(Response):
    """A JSON response. Texts of documents and file names may hold what UTF-8 cannot; see `to_json`."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Serialise models, lists of models and plain values."""
        return to_json(_plain(content))


def _plain(content: Any) -> Any:
    if isinstance(content, BaseModel):
        return content.model_dump(mode="json")
    if isinstance(content, Sequence) and not isinstance(content, str):
        return [_plain(item) for item in content]
    return content
