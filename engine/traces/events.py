"""Events as rows and back: what `RunWriter` stores and `queries` reads."""

import dataclasses
import json
from typing import Any

from engine.agent.config import ReadingConfig
from engine.agent.events import AnswerFinished, Claim, Evidence
from engine.agent.run import RunSpec
from engine.traces.database import Row


def spec_to_json(spec: RunSpec) -> str:
    """A run's identity; ASCII only, so that any text survives."""
    values = {field.name: getattr(spec, field.name) for field in dataclasses.fields(spec)}
    return json.dumps({**values, "config": spec.config.to_dict()}, sort_keys=True)


def spec_from_json(text: str) -> RunSpec:
    """Inverse of `spec_to_json`; fields that are younger than the row get their defaults."""
    values: dict[str, Any] = json.loads(text)
    return RunSpec(
        **{
            **values,
            "document_hashes": tuple(values["document_hashes"]),
            "config": ReadingConfig.from_dict(values["config"]),
            "companions": tuple(values.get("companions", ())),
        }
    )


def claims_to_json(claims: tuple[Claim, ...]) -> str:
    """The statements of an answer."""
    return json.dumps([dataclasses.asdict(claim) for claim in claims])


def answer_from_row(row: Row) -> AnswerFinished:
    """An answer, from a row of `answers`."""
    return AnswerFinished(
        text=row["text"], answered=bool(row["answered"]), claims=_claims_from_json(row["claims_json"])
    )


def evidence_from_row(row: Row) -> Evidence:
    """An excerpt, from a row of `evidence`."""
    return Evidence(**{field.name: row[field.name] for field in dataclasses.fields(Evidence)})


def _claims_from_json(text: str) -> tuple[Claim, ...]:
    return tuple(
        Claim(text=values["text"], evidence=Evidence(**values["evidence"]) if values["evidence"] else None)
        for values in json.loads(text)
    )
