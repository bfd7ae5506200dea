"""Hides facts in a copy of a document, so that a reading can be checked.

Each fact becomes a sentence of its own, at a sentence end inside a paragraph that is drawn by a seed. EPUB,
Markdown and plain text; everything else in the file stays as it is. What was hidden, and where, is printed as
JSON.
"""

import argparse
import json
import random
import re
import sys
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from posixpath import dirname, join, normpath
from typing import Any
from urllib.parse import unquote

from lxml import etree

from engine.evaluation.facts import Fact, FactGenerator, held_together
from engine.evaluation.lists import EVALUATION_LISTS

MIN_PARAGRAPH_CHARS = 200
_SENTENCE_END = re.compile(r"(?<=[a-z][.!?])[”\"’)]*(?=\s+[“\"‘]?[A-Z])")
_ABBREVIATION = re.compile(r"\b(?:Mr|Mrs|Ms|Dr|St|Sr|Jr|Capt|Col|Gen|Prof|Rev|vol|ch|No|etc|vs)\.$")
_NOT_PROSE = re.compile(r"\s*(?:#|>|\||[-*+] |\d+[.)] |```|~~~|!\[|<|    |\t)")


@dataclass(slots=True, kw_only=True)
class Hidden:
    """A sentence that goes into the document.

    Attributes:
        fact: the sentence.
        question: what it answers; "" = a look-alike, which nobody asks about.
        answer: the value.
        section: number of the spine item (EPUB) or of the paragraph (text), from 1; 0 = not placed yet.
        name: path of the spine item, or the line that the paragraph starts in.
        look_alikes: sentences that resemble it and do not answer the question.
    """

    fact: str
    question: str
    answer: str
    section: int = 0
    name: str = ""
    look_alikes: list["Hidden"] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Slot:
    """A run of text that may take a sentence.

    Attributes:
        section: see `Hidden.section`.
        name: see `Hidden.name`.
        text: the run.
        places: offsets of sentence ends in it.
        node: the element that holds the run, and whether it is its tail (EPUB only).
    """

    section: int
    name: str
    text: str
    places: tuple[int, ...]
    node: tuple[Any, bool] | None = None


def generate(count: int, look_alikes: int, rng: random.Random) -> list[Hidden]:
    """Draw facts about different things, each with sentences that resemble it."""
    generator = FactGenerator(EVALUATION_LISTS, rng)
    asked: list[Fact] = []
    drawn: list[Fact] = []
    hidden: list[Hidden] = []
    while len(hidden) < count:
        fact = generator.fact()
        others = generator.look_alikes(fact, look_alikes)
        everything = [*drawn, fact, *others]
        if not all(one.statement.endswith(".") for one in (fact, *others)):
            continue
        if not held_together(everything, fact) or any(not held_together(everything, old) for old in asked):
            continue
        asked.append(fact)
        drawn += [fact, *others]
        resembling = [Hidden(fact=one.statement, question="", answer=one.value) for one in others]
        question = generator.question(fact)
        hidden.append(
            Hidden(fact=fact.statement, question=question, answer=fact.value, look_alikes=resembling)
        )
    return hidden


def read_given(path: Path) -> list[Hidden]:
    """Facts from a file, one JSON object a line: fact, question, answer."""
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()]
    return [Hidden(fact=row["fact"], question=row["question"], answer=row["answer"]) for row in rows]


def sentence_ends(text: str) -> tuple[int, ...]:
    """Offsets behind the sentences of a run of text, none inside quotation marks."""
    places = []
    for match in _SENTENCE_END.finditer(text):
        before = text[: match.end()]
        inside = before.count("“") > before.count("”") or before.count('"') % 2 == 1
        if not inside and not _ABBREVIATION.search(before.rstrip('”"’)')):
            places.append(match.end())
    return tuple(places)


def text_slots(text: str) -> list[Slot]:
    """Paragraphs of Markdown or plain text that may take a sentence."""
    slots = []
    offset = 0
    fenced = False
    for number, block in enumerate(re.split(r"(?<=\n)(?=[ \t]*\n)", text), start=1):
        if block.count("```") % 2 == 1:
            fenced = not fenced
        elif not fenced and len(block) >= MIN_PARAGRAPH_CHARS and not _NOT_PROSE.match(block.lstrip("\n")):
            places = tuple(offset + place for place in sentence_ends(block))
            line = text.count("\n", 0, offset) + 1 + len(block) - len(block.lstrip("\n"))
            if places:
                slots.append(Slot(number, f"line {line}", block, places))
        offset += len(block)
    return slots


