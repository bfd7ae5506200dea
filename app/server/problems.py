"""Errors as clients get them: one JSON object with code, message and hint, and a status that fits.

Every expected error of the engine has a status, and a code by its name; what only the API can refuse is a `Refused`. A
bug becomes `INTERNAL`: its traceback goes to the log, never into a response.
"""

from typing import Any

from app.wire import error_code
from engine import errors
from engine.cancel import Cancelled
from engine.errors import PalimpsestError

STATUSES: dict[type[PalimpsestError], int] = {
    errors.PalimpsestError: 500,
    errors.DocumentError: 422,
    errors.DocumentNotFoundError: 404,
    errors.UnsupportedFormatError: 415,
    errors.ModelError: 422,
    errors.ModelNotFoundError: 404,
    errors.ServerError: 502,
    errors.ContextOverflowError: 422,
    errors.BackendDiedError: 502,
    errors.ServerTimeoutError: 504,
    errors.ServerReplyError: 502,
    errors.PromptMismatchError: 502,
    errors.PlanError: 422,
    errors.StoreBusyError: 503,
    errors.RunNotFoundError: 404,
    errors.RunOwnedError: 409,
    errors.ResumeRefusedError: 409,
}
"""Status of each error; one that has no row of its own takes that of the class it derives from."""

Problem = dict[str, dict[str, str]]
"""``{"error": {"code": ..., "message": ..., "hint": ...}}``."""


class Refused(PalimpsestError):
    """A request that the API itself refuses.

    Args:
        status: of the response.
        code: for programs; see docs/api.md.
        message: one sentence.
        hint: what the client can do about it.
    """

    def __init__(self, status: int, code: str, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.code = code


def make_problem(code: str, message: str, hint: str = "") -> Problem:
    """The body of every response that is not a success."""
    return {"error": {"code": code, "message": message, "hint": hint}}


INTERNAL = make_problem("internal", "The server failed at this.", "Its log says why; please report it.")
"""What a client learns of a bug."""


def status_and_code(error: PalimpsestError) -> tuple[int, str]:
    """How an error is told; "run_not_found" for `RunNotFoundError`."""
    if isinstance(error, Refused):
        return error.status, error.code
    kind = type(error)
    status = next(STATUSES[base] for base in kind.__mro__ if base in STATUSES)
    return status, error_code(error)


def to_problem(error: PalimpsestError) -> Problem:
    """An expected error as plain values."""
    return make_problem(status_and_code(error)[1], error.message, error.hint)


def stopped(run_id: str | None) -> Refused:
    """What whoever waits for a result is told when the reading was cancelled meanwhile."""
    hint = f"What was read is kept; POST /v1/runs/{run_id}/resume goes on." if run_id else "Ask again."
    return Refused(409, "stopped", "The reading was stopped before it had an answer.", hint=hint)


def describe_failure(error: BaseException | None, run_id: str | None) -> dict[str, Any]:
    """The problem of a reading that ended without a result, by the exception that ended it (None = cancelled)."""
    if error is None or isinstance(error, Cancelled):
        return dict(to_problem(stopped(run_id)))
    return dict(to_problem(error) if isinstance(error, PalimpsestError) else INTERNAL)
