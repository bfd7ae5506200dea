"""Hand-written questions on chapters of books that the bundled model never saw: how it reads what people wrote.

    python -m benchmarks.book_questions --books FOLDER [--model FILE] [--baseline NAME ...] [--json] [--output FOLDER]

The project ships the questions (``benchmarks/questions/held-back-books.jsonl``), not the books. FOLDER holds them as
Markdown, each with its title in the first line. A line of the questions names the book, the headings that lead to the
chapter (``BOOK TEN: 1812 / CHAPTER IX``; a chapter ends at the next heading of any level), a quote of a few words that
answers and a kind:

- ``same-words``: asked close to the text;
- ``other-words``: asked clearly otherwise;
- ``sentence-before``: whom or what the answering sentence speaks of stands before it;
- ``unanswerable``: the passage does not say; ``answers`` is [] and there is no quote.

A question's document is its chapter; one of less than 4,000 tokens is followed by the book's next paragraphs until
there are 8,000. Lengths are taken from characters, so that all models read the same text. Every quote has to stand
exactly once in its document and has to hold one of the answers. Everything else is `palimpsest eval questions`.
"""

import argparse
import json
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.environment import describe
from benchmarks.needle import CHARACTERS_PER_TOKEN
from engine.agent.plan import default_config
from engine.cancel import CancelToken
from engine.documents.reader import open_document
from engine.documents.source import Source
from engine.errors import DocumentNotFoundError, PalimpsestError, PlanError
from engine.evaluation import tables
from engine.evaluation.bootstrap import Estimate, paired_difference
from engine.evaluation.contenders import Contenders
from engine.evaluation.evaluate import evaluate
from engine.evaluation.haystack import TokenCounter
from engine.evaluation.metrics import best_of, containment
from engine.evaluation.report import Report, Summary, summarise
from engine.evaluation.runner import Progress, Scope
from engine.evaluation.scoring import METRICS
from engine.evaluation.store import FILE_NAME, EvaluationStore, Result
from engine.evaluation.systems import Known
from engine.evaluation.tasks.question_file import load_questions
from engine.front import ModelChoice
from engine.models.catalogue import BUNDLED
from engine.text import collapse_whitespace, locate

QUESTIONS = Path(__file__).parent / "questions" / "held-back-books.jsonl"
UNANSWERABLE = "unanswerable"
KINDS = ("same-words", "other-words", "sentence-before", UNANSWERABLE)
ANSWERABLE = "answerable"
"""Not a kind of its own: all kinds but the last together."""

