"""The model that is measured and what it is held against, opened by the names that users give."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

from engine.agent.config import Mode, ReadingConfig
from engine.agent.prompts import PromptSet
from engine.backends.base import Backend
from engine.cancel import CancelToken
from engine.errors import PlanError
from engine.evaluation import systems
from engine.evaluation.evaluate import ChunkStudy, Opening
from engine.evaluation.runner import Scope
from engine.evaluation.systems import System
from engine.evaluation.untrained import write_untrained
from engine.front import ModelChoice
from engine.models.catalogue import find_model
from engine.session import Session


def parse_baseline(text: str) -> tuple[str, str]:
    """Name and detail of a baseline: bm25, bm25:K, oracle, full-context, untrained, loop=FILE.

    Raises:
        PlanError: there is none of that name.
    """
    name, _, detail = text.partition("=" if text.startswith("loop=") else ":")
    is_fine = {
        "bm25": not detail or (detail.isdecimal() and int(detail) > 0),
        "oracle": not detail,
        "full-context": not detail,
        "untrained": not detail,
        "loop": bool(detail),
    }
    if not is_fine.get(name, False):
        raise PlanError(
            f"There is no baseline '{text}'.",
            hint="One of: bm25, bm25:K, oracle, full-context, untrained, loop=FILE.",
        )
    return name, detail


class Contenders:
    """The model that is measured, and what it is held against.

    Args:
        folder: the data folder.
        choice: the model.
        cancel: stops what is going on.
    """

    backend: Backend
    prompts: PromptSet

    def __init__(self, folder: Path, choice: ModelChoice, cancel: CancelToken) -> None:
        self._folder = folder
        self._choice = choice
        self._cancel = cancel

    @contextmanager
    def opened(self, mode: Mode | None = None) -> Iterator["Contenders"]:
        """Open the model for a reading mode."""
        with Session(self._folder, choice=self._choice, cancel=self._cancel).opened(mode) as opened:
            self.backend, self.prompts = opened
            yield self

    def reader(self, config: ReadingConfig, *, side_by_side: int | None = None) -> Opening:
        """The reading loop."""
        system = systems.reader(self.backend, self.prompts, config, side_by_side=side_by_side)
        return lambda: nullcontext(system)

    def chunks(self, scope: Scope, config: ReadingConfig, num_documents: int) -> ChunkStudy | None:
        """Chunks of so many documents of the first length, read alone; None if there are none."""
        if not num_documents:
            return None
        system = systems.ChunksAlone(self.backend, self.prompts, config)
        return ChunkStudy(system, Scope(task=scope.task, lengths=scope.lengths[:1], num_items=num_documents))

    def baseline(self, text: str, config: ReadingConfig, *, side_by_side: int | None = None) -> Opening:
        """A baseline by its name; see `parse_baseline`."""
        name, detail = parse_baseline(text)
        wide = side_by_side
        if name == "bm25":
            found = systems.bm25(
                self.backend,
                self.prompts,
                config,
                num_chunks=int(detail or systems.BM25_CHUNKS),
                side_by_side=wide,
            )
            return lambda: nullcontext(found)
        if name in ("oracle", "full-context"):
            make = systems.oracle if name == "oracle" else systems.full_context
            chosen = make(self.backend, self.prompts, config, side_by_side=wide)
            return lambda: nullcontext(chosen)
        return lambda: self._other(name, detail, config, wide)

    def _other(
        self, name: str, detail: str, config: ReadingConfig, side_by_side: int | None
    ) -> AbstractContextManager[System]:
        if name == "loop":
            return self._loop(f"loop {Path(detail).stem}", detail, config, side_by_side)
        if self._choice.servers or self._choice.vllm:
            raise PlanError(
                "A model behind a server has no untrained copy.",
                hint="Serve one, and compare two evaluations.",
            )
        copy = write_untrained(find_model(self._choice.model, self._folder), self._folder / "untrained")
        return self._loop("untrained", str(copy), config, side_by_side)

    @contextmanager
    def _loop(
        self, name: str, model: str, config: ReadingConfig, side_by_side: int | None
    ) -> Iterator[System]:
        """The same loop with another model, for the time that it takes."""
        choice = replace(self._choice, model=model, servers=(), vllm=None)
        session = Session(self._folder, choice=choice, cancel=self._cancel)
        with session.opened(config.mode) as (backend, prompts):
            yield systems.reader(backend, prompts, config, name=name, side_by_side=side_by_side)
