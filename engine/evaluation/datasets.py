"""Files of questions with their passages: SQuAD, HotpotQA, MuSiQue, Natural Questions of "Lost in the Middle".

The format is told by the content. Each question names the passages that answer it; everything else in the file
distracts.
"""

import functools
import gzip
import hashlib
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import PlanError
from engine.evaluation.held_back import is_held_back_article
from engine.text import collapse_whitespace, json_lines

HINT = "It must be SQuAD or HotpotQA JSON, MuSiQue JSON, or lines of Natural Questions with 'ctxs'."


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A paragraph.

    Attributes:
        title: of what it is from.
        text: its words, single spaces.
    """

    title: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question on passages.

    Attributes:
        question_id: as in the file.
        question: what is asked.
        answers: every wording that counts; () = its passages do not answer it.
        passages: what answers it, in no particular order.
        evidence: for each passage the stretches [start, end) of its text that say so.
    """

    question_id: str
    question: str
    answers: tuple[str, ...]
    passages: tuple[Passage, ...]
    evidence: tuple[tuple[tuple[int, int], ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """What a file holds.

    Attributes:
        name: the file's name.
        questions: in the file's order.
        passages: every passage, those that answer included, without doubles.
        content_hash: sha256 of the file, and of what was left out.
    """

    name: str
    questions: tuple[Question, ...]
    passages: tuple[Passage, ...]
    content_hash: str


@functools.lru_cache(maxsize=2)
def load_dataset(path: Path, *, held_back_only: bool = False) -> Dataset:
    """Read a file of questions.

    Args:
        path: JSON or JSON lines, also gzipped.
        held_back_only: leave out all but the articles that no training of the bundled model saw.

    Raises:
        PlanError: it cannot be read, or is of no format that is known.
    """
    data = _read(path)
    try:
        records = _parse(data)
        questions = [question for question in _questions(records) if question.question]
        extra = list(_all_passages(records))
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as exc:
        raise PlanError(f"The questions in {path.name} cannot be understood: {exc!r}.", hint=HINT) from exc
    if held_back_only:
        questions = [one for one in questions if all(is_held_back_article(p.title) for p in one.passages)]
        extra = [passage for passage in extra if is_held_back_article(passage.title)]
    if not questions:
        left = " of a held-back article" if held_back_only else ""
        raise PlanError(f"There is no question{left} in {path.name}.", hint=HINT)
    own = [passage for question in questions for passage in question.passages]
    digest = hashlib.sha256(data + (b"held back" if held_back_only else b"")).hexdigest()
    return Dataset(
        name=path.name,
        questions=tuple(questions),
        passages=tuple(dict.fromkeys([*own, *extra])),
        content_hash=digest,
    )


def _read(path: Path) -> bytes:
    try:
        data = path.read_bytes()
        return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    except (OSError, EOFError, zlib.error) as exc:
        raise PlanError(
            f"The file {path.name} cannot be read: {exc}.", hint="Check the path and the file."
        ) from exc


def _parse(data: bytes) -> list[dict[str, Any]]:
    """Records of a JSON list, of the list under "data", or of JSON lines.

    Raises:
        ValueError: it is neither.
    """
    text = data.decode("utf-8-sig")
    try:
        whole = json.loads(text)
    except json.JSONDecodeError:
        whole = [json.loads(line) for _, line in json_lines(text)]
    if isinstance(whole, dict):
        whole = whole["data"] if "data" in whole else [whole]
    if not isinstance(whole, list) or not whole or not all(isinstance(one, dict) for one in whole):
        raise ValueError("no list of objects")
    return whole


def _questions(records: Sequence[Mapping[str, Any]]) -> Iterator[Question]:
    return (question for number, record in enumerate(records) for question in _reader(record)(record, number))


def _reader(record: Mapping[str, Any]) -> Callable[[Mapping[str, Any], int], Iterable[Question]]:
    """By the keys that a format alone has.

    Raises:
        ValueError: it is none that is known.
    """
    if "ctxs" in record:
        return _natural
    if "supporting_facts" in record and "context" in record:
        return _hotpot
    if "question" in record and "paragraphs" in record:
        return _musique
    if "paragraphs" in record:
        return _squad
    raise ValueError(f"unknown keys: {', '.join(sorted(map(str, record))[:6])}")


def _all_passages(records: Iterable[Mapping[str, Any]]) -> Iterator[Passage]:
    for record in records:
        if "ctxs" in record:
            pairs = [(one["title"], one["text"]) for one in record["ctxs"]]
        elif "context" in record:
            pairs = [(title, "".join(sentences)) for title, sentences in record["context"]]
        elif "question" in record:
            pairs = [(one["title"], one["paragraph_text"]) for one in record["paragraphs"]]
        else:
            pairs = [(record["title"], one["context"]) for one in record["paragraphs"]]
        yield from (_passage(title, text) for title, text in pairs)


def _passage(title: str, text: str) -> Passage:
    return Passage(title=title.replace("_", " "), text=collapse_whitespace(text))


def _squad(record: Mapping[str, Any], number: int) -> Iterator[Question]:
    """An article of SQuAD 1.1 or 2.0 (Rajpurkar et al. 2016, 2018)."""
    for paragraph in record["paragraphs"]:
        passage = _passage(record["title"], paragraph["context"])
        for one in paragraph["qas"]:
            found = () if one.get("is_impossible") else tuple(one["answers"])
            answers = tuple(dict.fromkeys(collapse_whitespace(answer["text"]) for answer in found))
            # The annotators chose different stretches; the first one's is the place.
            starts = (
                [len(collapse_whitespace(paragraph["context"][: found[0]["answer_start"]]))] if found else []
            )
            spans = _spans(passage.text, answers[:1], starts)
            yield Question(
                question_id=str(one["id"]),
                question=collapse_whitespace(one["question"]),
                answers=answers,
                passages=(passage,),
                evidence=(spans,),
            )


def _spans(text: str, answers: Sequence[str], starts: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Where an answer stands at or behind a place in a text; () if it does not."""
    for answer, start in zip(answers, starts, strict=True):
        at = text.find(answer, start)
        if at < 0:
            at = text.find(answer)
        if at >= 0:
            return ((at, at + len(answer)),)
    return ()


def _hotpot(record: Mapping[str, Any], number: int) -> Iterator[Question]:
    """A question of HotpotQA (Yang et al. 2018), with the sentences that it rests on."""
    wanted: dict[str, list[int]] = {}
    for title, sentence in record["supporting_facts"]:
        wanted.setdefault(title, []).append(sentence)
    passages, evidence = [], []
    for title, sentences in record["context"]:
        if title in wanted:
            passages.append(_passage(title, "".join(sentences)))
            spans: list[tuple[int, int]] = []
            for index in wanted[title]:
                if index < len(sentences):
                    spans += _spans(passages[-1].text, [collapse_whitespace(sentences[index])], [0])
            evidence.append(tuple(spans))
    yield Question(
        question_id=str(record.get("_id", number)),
        question=collapse_whitespace(record["question"]),
        answers=(collapse_whitespace(record["answer"]),),
        passages=tuple(passages),
        evidence=tuple(evidence),
    )


def _musique(record: Mapping[str, Any], number: int) -> Iterator[Question]:
    """A question of MuSiQue (Trivedi et al. 2022); its evidence is whole paragraphs."""
    passages = [
        _passage(one["title"], one["paragraph_text"])
        for one in record["paragraphs"]
        if one.get("is_supporting")
    ]
    answers = (record["answer"], *record.get("answer_aliases", ()))
    yield Question(
        question_id=str(record.get("id", number)),
        question=collapse_whitespace(record["question"]),
        answers=tuple(dict.fromkeys(answers)) if record.get("answerable", True) else (),
        passages=tuple(passages),
        evidence=tuple(((0, len(passage.text)),) for passage in passages),
    )


def _natural(record: Mapping[str, Any], number: int) -> Iterator[Question]:
    """A line of Natural Questions as of "Lost in the Middle" (Liu et al. 2023): the passages with ``isgold``."""
    gold = [one for one in record["ctxs"] if one.get("isgold")]
    passages = [_passage(one["title"], one["text"]) for one in gold]
    answers = tuple(dict.fromkeys(map(collapse_whitespace, record["answers"])))
    evidence = []
    for passage in passages:
        found = [_spans(passage.text, [answer], [0]) for answer in answers]
        evidence.append(next((spans for spans in found if spans), ()))
    yield Question(
        question_id=str(record.get("id", number)),
        question=collapse_whitespace(record["question"]),
        answers=answers,
        passages=tuple(passages),
        evidence=tuple(evidence),
    )