def draw_places(
    slots: Sequence[Slot], hidden: Sequence[Hidden], rng: random.Random
) -> list[tuple[Slot, int, Hidden]]:
    """A paragraph of its own for every sentence, drawn evenly over the document.

    Raises:
        SystemExit: the document has too few paragraphs.
    """
    sentences = [sentence for one in hidden for sentence in (one, *one.look_alikes)]
    if len(slots) < len(sentences):
        raise SystemExit(f"The document has {len(slots)} paragraphs of prose; {len(sentences)} are needed.")
    chosen = rng.sample(range(len(slots)), len(sentences))
    placed = []
    for index, sentence in zip(chosen, sentences, strict=True):
        slot = slots[index]
        sentence.section, sentence.name = slot.section, slot.name
        placed.append((slot, rng.choice(slot.places), sentence))
    return placed


def insert_into_text(text: str, hidden: Sequence[Hidden], rng: random.Random) -> str:
    """Markdown or plain text with the sentences in it."""
    placed = draw_places(text_slots(text), hidden, rng)
    for _, place, sentence in sorted(placed, key=lambda item: -item[1]):
        text = f"{text[:place]} {sentence.fact}{text[place:]}"
    return text


def spine(book: zipfile.ZipFile) -> list[str]:
    """Paths of the text documents in reading order; the n-th is section n."""
    container: Any = etree.fromstring(book.read("META-INF/container.xml"))
    package_path = container.xpath("string(//*[local-name()='rootfile']/@full-path)")
    package: Any = etree.fromstring(book.read(package_path))
    hrefs = {item.get("id"): item.get("href") for item in package.xpath("//*[local-name()='manifest']/*")}
    references = package.xpath("//*[local-name()='spine']/*[local-name()='itemref']/@idref")
    return [normpath(join(dirname(package_path), unquote(hrefs[reference]))) for reference in references]


def epub_slots(section: int, name: str, tree: Any) -> Iterator[Slot]:
    """Paragraphs of one spine item that may take a sentence; the longest run of text in each."""
    for paragraph in tree.iter("{http://www.w3.org/1999/xhtml}p"):
        if len("".join(paragraph.itertext())) < MIN_PARAGRAPH_CHARS:
            continue
        runs = [(paragraph.text or "", (paragraph, False))]
        runs += [(child.tail or "", (child, True)) for child in paragraph]
        text, node = max(runs, key=lambda run: len(run[0]))
        places = sentence_ends(text)
        if places:
            yield Slot(section, name, text, places, node)


def insert_into_epub(source: Path, target: Path, hidden: Sequence[Hidden], rng: random.Random) -> None:
    """Write a copy of an EPUB with the sentences in it; files without one are copied as they are."""
    with zipfile.ZipFile(source) as book:
        parser = etree.XMLParser(resolve_entities=False, no_network=True)
        trees: dict[str, Any] = {}
        slots: list[Slot] = []
        for section, name in enumerate(spine(book), start=1):
            trees[name] = etree.fromstring(book.read(name), parser).getroottree()
            slots += epub_slots(section, name, trees[name])
        changed: dict[str, bytes] = {}
        for slot, place, sentence in draw_places(slots, hidden, rng):
            assert slot.node is not None
            element, is_tail = slot.node
            text = f"{slot.text[:place]} {sentence.fact}{slot.text[place:]}"
            setattr(element, "tail" if is_tail else "text", text)
            changed[slot.name] = b""
        for name in changed:
            changed[name] = etree.tostring(trees[name], xml_declaration=True, encoding="utf-8")
        with zipfile.ZipFile(target, "w") as copy:
            for entry in book.infolist():
                copy.writestr(entry, changed.get(entry.filename) or book.read(entry))


def insert(source: Path, target: Path, hidden: Sequence[Hidden], rng: random.Random) -> None:
    """Write a copy of a document with the sentences in it, and note in each where it went."""
    if zipfile.is_zipfile(source):
        insert_into_epub(source, target, hidden, rng)
    else:
        target.write_text(insert_into_text(source.read_text("utf-8"), hidden, rng), "utf-8")


def main() -> None:
    """Hide facts as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path, help="EPUB, Markdown or text")
    parser.add_argument("target", type=Path, help="the copy to write")
    parser.add_argument("--facts", type=Path, help="JSON lines: fact, question, answer; otherwise generated")
    parser.add_argument("--count", type=int, default=10, help="facts to generate")
    parser.add_argument("--look-alikes", type=int, default=0, help="resembling sentences for each fact")
    parser.add_argument("--seed", type=int, default=0, help="of facts and places")
    options = parser.parse_args()
    if options.target.exists() and options.target.samefile(options.source):
        parser.error("the copy would overwrite the document")
    rng = random.Random(options.seed)
    hidden = read_given(options.facts) if options.facts else generate(options.count, options.look_alikes, rng)
    insert(options.source, options.target, hidden, rng)
    report = {
        "source": options.source.name,
        "target": options.target.name,
        "seed": options.seed,
        "facts": [asdict(one) for one in hidden],
    }
    json.dump(report, sys.stdout, ensure_ascii=False, indent=2)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
