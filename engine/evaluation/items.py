"""What is asked in an evaluation: a question, its document, the answers that count and where the document says so."""

from dataclasses import dataclass

from engine.documents.model import Document


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A stretch of `Document.text`: [start, end)."""

    start: int
    end: int

    def overlaps(self, start: int, end: int) -> bool:
        """Whether it shares a character with [start, end)."""
        return self.start < end and start < self.end


@dataclass(frozen=True, slots=True, kw_only=True)
class Gold:
    """One thing that has to be found.

    Attributes:
        answers: wordings, any of which counts; the best one does.
        evidence: places that say so, all of which are needed; () = not known.
    """

    answers: tuple[str, ...]
    evidence: tuple[Place, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One question of an evaluation.

    Attributes:
        item_id: name within the task.
        question: the question.
        golds: what has to be found; all of it; () = the document does not say, and that is the right answer.
        document: where it has to be found.
        num_tokens: length of the document in tokens of the model that is evaluated.
        look_alikes: places that resemble the evidence and do not answer.
    """

    item_id: str
    question: str
    golds: tuple[Gold, ...]
    document: Document
    num_tokens: int
    look_alikes: tuple[Place, ...] = ()

    @property
    def evidence(self) -> tuple[Place, ...]:
        """Places of all evidence, in reading order."""
        return tuple(sorted({place for gold in self.golds for place in gold.evidence}))

    def position(self, gold: Gold) -> float | None:
        """Where the document has said all that a gold needs, as a share of its length in [0, 1]; None = not known."""
        if not gold.evidence or not self.document.text:
            return None
        return max(place.start for place in gold.evidence) / len(self.document.text)
