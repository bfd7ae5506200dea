"""HTML, Markdown and plain text files: encodings, sections, readable text."""

import time
from pathlib import Path

import pytest

from engine.documents.plain import PART_CHARS, split_parts
from engine.documents.reader import open_document
from engine.errors import CorruptDocumentError, NoTextError, UnsupportedFormatError


def _write(tmp_path: Path, name: str, content: str | bytes) -> Path:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_html_sections_and_hidden_text(tmp_path: Path) -> None:
    page = """<!doctype html><html><head><title>The  Page</title><script>no()</script></head><body>
      <p>Before.</p><h1>One</h1><p>First &amp; last.</p><h4>small</h4><p>x</p><h2>Two</h2>
      <table><tr><td>a</td><td>b</td></tr></table><template>no</template><!-- no --></body></html>"""
    document = open_document(_write(tmp_path, "page.htm", page))
    assert (document.format, document.kind, document.title) == ("html", "section", "The Page")
    assert [page.text for page in document.pages] == [
        "Before.", "One\n\nFirst & last.\n\nsmall\n\nx", "Two\n\na\tb",
    ]  # fmt: skip
    assert [page.heading for page in document.pages] == ["", "One", "Two"]
    assert [(entry.title, entry.level, entry.page_number) for entry in document.outline] == [
        ("One", 1, 2), ("Two", 2, 3),
    ]  # fmt: skip


@pytest.mark.parametrize("encoding", ["utf-8", "windows-1251", "shift_jis"])
def test_html_declares_its_encoding(tmp_path: Path, encoding: str) -> None:
    word = {"utf-8": "żółć", "windows-1251": "Война", "shift_jis": "戦争と平和"}[encoding]
    page = f'<html><head><meta charset="{encoding}"></head><body><p>{word}</p></body></html>'
    assert open_document(_write(tmp_path, "page.html", page.encode(encoding))).text == word


def test_html_that_declares_a_wrong_encoding(tmp_path: Path) -> None:
    page = '<meta http-equiv="Content-Type" content="text/html; charset=ascii"><p>naïve café</p>'
    assert open_document(_write(tmp_path, "page.html", page)).text == "naïve café"


def test_html_of_great_depth_and_size(tmp_path: Path) -> None:
    deep = "<p>start</p>" + "<b>" * 1500 + "x" + "</b>" * 1500
    assert open_document(_write(tmp_path, "deep.html", deep)).text == "start\n\nx"
    with pytest.raises(CorruptDocumentError, match="nested too deeply"):
        open_document(_write(tmp_path, "deeper.html", "<p>start</p>" + "<b>" * 100_000 + "x"))
    large = "<p>start " + "word " * 3_000_000 + "end</p>"
    assert open_document(_write(tmp_path, "large.html", large)).text.endswith("end")


def test_markdown_is_cleaned(tmp_path: Path) -> None:
    source = """# The *Book*

Some **bold** text with a [link](http://x.y) and `code`,
hard-wrapped.

## Part One

- first
- second
  1. inner

> quoted

```python
def f():
    return 1
```

| Name | Value |
|------|-------|
| a    | 1     |

### Deeper

Done.
"""
    document = open_document(_write(tmp_path, "book.md", source))
    assert document.title == "The Book"
    assert [page.heading for page in document.pages] == ["The Book", "Part One"]
    assert document.pages[0].text == "The Book\n\nSome bold text with a link and code,\nhard-wrapped."
    assert document.pages[1].text == (
        "Part One\n\n- first\n- second\n1. inner\n\nquoted\n\ndef f():\n    return 1\n\n"
        "Name\tValue\na\t1\n\nDeeper\n\nDone."
    )


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("utf-8", "naïve – 戦争"),
        ("utf-8-sig", "naïve"),
        ("utf-16", "naïve 戦争"),
        ("utf-32", "naïve"),
        ("cp1252", "The café’s naïve façade was déjà vu for the señor, à la carte. " * 5),
        ("cp1251", "Все счастливые семьи похожи друг на друга, каждая несчастлива по-своему. " * 5),
    ],
)
def test_encodings_of_plain_text(tmp_path: Path, encoding: str, text: str) -> None:
    assert open_document(_write(tmp_path, "a.txt", text.encode(encoding))).text == text.strip()


def test_one_bad_byte_spoils_nothing(tmp_path: Path) -> None:
    data = "Größe und Maß. ".encode() * 10_000 + b"\xff" + b" end"
    text = open_document(_write(tmp_path, "a.txt", data)).text
    assert text.startswith("Größe und Maß.")
    assert "\ufffd end" in text


@pytest.mark.parametrize(
    "data", [b"\x7fELF\x02\x01\x00\x00\x00", bytes(range(256)) * 40, b"\x89PNG\r\n\x1a\n\x00\x00"]
)
def test_binary_is_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(UnsupportedFormatError, match=r"a\.bin is not a text file"):
        open_document(_write(tmp_path, "a.bin", data))


def test_control_characters_and_line_ends(tmp_path: Path) -> None:
    document = open_document(_write(tmp_path, "a.txt", b"one\r\ntwo\rthree\x07\x1b\n\tfour"))
    assert document.text == "one\ntwo\nthree\n\tfour"


def test_form_feeds_divide_pages(tmp_path: Path) -> None:
    document = open_document(_write(tmp_path, "rfc.txt", "page one\n\f\nand two\n\f\n\n\f\nfour\n\f\n"))
    assert document.kind == "page"
    assert [page.text for page in document.pages] == ["page one", "and two", "", "four"]
    assert [page.label for page in document.pages] == ["1", "2", "3", "4"]


def test_parts_end_with_paragraphs(tmp_path: Path) -> None:
    paragraphs = [f"Paragraph {number}. " + "It is quite long. " * 20 for number in range(60)]
    document = open_document(_write(tmp_path, "a.txt", "\n\n".join(paragraphs)))
    assert document.kind == "section"
    assert document.pages[1].label == "part 2"
    assert all(page.text.startswith("Paragraph") for page in document.pages)
    assert "".join(document.text.split()) == "".join("".join(paragraphs).split())


@pytest.mark.parametrize("unit", ["a", "word ", "Sentence. ", "line\n", "文。", " ", "\n", "a\n\n", " \n"])
def test_no_character_of_a_part_is_lost(unit: str) -> None:
    text = "start" + unit * (20_000 // len(unit)) + "end"
    parts = list(split_parts(text))
    assert "".join("".join(parts).split()) == "".join(text.split())
    assert max(map(len, parts)) <= 2 * PART_CHARS


def test_nothing_but_space(tmp_path: Path) -> None:
    with pytest.raises(NoTextError):
        open_document(_write(tmp_path, "a.txt", " \n\n \t "))
    with pytest.raises(NoTextError):
        open_document(_write(tmp_path, "a.md", "\n\n"))
    with pytest.raises(NoTextError):
        open_document(_write(tmp_path, "a.html", "<html><body><script>x()</script></body></html>"))


@pytest.mark.slow
def test_large_files_stay_fast(tmp_path: Path) -> None:
    path = _write(tmp_path, "large.txt", "A sentence of a very large file. " * 2_400_000)
    start = time.process_time()
    document = open_document(path)
    assert time.process_time() - start < 30
    assert len(document.pages) > 20_000
