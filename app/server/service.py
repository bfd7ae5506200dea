"""What all routes share: the data folder, the queue of readings, and how a request becomes a reading."""

import dataclasses
import re
from dataclasses import dataclass, field
from pathlib import Path

from app.server.problems import Refused
from app.server.readings import Reading, ReadingFront, ReadingQueue, Work
from app.server.schemas import AskBody, ResumeBody
from app.server.uploads import Intake, check_unchanged
from engine.agent.result import Result
from engine.backends.base import Sampling
from engine.errors import ModelNotFoundError, PlanError, RunOwnedError
from engine.front import ModelChoice, ReadingOptions
from engine.models.catalogue import find_model, list_models
from engine.paths import trace_database
from engine.session import Session
from engine.traces.rows import RunRow
from engine.traces.store import TraceStore

DEFAULT_MAX_UPLOAD_BYTES = 256 << 20
_TOKEN = re.compile(r"[!-~]{16,}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How the server runs.

    Attributes:
        folder: the data folder.
        choice: the model that is used unless a request names one, and how models are opened.
        token: what clients must know; None = nothing.
        max_upload_bytes: of a document.
    """

    folder: Path
    choice: ModelChoice = field(default_factory=ModelChoice)
    token: str | None
    max_upload_bytes: int = DEFAULT_MAX_UPLOAD_BYTES

    def __post_init__(self) -> None:
        if self.token is not None and not _TOKEN.fullmatch(self.token):
            raise PlanError(
                "The token is too short or holds characters that a header cannot carry.",
                hint="Use at least 16 letters, digits and signs, without spaces.",
            )


class Service:
    """Turns requests into readings. Its methods may block: routes call them in threads.

    Args:
        settings: see `Settings`.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.database = trace_database(settings.folder)
        self.intake = Intake(settings.folder)
        self.queue = ReadingQueue()

    def prepare_ask(self, body: AskBody) -> tuple[Reading, Work]:
        """A reading for a question. What can be refused before its turn is refused here.

        Raises:
            Refused: a document is unknown, or its file has changed.
            ModelNotFoundError: there is no such model.
        """
        if not body.question.strip():
            raise PlanError("The question is empty.")
        rows = tuple(self.intake.find(body.documents))
        choice = self._choice(body.model or self.settings.choice.model, is_from_client=body.model is not None)
        for row in rows:
            check_unchanged(row, password=body.password)
        options = ReadingOptions(
            mode=body.mode,
            chunk_tokens=body.chunk_tokens,
            memory_tokens=body.memory_tokens,
            overlap_tokens=body.overlap_tokens,
            recall_chunks=body.recall_chunks,
            sampling=Sampling(temperature=body.temperature, seed=body.seed),
        )

        def work(reading: Reading) -> Result:
            reading.token.check()
            for row in rows:  # once more: it may have waited for hours
                check_unchanged(row, password=body.password)
            front = ReadingFront(reading, lambda plan: self.intake.restore_names(plan.documents, rows))
            session = Session(self.settings.folder, choice=choice, front=front, cancel=reading.token)
            return session.ask(
                [row.path for row in rows],
                body.question,
                options=options,
                password=body.password,
                estimate=False,
            )

        return Reading(body.question, rows), work

    def prepare_resume(self, run: RunRow, body: ResumeBody) -> tuple[Reading, Work]:
        """A reading that goes on with a run.

        Raises:
            RunOwnedError: another process reads it.
            ModelNotFoundError: there is no such model.
        """
        if run.status == "running" and self.queue.find(run.run_id) is None:
            raise RunOwnedError(
                f"Another process is reading the run {run.run_id}.", hint="Wait for it, or stop it there."
            )
        choice = (
            _choice_for(run, self.settings.choice)
            if body.model is None
            else self._choice(body.model, is_from_client=True)
        )

        def work(reading: Reading) -> Result:
            reading.token.check()
            front = ReadingFront(reading, lambda plan: None)
            session = Session(self.settings.folder, choice=choice, front=front, cancel=reading.token)
            return session.resume(run.run_id, password=body.password)

        return Reading(run.question, run.documents, run_id=run.run_id), work

    def get_run(self, run_id: str) -> RunRow:
        """A run of the trace, by the beginning of its id.

        Raises:
            engine.errors.RunNotFoundError: there is none, or several.
        """
        with TraceStore(self.database) as store:
            return store.get_run(run_id)

    def _choice(self, model: str | None, *, is_from_client: bool) -> ModelChoice:
        """How to open a model. Without a token a client may name models, but not probe the disk for files.

        Raises:
            ModelNotFoundError: there is no such model.
        """
        choice = dataclasses.replace(self.settings.choice, model=model)
        if choice.servers:  # they know their models; an address comes from the command line alone
            return choice
        if is_from_client and model is not None and self.settings.token is None:
            self._check_named(model)
        if choice.vllm is None:
            find_model(model, self.settings.folder)
        return choice

    def _check_named(self, model: str) -> None:
        names = {known.name for known in list_models(self.settings.folder)}
        if model not in names | {self.settings.choice.model}:
            raise ModelNotFoundError(
                f"There is no model {model[:64]!r}.",
                hint="GET /v1/models lists them; a path may be given to a server with a token.",
            )


def _choice_for(run: RunRow, choice: ModelChoice) -> ModelChoice:
    """A run goes on with its own model file while that is there, else with what this server was started with."""
    if Path(run.model_path).is_file():
        return dataclasses.replace(choice, model=None, servers=(), vllm=None)
    return choice


def require_token(settings: Settings, what: str) -> None:
    """Refuse what only a client that knows the token may do.

    Raises:
        Refused: the server was started without one.
    """
    if settings.token is None:
        raise Refused(
            403,
            "token_needed",
            f"{what} may only be given to a server with a token.",
            hint="Start it without --no-token.",
        )
