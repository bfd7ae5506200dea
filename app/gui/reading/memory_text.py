"""The memory as real text: what the last change added and removed is marked, and every sentence leads to its page."""

from collections.abc import Mapping

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

_MOST_CHARACTERS = 40_000
"""Of a memory that are shown: more than a budget of 8,000 tokens, and still laid out at once."""


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

        Returns:
            words that this change added and removed.
        """
        step = question.steps[position]
        changed = question.last_change(position) if with_changes else None
        after = tiles(step.items) if step.items or not step.after else tiles(written(step.after))
        rows = [Row(place, (Piece("same", text),)) for place, text in enumerate(after)]
        if changed is not None:
            rows = compare(_tiles_before(question, changed), after)
        scroll = self.verticalScrollBar().value()
        self.setUpdatesEnabled(False)
        self.clear()
        self._places = []
        cursor = QTextCursor(self.document())
        cursor.beginEditBlock()
        if not rows:
            cursor.insertText(self.tr("Nothing has been found so far."), self.ink(tones(self).muted))
        shown = 0
        was_gone = False
        for row in rows:
            begins_line = shown > 0 and (was_gone or row.tile is None or after[row.tile].startswith("\n"))
            self._insert_row(cursor, row, begins_line=begins_line, is_first=not shown)
            if row.tile is not None:
                self._insert_link(cursor, after[row.tile], question, position, chunks)
            was_gone = row.tile is None
            shown += sum(len(piece.text) for piece in row.pieces) + 1
            if shown > _MOST_CHARACTERS:
                cursor.insertText(" …", self.ink(tones(self).muted))
                break
        cursor.endEditBlock()
        self.verticalScrollBar().setValue(scroll)
        self.setUpdatesEnabled(True)
        return counts(rows)

    def _insert_row(self, cursor: QTextCursor, row: Row, *, begins_line: bool, is_first: bool) -> None:
        if begins_line:
            spaced = QTextBlockFormat()
            spaced.setTopMargin(6)
            cursor.insertBlock(spaced)
        at_start = is_first or begins_line
        for piece in row.pieces:
            text = safe_text(piece.text)
            if at_start:
                text = text.lstrip()
            cursor.insertText(text, self._format(piece.change))
            at_start = at_start and not text

    def _format(self, change: str) -> QTextCharFormat:
        made = self.ink()
        if change == "added":
            made.setBackground(tones(self).added)
            made.setUnderlineStyle(QTextCharFormat.UnderlineStyle.SingleUnderline)
        elif change == "removed":
            made.setBackground(tones(self).removed)
            made.setForeground(tones(self).muted)
            made.setFontStrikeOut(True)
        return made

    def _insert_link(
        self,
        cursor: QTextCursor,
        tile: str,
        question: QuestionRecord,
        position: int,
        chunks: Mapping[int, ChunkInfo],
    ) -> None:
        place = place_of(tile, question, position, chunks)
        if place is None:
            return
        self._places.append(place)
        cursor.insertText("\u2002", self.ink())
        made = self.ink(href=f"place:{len(self._places) - 1}", scale=0.9)
        cursor.insertText(page_label(place.label, place.page).replace(" ", "\u00a0"), made)

    def _go(self, link: QUrl) -> None:
        self.place_wanted.emit(self._places[int(link.path())])


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


def _tiles_before(question: QuestionRecord, position: int) -> list[str]:
    """The memory before a step; with its items where the step before left the same text."""
    step = question.steps[position]
    if position and question.steps[position - 1].after == step.before:
        return tiles(question.steps[position - 1].items)
    return tiles(written(step.before))
