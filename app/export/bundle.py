"""The audit bundle: all that a run's trace holds, as plain values. Every other export renders this one."""

from typing import Any

from engine.agent.coverage import COUNTED, other_question
from engine.agent.provenance import forgotten
from engine.agent.result import certificate_to_dict, claim_to_dict
from engine.results import make_certificate
from engine.traces.rows import StepRow
from engine.traces.store import TraceStore


def coverage_line(cover: dict[str, Any]) -> str:
    """What a bundle's coverage says, in one sentence."""
    basis = "" if cover["is_proven"] else f" ({COUNTED})"
    tokens = f"{cover['tokens_read']:,} of {cover['tokens']:,} tokens"
    line = f"{cover['pages_read']} of {cover['pages']} pages, {tokens} read{basis}"
    return f"{line}; {other_question(cover['read_for'])}." if cover.get("read_for") else f"{line}."


def make_bundle(store: TraceStore, run_id: str, *, with_calls: bool) -> dict[str, Any]:
    """Collect a run.

    Args:
        store: where it is.
        run_id: the run.
        with_calls: also every prompt and reply; they are by far the larger part.
    """
    run = store.get_run(run_id)
    steps = list(store.steps(run.run_id))
    names = [document.name for document in run.documents]
    totals = store.totals(run.run_id)
    bundle: dict[str, Any] = {
        "run_id": run.run_id,
        "status": run.status,
        "created_at": run.created_at.isoformat(),
        "question": run.question,
        "documents": [
            {"name": row.name, "content_hash": row.content_hash, "pages": row.num_pages}
            for row in run.documents
        ],
        "model": {"name": run.model, "fingerprint": run.spec.model_fingerprint},
        "prompts": {"name": run.spec.prompt_set, "hash": run.spec.prompt_hash},
        "settings": run.spec.config.to_dict(),
        "parent": {"run_id": run.parent_run_id, "kind": run.parent_kind} if run.parent_run_id else None,
        "answer": None if run.answer is None else run.answer.text,
        "answered": None if run.answer is None else run.answer.answered,
        "evidence": []
        if run.answer is None
        else [claim_to_dict(claim, names) for claim in run.answer.claims],
        "coverage": certificate_to_dict(make_certificate(store, run.run_id)),
        "steps": [_step(step) for step in steps],
        "excerpts": [
            {
                "chunk": row.chunk_index + 1,
                "document": names[row.evidence.document],
                "page": row.evidence.page,
                "label": row.evidence.label,
                "start": row.evidence.start,
                "end": row.evidence.end,
                "quote": row.evidence.quote,
            }
            for row in store.evidence(run.run_id)
        ],
        "forgotten": [
            {
                "text": life.item.text,
                "entered_chunk": None if life.entered is None else life.entered + 1,
                "dropped_chunk": None if life.dropped is None else life.dropped + 1,
            }
            for life in forgotten(step.memories for step in steps)
        ],
        "incidents": [
            {
                "chunk": None if row.chunk_index is None else row.chunk_index + 1,
                "kind": row.kind.value,
                "detail": row.detail,
            }
            for row in store.incidents(run.run_id)
        ],
        "totals": {
            "calls": totals.num_calls,
            "prompt_tokens": totals.prompt_tokens,
            "cached_tokens": totals.cached_tokens,
            "completion_tokens": totals.completion_tokens,
            "prefill_s": totals.prefill_s,
            "decode_s": totals.decode_s,
            "wall_s": totals.wall_s,
        },
    }
    if with_calls:
        bundle["calls"] = [
            {
                "chunk": None if call.chunk_index is None else call.chunk_index + 1,
                "purpose": call.purpose.value,
                "attempt": call.attempt + 1,
                "prompt": [{"text": segment.text, "data": segment.is_data} for segment in call.prompt],
                "reply": call.reply,
                "prompt_tokens": call.prompt_tokens,
                "cached_tokens": call.cached_tokens,
                "completion_tokens": call.completion_tokens,
                "prefill_s": call.prefill_s,
                "decode_s": call.decode_s,
                "finish_reason": call.finish_reason,
            }
            for call in store.calls(run.run_id)
        ]
    return bundle


def _step(step: StepRow) -> dict[str, Any]:
    return {
        "chunk": step.chunk.index + 1,
        "document": step.chunk.document,
        "pages": step.chunk.labels,
        "first_page": step.chunk.first_page,
        "last_page": step.chunk.last_page,
        "outcome": step.outcome.value,
        "memory_before": step.memory_before.text,
        "memory": step.memory_after.text,
        "planned_tokens": step.receipt.planned_tokens,
        "accepted_tokens": step.receipt.accepted_tokens,
        "seconds": step.finished_at - step.started_at,
    }
