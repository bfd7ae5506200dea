"""Questions for reinforcement on the finished model (docs/training.md, "The proof"; `benchmarks/rl-questions.toml`).

    python -m benchmarks.rl_questions --squad FILE --books FOLDER --output questions.jsonl

Questions that people asked (SQuAD), each in a document of its own passage among others, of 2,000 and 3,500 tokens
in turns (with `--crowded` of 2,000, 3,500 and 7,000, the other passages of its own article first); and generated
facts among six look-alikes, of 4 and 8 chunks, one in five not in its document. Articles, books and words that are
held back for measuring (`engine/evaluation/held_back.py`, `lists.py`) are left out.
A JSON line each, as `data.kind = "file"` reads them; the same command writes the same file.
"""

import argparse
import dataclasses
import json
import random
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from engine.backends.wishes import Wishes
from engine.documents.reader import open_document
from engine.errors import PalimpsestError
from engine.evaluation.datasets import Dataset, load_dataset
from engine.evaluation.haystack import TokenCounter
from engine.evaluation.held_back import is_held_back_article, is_held_back_book
from engine.evaluation.items import Item
from engine.evaluation.sources import paragraphs_of, source_of
from engine.evaluation.tasks.base import Materials
from engine.evaluation.tasks.passages import PassagesTask
from engine.models.catalogue import BUNDLED
from engine.models.opening import open_model
from engine.text import sentence_spans
from trainer.lists import TRAINING_LISTS
from trainer.rl.tasks import DataConfig, Needles, Task

LENGTHS = (2000, 3500)
CROWDED_LENGTHS = (2000, 3500, 7000)
CHUNK_TOKENS = 225
NEEDLE_CHUNKS = (4, 8)
LOOK_ALIKES = 6
UNANSWERABLE = 0.2
NUM_BOOKS = 12
"""Running text of so many, the first ones by name."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the file; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rl_questions", description=__doc__)
    parser.add_argument("--squad", type=Path, required=True, help="SQuAD 1.1 file")
    parser.add_argument("--books", type=Path, required=True, help="folder of Markdown books")
    parser.add_argument("--output", type=Path, required=True, help="file to write")
    parser.add_argument("--asked", type=int, default=1400, help="questions that people asked")
    parser.add_argument("--facts", type=int, default=600, help="questions about generated facts")
    parser.add_argument("--crowded", action="store_true", help="passages of the same article first, longer")
    parser.add_argument("--seed", type=int, default=5)
    options = parser.parse_args(arguments)
    try:
        rows = make(
            options.squad,
            options.books,
            options.asked,
            options.facts,
            options.seed,
            is_crowded=options.crowded,
        )
    except PalimpsestError as exc:
        print(exc, file=sys.stderr)
        return 2
    options.output.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    print(f"{len(rows)} questions in {options.output}.")
    return 0


def make(
    squad: Path, books: Path, num_asked: int, num_facts: int, seed: int, *, is_crowded: bool = False
) -> list[dict[str, Any]]:
    """The lines of the file, in an order drawn by the seed.

    Raises:
        PalimpsestError: a file cannot be read, or holds nothing that may be trained on.
    """
    files = [file for file in sorted(books.glob("*.md")) if not is_held_back_book(file.stem)][:NUM_BOOKS]
    text = source_of(books.name, [part for file in files for part in paragraphs_of(open_document(file))])
    with closing(open_model(BUNDLED, wishes=Wishes(num_threads=1))) as backend:
        materials = Materials(text=text, counter=TokenCounter(backend.tokenize), seed=seed)
        dataset = _trained_on(load_dataset(squad))
        passages = PassagesTask(materials=materials, dataset=dataset, is_crowded=is_crowded)
        config = DataConfig(
            texts=tuple(map(str, files)),
            chunks=NEEDLE_CHUNKS,
            look_alikes=LOOK_ALIKES,
            phrasings="assembled",
            unanswerable=UNANSWERABLE,
            seed=seed,
        )
        needles = Needles(TRAINING_LISTS, config, tokenize=backend.tokenize, chunk_tokens=CHUNK_TOKENS)
        tasks = [*_asked(passages, num_asked, seed), *(needles.task(index) for index in range(num_facts))]
    rows = [_row(task) for task in tasks]
    random.Random(seed).shuffle(rows)
    return rows


def _trained_on(dataset: Dataset) -> Dataset:
    """Without the articles that are held back."""
    return dataclasses.replace(
        dataset,
        questions=tuple(
            question
            for question in dataset.questions
            if not any(is_held_back_article(passage.title) for passage in question.passages)
        ),
        passages=tuple(passage for passage in dataset.passages if not is_held_back_article(passage.title)),
    )


def _asked(passages: PassagesTask, number: int, seed: int) -> Iterator[Task]:
    lengths = CROWDED_LENGTHS if passages.is_crowded else LENGTHS
    for index in range(number):
        length = lengths[index % len(lengths)]
        item = passages.item(length, index)
        yield Task(
            task_id=f"qa-{seed}-{index}",
            document=item.document,
            question=item.question,
            golds=(item.golds[0].answers,),
            evidence=(_sentence(item),),
            num_chunks=length // CHUNK_TOKENS,
        )


def _sentence(item: Item) -> str:
    """The sentence that the evidence begins in."""
    text, place = item.document.text, item.golds[0].evidence[0]
    spans = (text[start:end] for start, end in sentence_spans(text) if start <= place.start < end)
    return next(spans).strip()


def _row(task: Task) -> dict[str, Any]:
    """As `trainer.rl.tasks.FileTasks` reads it."""
    return {
        "id": task.task_id,
        "question": task.question,
        "golds": task.golds,
        "text": task.document.text,
        "evidence": task.evidence,
        "num_chunks": task.num_chunks,
    }


if __name__ == "__main__":
    sys.exit(main())
