"""What the reader is trained on: a document, a question and the answers that count.

Tasks are a function of their number, so that the cursor of a run is one integer: generated needles (facts between
sentences of plain text or of other facts; no model and no corpus needed), or a file of questions on the user's own
documents.
"""

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from engine.documents.model import Document, PageDraft, lay_out
from engine.errors import PlanError
from engine.evaluation.facts import Fact, FactGenerator, FactLists, held_together
from engine.sentences import sentence_spans
from engine.text import collapse_whitespace, json_lines
from trainer.lists import with_corpus_words, words_in

DataKind = Literal["needles", "file"]
Phrasings = Literal["written", "assembled"]
_FEWEST_WORDS, _MOST_WORDS = 4, 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One question.

    Attributes:
        task_id: name; equal names are equal tasks.
        document: what is read.
        question: what is asked.
        golds: what has to be found, each in its wordings; () = the document does not say.
        evidence: verbatim sentences of the document that say so.
        num_chunks: length that was asked for, in chunks; 0 = not known.
        position: where the (last) evidence stands, as a share of the document; None = nowhere.
    """

    task_id: str
    document: Document
    question: str
    golds: tuple[tuple[str, ...], ...]
    evidence: tuple[str, ...] = ()
    num_chunks: int = 0
    position: float | None = None


class TaskSource(Protocol):
    """Where tasks come from."""

    def task(self, number: int) -> Task:
        """The task of this number, from 0 on without end; the same number gives the same task."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class DataConfig:
    """What is trained on.

    Attributes:
        kind: needles = generated; file = JSON lines with question, golds, text, and evidence if it is known.
        file: for `file`: where the lines are.
        texts: for `needles`: text files whose sentences the needles stand between; none = sentences of other facts.
        chunks: lengths of documents in chunks, drawn evenly.
        look_alikes: facts in each document that resemble the one asked for.
        phrasings: for `needles`: a few dozen written ones, or thousands assembled from parts, the words and names of
            `texts` among them: clumsy, but small models learn the written ones by heart instead of how to read.
        unanswerable: share of questions that the document does not answer, in [0, 1).
        seed: of the generated tasks.
    """

    kind: DataKind = "needles"
    file: str = ""
    texts: tuple[str, ...] = ()
    chunks: tuple[int, ...] = (2, 4, 8)
    look_alikes: int = 2
    phrasings: Phrasings = "written"
    unanswerable: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.chunks or min(self.chunks) < 1:
            raise PlanError("data.chunks must hold at least one length, each of at least 1 chunk.")
        if not 0 <= self.unanswerable < 1 or self.look_alikes < 0:
            raise PlanError("data.unanswerable must lie in [0, 1) and data.look_alikes must not be negative.")
        if self.kind == "file" and not self.file:
            raise PlanError("data.kind is 'file', but data.file names none.")


class Needles:
    """Documents with one fact to be found.

    Args:
        lists: words and phrasings; training and evaluation have their own.
        config: see `DataConfig`.
        tokenize: the model's tokenizer for data.
        chunk_tokens: length of a chunk.
        prefix: of the names of the tasks.
    """

    def __init__(
        self,
        lists: FactLists,
        config: DataConfig,
        *,
        tokenize: Callable[[str], Sequence[int]],
        chunk_tokens: int,
        prefix: str = "needle",
    ) -> None:
        self._config = config
        self._tokenize = tokenize
        self._chunk_tokens = chunk_tokens
        self._prefix = prefix
        self._sentences = [s for path in config.texts for s in _sentences(Path(path))]
        is_assembled = config.phrasings == "assembled"
        self._lists = with_corpus_words(lists, words_in(self._sentences)) if is_assembled else lists

    def task(self, number: int) -> Task:
        """The needle of this number. Lengths take turns, positions are spread evenly (golden ratio)."""
        rng = random.Random(f"{self._prefix}/{self._config.seed}/{number}")
        facts = FactGenerator(self._lists, rng)
        num_chunks = self._config.chunks[number % len(self._config.chunks)]
        is_answerable = rng.random() >= self._config.unanswerable
        position = (0.5 + number * 0.6180339887498949) % 1.0
        fact = facts.fact()
        others = facts.look_alikes(fact, self._config.look_alikes)
        filler = self._filler(facts, fact, others, num_chunks, rng)
        for other in others:
            filler.insert(rng.randint(0, len(filler)), other.statement)
        if is_answerable:
            filler.insert(round(position * len(filler)), fact.statement)
        return Task(
            task_id=f"{self._prefix}-{self._config.seed}-{number}",
            document=make_document(f"{self._prefix}-{number}", filler),
            question=facts.question(fact),
            golds=((fact.value,),) if is_answerable else (),
            evidence=(fact.statement,) if is_answerable else (),
            num_chunks=num_chunks,
            position=position if is_answerable else None,
        )

    def _filler(
        self, facts: FactGenerator, fact: Fact, others: Sequence[Fact], num_chunks: int, rng: random.Random
    ) -> list[str]:
        """Sentences that fill about so many chunks together with the facts."""
        # The last chunk is left part empty, so that labels and sentence ends do not open one more.
        room = int((num_chunks - 0.35) * self._chunk_tokens)
        room -= sum(self._cost(each.statement) for each in (fact, *others))
        start = rng.randrange(len(self._sentences)) if self._sentences else 0
        sentences: list[str] = []
        while room > 0:
            if self._sentences:
                sentence = self._sentences[(start + len(sentences)) % len(self._sentences)]
            else:
                other = facts.fact()
                if other.value == fact.value or not held_together((other, fact), fact):
                    continue
                sentence = other.statement
            sentences.append(sentence)
            room -= self._cost(sentence)
        return sentences

    def _cost(self, sentence: str) -> int:
        return len(self._tokenize(" " + sentence)) + 1


