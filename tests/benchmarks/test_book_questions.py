"""Questions on books: the shipped ones say what they should, fit the books, and the benchmark runs on any book."""

import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import book_questions
from benchmarks.book_questions import (
    KINDS,
    QUESTIONS,
    find_books,
    passage_of,
    read_questions,
    write_documents,
)
from engine.documents.reader import open_document
from engine.errors import DocumentNotFoundError, PlanError
from engine.evaluation.held_back import HELD_BACK_BOOKS
from engine.models.catalogue import BUNDLED
from engine.text import locate, sentence_spans

BOOKS = Path(__file__).resolve().parents[3] / "shared" / "data" / "books" / "md"
MOST_EVIDENCE_WORDS = 15

_FILLER = (
    "The crew of the old ferry mended nets until noon, and nobody on the pier had seen a sail since June. "
)
_LONG = "\n\n".join([_FILLER] * 400)
BOOK = f"""# Title: The Quiet Harbour

##  PART ONE

###  CHAPTER I

{_FILLER * 3}

The clock of the harbour office was _built by Osric Thorne_. {_FILLER * 3}

##  CHAPTER II

{_FILLER * 3}

##  PART TWO

###  CHAPTER I

The lamp was paid for by Maud Ashby.

{_LONG}
"""
ROW = {
    "id": "harbour-1",
    "book": "The Quiet Harbour",
    "chapter": "PART ONE / CHAPTER I",
    "question": "Who built the clock of the harbour office?",
    "answers": ["Osric Thorne"],
    "evidence": "was built by Osric Thorne",
    "kind": "same-words",
}
UNANSWERED = ROW | {
    "id": "harbour-2",
    "question": "What did the clock weigh?",
    "answers": [],
    "evidence": "",
    "kind": "unanswerable",
}

Write = Callable[..., Path]

_LITTLE_WORDS = set(
    "a an the of to in on at was is did do what which who where how many much when had has been with for and it "
    "from that by s his her he she were there would one".split()
)


def _stems(text: str) -> set[str]:
    """Beginnings of the words that tell something."""
    return {word[:5] for word in re.findall(r"\w+", text.lower()) if word not in _LITTLE_WORDS}


@pytest.fixture
def books(tmp_path: Path) -> Path:
    folder = tmp_path / "books"
    folder.mkdir()
    (folder / "harbour.md").write_text(BOOK, "utf-8")
    (folder / "other.md").write_text("# Another book\n\nNot asked about.\n", "utf-8")
    return folder


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def _write(*rows: dict[str, object]) -> Path:
        path = tmp_path / "questions.jsonl"
        path.write_text("\n".join(map(json.dumps, rows)) + "\n", "utf-8")
        return path

    return _write


def test_what_ships() -> None:
    questions = read_questions(QUESTIONS)
    assert Counter(one.kind for one in questions) == dict(zip(KINDS, (20, 20, 10, 10), strict=True))
    assert {one.book for one in questions} == set(HELD_BACK_BOOKS)
    assert len({one.id for one in questions}) == len(questions) == len({one.question for one in questions})
    # The books themselves are not copied into the project.
    assert max(len(one.evidence.split()) for one in questions) <= MOST_EVIDENCE_WORDS


@pytest.mark.skipif(not BOOKS.is_dir(), reason="needs the books of shared/data")
def test_every_quote_stands_in_its_book_once(tmp_path: Path) -> None:
    questions = read_questions(QUESTIONS)
    texts = find_books(BOOKS, HELD_BACK_BOOKS)
    path = write_documents(questions, texts, tmp_path)
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert [line["id"] for line in lines] == [one.id for one in questions]
    shares: dict[str, list[float]] = {kind: [] for kind in KINDS[:3]}
    for one, line in zip(questions, lines, strict=True):
        if one.evidence:
            text = open_document(tmp_path / line["document"]).text
            ((start, _),) = locate(one.evidence, text)
            sentence = next(text[low:high] for low, high in sentence_spans(text) if low <= start < high)
            asked = _stems(one.question)
            shares[one.kind].append(len(asked & _stems(sentence)) / len(asked))
    # The kinds are what they say: 82, 10 and 45 % of a question's words stand in the sentence that answers.
    means = [sum(values) / len(values) for values in shares.values()]
    assert [round(100 * mean) for mean in means] == [82, 10, 45]
    for title, text in texts.items():
        # Beginning, middle and end of every book are asked about.
        chapters = {one.chapter for one in questions if one.book == title}
        starts = [text.index(passage_of(text, chapter) or "missing") / len(text) for chapter in chapters]
        assert {min(2, int(3 * start)) for start in starts} == {0, 1, 2}, title


