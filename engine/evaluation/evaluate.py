"""A whole evaluation: the reader, its baselines, and chunks that are read alone. What the command line, a trainer and a
window call."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from engine.cancel import CancelToken
from engine.evaluation.chunk_rates import ChunkCounts, total
from engine.evaluation.report import Report, make_report
from engine.evaluation.runner import OnProgress, Scope, run
from engine.evaluation.store import EvaluationStore
from engine.evaluation.systems import Known, System

Opening = Callable[[], AbstractContextManager[System]]
"""Makes a system ready; closed as soon as it has answered, so that no more than one other model is in memory."""


@dataclass(frozen=True, slots=True)
class ChunkStudy:
    """Chunks to be read alone.

    Attributes:
        system: `engine.evaluation.systems.ChunksAlone`.
        scope: the items whose chunks are read.
    """

    system: System
    scope: Scope


def evaluate(
    scope: Scope,
    openings: Sequence[Opening],
    store: EvaluationStore,
    *,
    chunks: ChunkStudy | None = None,
    on_progress: OnProgress | None = None,
    cancel: CancelToken | None = None,
) -> Report:
    """Let all systems answer what they have not answered yet, and summarise.

    Args:
        scope: what is asked.
        openings: the systems; the first is evaluated, the others are what it is held against.
        store: where outcomes are kept and found again.
        chunks: what is read chunk by chunk beside.
        on_progress: told after every item.
        cancel: stops it; what is ended stays ended.

    Raises:
        engine.cancel.Cancelled: after `cancel.cancel()`.
        engine.errors.PalimpsestError: see `engine.evaluation.runner.run`.
    """
    known: list[Known] = []
    for opening in openings:
        with opening() as system:
            run(scope, system, store, on_progress=on_progress, cancel=cancel)
            known.append(Known(system.name, system.identity))
    alone = None
    if chunks is not None:
        run(chunks.scope, chunks.system, store, on_progress=on_progress, cancel=cancel)
        alone = _counted(chunks, store)
    return make_report(scope, known, store, chunks_alone=alone)


def _counted(chunks: ChunkStudy, store: EvaluationStore) -> ChunkCounts:
    scope = chunks.scope
    results = store.results(scope.task, chunks.system, lengths=scope.lengths, num_items=scope.num_items)
    return total(result.outcome.chunks for result in results)
