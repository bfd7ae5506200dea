"""The memory as real text: what the last change added and removed is marked, and every sentence leads to its page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from PySide6.QtCore import QUrl, Signal
from PySide6.QtGui import QTextBlockFormat, QTextCharFormat, QTextCursor
from PySide6.QtWidgets import QWidget

from app.gui.look import tones
from app.gui.reading.difference import Piece, Row, compare, counts
from app.gui.reading.ledger import bare, tiles, written
from app.gui.reading.parts import TextView
from app.gui.reading.record import QuestionRecord, chunk_place
from app.gui.reading.values import ChunkInfo, Place
from app.gui.reading.words import page_label, safe_text

_MOST_CHARACTERS = 10_000
"""Of a memory that are shown unasked: about 2,500 tokens, which are laid out within one turn of the event loop."""
_ALL = "all:"


class MemoryText(TextView):
    """Shows the memory after one step.

    Attributes:
        place_wanted: a sentence's page was clicked.
    """

    place_wanted = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(520, parent)
        self.setAccessibleName(self.tr("Memory"))
        self._places: list[Place] = []
        self._shown: _Shown | None = None
        self._counts = (0, 0)
        self._show_all = False
        self.anchorClicked.connect(self._go)

    def show_memory(
        self,
        question: QuestionRecord,
        position: int,
        chunks: Mapping[int, ChunkInfo],
        *,
        with_changes: bool,
    ) -> tuple[int, int]:
        """Show the memory after the step at a position, with the last change up to there marked.

        Nothing is done if that looks as what is shown: most steps change nothing.

        Returns:
            words that this change added and removed.
        """
        changed = question.last_change(position) if with_changes else None
        wanted = _Shown(question, position, chunks, changed)
        if self._shown is None or not self._shown.looks_like(wanted):
            self._show_all = False
            self._draw(wanted)
        return self._counts

    def forget(self) -> None:
        """Draw anew the next time, whatever is shown: colours changed, or where sentences come from."""
        self._shown = None

    def _draw(self, shown: "_Shown") -> None:
        self._shown = shown
        question, position = shown.question, shown.position
        step = question.steps[position]
        after = tiles(step.items) if step.items or not step.after else tiles(written(step.after))
        rows = [Row(place, (Piece("same", text),)) for place, text in enumerate(after)]
        if shown.changed is not None:
            rows = compare(_tiles_before(question, shown.changed), after)
        self._counts = counts(rows)
        inks = _Inks(self)
        scroll = self.verticalScrollBar().value()
        self.setUpdatesEnabled(False)
        self.clear()
        self._places = []
        cursor = QTextCursor(self.document())
        cursor.beginEditBlock()
        if not rows:
            cursor.insertText(self.tr("Nothing has been found so far."), inks.muted)
        self._insert_rows(cursor, rows, after, shown, inks)
        cursor.endEditBlock()
        self.verticalScrollBar().setValue(scroll)
        self.setUpdatesEnabled(True)

    def _insert_rows(
        self, cursor: QTextCursor, rows: Sequence[Row], after: Sequence[str], shown: "_Shown", inks: "_Inks"
    ) -> None:
        length = 0
        was_gone = False
        for row in rows:
            if length > _MOST_CHARACTERS and not self._show_all:
                cursor.insertBlock()
                cursor.insertText(self.tr("Show the rest of this memory"), inks.link(_ALL))
                return
            begins_line = length > 0 and (was_gone or row.tile is None or after[row.tile].startswith("\n"))
            _insert_row(cursor, row, inks, begins_line=begins_line, is_first=not length)
            if row.tile is not None:
                self._insert_link(cursor, after[row.tile], shown, inks)
            was_gone = row.tile is None
            length += sum(len(piece.text) for piece in row.pieces) + 1

    def _insert_link(self, cursor: QTextCursor, tile: str, shown: "_Shown", inks: "_Inks") -> None:
        place = place_of(tile, shown.question, shown.position, shown.chunks)
        if place is None:
            return
        self._places.append(place)
        cursor.insertText("\u2002", inks.of["same"])
        words = page_label(place.label, place.page).replace(" ", "\u00a0")
        cursor.insertText(words, inks.link(f"place:{len(self._places) - 1}"))

    def _go(self, link: QUrl) -> None:
        if link.toString() != _ALL:
            self.place_wanted.emit(self._places[int(link.path())])
        elif self._shown is not None:
            self._show_all = True
            self._draw(self._shown)


@dataclass(frozen=True, slots=True, eq=False)
class _Shown:
    """What a memory's picture depends on."""

    question: QuestionRecord
    position: int
    chunks: Mapping[int, ChunkInfo]
    changed: int | None

    def looks_like(self, other: "_Shown") -> bool:
        """Whether the pictures are the same: memories are shared, and sentences keep their origin while they stay."""
        return (
            self.question is other.question
            and self.changed == other.changed
            and self.question.last_change(self.position) == other.question.last_change(other.position)
            and self.question.steps[self.position].items is other.question.steps[other.position].items
        )


class _Inks:
    """The formats of one picture: made once, since making one takes longer than using it."""

    def __init__(self, view: TextView) -> None:
        tone = tones(view)
        plain, added, removed = view.ink(), view.ink(), view.ink(tone.muted)
        added.setBackground(tone.added)
        added.setUnderlineStyle(QTextCharFormat.UnderlineStyle.SingleUnderline)
        removed.setBackground(tone.removed)
        removed.setFontStrikeOut(True)
        self.of: dict[str, QTextCharFormat] = {"same": plain, "added": added, "removed": removed}
        self.muted = view.ink(tone.muted)
        self._link = view.ink(href="-", scale=0.9)

    def link(self, href: str) -> QTextCharFormat:
        """Of a link."""
        made = QTextCharFormat(self._link)
        made.setAnchorHref(href)
        return made


def _insert_row(cursor: QTextCursor, row: Row, inks: _Inks, *, begins_line: bool, is_first: bool) -> None:
    if begins_line:
        spaced = QTextBlockFormat()
        spaced.setTopMargin(6)
        cursor.insertBlock(spaced)
    at_start = is_first or begins_line
    for piece in row.pieces:
        text = safe_text(piece.text)
        if at_start:
            text = text.lstrip()
        cursor.insertText(text, inks.of[piece.change])
        at_start = at_start and not text


def place_of(
    tile: str, question: QuestionRecord, position: int, chunks: Mapping[int, ChunkInfo]
) -> Place | None:
    """Where a sentence of the memory comes from: its excerpt, else the chunk that brought it; None = it was given."""
    if not bare(tile):
        return None
    step = question.entered(tile, position)
    if step is None:
        return None
    found = question.source(tile, step)
    if found is not None:
        return found.place
    chunk = chunks.get(step.chunk)
    return None if chunk is None else chunk_place(chunk)


def _tiles_before(question: QuestionRecord, position: int) -> tuple[str, ...]:
    """The memory before a step; with its items where the step before left the same text."""
    step = question.steps[position]
    if position and question.steps[position - 1].after == step.before:
        return tiles(question.steps[position - 1].items)
    return tiles(written(step.before))
