"""Prepare text for training: books and question sets become plain sentences.

A prepared corpus is a folder with two kinds of file: ``text/*.txt``, one sentence a line with an
empty line between paragraphs, and ``questions.jsonl``, one `NaturalQuestion` a line. Everything
that `engine.evaluation.held_back` names is dropped here and nowhere else.
"""

from __future__ import annotations

import csv
import gzip
import json
import logging
import re
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from html import unescape
from pathlib import Path
from typing import Any

from engine.evaluation.held_back import is_held_back_article, is_held_back_book

logger = logging.getLogger(__name__)

MAX_SENTENCE_CHARS = 360
MIN_BOOK_CHARS = 2_000
_ABBREVIATION = re.compile(
    r"(?:\b(?:Mr|Mrs|Ms|Dr|St|Sr|Jr|Col|Gen|Capt|Lt|Rev|Hon|Prof|Mt|No|Nos|Vol|vol|Fig|fig|vs|etc"
    r"|cf|approx|Inc|Ltd|Co|i\.e|e\.g)|\b[A-Z])\.$"
)
_SENTENCE_END = re.compile(r"[.!?][\"'”’)\]]*\s+(?=[\"'“‘(\[]*[A-Z0-9])")


@dataclass(frozen=True, slots=True, kw_only=True)
class NaturalQuestion:
    """A question people asked, with the passage it was asked about."""

    source: str
    question: str
    sentences: tuple[str, ...]
    gold: tuple[int, ...]
    """Indices of the sentences that answer; empty when the passage does not."""
    answer: str | None
    """Short answer, verbatim within one gold sentence; `None` when there is none."""


def normalise(text: str) -> str:
    """Collapse white space the way the engine does before it builds a prompt."""
    return " ".join(text.split())


def split_sentences(paragraph: str) -> list[str]:
    """Split a paragraph at sentence ends; overlong sentences again at clause ends."""
    paragraph = normalise(paragraph)
    pieces: list[str] = []
    start = 0
    for match in _SENTENCE_END.finditer(paragraph):
        if _ABBREVIATION.search(paragraph[start : match.start() + 1]):
            continue
        pieces.append(paragraph[start : match.end()].strip())
        start = match.end()
    pieces.append(paragraph[start:].strip())
    return [part for piece in pieces for part in _split_long(piece) if part]


def _split_long(sentence: str) -> Iterator[str]:
    while len(sentence) > MAX_SENTENCE_CHARS:
        cut = max(sentence.rfind(mark, 80, MAX_SENTENCE_CHARS) for mark in ("; ", ": ", ", "))
        cut = cut + 1 if cut > 0 else sentence.rfind(" ", 80, MAX_SENTENCE_CHARS)
        if cut <= 0:
            cut = MAX_SENTENCE_CHARS
        yield sentence[:cut].strip()
        sentence = sentence[cut:].strip()
    yield sentence


def read_book(path: Path) -> tuple[str, list[str]]:
    """Read a book file as its title line and its paragraphs.

    Raises:
        ValueError: The suffix is none of ``.md``, ``.txt``, ``.texi`` and ``.epub``.
    """
    suffix = path.suffix.lower()
    if suffix == ".epub":
        return _read_epub(path)
    if suffix not in {".md", ".txt", ".texi"}:
        raise ValueError(f"not a book format: {path.name}")
    text = path.read_text(encoding="utf-8", errors="replace")
    if suffix == ".texi":
        text = re.sub(r"@\w+\{([^{}]*)\}", r"\1", text)
        text = re.sub(r"(?m)^@.*$", "", text)
    title = text.split("\n", 1)[0].strip("# \n")
    text = re.sub(r"(?m)^(#+|-{3,}|={3,})", "", text).replace("_", "").replace("*", "")
    return title, [normalise(part) for part in re.split(r"\n\s*\n", text) if part.strip()]


def _read_epub(path: Path) -> tuple[str, list[str]]:
    paragraphs: list[str] = []
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.endswith((".xhtml", ".html"))]
        for name in sorted(names):
            markup = archive.read(name).decode("utf-8", errors="replace")
            for block in re.findall(r"(?s)<(?:p|h\d)[^>]*>(.*?)</(?:p|h\d)>", markup):
                text = normalise(unescape(re.sub(r"<[^>]+>", "", block)))
                if text:
                    paragraphs.append(text)
    return path.stem.replace("-", " ").replace("_", " by "), paragraphs