class FileTasks:
    """Questions from a file of JSON lines: question, golds (a list of answers or of lists of wordings), text,
    and optionally evidence (a list of verbatim sentences), num_chunks and id; `trainer.corpora` writes such files.

    Args:
        path: the file.
        seed: of the order, which is another one each time round.

    Raises:
        PlanError: it cannot be read, or evidence does not stand in its text.
    """

    def __init__(self, path: Path, seed: int) -> None:
        self._seed = seed
        try:
            lines = json_lines(path.read_text("utf-8-sig"))
            self._tasks = [_parse(json.loads(line), number) for number, (_, line) in enumerate(lines)]
        except (OSError, ValueError, KeyError, TypeError) as exc:
            raise PlanError(
                f"The questions in {path} cannot be used: {exc}.",
                hint="Each line must be a JSON object with question, golds and text.",
            ) from exc
        if not self._tasks:
            raise PlanError(f"{path} holds no questions.")

    def task(self, number: int) -> Task:
        """The task of this number, in an order of its own each time round."""
        turn, place = divmod(number, len(self._tasks))
        order = list(range(len(self._tasks)))
        random.Random(f"order/{self._seed}/{turn}").shuffle(order)
        return self._tasks[order[place]]


def _parse(line: dict[str, object], number: int) -> Task:
    text, question, golds = str(line["text"]), str(line["question"]), line["golds"]
    evidence = line.get("evidence", [])
    if not isinstance(golds, list) or not isinstance(evidence, list):
        raise ValueError(f"golds and evidence of line {number + 1} must be lists")
    places = [text.find(str(quote)) for quote in evidence]
    if any(place < 0 for place in places):
        raise ValueError(f"the evidence of line {number + 1} does not stand in its text")
    return Task(
        task_id=str(line.get("id", f"question-{number}")),
        document=make_document(f"document-{number}", [text]),
        question=question,
        golds=tuple(tuple(map(str, gold)) if isinstance(gold, list) else (str(gold),) for gold in golds),
        evidence=tuple(map(str, evidence)),
        num_chunks=int(str(line.get("num_chunks", 0))),
        position=max(places) / len(text) if places else None,
    )


def make_document(name: str, sentences: Sequence[str]) -> Document:
    """A document of one page."""
    return Document(
        name=name,
        path=Path(name),
        format="text",
        kind="section",
        pages=lay_out([PageDraft(text=_paragraphs(sentences))]),
    )


def _paragraphs(sentences: Sequence[str]) -> str:
    """Sentences joined; a table row or caption, which ends in no full stop, gets a paragraph of its own."""
    pieces: list[str] = []
    for sentence in sentences:
        pieces.append(sentence)
        pieces.append(" " if sentence.endswith((".", '"', "!", "?")) else "\n\n")
    return "".join(pieces[:-1])


def _sentences(path: Path) -> list[str]:
    try:
        text = path.read_text("utf-8")
    except (OSError, ValueError) as exc:
        raise PlanError(f"The text {path} cannot be read.", hint="data.texts must name text files.") from exc
    spans = (collapse_whitespace(text[start:end]).strip() for start, end in sentence_spans(text))
    found = [s for s in spans if s.endswith(".") and _FEWEST_WORDS <= len(s.split()) <= _MOST_WORDS]
    if not found:
        raise PlanError(f"{path} holds no sentences.")
    return found
