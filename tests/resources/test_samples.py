"""The bundled document says what its questions claim, and comes out of its script byte for byte."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pypdfium2
import pytest

SAMPLES = Path(__file__).resolve().parents[2] / "resources" / "samples"
PDF = SAMPLES / "kestrelmouth-report.pdf"


def load_questions() -> list[dict[str, Any]]:
    return [json.loads(line) for line in (SAMPLES / "questions.jsonl").read_text("utf-8").splitlines()]


def page_texts(path: Path) -> list[str]:
    document = pypdfium2.PdfDocument(path)
    try:
        return [
            " ".join(document[index].get_textpage().get_text_range().split())
            for index in range(len(document))
        ]
    finally:
        document.close()


@pytest.fixture(scope="module")
def pages() -> list[str]:
    return page_texts(PDF)


def test_size_of_the_sample(pages: list[str]) -> None:
    assert 110 <= len(pages) <= 140
    assert PDF.stat().st_size < 600_000


@pytest.mark.parametrize("question", load_questions(), ids=lambda question: question["id"])
def test_quote_stands_on_its_page_only(question: dict[str, Any], pages: list[str]) -> None:
    if not question["answers"]:
        assert question["page"] is None
        assert question["quote"] == ""
        return
    found = [number for number, text in enumerate(pages, start=1) if question["quote"] in text]
    assert found == [question["page"]]
    assert all(answer.casefold() in question["quote"].casefold() for answer in question["answers"])


def test_forty_questions_six_without_answer() -> None:
    questions = load_questions()
    assert len({question["id"] for question in questions}) == 40
    assert sum(not question["answers"] for question in questions) == 6


@pytest.mark.slow
def test_script_makes_the_same_document_again(tmp_path: Path, pages: list[str]) -> None:
    questions = tmp_path / "questions.jsonl"
    questions.write_bytes((SAMPLES / "questions.jsonl").read_bytes())
    made = []
    for name in ("one.pdf", "two.pdf"):
        output = str(tmp_path / name)
        command = [sys.executable, "make_sample.py", "--output", output, "--questions", str(questions)]
        subprocess.run(command, cwd=SAMPLES, check=True, capture_output=True)
        made.append((tmp_path / name).read_bytes())
    assert made[0] == made[1]
    assert page_texts(tmp_path / "one.pdf") == pages
    assert questions.read_bytes() == (SAMPLES / "questions.jsonl").read_bytes()
