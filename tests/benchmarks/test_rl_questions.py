"""Questions for reinforcement: of what may be trained on only, with evidence that stands in their documents."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import rl_questions
from trainer.rl.tasks import FileTasks

_LINE = (
    "The crew of the old ferry mended nets until noon, and nobody on the pier had seen a sail since June. "
)


def _article(title: str, name: str) -> dict[str, Any]:
    context = f"{_LINE * 6}The lamp was lit by {name} every evening. {_LINE * 6}"
    answer = {"text": name, "answer_start": context.index(name)}
    question = {"id": name, "question": f"Who lit the lamp of {title}?", "answers": [answer]}
    return {"title": title, "paragraphs": [{"context": context, "qas": [question]}]}


@pytest.fixture
def squad(tmp_path: Path) -> Path:
    """A file of two articles that may be trained on and one that may not."""
    articles = [
        _article("Harbours", "Ansel Brodersen"),
        _article("Oxygen", "Mabel Quist"),
        _article("Piers", "Ida Lund"),
    ]
    path = tmp_path / "squad.json"
    path.write_text(json.dumps({"data": articles}), "utf-8")
    return path


def test_held_back_articles_and_books_are_left_out(
    squad: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    books = tmp_path / "books"
    books.mkdir()
    (books / "Someone__The_Ferry.md").write_text("\n\n".join([_LINE * 3] * 20), "utf-8")
    (books / "Jane_Austen__Emma.md").write_text(
        "\n\n".join([_LINE.replace("ferry", "barouche")] * 60), "utf-8"
    )
    output = tmp_path / "questions.jsonl"
    options = ["--squad", str(squad), "--books", str(books), "--asked", "2", "--facts", "6"]
    assert rl_questions.main([*options, "--output", str(output)]) == 0
    assert capsys.readouterr().out == f"8 questions in {output}.\n"
    rows = [json.loads(line) for line in output.read_text("utf-8").splitlines()]
    asked = [row for row in rows if row["id"].startswith("qa-")]
    assert {row["golds"][0][0] for row in asked} == {"Ansel Brodersen", "Ida Lund"}
    assert all(f"lit by {row['golds'][0][0]}" in row["evidence"][0] for row in asked)
    text = " ".join(row["text"] for row in rows)
    assert "Quist" not in text
    assert "barouche" not in text
    assert len({FileTasks(output, seed=1).task(number).task_id for number in range(8)}) == 8
    again = tmp_path / "again.jsonl"
    assert rl_questions.main([*options, "--output", str(again)]) == 0
    assert again.read_bytes() == output.read_bytes()


def test_a_crowd_is_of_one_article_and_longer(tmp_path: Path) -> None:
    (tmp_path / "Someone__The_Ferry.md").write_text("\n\n".join([_LINE * 3] * 300), "utf-8")
    articles = [_article(title, f"{title} Brodersen") for title in ("Harbours", "Piers", "Quays")]
    for article in articles:
        article["paragraphs"] += [
            {"context": f"{article['title']} had {number} lamps of tin. {_LINE * 4}", "qas": []}
            for number in range(120)
        ]
    squad = tmp_path / "squad.json"
    squad.write_text(json.dumps({"data": articles}), "utf-8")
    rows = rl_questions.make(squad, tmp_path, 3, 0, 5, is_crowded=True)
    for row in rows:
        title = row["golds"][0][0].split()[0]
        others = {article["title"] for article in articles} - {title}
        assert f"{title}: " in row["text"]
        assert not any(f"{other}: " in row["text"] for other in others), title
    assert {row["num_chunks"] for row in rows} == {2000 // 225, 3500 // 225, 7000 // 225}


def test_too_few_questions_are_told(squad: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "Someone__The_Ferry.md").write_text("\n\n".join([_LINE * 3] * 20), "utf-8")
    output = tmp_path / "questions.jsonl"
    options = ["--squad", str(squad), "--books", str(tmp_path), "--asked", "9", "--output", str(output)]
    assert rl_questions.main(options) == 2
    assert "has 2 questions, not 3" in capsys.readouterr().err
    assert not output.exists()
