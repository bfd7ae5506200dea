"""A small corpus, tokenizer and data source, made once for all trainer tests."""

import json
import random
from pathlib import Path

import pytest

from trainer.starter import DataSource
from trainer.tokens import Codec, train_tokenizer

NAMES = ("Anna", "Peter", "Lisbon", "Martha", "Boston", "Henry", "Naples")
VERBS = ("visited", "described", "left", "remembered", "painted")
THINGS = ("the old harbour", "a narrow street", "the empty house", "two letters", "the blue lantern")


def _sentence(rng: random.Random) -> str:
    return (
        f"In {rng.randint(1700, 1950)} {rng.choice(NAMES)} and {rng.choice(NAMES)} "
        f"{rng.choice(VERBS)} {rng.choice(THINGS)} near {rng.choice(NAMES)}."
    )


@pytest.fixture(scope="session")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A work folder with a prepared corpus and a tokenizer of 600 tokens."""
    rng = random.Random(0)
    folder = tmp_path_factory.mktemp("work")
    text = folder / "corpus" / "text"
    text.mkdir(parents=True)
    paragraphs = [[_sentence(rng) for _ in range(5)] for _ in range(60)]
    (text / "book-small.txt").write_text("\n\n".join("\n".join(p) for p in paragraphs), encoding="utf-8")
    with (folder / "corpus" / "questions.jsonl").open("w", encoding="utf-8") as out:
        for index in range(12):
            sentences = [_sentence(rng) for _ in range(4)]
            gold = index % 4
            entry = {
                "source": "test",
                "question": f"What happened in {sentences[gold].split()[1]}?",
                "sentences": sentences,
                "gold": [gold] if index < 9 else [],
                "answer": sentences[gold].split()[2] if index < 9 else None,
            }
            out.write(json.dumps(entry) + "\n")
    train_tokenizer([f" {s}" for p in paragraphs for s in p], 600).save(str(folder / "tokenizer.json"))
    return folder


@pytest.fixture(scope="session")
def codec(work: Path) -> Codec:
    """The small tokenizer."""
    return Codec.load(work / "tokenizer.json")


@pytest.fixture(scope="session")
def source(work: Path, codec: Codec) -> DataSource:
    """The small data source."""
    return DataSource(work, codec)
