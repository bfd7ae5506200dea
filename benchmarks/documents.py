"""Documents for the benchmarks: prose of any length, with facts hidden in it.

The prose comes from a folder of public-domain books where one is given, else from the bundled sample document, over
and over again: rates do not depend on what is said.
"""

import itertools
import random
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from benchmarks.insert_facts import Hidden, generate, insert_into_text
from engine.documents.reader import open_document
from engine.paths import RESOURCES
from engine.text import collapse_whitespace, sentence_spans

SAMPLE = RESOURCES / "samples" / "kestrelmouth-report.pdf"
_SENTENCES_IN_PARAGRAPH = 3
_PROSE = re.compile(r"[A-Z].{38,}[a-z]\.")


def paragraphs(books: Path | None) -> Iterator[str]:
    """Paragraphs of prose without end.

    Args:
        books: folder with Markdown or text files, read in the order of their names; None = the bundled sample.

    Raises:
        SystemExit: the folder holds no such file.
    """
    files = [SAMPLE]
    if books is not None:
        files = sorted(path for path in books.rglob("*") if path.suffix in (".md", ".txt"))
        if not files:
            raise SystemExit(f"no Markdown or text file under {books}")
    yield from itertools.cycle(_paragraphs_of(files))


def _paragraphs_of(files: Iterable[Path]) -> Iterator[str]:
    for path in files:
        text = open_document(path).text
        sentences = (collapse_whitespace(text[start:end]) for start, end in sentence_spans(text))
        prose = (sentence for sentence in sentences if _PROSE.fullmatch(sentence))
        while block := list(itertools.islice(prose, _SENTENCES_IN_PARAGRAPH)):
            yield " ".join(block)


def write_document(
    path: Path,
    *,
    num_characters: int,
    books: Path | None = None,
    num_facts: int = 1,
    num_look_alikes: int = 2,
    num_absent: int = 0,
    seed: int = 0,
) -> list[Hidden]:
    """Write a text file with facts hidden in it; the same arguments give the same file.

    Args:
        path: the file.
        num_characters: length without what is hidden, up to the end of a paragraph.
        books: see `paragraphs`.
        num_facts: facts that are hidden.
        num_look_alikes: sentences that resemble a fact, for each.
        num_absent: facts that are asked for and not in the document.
        seed: of facts and places.

    Returns:
        the facts, each with the question that it answers; those that are absent last.
    """
    parts: list[str] = []
    length = 0
    for paragraph in paragraphs(books):
        if length >= num_characters:
            break
        parts.append(paragraph)
        length += len(paragraph) + 2
    rng = random.Random(seed)
    facts = generate(num_facts + num_absent, num_look_alikes, rng)
    path.write_text(insert_into_text("\n\n".join(parts) + "\n", facts[:num_facts], rng), "utf-8")
    return facts
