"""Results of runs, from their traces."""

from engine.agent.coverage import Certificate, PlannedChunk, certify
from engine.agent.result import Result, Timings
from engine.errors import StoreError
from engine.traces.store import TraceStore


def make_certificate(store: TraceStore, run_id: str) -> Certificate:
    """Hold what a run's trace says was accepted against its plan."""
    run = store.get_run(run_id)
    documents = [store.load_document(row.content_hash) for row in run.documents]
    chunks = [
        PlannedChunk(
            index=row.index,
            document=row.document,
            first_page=row.first_page,
            last_page=row.last_page,
            tokens=row.num_new_tokens,
        )
        for row in store.chunks(run_id)
    ]
    receipts = store.checkpoint(run_id).receipts
    return certify(documents, chunks, receipts, is_proven=run.spec.is_proven, read_for=run.spec.read_for)


def load_result(store: TraceStore, run_id: str, certificate: Certificate | None = None) -> Result:
    """The result of a finished run, from the trace alone.

    Args:
        store: where it is.
        run_id: the run.
        certificate: its certificate, if it was made just now; it needs all documents.

    Raises:
        StoreError: the run has no answer yet.
    """
    run = store.get_run(run_id)
    if run.answer is None:
        raise StoreError(
            f"The run {run.run_id} has no answer yet.", hint=f"Go on with: palimpsest resume {run.run_id}"
        )
    totals = store.totals(run.run_id)
    return Result(
        run_id=run.run_id,
        question=run.question,
        documents=tuple(row.name for row in run.documents),
        answer=run.answer,
        coverage=certificate or make_certificate(store, run.run_id),
        model=run.model,
        mode=run.mode,
        timings=Timings(
            prefill_tokens=totals.prompt_tokens - totals.cached_tokens,
            decode_tokens=totals.completion_tokens,
            wall_s=totals.wall_s,
        ),
    )
