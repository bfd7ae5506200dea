"""Generated documents: long enough, with the facts in them, the same each time."""

from pathlib import Path

import pytest

from benchmarks.documents import write_document


def test_document_has_its_length_and_its_facts(tmp_path: Path) -> None:
    path = tmp_path / "document.txt"
    hidden = write_document(path, num_characters=20_000, num_facts=3, num_look_alikes=1)
    text = path.read_text("utf-8")
    sentences = [sentence.fact for one in hidden for sentence in (one, *one.look_alikes)]
    assert len(sentences) == 6
    for sentence in sentences:
        assert text.count(sentence) == 1
    assert 20_000 <= len(text) - sum(map(len, sentences)) < 22_000


def test_sample_is_repeated_for_a_long_document(tmp_path: Path) -> None:
    path = tmp_path / "document.txt"
    write_document(path, num_characters=300_000)
    assert path.stat().st_size > 300_000


def test_same_arguments_same_document(tmp_path: Path) -> None:
    one, two, other = (tmp_path / name for name in ("one.txt", "two.txt", "other.txt"))
    assert write_document(one, num_characters=9_000) == write_document(two, num_characters=9_000)
    write_document(other, num_characters=9_000, seed=1)
    assert one.read_bytes() == two.read_bytes() != other.read_bytes()


def test_books_are_taken_where_given(tmp_path: Path) -> None:
    books = tmp_path / "books"
    books.mkdir()
    sentence = "The ferry from the northern quay was late again that morning, and nobody asked why. "
    (books / "a.md").write_text(sentence * 40, "utf-8")
    target = tmp_path / "document.txt"
    write_document(target, num_characters=6_000, books=books)
    assert target.read_text("utf-8").count("northern quay") > 60  # the book is shorter than the document


def test_folder_without_books_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="no Markdown or text"):
        write_document(tmp_path / "document.txt", num_characters=100, books=tmp_path)
