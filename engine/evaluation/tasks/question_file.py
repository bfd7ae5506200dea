"""A user's own questions: JSON lines or CSV, each with its text or the path of its document.

A line is ``{"id": ..., "question": ..., "answers": [...], "context": text}``, or has ``"document": path`` (from the
file's folder) instead of the text. No answers means that the document does not say. ``"quote"``, the sentence that
answers, is optional and tells where the evidence is. In CSV, several answers are divided by ``|``, or written as a
JSON list.
"""

import csv
import functools
import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.documents.model import Document
from engine.documents.reader import open_document
from engine.errors import PlanError
from engine.evaluation.haystack import TokenCounter, document_of
from engine.evaluation.items import Gold, Item, Place
from engine.evaluation.tasks.base import Parameters
from engine.text import json_lines, locate

_HINT = (
    'A line of it: {"id": "1", "question": "...", "answers": ["..."], "context": "..."} or with '
    '"document": "path"; CSV has these columns.'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One question of a file.

    Attributes:
        line_id: its name; unique in the file.
        question: what is asked.
        answers: every wording that counts; () = the document does not say.
        context: the text; None = it is in a file.
        document: that file.
        quote: the sentence that answers; "" = not known.
    """

    line_id: str
    question: str
    answers: tuple[str, ...]
    context: str | None
    document: Path | None
    quote: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionFileTask:
    """The questions of a file, in its order; there is no length to choose.

    Attributes:
        file_name: the file's name.
        lines: the questions.
        content_hash: sha256 of the file and of the documents that it names.
        counter: counts tokens as the model that is measured does.
    """

    file_name: str
    lines: tuple[Line, ...]
    content_hash: str
    counter: TokenCounter

    @property
    def name(self) -> str:
        """See `Task`."""
        return "questions"

    @property
    def parameters(self) -> Parameters:
        """See `Task`."""
        return {"file": self.file_name, "data_hash": self.content_hash}

    @property
    def size(self) -> int | None:
        """The file's questions."""
        return len(self.lines)

    def item(self, length_tokens: int, index: int) -> Item:
        """See `Task`; documents are as long as they are.

        Raises:
            engine.errors.DocumentError: a document cannot be read.
        """
        line = self.lines[index]
        document = _open(line)
        evidence = tuple(Place(*span) for span in locate(line.quote, document.text)[:1]) if line.quote else ()
        return Item(
            item_id=line.line_id,
            question=line.question,
            golds=(Gold(answers=line.answers, evidence=evidence),) if line.answers else (),
            document=document,
            num_tokens=self.counter.count(document.text),
        )


def _open(line: Line) -> Document:
    if line.document is not None:
        return _open_file(line.document)
    return document_of(line.context or "", f"{line.line_id}.txt")


@functools.lru_cache(maxsize=1)
def _open_file(path: Path) -> Document:
    """Questions on one document mostly follow one another."""
    return open_document(path)


def load_questions(path: Path, counter: TokenCounter, *, document: Path | None = None) -> QuestionFileTask:
    """Read a file of questions.

    Args:
        path: JSON lines, or CSV with a line of column names.
        counter: counts tokens as the model that is measured does.
        document: for questions that name neither text nor document.

    Raises:
        PlanError: it cannot be read, or a line of it is not what it should be.
    """
    try:
        data = path.read_bytes()
        text = data.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as exc:
        raise PlanError(f"The questions in {path.name} cannot be read: {exc}.", hint=_HINT) from exc
    rows = _csv_rows(text) if path.suffix.lower() == ".csv" else _json_rows(text, path.name)
    lines = [_line(row, number, path, document) for number, row in rows]
    if not lines:
        raise PlanError(f"There is no question in {path.name}.", hint=_HINT)
    names = [line.line_id for line in lines]
    double = next((name for name in names if names.count(name) > 1), None)
    if double is not None:
        raise PlanError(f"The id '{double}' stands in {path.name} more than once.", hint="Give each its own.")
    return QuestionFileTask(
        file_name=path.name, lines=tuple(lines), content_hash=_hash(data, lines), counter=counter
    )


def _hash(data: bytes, lines: list[Line]) -> str:
    digest = hashlib.sha256(data)
    for path in dict.fromkeys(line.document for line in lines if line.document is not None):
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _json_rows(text: str, name: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, line in json_lines(text):
        try:
            row = json.loads(line)
        except json.JSONDecodeError as exc:
            raise PlanError(f"Line {number} of {name} is not JSON: {exc}.", hint=_HINT) from exc
        if not isinstance(row, dict):
            raise PlanError(f"Line {number} of {name} is no JSON object.", hint=_HINT)
        yield number, row


def _csv_rows(text: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    reader = csv.DictReader(io.StringIO(text, newline=""), restkey="")
    for row in reader:
        values: dict[str, Any] = {
            key.strip(): value for key, value in row.items() if key and value is not None
        }
        answers = str(values.get("answers", "")).strip()
        values["answers"] = _csv_answers(answers)
        yield reader.line_num, {key: value for key, value in values.items() if value != ""}


def _csv_answers(text: str) -> list[str]:
    if text.startswith("["):
        try:
            parsed = json.loads(text)
        except json.JSONDecodeError:
            parsed = None
        if isinstance(parsed, list):
            return parsed
    return [part.strip() for part in text.split("|") if part.strip()]


def _line(row: Mapping[str, Any], number: int, path: Path, document: Path | None) -> Line:
    """A checked line.

    Raises:
        PlanError: something is missing or of the wrong kind.
    """

    def refuse(what: str) -> PlanError:
        return PlanError(f"Line {number} of {path.name} {what}.", hint=_HINT)

    question, answers = row.get("question"), row.get("answers")
    if not isinstance(question, str) or not question.strip():
        raise refuse("has no question")
    if isinstance(answers, str):
        answers = [answers]
    if not isinstance(answers, list) or not all(isinstance(one, str) and one.strip() for one in answers):
        raise refuse("has no list of answers; an empty list means that the document does not say")
    context, named = row.get("context"), row.get("document")
    if named is not None and not isinstance(named, str):
        raise refuse("names no document: a path is a text")
    chosen = path.parent / named if named else document if context is None else None
    if chosen is not None and not chosen.is_file():
        raise refuse(f"names a document that is not there: {named or chosen}")
    if chosen is None and (not isinstance(context, str) or not context.strip()):
        raise refuse("has neither a context nor a document")
    quote = row.get("quote") or ""
    if not isinstance(quote, str):
        raise refuse("has a quote that is no text")
    return Line(
        line_id=str(row.get("id") or number),
        question=question.strip(),
        answers=tuple(answers),
        context=None if chosen is not None else context,
        document=chosen,
        quote=quote,
    )
