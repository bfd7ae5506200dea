"""Where the text comes from that evidence is hidden in."""

import functools
import hashlib
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from engine.documents.model import Document
from engine.documents.reader import SUFFIXES, open_document
from engine.errors import DocumentNotFoundError, NoTextError
from engine.evaluation.held_back import is_held_back_book
from engine.paths import RESOURCES
from engine.text import readable, sentence_spans

SAMPLE = RESOURCES / "samples" / "kestrelmouth-report.pdf"
_MIN_PARAGRAPH_CHARS = 60
_SAMPLE_PASSES = 8
_SAMPLE_SEED = 1936
_PROSE = re.compile(r"[\"“‘(]?[A-Z][^|=…]{30,400}[.!?][\"”’)]?")
_MARKUP = re.compile(r"(?m)^(?:#+|-{3,})|_")


@dataclass(frozen=True, slots=True, kw_only=True)
class TextSource:
    """Running text, as paragraphs in a circle: who reads on from the last one comes to the first.

    Attributes:
        name: for people; says what it is made of.
        paragraphs: at least one.
        content_hash: sha256 over the paragraphs; part of what results are kept under.
    """

    name: str
    paragraphs: tuple[str, ...] = field(repr=False)
    content_hash: str

    def read_from(self, start: int) -> Iterator[str]:
        """Paragraphs from one on, for ever."""
        while True:
            yield self.paragraphs[start % len(self.paragraphs)]
            start += 1


def source_of(name: str, paragraphs: Sequence[str]) -> TextSource:
    """A source of these paragraphs.

    Raises:
        NoTextError: there are none.
    """
    if not paragraphs:
        raise NoTextError(
            f"{name} holds no paragraph of running text.", hint="Name another file with --text."
        )
    digest = hashlib.sha256("\n\n".join(paragraphs).encode("utf-8", "surrogatepass")).hexdigest()
    return TextSource(name=name, paragraphs=tuple(paragraphs), content_hash=digest)


def text_source(path: Path | None = None, *, held_back_only: bool = False) -> TextSource:
    """The text of a file, of all documents under a folder, or, if nothing is named, of the bundled sample.

    Args:
        path: file or folder.
        held_back_only: leave out all but the books that no training of the bundled model saw.

    Raises:
        engine.errors.DocumentError: a file cannot be read, or nothing is left.
    """
    if path is None:
        return sample_source()
    texts = list(texts_under(path, held_back_only=held_back_only))
    names = [name for name, _ in texts]
    name = names[0] if len(names) == 1 else f"{path.name} ({len(names)} documents)"
    return source_of(name, [paragraph for _, paragraphs in texts for paragraph in paragraphs])


def texts_under(path: Path, *, held_back_only: bool = False) -> Iterator[tuple[str, list[str]]]:
    """Name and paragraphs of a file, or of every document under a folder in the order of their names.

    Args:
        path: file or folder.
        held_back_only: see `text_source`.

    Raises:
        engine.errors.DocumentError: a file cannot be read, or nothing is left.
    """
    files = _documents_under(path)
    if held_back_only:
        files = [file for file in files if is_held_back_book(file.stem, _first_line(file))]
        if not files:
            raise NoTextError(
                f"There is no held-back book in {path.name}.",
                hint="Their titles stand in engine/evaluation/held_back.py.",
            )
    for file in files:
        yield file.stem, paragraphs_of(open_document(file))


def _documents_under(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
    if not files:
        raise DocumentNotFoundError(
            f"There is no document in the folder {path.name}.", hint="PDF, EPUB, HTML, Markdown or text."
        )
    return files


def _first_line(file: Path) -> str:
    """Where a text file may name its title; opening dozens of books to leave most of them out would take long."""
    with file.open("rb") as opened:
        head = opened.read(400).decode("utf-8", "ignore")
    return head.strip().split("\n", 1)[0].lstrip("# ")


def paragraphs_of(document: Document) -> list[str]:
    """Paragraphs of running text, lines joined, without headings and the marks of Markdown."""
    text = _MARKUP.sub("", document.text)
    parts = (readable(part) for part in re.split(r"\n\s*\n", text))
    return [part for part in parts if len(part) > _MIN_PARAGRAPH_CHARS]


@functools.cache
def sample_source() -> TextSource:
    """Text that ships with the program: sentences of the sample document, put together anew.

    The sample is shorter than most lengths that one wants to measure at. Its sentences are therefore shuffled into
    paragraphs again and again; none comes back before all of them were there. What it is good for is hiding evidence;
    it is no book, and whoever has one should name it.
    """
    sentences = _prose_sentences(open_document(SAMPLE))
    rng = random.Random(_SAMPLE_SEED)
    paragraphs: list[str] = []
    for _ in range(_SAMPLE_PASSES):
        order = rng.sample(sentences, len(sentences))
        while order:
            count = rng.randint(3, 7)
            paragraphs.append(" ".join(order[:count]))
            del order[:count]
    return source_of("sentences of the bundled sample document, put together anew", paragraphs)


def _prose_sentences(document: Document) -> list[str]:
    found: list[str] = []
    for page in document.pages:
        found += [readable(page.text[start:end]) for start, end in sentence_spans(page.text)]
    prose = (text for text in found if _PROSE.fullmatch(text) and sum(c.isdigit() for c in text) < 8)
    return list(dict.fromkeys(prose))
