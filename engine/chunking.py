"""Divides a document into chunks that are read one at a time.

A chunk is a run of whole sentences whose token ids, counted exactly as prompts will hold them, fit the
budget. The sentences tile the document: nothing is left out, nothing is cut unless a single sentence is over
the budget.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from engine.backends.base import Segment
from engine.documents.model import Document
from engine.errors import PlanError
from engine.text import sentence_spans

_PREFERRED_FILL = 0.8
"""A paragraph end is taken as the cut if it lies beyond this part of the budget."""

_FIRST_GUESS_CHARS_PER_TOKEN = 4.0

_MAX_CHARS_PER_TOKEN = 64
"""A sentence longer than this is not tokenised as a whole: it cannot fit, and it may be the whole file."""

_VISIBLE = re.compile(r"\S")
_LEADING_SPACE = re.compile(r"\s*")
_JOINERS = "\u200d\ufe0e\ufe0f"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """A sentence, or a piece of one that is over the budget.

    Attributes:
        start: offset of the first character in `Document.text`, the whitespace before the sentence included.
        end: offset behind the last one.
        text: what the model sees of it.
        token_ids: of `text`, tokenised on its own.
    """

    start: int
    end: int
    text: str
    token_ids: tuple[int, ...]

    @property
    def segment(self) -> Segment:
        """The sentence as a piece of a prompt."""
        return Segment(self.text, is_data=True, token_ids=self.token_ids)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """What the model reads in one conversation.

    Attributes:
        index: running number in the run, from 0.
        document: index of the document among those of the run.
        units: the sentences, in order, without gaps.
        num_overlap_units: leading units that the chunk before held too.
        first_page: physical number of the page of the first visible character.
        last_page: physical number of the page of the last visible character.
        labels: printed label or labels of these pages, "88" or "88-89".
        heading: heading of the first page.
        num_tokens: tokens of all units, each with its overhead.
    """

    index: int
    document: int
    units: tuple[Unit, ...]
    num_overlap_units: int
    first_page: int
    last_page: int
    labels: str
    heading: str
    num_tokens: int

    @property
    def is_repeat(self) -> bool:
        """Whether it shows nothing new: an earlier chunk that is read once more."""
        return self.num_overlap_units == len(self.units)

    def repeated(self, index: int) -> "Chunk":
        """The same sentences, to be read once more under another index."""
        return replace(self, index=index, num_overlap_units=len(self.units))

    @property
    def start(self) -> int:
        """Offset of the first character in `Document.text`."""
        return self.units[0].start

    @property
    def end(self) -> int:
        """Offset behind the last character in `Document.text`."""
        return self.units[-1].end


@dataclass(frozen=True, slots=True, kw_only=True)
class _Limits:
    """What a chunk may hold; see `chunk_document`."""

    budget_tokens: int
    unit_overhead_tokens: int
    max_units: int
    overlap_tokens: int

    def cost(self, unit: Unit) -> int:
        return len(unit.token_ids) + self.unit_overhead_tokens


def chunk_document(
    document: Document,
    *,
    document_index: int,
    tokenize: Callable[[str], Sequence[int]],
    budget_tokens: int,
    show: Callable[[str], str],
    unit_overhead_tokens: int = 0,
    max_units: int | None = None,
    overlap_tokens: int = 0,
    first_index: int = 0,
    start_offset: int = 0,
) -> tuple[Chunk, ...]:
    """Divide a document into chunks.

    Args:
        document: what to divide.
        document_index: its index among the documents of the run.
        tokenize: token ids of data text, no special tokens.
        budget_tokens: most tokens of a chunk.
        show: from a unit's text in the document to what the model sees.
        unit_overhead_tokens: tokens that the prompt adds to each unit (its label).
        max_units: most units of a chunk, for prompt sets with so many labels; None = any number.
        overlap_tokens: up to so many tokens of whole units are repeated from the chunk before.
        first_index: index of the first chunk.
        start_offset: where in `Document.text` to begin.

    Returns:
        Chunks that hold every visible character from `start_offset` on; none if there is none.

    Raises:
        PlanError: the budget cannot hold a single character.
    """
    limits = _Limits(
        budget_tokens=budget_tokens,
        unit_overhead_tokens=unit_overhead_tokens,
        max_units=max_units or 2**31,
        overlap_tokens=overlap_tokens,
    )
    soft_breaks = (
        frozenset(page.end for page in document.pages) if document.kind == "page" else frozenset[int]()
    )
    units = list(_units(document.text, start_offset, soft_breaks, tokenize, show, limits))
    return tuple(
        _chunk(document, document_index, first_index + number, units[start:end], overlap, limits)
        for number, (start, overlap, end) in enumerate(_pack(units, document.text, limits))
    )


def _units(
    text: str,
    start_offset: int,
    soft_breaks: frozenset[int],
    tokenize: Callable[[str], Sequence[int]],
    show: Callable[[str], str],
    limits: _Limits,
) -> Iterator[Unit]:
    """Units that each fit the budget; what shows nothing goes with the next one, at the end with the last."""
    room = limits.budget_tokens - limits.unit_overhead_tokens
    tail = text[start_offset:] if start_offset else text
    soft = {offset - start_offset for offset in soft_breaks} if start_offset else soft_breaks
    pending = start_offset
    last: Unit | None = None
    for _, relative_end in sentence_spans(tail, soft):
        start, end = pending, start_offset + relative_end
        shown = show(text[start:end])
        if not shown.strip():
            continue
        ids = tuple(tokenize(shown)) if len(shown) <= _MAX_CHARS_PER_TOKEN * max(room, 1) else None
        fits = ids is not None and len(ids) <= room
        whole = [Unit(start=start, end=end, text=shown, token_ids=ids)] if fits and ids is not None else None
        for unit in whole or _pieces(text, start, end, tokenize, show, room):
            if last is not None:
                yield last
            last = unit
        pending = end
    if last is not None:
        yield replace(last, end=len(text))


def _pieces(
    text: str,
    start: int,
    end: int,
    tokenize: Callable[[str], Sequence[int]],
    show: Callable[[str], str],
    room: int,
) -> Iterator[Unit]:
    """Divide a sentence that is over the budget, at spaces where there are any, else between characters."""
    chars_per_token = _FIRST_GUESS_CHARS_PER_TOKEN
    while start < end:
        visible = _VISIBLE.search(text, start, end)
        base = visible.start() if visible else start
        stop = min(end, base + max(1, int(room * chars_per_token)))
        while True:
            stop = _cut(text, start, stop, end)
            shown = show(text[start:stop])
            ids = tuple(tokenize(shown))
            if len(ids) <= room:
                break
            if stop - start == 1:
                raise PlanError(
                    f"A chunk budget of {room} tokens cannot hold a single character.",
                    hint="Choose a larger chunk size.",
                )
            chars_per_token = (stop - start) / len(ids)
            stop = start + max(1, min(stop - start - 1, int(room * chars_per_token * 0.95)))
        yield Unit(start=start, end=stop, text=shown, token_ids=ids)
        start = stop


def _cut(text: str, start: int, stop: int, end: int) -> int:
    """The best place at or before `stop` to end a piece that begins at `start`."""
    if stop >= end:
        return end
    half = start + (stop - start) // 2
    for position in range(stop, half, -1):
        if text[position].isspace() and not text[position - 1].isspace():
            return position
    for position in range(stop, max(half, stop - 32), -1):
        if not _is_joined(text[position - 1], text[position]):
            return position
    return stop


def _is_joined(before: str, char: str) -> bool:
    """Whether `char` combines with the character before it, as accents, joined emoji and surrogates do."""
    return (
        unicodedata.combining(char) != 0
        or char in _JOINERS
        or before == "\u200d"
        or "\udc00" <= char <= "\udfff"
        or "\U0001f3fb" <= char <= "\U0001f3ff"  # skin tones
    )


def _pack(units: Sequence[Unit], text: str, limits: _Limits) -> Iterator[tuple[int, int, int]]:
    """Fill chunks with units.

    Yields:
        (index of the first unit, number of units repeated, index behind the last unit).
    """
    start = overlap = 0
    while start + overlap < len(units):
        end = start
        tokens = 0
        while end < len(units) and end - start < limits.max_units:
            cost = limits.cost(units[end])
            if tokens + cost > limits.budget_tokens:
                break
            tokens += cost
            end += 1
        fresh = start + overlap
        if end < len(units):
            end = _paragraph_cut(units, text, start, fresh, end, tokens, limits)
        yield start, overlap, end
        start, overlap = _next_start(units, fresh, end, limits)


def _paragraph_cut(
    units: Sequence[Unit], text: str, start: int, fresh: int, end: int, tokens: int, limits: _Limits
) -> int:
    """Go back from `end` to the last paragraph end, if the chunk stays filled well enough."""
    for candidate in range(end, fresh, -1):
        if _begins_paragraph(text, units[candidate]):
            return candidate
        tokens -= limits.cost(units[candidate - 1])
        is_full = (candidate - 1 - start) >= _PREFERRED_FILL * limits.max_units
        if tokens < _PREFERRED_FILL * limits.budget_tokens and not is_full:
            break
    return end


def _begins_paragraph(text: str, unit: Unit) -> bool:
    space = _LEADING_SPACE.match(text, unit.start, unit.end)
    return space is not None and space[0].count("\n") > 1


def _next_start(units: Sequence[Unit], fresh: int, end: int, limits: _Limits) -> tuple[int, int]:
    """Where the next chunk starts, and how many of its units the chunk before holds too.

    Only units that were new in that chunk are repeated, and never all of them: every chunk moves on.
    """
    start = end
    if end < len(units):
        room = min(limits.overlap_tokens, limits.budget_tokens - limits.cost(units[end]))
        while start > fresh + 1 and end - start + 1 < limits.max_units:
            room -= limits.cost(units[start - 1])
            if room < 0:
                break
            start -= 1
    return start, end - start


def _chunk(
    document: Document, document_index: int, index: int, units: Sequence[Unit], overlap: int, limits: _Limits
) -> Chunk:
    visible = _VISIBLE.search(document.text, units[0].start, units[-1].end)
    first = document.page_at(visible.start() if visible else units[0].start)
    last_visible = units[0].start + len(document.text[units[0].start : units[-1].end].rstrip()) - 1
    last = document.page_at(max(last_visible, first.start))
    return Chunk(
        index=index,
        document=document_index,
        units=tuple(units),
        num_overlap_units=overlap,
        first_page=first.number,
        last_page=last.number,
        labels=first.label if first.number == last.number else f"{first.label}-{last.label}",
        heading=first.heading,
        num_tokens=sum(limits.cost(unit) for unit in units),
    )
