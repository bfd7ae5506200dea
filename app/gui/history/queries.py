"""What the history asks the trace store. Runs on the store's thread."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from app.gui.history.values import Comparison, Difference, Quote, Run, Side

if TYPE_CHECKING:
    from engine.traces.rows import RunRow
    from engine.traces.store import TraceStore

MAX_DIFF_CHARS = 60_000
"""A word-level diff takes time that grows with the square of the text; memories are far below this."""


def load_runs(store: "TraceStore") -> tuple[Run, ...]:
    """All runs, the newest first."""
    return tuple(
        Run(
            run_id=head.run_id,
            status=head.status,
            created_at=head.created_at.timestamp(),
            question=head.question,
            documents=head.documents,
            model=head.model,
            mode=head.mode,
            chunks_done=head.chunks_done,
            chunks_total=head.chunks_total,
            answer=head.answer or "",
            answered=bool(head.answered),
            error=head.error or "",
            is_derived=head.parent_run_id is not None,
        )
        for head in store.list_heads()
    )


def delete_runs(store: "TraceStore", run_ids: Sequence[str]) -> tuple[str, ...]:
    """Delete runs; returns their ids.

    Raises:
        engine.errors.RunOwnedError: one of them is being written.
    """
    for run_id in run_ids:
        store.delete_run(run_id)
    return tuple(run_ids)


def compare(store: "TraceStore", one: str, other: str) -> Comparison:
    """Two runs side by side, the older one on the left.

    Raises:
        engine.errors.RunNotFoundError: one of them is gone.
    """
    from engine.agent.provenance import diff_words

    left, right = sorted((store.get_run(one), store.get_run(other)), key=lambda row: row.created_at)
    quotes = {row.run_id: _quotes(store, row) for row in (left, right)}
    common = quotes[left.run_id].keys() & quotes[right.run_id].keys()
    sides = [
        _side(store, row, tuple(quote for key, quote in quotes[row.run_id].items() if key not in common))
        for row in (left, right)
    ]
    before, after = (side.memory[:MAX_DIFF_CHARS] for side in sides)
    return Comparison(
        left=sides[0],
        right=sides[1],
        settings=tuple(_settings(left, right)),
        num_common=len(common),
        memory_changes=tuple(diff_words(before, after)),
    )


def _quotes(store: "TraceStore", row: "RunRow") -> dict[tuple[str, int, int], Quote]:
    """Excerpts by document and place, in the order of the document."""
    found = {}
    for each in store.evidence(row.run_id):
        evidence = each.evidence
        document = row.documents[evidence.document]
        found[document.content_hash, evidence.start, evidence.end] = Quote(
            content_hash=document.content_hash,
            document=document.name,
            page=evidence.page,
            label=evidence.label,
            text=evidence.quote,
        )
    return dict(sorted(found.items()))


def _side(store: "TraceStore", row: "RunRow", only: tuple[Quote, ...]) -> Side:
    totals = store.totals(row.run_id)
    return Side(
        run=_run(row),
        answer=row.answer.text if row.answer else "",
        coverage=_coverage(store.certificate(row.run_id)),
        wall_s=totals.wall_s,
        prompt_tokens=totals.prompt_tokens - totals.cached_tokens,
        completion_tokens=totals.completion_tokens,
        only=only,
        memory=store.checkpoint(row.run_id).memory.text,
    )


def _run(row: "RunRow") -> Run:
    return Run(
        run_id=row.run_id,
        status=row.status,
        created_at=row.created_at.timestamp(),
        question=row.question,
        documents=tuple((each.content_hash, each.name) for each in row.documents),
        model=row.model,
        mode=row.mode,
        chunks_done=row.chunks_done,
        chunks_total=row.chunks_total,
        answer=row.answer.text if row.answer else "",
        answered=row.answer.answered if row.answer else False,
        error=row.error or "",
        is_derived=row.parent_run_id is not None,
    )


def _coverage(certificate: str | None) -> str:
    if certificate is None:
        return ""
    from engine.agent.coverage import Certificate, SkippedPage

    values = json.loads(certificate)
    skipped = tuple(SkippedPage(**page) for page in values["skipped"])
    return Certificate(**{**values, "skipped": skipped}).sentence


def _settings(left: "RunRow", right: "RunRow") -> list[Difference]:
    one, other = _flat(left), _flat(right)
    return [
        Difference(name=name, left=one.get(name, ""), right=other.get(name, ""))
        for name in dict.fromkeys([*one, *other])
        if one.get(name) != other.get(name)
    ]


def _flat(row: "RunRow") -> dict[str, str]:
    """Everything that may be set, as names and text."""
    values: dict[str, Any] = {
        "question": row.question,
        "documents": ", ".join(each.name for each in row.documents),
        "model": row.model,
        "prompts": row.spec.prompt_set,
    }
    for name, value in row.spec.config.to_dict().items():
        if isinstance(value, dict):
            values.update({f"{name}.{part}": each for part, each in value.items()})
        else:
            values[name] = value
    return {name: "" if value is None else str(value) for name, value in values.items()}
