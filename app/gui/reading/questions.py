"""Questions out of what somebody typed or out of a file."""

import csv
import io
from collections.abc import Iterable
from pathlib import Path

from app.gui.reading.words import fill, one_line, translate
from engine.errors import PlanError

_MOST_BYTES = 1_000_000
_MOST_QUESTIONS = 1000
_HEADS = ("question", "questions", "frage", "pregunta")


def split_lines(text: str) -> list[str]:
    """One question a line; empty lines and repeated questions do not count."""
    return _tidy(text.splitlines())


def read_questions(path: Path) -> list[str]:
    """Questions from a file: of a CSV the column "question", or the first one; else one a line, without lines that
    begin with #.

    Raises:
        PlanError: the file cannot be read, is too large, or holds none.
    """
    name = one_line(path.name, 80)
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise PlanError(
                fill(translate("Reading", "%1 is too large to be a list of questions."), name),
                hint=translate("Reading", "At most 1 MB are read."),
            )
        text = path.read_text("utf-8-sig")
    except (OSError, ValueError) as exc:
        reason = (
            exc.strerror
            if isinstance(exc, OSError) and exc.strerror
            else translate("Reading", "it is not UTF-8 text")
        )
        raise PlanError(
            fill(translate("Reading", "The questions in %1 cannot be read: %2."), name, reason),
            hint=translate(
                "Reading",
                "A text file with one question a line, or a CSV file with a column “question”, in UTF-8.",
            ),
        ) from exc
    if path.suffix.lower() in (".csv", ".tsv"):
        questions = _tidy(_column(text, name))
    else:
        questions = _tidy(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    if not questions:
        raise PlanError(
            fill(translate("Reading", "There is no question in %1."), name),
            hint=translate("Reading", "One question a line."),
        )
    if len(questions) > _MOST_QUESTIONS:
        raise PlanError(
            fill(translate("Reading", "%1 holds more than 1,000 questions."), name),
            hint=translate("Reading", "Ask them in several readings."),
        )
    return questions


def _column(text: str, name: str) -> Iterable[str]:
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    try:
        rows = [
            row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True) if row
        ]
    except csv.Error as exc:
        raise PlanError(
            fill(translate("Reading", "%1 is not a CSV file that can be read: %2."), name, str(exc)),
            hint=translate("Reading", "Quote cells that hold quotation marks or line ends."),
        ) from exc
    heads = [cell.strip().lower() for cell in rows[0]] if rows else []
    for place, head in enumerate(heads):
        if head in _HEADS:
            return [row[place] for row in rows[1:] if len(row) > place]
    return [row[0] for row in rows]


def _tidy(lines: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(text for line in lines if (text := " ".join(line.split()))))
