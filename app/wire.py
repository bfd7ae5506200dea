"""The engine's events as clients see them: a name and plain values.

The name is that of the event's class in snake case. A live event and the same event out of the trace become equal
values: both go through a row of `engine.traces.rows`. Chunks are counted from 1, as in every other output.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, assert_never

from engine.agent.events import (
    AnswerFinished,
    CallFinished,
    ChunkFinished,
    ChunkStarted,
    Event,
    Evidence,
    EvidenceFound,
    GuessFailed,
    Incident,
    Record,
    TokenDelta,
    Transient,
)
from engine.agent.result import claim_to_dict
from engine.errors import PalimpsestError
from engine.traces.rows import CallRow

_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamEvent:
    """One event of a stream.

    Attributes:
        name: of the event.
        data: plain values.
        sequence: its number in the run; None for what is not in the trace.
        is_last: nothing follows.
    """

    name: str
    data: dict[str, Any]
    sequence: int | None = None
    is_last: bool = False

    def encode(self) -> bytes:
        """As Server-Sent Events have it. JSON escapes line ends, so that the data is one line.

        Source: HTML Standard, section 9.2.5.
        """
        number = b"" if self.sequence is None else b"id: %d\n" % self.sequence
        return b"event: %s\ndata: %s\n%s\n" % (self.name.encode("ascii"), to_json(self.data), number)


def to_json(values: Any) -> bytes:
    """Compact JSON in UTF-8. Half characters of file names that are not UTF-8 become "?"."""
    text = json.dumps(values, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8", "replace")


def event_name(kind: type[Event]) -> str:
    """ "chunk_started" for `ChunkStarted`."""
    return _HUMP.sub("_", kind.__name__).lower()


def error_code(error: PalimpsestError) -> str:
    """ "run_not_found" for `RunNotFoundError`."""
    return _HUMP.sub("_", type(error).__name__.removesuffix("Error")).lower()


def record_to_event(record: Record, documents: Sequence[str]) -> StreamEvent:
    """A record of the engine.

    Args:
        record: what happened.
        documents: names of the run's documents, in order.
    """
    event = record.event
    is_durable = not isinstance(event, Transient)
    place: dict[str, Any] = {"run_id": record.run_id}
    if is_durable:
        place["sequence"] = record.sequence
    return StreamEvent(
        name=event_name(type(event)),
        data={**place, **_values(event, record.sequence, documents)},
        sequence=record.sequence if is_durable else None,
    )


def call_to_event(run_id: str, row: CallRow) -> StreamEvent:
    """A call out of the trace."""
    return StreamEvent(
        name=event_name(CallFinished),
        data={"run_id": run_id, "sequence": row.sequence, **_call_values(row)},
        sequence=row.sequence,
    )


def _values(event: Event, sequence: int, documents: Sequence[str]) -> dict[str, Any]:
    match event:
        case ChunkStarted():
            return {"chunk": _number(event.chunk_index)}
        case TokenDelta():
            return {"chunk": _number(event.chunk_index), "text": event.text}
        case CallFinished():
            return _call_values(_call_row(event, sequence))
        case Incident():
            return {
                "chunk": _number(event.chunk_index),
                "kind": event.kind.value,
                "detail": event.detail,
            }
        case EvidenceFound():
            return {"chunk": _number(event.chunk_index), **_evidence_values(event.evidence, documents)}
        case ChunkFinished():
            return {
                "chunk": _number(event.chunk_index),
                "outcome": event.outcome.value,
                "memory_before": event.memory_before.text,
                "memory": event.memory_after.text,
                "planned_tokens": event.receipt.planned_tokens,
                "accepted_tokens": event.receipt.accepted_tokens,
            }
        case GuessFailed():
            return {
                "chunk": _number(event.chunk_index),
                "chunks_in_vain": event.num_chunks,
                "prompt_tokens": event.prompt_tokens,
            }
        case AnswerFinished():
            return {
                "answer": event.text,
                "answered": event.answered,
                "evidence": [claim_to_dict(claim, documents) for claim in event.claims],
            }
    assert_never(event)


def _number(chunk_index: int | None) -> int | None:
    """None = the final conversation."""
    return None if chunk_index is None else chunk_index + 1


def _evidence_values(evidence: Evidence, documents: Sequence[str]) -> dict[str, Any]:
    return {
        "document": documents[evidence.document],
        "page": evidence.page,
        "label": evidence.label,
        "start": evidence.start,
        "end": evidence.end,
        "quote": evidence.quote,
    }


def _call_row(event: CallFinished, sequence: int) -> CallRow:
    done = event.completion
    return CallRow(
        sequence=sequence,
        chunk_index=event.chunk_index,
        purpose=event.purpose,
        attempt=event.attempt,
        prompt=event.prompt,
        reply=done.text,
        prompt_tokens=len(done.prompt_token_ids),
        completion_tokens=len(done.token_ids),
        cached_tokens=done.cached_tokens,
        prefill_s=done.prefill_s,
        decode_s=done.decode_s,
        finish_reason=done.finish_reason,
    )


def _call_values(row: CallRow) -> dict[str, Any]:
    return {
        "chunk": _number(row.chunk_index),
        "purpose": row.purpose.value,
        "attempt": row.attempt + 1,
        "prompt": [{"text": segment.text, "data": segment.is_data} for segment in row.prompt],
        "reply": row.reply,
        "prompt_tokens": row.prompt_tokens,
        "cached_tokens": row.cached_tokens,
        "completion_tokens": row.completion_tokens,
        "prefill_s": row.prefill_s,
        "decode_s": row.decode_s,
        "finish_reason": row.finish_reason,
    }
