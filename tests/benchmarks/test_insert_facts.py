# ruff: noqa: E501 - markup and sentences on one line
"""Facts hidden in a copy of a document are read back from the section that the report names."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from engine.documents.reader import open_document

ROOT = Path(__file__).resolve().parents[2]
PARAGRAPH = (
    "The wharf lay empty in the evening, and nobody came down to it any more. Mr. Pell had gone home. "
    "A lamp was burning in the office of the wharfinger, who was adding up a column of figures for the third "
    "time. “Carry four. Then one,” he said. Outside the rain had begun."
)


def run_script(*arguments: object) -> dict[str, Any]:
    command = [sys.executable, str(ROOT / "benchmarks" / "insert_facts.py"), *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    report: dict[str, Any] = json.loads(done.stdout)
    return report


@pytest.fixture
def book(tmp_path: Path) -> Path:
    path = tmp_path / "book.epub"
    names = [f"chapter-{number}.xhtml" for number in range(1, 9)]
    items = "".join(
        f'<item id="c{i}" href="{n}" media-type="application/xhtml+xml"/>' for i, n in enumerate(names)
    )
    refs = "".join(f'<itemref idref="c{i}"/>' for i in range(len(names)))
    with zipfile.ZipFile(path, "w") as epub:
        epub.writestr("mimetype", "application/epub+zip")
        epub.writestr(
            "META-INF/container.xml",
            '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container" version="1.0"><rootfiles><rootfile '
            'full-path="text/book.opf" media-type="application/oebps-package+xml"/></rootfiles></container>',
        )
        epub.writestr(
            "text/book.opf",
            f'<package xmlns="http://www.idpf.org/2007/opf" version="3.0"><metadata/><manifest>{items}</manifest>'
            f"<spine>{refs}</spine></package>",
        )
        for number, name in enumerate(names, start=1):
            epub.writestr(
                f"text/{name}",
                f'<html xmlns="http://www.w3.org/1999/xhtml"><head><title>{number}</title></head><body>'
                f"<h1>Chapter {number}</h1><p>{PARAGRAPH}</p><p><em>Late</em> that night: {PARAGRAPH}</p></body></html>",
            )
    return path


def test_epub_facts_stand_in_the_named_sections(book: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy.epub"
    report = run_script(book, target, "--count", 4, "--look-alikes", 2, "--seed", 5)
    before, after = open_document(book), open_document(target)
    assert len(after.pages) == len(before.pages)
    hidden = [one for fact in report["facts"] for one in (fact, *fact["look_alikes"])]
    assert len(hidden) == 12
    for one in hidden:
        assert one["fact"] in after.pages[one["section"] - 1].text
        assert one["answer"] in one["fact"]
    without = after.text
    for one in hidden:
        without = without.replace(f" {one['fact']}", "", 1)
    assert without == before.text


def test_same_seed_same_places(book: Path, tmp_path: Path) -> None:
    one = run_script(book, tmp_path / "one.epub", "--count", 3, "--seed", 9)
    two = run_script(book, tmp_path / "two.epub", "--count", 3, "--seed", 9)
    assert one["facts"] == two["facts"]
    assert (
        open_document(tmp_path / "one.epub").content_hash == open_document(tmp_path / "two.epub").content_hash
    )


def test_given_facts_go_into_prose_of_markdown_only(tmp_path: Path) -> None:
    source, target, facts = tmp_path / "notes.md", tmp_path / "copy.md", tmp_path / "facts.jsonl"
    code = "```\n" + PARAGRAPH + "\n```"
    text = f"# Notes\n\n{PARAGRAPH}\n\n- {PARAGRAPH}\n\n{code}\n\n| {PARAGRAPH} |\n\n{PARAGRAPH}\n"
    source.write_text(text, "utf-8")
    given = [
        {
            "fact": "The bell of Quorn weighs nine tons.",
            "question": "What does the bell weigh?",
            "answer": "nine tons",
        },
        {"fact": "The key of Quorn is brass.", "question": "Of what is the key?", "answer": "brass"},
    ]
    facts.write_text("\n".join(map(json.dumps, given)), "utf-8")
    report = run_script(source, target, "--facts", facts, "--seed", 1)
    copy = target.read_text("utf-8")
    assert sorted(fact["name"] for fact in report["facts"]) == ["line 13", "line 3"]
    for fact in given:
        assert f" {fact['fact']}" in copy
        copy = copy.replace(f" {fact['fact']}", "")
    assert copy == text
    assert "Mr. The bell" not in target.read_text("utf-8")
    assert "four. The bell" not in target.read_text("utf-8")


def test_too_few_paragraphs_are_refused(tmp_path: Path) -> None:
    source = tmp_path / "short.txt"
    source.write_text("One line.\n", "utf-8")
    with pytest.raises(subprocess.CalledProcessError):
        run_script(source, tmp_path / "copy.txt", "--count", 1)
