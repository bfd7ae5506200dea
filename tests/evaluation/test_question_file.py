"""A user's own questions as JSON lines and CSV, good ones and bad ones."""

import json
from pathlib import Path

import pytest

from engine.errors import PlanError
from engine.evaluation.haystack import TokenCounter
from engine.evaluation.tasks.question_file import load_questions
from engine.paths import RESOURCES

TEXT = "The quay was built by Ansel Brodersen.\nIt took four years and cost 9,000 crowns."


def counter() -> TokenCounter:
    return TokenCounter(lambda text: [ord(char) for char in text])


def test_json_lines_with_text_and_documents(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "quay.txt").write_text(TEXT, "utf-8")
    lines: list[dict[str, object]] = [
        {"id": "a", "question": "Who built it?", "answers": ["Ansel Brodersen"], "context": TEXT},
        {"id": 2, "question": "What did it cost?", "answers": ["9,000 crowns"], "document": "docs/quay.txt"},
        {"question": "Who paid?", "answers": [], "context": TEXT, "quote": ""},
    ]
    lines[1]["quote"] = "It took four  years and cost 9,000 crowns."
    path = tmp_path / "mine.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)) + "\n\n", "utf-8-sig")
    task = load_questions(path, counter())
    items = [task.item(0, index) for index in range(3)]
    assert [item.item_id for item in items] == ["a", "2", "3"]
    assert items[0].document.text == items[1].document.text == TEXT
    assert items[0].num_tokens == len(TEXT)
    (gold,) = items[1].golds
    (place,) = gold.evidence
    assert items[1].document.text[place.start : place.end] == "It took four years and cost 9,000 crowns."
    assert items[2].golds == ()


def test_a_text_may_hold_line_separators(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    lines = [
        {"question": f"Who built it {mark}?", "answers": ["Ansel"], "context": f"By{mark}Ansel."}
        for mark in "\u2028\x85"
    ]
    path.write_text("\r\n".join(json.dumps(line, ensure_ascii=False) for line in lines), "utf-8")
    assert len(load_questions(path, counter()).lines) == 2


def test_csv(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(
        "id,question,answers,context\r\n"
        'a,"Who built it, and when?",Ansel Brodersen | Brodersen,"A quay, built\nby Ansel Brodersen."\r\n'
        'b,What is "it"?,"[""a, b"", ""c""]",A quay.\r\n'
        "c,Who paid?,,A quay.\r\n",
        "utf-8",
    )
    task = load_questions(path, counter())
    assert [line.answers for line in task.lines] == [("Ansel Brodersen", "Brodersen"), ("a, b", "c"), ()]
    assert task.lines[0].question == "Who built it, and when?"
    assert task.item(0, 0).document.text == "A quay, built\nby Ansel Brodersen."


def test_a_document_for_all_lines_and_a_key_that_knows_its_content(tmp_path: Path) -> None:
    document = tmp_path / "quay.txt"
    document.write_text(TEXT, "utf-8")
    path = tmp_path / "mine.jsonl"
    path.write_text('{"question": "Who built it?", "answers": "Brodersen"}\n', "utf-8")
    task = load_questions(path, counter(), document=document)
    assert task.item(0, 0).document.text == TEXT
    assert task.item(0, 0).golds[0].answers == ("Brodersen",)
    document.write_text(TEXT + " More.", "utf-8")
    assert load_questions(path, counter(), document=document).content_hash != task.content_hash


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "is not JSON"),
        ("[]", "no JSON object"),
        ('{"answers": ["x"], "context": "y"}', "has no question"),
        ('{"question": "  ", "answers": ["x"], "context": "y"}', "has no question"),
        ('{"question": "q", "context": "y"}', "no list of answers"),
        ('{"question": "q", "answers": [1], "context": "y"}', "no list of answers"),
        ('{"question": "q", "answers": ["x"]}', "neither a context nor a document"),
        ('{"question": "q", "answers": ["x"], "context": ""}', "neither a context nor a document"),
        ('{"question": "q", "answers": ["x"], "document": 7}', "a path is a text"),
        ('{"question": "q", "answers": ["x"], "document": "gone.pdf"}', "not there: gone.pdf"),
        ('{"question": "q", "answers": ["x"], "context": "y", "quote": 3}', "quote"),
    ],
)
def test_a_bad_line_is_named(line: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text('{"id": "ok", "question": "q", "answers": ["x"], "context": "y"}\n\n' + line, "utf-8")
    with pytest.raises(PlanError, match=r"Line 3 of mine\.jsonl") as error:
        load_questions(path, counter())
    assert said in error.value.message
    assert "\n" not in error.value.message
    assert '"answers"' in error.value.hint


def test_bad_files(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    with pytest.raises(PlanError, match="cannot be read"):
        load_questions(path, counter())
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(PlanError, match="cannot be read"):
        load_questions(path, counter())
    path.write_text("\n\n", "utf-8")
    with pytest.raises(PlanError, match="no question"):
        load_questions(path, counter())
    path.write_text('{"id": "a", "question": "q", "answers": [], "context": "y"}\n' * 2, "utf-8")
    with pytest.raises(PlanError, match=r"'a' stands in mine\.jsonl more than once"):
        load_questions(path, counter())
    csv = tmp_path / "mine.csv"
    csv.write_text("frage,antwort\nwer,er\n", "utf-8")
    with pytest.raises(PlanError, match=r"Line 2 of mine\.csv has no question"):
        load_questions(csv, counter())


def test_the_sample_questions_can_be_asked() -> None:
    folder = RESOURCES / "samples"
    task = load_questions(folder / "questions.jsonl", counter(), document=folder / "kestrelmouth-report.pdf")
    item = task.item(0, 0)
    assert task.size == 40
    assert item.evidence
    assert sum(not line.answers for line in task.lines) == 6
