"""The result of a reading as people and programs get it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from engine.agent.coverage import Certificate
from engine.agent.events import AnswerFinished, Claim


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """What a reading cost, summed over all sessions in which it was done.

    Attributes:
        prefill_tokens: prompt tokens computed (reused ones not counted).
        decode_tokens: tokens generated.
        wall_s: seconds spent reading.
    """

    prefill_tokens: int
    decode_tokens: int
    wall_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Answer, proof and cost of one run."""

    run_id: str
    question: str
    documents: tuple[str, ...]
    answer: AnswerFinished
    coverage: Certificate
    model: str
    mode: str
    timings: Timings

    def to_dict(self) -> dict[str, Any]:
        """The object that `palimpsest ask --json` prints."""
        return {
            "run_id": self.run_id,
            "answer": self.answer.text,
            "answered": self.answer.answered,
            "evidence": [claim_to_dict(claim, self.documents) for claim in self.answer.claims],
            "coverage": certificate_to_dict(self.coverage),
            "model": self.model,
            "mode": self.mode,
            "timings": {**asdict(self.timings), "wall_s": round(self.timings.wall_s, 3)},
        }


def claim_to_dict(claim: Claim, documents: Sequence[str]) -> dict[str, Any]:
    """A claim with its place; one that was not found in the documents keeps its own words and has no place."""
    found = claim.evidence
    if found is None:
        place = dict.fromkeys(("document", "page", "label", "start", "end"))
        return {**place, "quote": claim.text, "verified": False}
    return {
        "document": documents[found.document],
        "page": found.page,
        "label": found.label,
        "quote": found.quote,
        "start": found.start,
        "end": found.end,
        "verified": True,
    }


def certificate_to_dict(certificate: Certificate) -> dict[str, Any]:
    """Plain values of a certificate."""
    values = asdict(certificate)
    values["skipped"] = [asdict(page) for page in certificate.skipped]
    return values
