"""Documents of a wished length, in the tokens of the model that is measured, with statements hidden at wished places.

Length is what the model's own tokenizer counts, not a guess from characters; a document comes within 3 % of what was
asked for. Statements stand between sentences of the text; where each one stands is known exactly.
"""

import hashlib
import random
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.documents.model import Document, PageDraft, lay_out
from engine.errors import PlanError
from engine.evaluation.items import Place
from engine.text import sentence_spans

BREAK = "\n\n"
_PROBE = "Reading 3,184 pages: naïve café — “quay” №7, 東京, résumé; the end.\n\nIt was 1936."
_MOST_CACHED_CHARS = 4_000
_GOLDEN = 0.6180339887498949


class TokenCounter:
    """Counts tokens as one model does; what was counted once is remembered.

    Args:
        tokenize: the model's tokenizer for data text.
    """

    def __init__(self, tokenize: Callable[[str], Sequence[int]]) -> None:
        self._tokenize = tokenize
        self._known: dict[str, int] = {}
        self._last = ("", 0)
        ids = ",".join(map(str, tokenize(_PROBE)))
        self.tokenizer_hash = hashlib.sha256(ids.encode()).hexdigest()
        """Equal for models that cut text alike; documents of equal length in tokens are the same for them."""

    def count(self, text: str) -> int:
        """Number of tokens of a text on its own."""
        if len(text) > _MOST_CACHED_CHARS:
            if text is not self._last[0]:  # questions on one document follow one another
                self._last = text, len(self._tokenize(text))
            return self._last[1]
        known = self._known.get(text)
        if known is None:
            known = self._known[text] = len(self._tokenize(text))
        return known

    def paragraph(self, text: str) -> int:
        """Number of tokens of a paragraph with the blank line behind it."""
        return self.count(text + BREAK)


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """What is hidden.

    Attributes:
        text: one sentence; a table row or caption, which ends in no full stop, gets a paragraph of its own.
        depth: where, as a share of the document in [0, 1].
    """

    text: str
    depth: float

    @property
    def is_block(self) -> bool:
        """Whether it stands in a paragraph of its own."""
        return not self.text.endswith((".", '"'))


def depths(count: int, *, seed: str, index: int) -> list[float]:
    """Depths for the statements of one item.

    Within an item they are evenly spread; from item to item they move on by the golden ratio (Kronecker's sequence), so
    that the first n items of a task are spread evenly over the document whatever n is.

    Args:
        count: statements.
        seed: names the sequence, whose beginning is drawn.
        index: of the item.

    Returns:
        shares in [0, 1), in no particular order.
    """
    start = random.Random(f"depth/{seed}").random() + index * _GOLDEN
    return [(start + number / count) % 1.0 for number in range(count)]


def fill(paragraphs: Iterable[str], num_tokens: int, counter: TokenCounter) -> list[str]:
    """Take paragraphs until there are so many tokens; the last one is cut to fit.

    Raises:
        PlanError: there is no room at all.
    """
    if num_tokens < 1:
        raise PlanError(
            "The length asked for has no room for what is to be hidden.", hint="Ask for longer documents."
        )
    taken: list[str] = []
    left = num_tokens
    for text in paragraphs:
        cost = counter.paragraph(text)
        if cost > left:
            taken += _first_part(text, left, counter)
            break
        taken.append(text)
        left -= cost
    return taken


def _first_part(text: str, num_tokens: int, counter: TokenCounter) -> list[str]:
    """The beginning of a paragraph that has so many tokens: whole sentences, then words of the next one."""
    words = text.split(" ")
    fits, over = 0, len(words) + 1
    while over - fits > 1:
        middle = (fits + over) // 2
        if counter.count(_ended(words[:middle])) <= num_tokens:
            fits = middle
        else:
            over = middle
    return [_ended(words[:fits])] if fits else []


def _ended(words: Sequence[str]) -> str:
    text = " ".join(words)
    return text if text.endswith((".", "!", "?", '"', "”")) else text + " ..."


def hide(
    paragraphs: Sequence[str], statements: Sequence[Statement], *, name: str
) -> tuple[Document, list[Place]]:
    """Put statements between the sentences of a text.

    Returns:
        the document, and the place of each statement in it.
    """
    text = BREAK.join(paragraphs)
    starts = [0]
    for paragraph in paragraphs[:-1]:
        starts.append(starts[-1] + len(paragraph) + len(BREAK))
    # Where a block and a sentence share a place, the block goes first: behind the sentence it would end no paragraph.
    slots = [
        (_slot(text, starts, paragraphs, statement), not statement.is_block, index)
        for index, statement in enumerate(statements)
    ]
    places = [Place(0, 0)] * len(statements)
    pieces: list[str] = []
    length = done = 0

    def add(piece: str) -> None:
        nonlocal length
        pieces.append(piece)
        length += len(piece)

    for offset, _, index in sorted(slots):
        statement = statements[index]
        add(text[done:offset])
        done = offset
        at_break = offset in (0, len(text)) or text.startswith(BREAK, offset - len(BREAK))
        before = "" if at_break else " "
        add(before)
        places[index] = Place(length, length + len(statement.text))
        add(statement.text)
        add(BREAK if statement.is_block else " " if at_break else "")
    add(text[done:])
    return document_of("".join(pieces), name), places


def _slot(text: str, starts: Sequence[int], paragraphs: Sequence[str], statement: Statement) -> int:
    """Offset near the depth at which a sentence begins (or, for a block, a paragraph)."""
    if not text:
        return 0
    wanted = statement.depth * len(text)
    number = max(0, bisect_right(starts, wanted) - 1)
    if statement.is_block:
        return starts[number]
    # Between sentences as readers see them: behind "Mr." a fact would become part of somebody's name.
    offsets = [start for start, _ in sentence_spans(paragraphs[number])] or [0]
    return starts[number] + min(offsets, key=lambda offset: abs(starts[number] + offset - wanted))


def document_of(text: str, name: str) -> Document:
    """A document of one section."""
    page = PageDraft(text=text)
    return Document(name=name, path=Path(name), format="text", kind="section", pages=lay_out([page]))