def iter_books(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield (file stem, paragraphs) of each book under a folder that may be trained on."""
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in {".md", ".txt", ".texi", ".epub"}:
            continue
        title, paragraphs = read_book(path)
        if is_held_back_book(path.stem, title):
            logger.info("held back: %s", path.name)
        elif sum(map(len, paragraphs)) >= MIN_BOOK_CHARS:
            yield path.stem, paragraphs


def _load_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _locate(sentences: list[str], answers: Iterable[str]) -> tuple[tuple[int, ...], str | None]:
    """Find the first answer that stands verbatim in a sentence."""
    for answer in answers:
        answer = normalise(answer)
        for index, sentence in enumerate(sentences):
            if answer and re.search(rf"(?<!\w){re.escape(answer)}(?!\w)", sentence):
                return (index,), answer
    return (), None


def iter_squad(path: Path) -> Iterator[NaturalQuestion]:
    """Yield the questions of a SQuAD file; the answer's offset picks the gold sentence."""
    for article in _load_json(path)["data"]:
        if is_held_back_article(article["title"]):
            continue
        for paragraph in article["paragraphs"]:
            sentences = split_sentences(paragraph["context"])
            for entry in paragraph["qas"]:
                gold, answer = _squad_gold(paragraph["context"], sentences, entry["answers"])
                if entry["answers"] and answer is None:
                    continue
                yield NaturalQuestion(
                    source="squad",
                    question=normalise(entry["question"]),
                    sentences=tuple(sentences),
                    gold=gold,
                    answer=answer,
                )


def _squad_gold(
    context: str, sentences: list[str], answers: list[dict[str, Any]]
) -> tuple[tuple[int, ...], str | None]:
    for entry in answers:
        answer = normalise(entry["text"])
        position = len(normalise(context[: entry["answer_start"]]))
        end = 0
        for index, sentence in enumerate(sentences):
            end += len(sentence) + 1
            if position < end:
                if answer in sentence:
                    return (index,), answer
                break
    return (), None


def iter_nq(path: Path) -> Iterator[NaturalQuestion]:
    """Yield NQ questions with the paragraph that holds the answer."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            entry = json.loads(line)
            context = entry["ctxs"][0]
            sentences = split_sentences(context["text"])
            gold, answer = _locate(sentences, entry["answers"])
            if answer is not None and len(sentences) > 1:
                question = normalise(entry["question"])
                yield NaturalQuestion(
                    source="nq",
                    question=question,
                    sentences=tuple(sentences),
                    gold=gold,
                    answer=answer,
                )


def iter_hotpot(path: Path) -> Iterator[NaturalQuestion]:
    """Yield HotpotQA questions; the supporting facts are the gold sentences."""
    for entry in _load_json(path):
        facts = {(title, index) for title, index in entry["supporting_facts"]}
        sentences: list[str] = []
        gold: list[int] = []
        for title, passage in entry["context"]:
            for index, sentence in enumerate(passage):
                if (title, index) in facts:
                    gold.append(len(sentences))
                sentences.append(normalise(sentence))
        yield NaturalQuestion(
            source="hotpotqa",
            question=normalise(entry["question"]),
            sentences=tuple(sentences),
            gold=tuple(gold),
            answer=None,
        )


def iter_passages(path: Path) -> Iterator[str]:
    """Yield the passages of a JSON list of ``{"title", "text"}`` or of a map title -> sentences."""
    entries = _load_json(path)
    if isinstance(entries, dict):
        for sentences in entries.values():
            yield normalise(" ".join(sentences))
        return
    for entry in entries:
        yield normalise(entry["text"])


def iter_reports(path: Path) -> Iterator[str]:
    """Yield question-and-answer text about financial reports as passages of prose and figures."""
    with path.open(encoding="utf-8-sig", newline="") as handle:
        for row in csv.DictReader(handle):
            for line in row["Answer"].splitlines():
                if line.strip():
                    yield normalise(line.strip("-* "))


def read_word_lists(folder: Path) -> dict[str, list[str]]:
    """Read the public word lists of a folder (CC0), where they are there, for generated facts."""

    def load(name: str) -> dict[str, list[Any]]:
        path = folder / f"{name}.json"
        return dict(_load_json(path)) if path.exists() else {}

    places = [entry["city"] for entry in load("us_cities").get("cities", [])]
    for entry in load("countries_with_capitals").get("countries", []):
        places += [entry["name"], entry["capital"]]
    verbs = [entry["past"] for entry in load("verbs").get("verbs", [])]
    return {
        "first_names": load("firstNames").get("firstNames", []),
        "last_names": load("lastNames").get("lastNames", []),
        "nouns": [word for word in load("nouns").get("nouns", []) if word.islower()],
        "adjectives": [word for word in load("adjs").get("adjs", []) if word.islower()],
        "occupations": load("occupations").get("occupations", []),
        "verbs": [verb for verb in verbs if isinstance(verb, str) and " " not in verb],
        "places": [place for place in places if isinstance(place, str)],
        "stems": [place for place in places if isinstance(place, str) and " " not in place],
    }


def _write_text(target: Path, paragraphs: Iterable[str]) -> None:
    blocks = ("\n".join(split_sentences(paragraph)) for paragraph in paragraphs)
    target.write_text("\n\n".join(block for block in blocks if block) + "\n", encoding="utf-8")


def prepare(corpus: Path, work: Path) -> Path:
    """Write the prepared corpus to ``work/corpus`` unless it is there already.

    Args:
        corpus: Folder with ``books/`` and, optionally, ``corpora/`` (SQuAD, NQ, HotpotQA, passage
            lists); files are recognised by their folder and suffix, and absent ones are skipped.
        work: Work folder of the training run.
    """
    target = work / "corpus"
    done = target / "DONE"
    if done.exists():
        return target
    text = target / "text"
    text.mkdir(parents=True, exist_ok=True)
    for stem, paragraphs in iter_books(corpus / "books"):
        _write_text(text / f"book-{stem}.txt", paragraphs)
    corpora = corpus / "corpora"
    for path in sorted(corpora.glob("*/*corpus*.json")):
        _write_text(text / f"passages-{path.parent.name}.txt", iter_passages(path))
    for path in sorted(corpora.glob("sec10q_qna/*.csv")):
        _write_text(text / "reports-sec10q.txt", iter_reports(path))
    words = json.dumps(read_word_lists(corpora / "wordlists"), ensure_ascii=False)
    (target / "words.json").write_text(words, encoding="utf-8")
    with (target / "questions.jsonl").open("w", encoding="utf-8") as out:
        for question in _iter_questions(corpora):
            out.write(json.dumps(asdict(question), ensure_ascii=False) + "\n")
    done.write_text("complete\n", encoding="utf-8")
    return target


def _iter_questions(corpora: Path) -> Iterator[NaturalQuestion]:
    for path in sorted(corpora.glob("squad/*.json")):
        yield from iter_squad(path)
    for path in sorted(corpora.glob("nq/*.jsonl.gz")):
        yield from iter_nq(path)
    for path in sorted(corpora.glob("hotpotqa/*train100_hipporag.json")):
        yield from iter_hotpot(path)


def load_paragraphs(prepared: Path, prefix: str = "") -> list[list[str]]:
    """Load the sentences of the prepared text, by paragraph, of files named ``prefix*``."""
    paragraphs: list[list[str]] = []
    for path in sorted((prepared / "text").glob(f"{prefix}*.txt")):
        blocks = path.read_text(encoding="utf-8").split("\n\n")
        paragraphs.extend(block.strip().split("\n") for block in blocks if block.strip())
    return paragraphs


def load_questions(prepared: Path) -> list[NaturalQuestion]:
    """Load the prepared questions."""
    questions: list[NaturalQuestion] = []
    with (prepared / "questions.jsonl").open(encoding="utf-8") as lines:
        for line in lines:
            entry = json.loads(line)
            entry["sentences"] = tuple(entry["sentences"])
            entry["gold"] = tuple(entry["gold"])
            questions.append(NaturalQuestion(**entry))
    return questions
