"""Files in the four formats, written here by hand, and files that are none of them."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from engine.errors import PlanError
from engine.evaluation.datasets import load_dataset
from engine.evaluation.tasks.base import Materials
from engine.evaluation.tasks.passages import PassagesTask

CORPORA = Path(__file__).resolve().parents[3] / "shared" / "data" / "corpora"

SQUAD = {
    "version": "2.0",
    "data": [
        {
            "title": "Steam_engine",
            "paragraphs": [
                {
                    "context": "A steam engine uses  steam. The first one of Newcomen ran in 1712 near Dudley.",
                    "qas": [
                        {
                            "id": "a",
                            "question": "When did Newcomen's engine run? ",
                            "answers": [
                                {"text": "1712", "answer_start": 61},
                                {"text": "in 1712", "answer_start": 58},
                                {"text": "1712", "answer_start": 61},
                            ],
                        },
                        {"id": "b", "question": "Who paid for it?", "answers": [], "is_impossible": True},
                    ],
                }
            ],
        },
        {
            "title": "Geology",
            "paragraphs": [
                {
                    "context": f"Rock {n} lies under rock {n + 1}, and in 1712 nobody knew.",
                    "qas": [],
                }
                for n in range(4)
            ]
            + [{"context": f"Layer {n} is of lime and clay, {n} yards deep.", "qas": []} for n in range(60)],
        },
    ],
}
HOTPOT = [
    {
        "_id": "h1",
        "question": "In which county is the birthplace of Ada Quill?",
        "answer": "Dorset",
        "supporting_facts": [["Ada Quill", 0], ["Westing", 1], ["Westing", 9]],
        "context": [
            ["Ada Quill", ["Ada Quill was born in Westing.", " She wrote."]],
            ["Easting", ["Easting is a town."]],
            ["Westing", ["Westing is a village.", " It lies in Dorset."]],
        ],
    }
]
MUSIQUE = [
    {
        "id": "m1",
        "question": "Who founded the employer of Ada Quill?",
        "answer": "Otto Marl",
        "answer_aliases": ["Marl"],
        "answerable": True,
        "paragraphs": [
            {
                "idx": 0,
                "title": "Quill",
                "paragraph_text": "Ada Quill worked for Marl & Co.",
                "is_supporting": True,
            },
            {"idx": 1, "title": "Rain", "paragraph_text": "Rain falls.", "is_supporting": False},
            {
                "idx": 2,
                "title": "Marl & Co",
                "paragraph_text": "Otto Marl founded it.",
                "is_supporting": True,
            },
        ],
    }
]
NATURAL = {
    "question": "who dug the canal",
    "answers": ["The Board", "Board of Works"],
    "ctxs": [
        {"title": "Canal", "text": "It was dug by the Board of Works.", "isgold": True},
        {"title": "Lake", "text": "It was always there.", "isgold": False},
    ],
}


def write(folder: Path, name: str, value: Any) -> Path:
    path = folder / name
    path.write_text(value if isinstance(value, str) else json.dumps(value), "utf-8")
    return path


def test_squad(data: Path) -> None:
    dataset = load_dataset(write(data, "squad.json", SQUAD))
    first, second = dataset.questions
    (passage,), ((span,),) = first.passages, first.evidence
    assert first.question == "When did Newcomen's engine run?"
    assert first.answers == ("1712", "in 1712")
    assert passage.title == "Steam engine"
    assert passage.text[span[0] : span[1]] == "1712"
    assert (second.answers, second.evidence) == ((), ((),))
    assert len(dataset.passages) == 65


def test_hotpot(data: Path) -> None:
    (question,) = load_dataset(write(data, "hotpot.json", HOTPOT)).questions
    said = [
        passage.text[start:end]
        for passage, spans in zip(question.passages, question.evidence, strict=True)
        for start, end in spans
    ]
    assert said == ["Ada Quill was born in Westing.", "It lies in Dorset."]
    assert question.answers == ("Dorset",)


def test_musique(data: Path) -> None:
    (question,) = load_dataset(write(data, "musique.json", MUSIQUE)).questions
    assert [passage.title for passage in question.passages] == ["Quill", "Marl & Co"]
    assert question.answers == ("Otto Marl", "Marl")


def test_natural_questions_gzipped(data: Path) -> None:
    path = data / "nq.jsonl.gz"
    path.write_bytes(gzip.compress(f"{json.dumps(NATURAL)}\n{json.dumps(NATURAL)}\n".encode()))
    dataset = load_dataset(path)
    assert len(dataset.questions) == 2
    (passage,), ((span,),) = dataset.questions[0].passages, dataset.questions[0].evidence
    assert passage.text[span[0] : span[1]] == "Board of Works"
    assert len(dataset.passages) == 2


def test_lines_with_line_separators_inside(data: Path) -> None:
    line = json.dumps(NATURAL, ensure_ascii=False).replace("always", "always\u2028\x85")
    assert len(load_dataset(write(data, "nq.jsonl", f"{line}\n{line}\n")).questions) == 2


def test_held_back_articles_alone(data: Path) -> None:
    dataset = load_dataset(write(data, "both.json", SQUAD), held_back_only=True)
    assert {passage.title for passage in dataset.passages} == {"Steam engine"}
    assert dataset.content_hash != load_dataset(data / "both.json").content_hash
    geology = {"data": [SQUAD["data"][1]]}
    with pytest.raises(PlanError, match="no question"):
        load_dataset(write(data, "geology.json", geology), held_back_only=True)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "not json",
        "[]",
        "[1, 2]",
        '{"data": {}}',
        '[{"question": "why", "text": "because"}]',
        '{"data": [{"title": "x", "paragraphs": [{"qas": []}]}]}',
        '{"data": [{"title": "x", "paragraphs": [{"context": "y", "qas": [{"id": 1, "question": "z"}]}]}]}',
        '[{"question": "why", "supporting_facts": 3, "context": []}]',
        "\x1f",
    ],
)
def test_a_file_of_no_known_format_is_one_sentence(content: str, data: Path) -> None:
    path = write(data, "bad.json", content)
    load_dataset.cache_clear()
    with pytest.raises(PlanError, match=r"bad\.json") as error:
        load_dataset(path)
    assert "\n" not in error.value.message
    assert "SQuAD" in error.value.hint


def test_a_damaged_archive_and_a_missing_file(data: Path) -> None:
    path = data / "cut.jsonl.gz"
    path.write_bytes(gzip.compress(b"x" * 10_000)[:20])
    with pytest.raises(PlanError, match="cannot be read"):
        load_dataset(path)
    with pytest.raises(PlanError, match="cannot be read"):
        load_dataset(data / "nothing.json")


@pytest.mark.parametrize("name", ["squad", "hotpot", "musique"])
def test_items_hold_the_evidence_and_no_other_passage_mentions_the_answer(
    name: str, data: Path, materials: Materials
) -> None:
    path = write(data, f"{name}-items.json", {"squad": SQUAD, "hotpot": HOTPOT, "musique": MUSIQUE}[name])
    dataset = load_dataset(path)
    task = PassagesTask(materials=materials, dataset=dataset)
    for index in range(task.size or 0):
        item = task.item(2_000, index)
        assert item.num_tokens == pytest.approx(2_000, rel=0.03)
        question = next(one for one in dataset.questions if one.question == item.question)
        expected = {
            passage.text[start:end]
            for passage, spans in zip(question.passages, question.evidence, strict=True)
            for start, end in spans
        }
        assert {item.document.text[place.start : place.end] for place in item.evidence} == expected
        own = sum(
            passage.text.count(answer) for passage in question.passages for answer in question.answers[:1]
        )
        if question.answers:
            assert item.document.text.count(question.answers[0]) == own
        else:
            assert item.golds == ()


def test_all_lengths_ask_the_same_questions_and_no_more_than_there_are(
    data: Path, materials: Materials
) -> None:
    task = PassagesTask(materials=materials, dataset=load_dataset(write(data, "q.json", SQUAD)))
    assert {task.item(1_000, n).question for n in range(2)} == {
        task.item(3_000, n).question for n in range(2)
    }
    assert task.item(1_000, 0).question == task.item(3_000, 0).question
    with pytest.raises(PlanError, match="2 questions, not 3"):
        task.item(1_000, 2)


def test_in_a_crowd_the_passages_of_the_own_article_come_first(data: Path, materials: Materials) -> None:
    def paragraph(title: str, number: int) -> dict[str, object]:
        context = f"The {title} of number {number} was made by Ansel{title}{number}, and many people came to see it."
        answer = {"text": f"Ansel{title}{number}", "answer_start": context.index("Ansel")}
        question = {"id": f"{title}{number}", "question": f"Who made {number}?", "answers": [answer]}
        return {"context": context, "qas": [question]}

    titles = [f"Article{letter}" for letter in "abcdefgh"]
    articles = [
        {"title": title, "paragraphs": [paragraph(title, number) for number in range(20)]} for title in titles
    ]
    dataset = load_dataset(write(data, "crowd.json", {"data": articles}))
    task = PassagesTask(materials=materials, dataset=dataset, is_crowded=True)
    plain = PassagesTask(materials=materials, dataset=dataset)
    assert task.parameters != plain.parameters
    for index in range(5):
        text = task.item(500, index).document.text
        assert plain.item(500, index).question == task.item(500, index).question
        assert len({title for title in titles if f"{title}:" in text}) == 1
        assert len({title for title in titles if f"{title}:" in plain.item(500, index).document.text}) > 2


@pytest.mark.parametrize(
    ("name", "num_questions", "num_unanswered"),
    [
        ("squad/squad-dev-v1.1.train36.json", 7_548, 0),
        ("squad/squad-dev-v2.0.train36.json", 9_324, 4_740),
        ("hotpotqa/hotpotqa_train100_hipporag.json", 100, 0),
        ("musique/musique_train100_hipporag.json", 100, 0),
        ("nq/nq-open-oracle.jsonl.gz", 2_655, 0),
    ],
)
def test_published_files(name: str, num_questions: int, num_unanswered: int) -> None:
    path = CORPORA / name
    if not path.is_file():
        pytest.skip(f"{name} is not beside this checkout")
    dataset = load_dataset(path)
    assert len(dataset.questions) == num_questions
    assert sum(not one.answers for one in dataset.questions) == num_unanswered
    for one in dataset.questions:
        # Whatever has an answer has evidence, and it lies within its passage.
        assert bool(one.answers) == any(one.evidence)
        for passage, spans in zip(one.passages, one.evidence, strict=True):
            assert all(0 <= start < end <= len(passage.text) for start, end in spans)