def test_passages() -> None:
    short = passage_of(BOOK, "PART ONE / CHAPTER I") or ""
    # A short chapter takes what follows along, in whole paragraphs.
    assert short.startswith("###  CHAPTER I\n")
    assert short.endswith(f"\n{_FILLER}")
    assert 0 <= len(short) - book_questions._FULL_CHARS <= len(_FILLER)
    # Another chapter of the same name; it is long enough, and the book ends with it.
    assert passage_of(BOOK, "PART TWO / CHAPTER I") == BOOK[BOOK.rindex("###") :]
    ended = BOOK + "\n## THE END\n\nNothing more.\n"
    assert passage_of(ended, "PART TWO / CHAPTER I") == ended[ended.rindex("###") : ended.index("## THE END")]
    assert passage_of(BOOK, "THE END") is None
    assert passage_of(BOOK, "PART TWO / CHAPTER II") is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"evidence": "The crew of the old ferry", "answers": ["ferry"]},
            r"harbour-1 stands \d+ times in The",
        ),
        (
            {"evidence": "was drawn by Osric Thorne"},
            "harbour-1 stands nowhere in The Quiet Harbour, PART ONE",
        ),
        ({"chapter": "CHAPTER V"}, "The Quiet Harbour has no chapter 'CHAPTER V'"),
        ({"answers": ["Maud Ashby"]}, "harbour-1 in questions.jsonl holds none of its answers"),
        ({"answers": []}, "harbour-1 in questions.jsonl contradict"),
        ({"kind": "hard"}, "harbour-1 in questions.jsonl contradict"),
        ({"author": "Nobody"}, "Line 1 of questions.jsonl is no question on a book"),
    ],
)
def test_what_does_not_fit_is_named(
    books: Path, tmp_path: Path, write: Write, change: dict[str, object], message: str
) -> None:
    path = write(ROW | change)
    with pytest.raises(PlanError, match=message):
        write_documents(read_questions(path), find_books(books, ["The Quiet Harbour"]), tmp_path / "out")


def test_a_missing_book_is_named(books: Path) -> None:
    with pytest.raises(DocumentNotFoundError, match="no Emma, no Dracula in the folder books"):
        find_books(books, ["Emma", "The Quiet Harbour", "Dracula"])


@pytest.mark.skipif(not BUNDLED.is_file(), reason="the bundled model is not in this checkout")
def test_report(
    books: Path,
    tmp_path: Path,
    write: Write,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = write(ROW, UNANSWERED)
    command = ["book_questions.py", "--books", str(books), "--questions", str(path), "--threads", "1"]
    monkeypatch.setattr("sys.argv", [*command, "--json", "--output", str(tmp_path / "out")])
    book_questions.main()
    report = json.loads(capsys.readouterr().out)
    assert report["n"] == 2
    kinds = report["by_question_kind"]
    assert list(kinds) == ["reader", "bm25"]
    assert kinds["reader"]["same-words"]["n"] == kinds["reader"]["unanswerable"]["n"] == 1
    assert kinds["reader"]["other-words"]["n"] == 0
    # One fact in the words of the text, in a document without look-alikes: what the model is made for.
    assert kinds["reader"]["answerable"]["em"]["value"] == 1.0
    assert kinds["reader"]["answerable"]["in_memory"]["value"] == 1.0
    assert (
        kinds["bm25"]["answerable"]["ahead"]["em"]["value"]
        == 1.0 - kinds["bm25"]["answerable"]["em"]["value"]
    )
    assert json.loads((tmp_path / "out" / "report.json").read_text("utf-8")) == report
    assert str(tmp_path) not in json.dumps(report)
    # Given again, it goes on where it stood: nothing is read a second time.
    monkeypatch.setattr("sys.argv", [*command, "--output", str(tmp_path / "out")])
    book_questions.main()
    shown = capsys.readouterr()
    assert "reader:" not in shown.err
    assert "| same-words | reader | 1 | 100 (100 to 100) |" in shown.out


def test_errors_are_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["book_questions.py", "--books", str(tmp_path)])
    with pytest.raises(
        SystemExit, match=r"There is no War and Peace, .* in the folder .*Each book is a Markdown file"
    ):
        book_questions.main()