_SHORT_CHARS = round(4_000 * CHARACTERS_PER_TOKEN)
_FULL_CHARS = 2 * _SHORT_CHARS
_HEADING = re.compile(r"(?m)^#{1,6}[ \t]+(.*)$")
_TITLE = re.compile(r"#*\s*(?:Title:)?\s*(.*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class BookQuestion:
    """A line of the questions; see the module's docstring.

    Attributes:
        id: unique in the file.
        book: title.
        chapter: headings that lead to the chapter, divided by " / ".
        question: what is asked.
        answers: every wording that counts; () = the passage does not say.
        evidence: words of the text that answer; "" where nothing does.
        kind: one of `KINDS`.
    """

    id: str
    book: str
    chapter: str
    question: str
    answers: tuple[str, ...]
    evidence: str
    kind: str


def read_questions(path: Path) -> tuple[BookQuestion, ...]:
    """The questions of a file.

    Raises:
        engine.errors.DocumentError: the file cannot be read.
        PlanError: a line is not what it should be.
    """
    found = []
    for number, line in enumerate(Source(path=path).read_text().splitlines(), 1):
        try:
            row = json.loads(line)
            one = BookQuestion(**(row | {"answers": tuple(row["answers"])}))
        except (ValueError, TypeError, KeyError) as exc:
            raise PlanError(f"Line {number} of {path.name} is no question on a book: {exc!r}.") from exc
        is_answered = one.kind != UNANSWERABLE
        if one.kind not in KINDS or is_answered != bool(one.answers) or is_answered != bool(one.evidence):
            raise PlanError(f"Kind, answers and evidence of {one.id} in {path.name} contradict one another.")
        if is_answered and not best_of(containment, one.evidence, one.answers):
            raise PlanError(f"The quote of {one.id} in {path.name} holds none of its answers.")
        found.append(one)
    return tuple(found)


def find_books(folder: Path, titles: Sequence[str]) -> dict[str, str]:
    """Markdown text of each book, by title.

    Raises:
        DocumentNotFoundError: a book is not there.
        engine.errors.DocumentError: a file cannot be read.
    """
    books: dict[str, str] = {}
    for path in sorted(folder.rglob("*.md")):
        with path.open("rb") as opened:  # dozens of other books may lie beside these
            first = _TITLE.match(opened.readline(400).decode("utf-8-sig", "ignore"))
        title = first[1].strip() if first else ""
        if title in titles and title not in books:
            books[title] = Source(path=path).read_text()
    missing = [title for title in titles if title not in books]
    if missing:
        raise DocumentNotFoundError(
            f"There is no {', no '.join(missing)} in the folder {folder.name}.",
            hint="Each book is a Markdown file that begins with '# Title: ' and its title.",
        )
    return books


def passage_of(book: str, chapter: str) -> str | None:
    """What is read for the questions on a chapter, as Markdown; None = there is no such chapter.

    Args:
        book: Markdown of the whole book.
        chapter: see `BookQuestion.chapter`.
    """
    headings = [(match.start(), collapse_whitespace(match[1])) for match in _HEADING.finditer(book)]
    at = -1
    for wanted in chapter.split(" / "):
        later = (number for number in range(at + 1, len(headings)) if headings[number][1] == wanted)
        at = next(later, -1)
        if at < 0:
            return None
    start = headings[at][0]
    end = headings[at + 1][0] if at + 1 < len(headings) else len(book)
    if end - start < _SHORT_CHARS:
        end = book.find("\n\n", start + _FULL_CHARS)
    return book[start : end if end >= 0 else len(book)]


def write_documents(questions: Sequence[BookQuestion], books: Mapping[str, str], folder: Path) -> Path:
    """Write every passage as a document, and the questions as `palimpsest eval questions` reads them.

    Returns:
        The file of questions.

    Raises:
        PlanError: a chapter is missing, or a quote does not stand in its passage exactly once.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names: dict[tuple[str, str], str] = {}
    lines = []
    for one in questions:
        place = (one.book, one.chapter)
        if place not in names:
            passage = passage_of(books[one.book], one.chapter)
            if passage is None:
                raise PlanError(f"{one.book} has no chapter '{one.chapter}'.", hint=f"Asked for by {one.id}.")
            names[place] = f"passage-{len(names) + 1}.md"
            (folder / names[place]).write_text(passage, encoding="utf-8")
        document = folder / names[place]
        _check_quote(one, document)
        values = {"id": one.id, "question": one.question, "answers": one.answers, "quote": one.evidence}
        lines.append(json.dumps(values | {"document": document.name}, ensure_ascii=False))
    path = folder / "book-questions.jsonl"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _check_quote(one: BookQuestion, document: Path) -> None:
    found = len(locate(one.evidence, open_document(document).text)) if one.evidence else 1
    if found != 1:
        often = "nowhere" if not found else f"{found} times"
        raise PlanError(
            f"The quote of {one.id} stands {often} in {one.book}, {one.chapter}: '{one.evidence}'.",
            hint="It has to stand there exactly once; is it another edition?",
        )


def by_kind(report: Report, store: EvaluationStore, kinds: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Figures of every system by kind of question, and how far the first is ahead of each other one.

    Args:
        report: the whole evaluation.
        store: where its results are.
        kinds: of each question, in the order of the file.
    """
    scope = report.scope
    groups: dict[str, Callable[[str], bool]] = {ANSWERABLE: lambda kind: kind != UNANSWERABLE}
    groups |= {kind: kind.__eq__ for kind in KINDS}
    figures: dict[str, dict[str, Any]] = {}
    first: list[Result] = []
    for system in report.systems:
        known = Known(system.name, system.identity)
        results = store.results(scope.task, known, lengths=scope.lengths, num_items=scope.num_items)
        first = first or results
        figures[system.name] = {}
        for name, belongs in groups.items():
            chosen = [number for number, kind in enumerate(kinds) if belongs(kind)]
            ours, theirs = [first[number] for number in chosen], [results[number] for number in chosen]
            figures[system.name][name] = {"summary": summarise(theirs), "difference": _ahead(ours, theirs)}
    return figures


def _ahead(ours: Sequence[Result], theirs: Sequence[Result]) -> dict[str, Estimate | None]:
    """By metric, ours minus theirs; what does not fit a system counts as not answered."""
    return {
        name: paired_difference(
            [getattr(one.score, name) for one in ours], [getattr(one.score, name) for one in theirs]
        )
        for name in METRICS
    }


def table(figures: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    """Kinds of questions as Markdown, percent with 95 % bootstrap intervals."""

    def rows() -> Iterator[tuple[str, ...]]:
        yield "kind", "system", "n", "exact", "F1", "contains", "in memory"
        yield ("---",) * 7
        for kind in (ANSWERABLE, *KINDS):
            for name, groups in figures.items():
                summary: Summary = groups[kind]["summary"]
                shown = (*summary.metrics.values(), summary.in_memory)
                yield kind, name, str(summary.n), *map(_percent, shown)

    return "\n".join("| " + " | ".join(row) + " |" for row in rows())


def _percent(one: Estimate | None) -> str:
    return f"{100 * one.value:.0f} ({100 * one.low:.0f} to {100 * one.high:.0f})" if one else ""


def _plain(figures: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> dict[str, Any]:
    """`by_kind` as values for JSON."""
    return {
        name: {
            kind: group["summary"].as_dict()
            | {"ahead": {metric: asdict(one) for metric, one in group["difference"].items() if one}}
            for kind, group in groups.items()
        }
        for name, groups in figures.items()
    }


def measure(options: argparse.Namespace, folder: Path) -> tuple[dict[str, Any], str]:
    """Everything: a report for programs and one for people.

    Raises:
        PalimpsestError: something is missing, does not fit together, or the model failed.
    """
    questions = read_questions(options.questions)
    books = find_books(options.books, tuple(dict.fromkeys(one.book for one in questions)))
    path = write_documents(questions, books, folder)
    choice = ModelChoice(model=str(options.model), num_threads=options.threads)
    cancel = CancelToken()
    with Contenders(folder, choice, cancel).opened() as models, EvaluationStore(folder / FILE_NAME) as store:
        config = default_config(models.backend, models.prompts)
        task = load_questions(path, TokenCounter(models.backend.tokenize))
        openings = [models.reader(config), *(models.baseline(name, config) for name in options.baseline)]
        scope = Scope(task=task, lengths=(0,), num_items=len(questions))
        report = evaluate(scope, openings, store, on_progress=_show, cancel=cancel)
        figures = by_kind(report, store, [one.kind for one in questions])
    values = {"benchmark": "book questions", "source": describe(), "by_question_kind": _plain(figures)}
    return values | report.as_dict(), f"{tables.markdown(report)}\n{table(figures)}\n"


def _show(progress: Progress) -> None:
    if progress.done % 10 == 0 or progress.done == progress.total:
        print(f"{progress.system}: {progress.done} of {progress.total}", file=sys.stderr, flush=True)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--books", type=Path, required=True, help="folder with the books as Markdown")
    parser.add_argument("--model", type=Path, default=BUNDLED)
    parser.add_argument("--questions", type=Path, default=QUESTIONS)
    parser.add_argument("--baseline", nargs="*", default=["bm25"], help="as of palimpsest eval")
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--output",
        type=Path,
        help="folder for passages, results and report.json; where it stopped it goes on",
    )
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = options.output
        if folder is None:
            temporary = tempfile.TemporaryDirectory(prefix="palimpsest-benchmark-")
            folder = Path(stack.enter_context(temporary))
        try:
            report, text = measure(options, folder)
        except PalimpsestError as exc:
            raise SystemExit(str(exc)) from exc
        whole = json.dumps(report, indent=1, ensure_ascii=False) + "\n"
        if options.output:
            (folder / "report.json").write_text(whole, encoding="utf-8")
        print(whole if options.json else text, end="")


if __name__ == "__main__":
    main()
