"""What identifies a run: everything that must be equal for a reading to go on."""

import dataclasses
import hashlib
import json
from dataclasses import dataclass

from engine.agent.config import ReadingConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSpec:
    """The identity of a run.

    Attributes:
        question: the user's question.
        document_hashes: content hashes of the documents, in reading order.
        model_name: for people; not compared.
        model_fingerprint: hash of the model.
        prompt_set: name of the prompt set.
        prompt_hash: sha256 of the prompt set's wording.
        plan_hash: sha256 of the chunk plan (offsets and token ids of all units).
        config: the settings.
        first_chunk: index of the first chunk that this run planned itself; those before it were taken over, with
            the memory after them, from the run that it continues.
        first_document: document in which its own chunks begin.
        first_offset: offset there.
        base_plan_hash: plan hash of the run that it continues; "" = it continues none.
        companions: all questions of the pass, in order, if a joint gate decides which of them a chunk is read for;
            () = this question was read for alone.
        is_proven: whether the coverage rests on token ids of the model's own tokenizer; see
            `engine.backends.base.ModelInfo.proves_tokens`. Not compared: it follows from the model.
        read_for: the question that the chunks before `first_chunk` were read for, if it was another one; "" = for
            this one.
    """

    question: str
    document_hashes: tuple[str, ...]
    model_name: str
    model_fingerprint: str
    prompt_set: str
    prompt_hash: str
    plan_hash: str
    config: ReadingConfig
    first_chunk: int = 0
    first_document: int = 0
    first_offset: int = 0
    base_plan_hash: str = ""
    companions: tuple[str, ...] = ()
    is_proven: bool = True
    read_for: str = ""

    @property
    def key(self) -> str:
        """sha256 over all that must be equal."""
        values = dataclasses.asdict(self)
        del values["model_name"], values["is_proven"]
        if not self.companions:
            del values["companions"]  # so that runs from before there were any keep their key
        if not self.read_for:
            del values["read_for"]  # likewise
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()

    def differences(self, other: "RunSpec") -> list[str]:
        """What differs from another spec, in words for people: "the document", "the model", ..."""
        names: dict[str, str] = {
            "question": "the question",
            "document_hashes": "the document",
            "model_fingerprint": "the model",
            "prompt_set": "the prompt set",
            "prompt_hash": "the wording of the prompts",
            "plan_hash": "the chunk plan",
            "config": "the settings",
            "companions": "the questions of the pass",
            "read_for": "the question that was read for",
        }
        return [words for field, words in names.items() if getattr(self, field) != getattr(other, field)]
