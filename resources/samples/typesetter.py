"""A small page maker on reportlab: justified paragraphs, footnotes, tables, running heads, page labels.

Line ends are chosen for the whole paragraph at once (least sum of cubed stretch), words are divided by a few
safe English rules, and footnotes stand on the page of their mark. The same input gives the same bytes.
"""

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from reportlab import rl_config
from reportlab.pdfbase.pdfmetrics import stringWidth
from reportlab.pdfgen.canvas import Canvas

WIDTH, HEIGHT = 442.0, 663.0
INNER, OUTER, TOP, BOTTOM = 58.0, 50.0, 66.0, 62.0
MEASURE = WIDTH - INNER - OUTER
ROMAN, ITALIC, BOLD = "Times-Roman", "Times-Italic", "Times-Bold"
_TOKEN = re.compile(r"(_[^_]+_|\*[^*]+\*|\^\[[^\]]+\])")
_VOWELS = "aeiouy"
_SPLIT_PAIRS = frozenset(
    "rb rm rn rt rd rg rp rv nt nd nc nv nf ns mp mb lt lv lm ct pt ll mm nn pp rr ss tt cc dd ff gg".split()
)
_SUFFIXES = ("tion", "sion", "ment", "ness", "ship", "ture", "ward", "less")


@dataclass(frozen=True, slots=True)
class Style:
    """How a paragraph looks. Sizes in points."""

    size: float = 10.6
    leading: float = 14.0
    font: str = ROMAN
    indent: float = 0.0
    first: float = 0.0
    before: float = 0.0
    after: float = 5.0
    align: str = "justify"
    keep_with_next: bool = False


@dataclass(slots=True)
class _Word:
    """Pieces that stand together without a space, with the footnotes marked in them."""

    runs: list[tuple[str, str, bool]]  # font, text, is a footnote mark
    notes: list[tuple[int, str]] = field(default_factory=list)

    def width(self, size: float) -> float:
        return float(
            sum(stringWidth(text, font, size * 0.66 if mark else size) for font, text, mark in self.runs)
        )


@dataclass(slots=True)
class _Line:
    words: list[_Word]
    last: bool


def roman_numeral(number: int) -> str:
    """Lower-case roman numeral of a number below 40."""
    return "x" * (number // 10) + ("", "i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix")[number % 10]


def divide(word: str) -> list[int]:
    """Places at which a lower-case English word may be divided, by rules that err on the side of too few."""
    if len(word) < 7 or not word.isalpha() or not word.islower():
        return []
    places = {len(word) - len(end) for end in _SUFFIXES if word.endswith(end)}
    for index in range(3, len(word) - 3):
        before, after = word[:index], word[index:]
        pair = before[-1] + after[0]
        if pair in _SPLIT_PAIRS and before[-2] in _VOWELS and after[1] in _VOWELS:
            places.add(index)
    ending = next((end for end in ("ing", "ed", "er", "ers", "ly", "able") if word.endswith(end)), "")
    short = {ending, *(letter + ending for letter in "dgtc")} if ending else set()
    return sorted(place for place in places if 3 <= place <= len(word) - 3 and word[place:] not in short)


class Press:
    """Sets blocks onto pages, top to bottom, and writes the PDF."""

    def __init__(self, *, title: str, author: str, subject: str) -> None:
        rl_config.useA85 = 0
        self._buffer = io.BytesIO()
        self._canvas = Canvas(self._buffer, pagesize=(WIDTH, HEIGHT), invariant=1, pageCompression=1)
        self._canvas.setTitle(title)
        self._canvas.setAuthor(author)
        self._canvas.setSubject(subject)
        self._canvas.setCreator("resources/samples/make_sample.py")
        self.page = 0
        self.label = ""
        self.labels: dict[str, tuple[int, str]] = {}
        self.header: tuple[str, str] = ("", "")
        self._roman = True
        self._number = 0
        self._y = 0.0
        self._floor = BOTTOM
        self._notes: list[list[_Line]] = []
        self._note_count = 0
        self._open = False
        self._bare = False
        self._unbreakable: tuple[str, ...] = ()

    # -- pages --

    def keep_whole(self, sentences: Sequence[str]) -> None:
        """No word of these sentences is divided at a line end."""
        self._unbreakable = tuple(sentences)

    def start_arabic(self) -> None:
        """From the next right-hand page on, pages are numbered 1, 2, 3."""
        self._close()
        if self.page % 2 == 1:
            self._begin(bare=True)
            self._close()
        self._roman, self._number = False, 0

    def new_page(self, *, bare: bool = False, right_hand: bool = False) -> None:
        """Begin a page; a bare one has neither running head nor number."""
        self._close()
        if right_hand and self.page % 2 == 1:
            self._begin(bare=True)
            self._close()
        self._begin(bare=bare)

    def mark(self, name: str, *, outline: str = "", level: int = 0) -> None:
        """Remember this place under a name; with a title, put it into the PDF's outline too."""
        self._ensure()
        self.labels[name] = (self.page, self.label)
        if outline:
            self._canvas.bookmarkHorizontalAbsolute(name, self._y + 14)
            self._canvas.addOutlineEntry(outline, name, level, closed=level == 0)

    def finish(self) -> bytes:
        """The PDF."""
        self._close()
        self._canvas.save()
        return self._buffer.getvalue()

    def _begin(self, *, bare: bool = False) -> None:
        self.page += 1
        self._number += 1
        self.label = roman_numeral(self._number) if self._roman else str(self._number)
        style = "ROMAN_LOWER" if self._roman else "ARABIC"
        if self._number == 1:
            self._canvas.addPageLabel(self.page - 1, style=style, start=1)
        self._open, self._bare = True, bare
        self._y = HEIGHT - TOP
        self._floor = BOTTOM
        self._notes = []

    def _ensure(self) -> None:
        if not self._open:
            self._begin()

    def _close(self) -> None:
        if not self._open:
            return
        self._draw_notes()
        if not self._bare:
            self._draw_furniture()
        self._canvas.showPage()
        self._open = False

    def _left(self) -> float:
        return INNER if self.page % 2 == 1 else OUTER

    def _draw_furniture(self) -> None:
        canvas, left, right = self._canvas, self._left(), self._left() + MEASURE
        canvas.setFont(ITALIC, 9)
        odd = self.page % 2 == 1
        if self.header[0]:
            y = HEIGHT - 44
            if odd:
                canvas.drawRightString(right, y, self.header[1])
            else:
                canvas.drawString(left, y, self.header[0])
            canvas.setLineWidth(0.4)
            canvas.line(left, y - 5, right, y - 5)
        canvas.setFont(ROMAN, 9)
        if odd:
            canvas.drawRightString(right, 36, self.label)
        else:
            canvas.drawString(left, 36, self.label)

    def _draw_notes(self) -> None:
        if not self._notes:
            return
        total = sum(len(lines) for lines in self._notes) * 10.4
        y = BOTTOM + total - 6
        self._canvas.setLineWidth(0.4)
        self._canvas.line(self._left(), y + 11, self._left() + 70, y + 11)
        for lines in self._notes:
            for line in lines:
                self._draw_line(line, self._left(), y, MEASURE, 8.4, "justify")
                y -= 10.4

    # -- paragraphs --

    def paragraph(self, text: str, style: Style = Style()) -> None:
        """One paragraph; marks: ``_italic_``, ``*bold*``, ``^[footnote]``."""
        self._ensure()
        self._y -= style.before
        lines = self._break(self._words(text, style), style)
        reserve = style.leading * 3 if style.keep_with_next else 0.0
        if style.keep_with_next and self._y - style.leading * len(lines) - reserve < self._floor:
            self._turn()
        index = 0
        while index < len(lines):
            room = self._fitting(lines[index:], style)
            rest = len(lines) - index
            if room < rest:
                if room >= 2 and rest - room == 1:
                    room -= 1
                if room == 1 and index == 0 and rest > 1:
                    room = 0
            for line in lines[index : index + room]:
                self._place(line, style, first=index == 0)
                index += 1
            if index < len(lines):
                self._turn()
        self._y -= style.after

    def space(self, points: float) -> None:
        """Leave room."""
        self._ensure()
        self._y -= points

    def require(self, points: float) -> None:
        """Turn the page unless this much room is left."""
        self._ensure()
        if self._y - points < self._floor:
            self._turn()

    def _turn(self) -> None:
        self._close()
        self._begin()

    def _fitting(self, lines: Sequence[_Line], style: Style) -> int:
        """How many of these lines still fit, the footnotes marked in them included."""
        y, floor, fitting = self._y, self._floor, 0
        for line in lines:
            for word in line.words:
                for _, note in word.notes:
                    floor += len(self._note_lines(0, note)) * 10.4 + (0 if floor > BOTTOM else 14)
            y -= style.leading
            if y < floor:
                break
            fitting += 1
        return fitting

    def _place(self, line: _Line, style: Style, *, first: bool) -> None:
        self._y -= style.leading
        indent = style.indent + (style.first if first else 0.0)
        self._draw_line(line, self._left() + indent, self._y + 3, MEASURE - indent, style.size, style.align)
        for word in line.words:
            for number, note in word.notes:
                self._floor += 0 if self._notes else 14
                self._notes.append(self._note_lines(number, note))
                self._floor += len(self._notes[-1]) * 10.4

    def _note_lines(self, number: int, note: str) -> list[_Line]:
        style = Style(size=8.4, leading=10.4)
        words = self._words(f"{number}. {note}", style)
        return self._break(words, style)

    def _draw_line(self, line: _Line, x: float, y: float, measure: float, size: float, align: str) -> None:
        space = stringWidth(" ", ROMAN, size)
        natural = sum(word.width(size) for word in line.words) + space * (len(line.words) - 1)
        slack = measure - natural
        extra = 0.0
        if align == "centre":
            x += slack / 2
        elif align == "right":
            x += slack
        elif align == "justify" and len(line.words) > 1 and (not line.last or slack < 0):
            extra = slack / (len(line.words) - 1)
        out = self._canvas.beginText(x, y)
        out.setWordSpace(extra)
        pending_font, pending = "", ""
        for index, word in enumerate(line.words):
            for position, (font, text, is_mark) in enumerate(word.runs):
                lead = " " if index and position == 0 else ""
                if is_mark:
                    if pending:
                        out.setFont(pending_font, size)
                        out.textOut(pending)
                        pending = ""
                    out.setFont(font, size * 0.66)
                    out.setRise(size * 0.34)
                    out.textOut(text)
                    out.setRise(0)
                    continue
                if font != pending_font and pending:
                    out.setFont(pending_font, size)
                    out.textOut(pending + lead)
                    pending, lead = "", ""
                pending_font = font
                pending += lead + text
        if pending:
            out.setFont(pending_font, size)
            out.textOut(pending)
        self._canvas.drawText(out)

    def _words(self, text: str, style: Style) -> list[_Word]:
        words: list[_Word] = []
        glue = False
        for piece in _TOKEN.split(text):
            if piece.startswith("^["):
                self._note_count += 1
                words[-1].runs.append((style.font, str(self._note_count), True))
                words[-1].notes.append((self._note_count, piece[2:-1]))
                glue = True
                continue
            font = style.font
            if piece[:1] == piece[-1:] and piece[:1] in "_*" and len(piece) > 1:
                font = ITALIC if piece[0] == "_" else BOLD
                piece = piece[1:-1]
            if piece[:1].isspace():
                glue = False
            for bit in piece.split():
                if glue and words:
                    words[-1].runs.append((font, bit, False))
                else:
                    words.append(_Word([(font, bit, False)]))
                glue = False
            glue = bool(piece) and not piece[-1].isspace()
        return words

    def _whole(self, text: str) -> bool:
        return any(sentence in text for sentence in self._unbreakable)

    def _break(self, words: list[_Word], style: Style) -> list[_Line]:
        """Line ends of a whole paragraph: least sum of cubed stretch, divided words cost extra."""
        if style.align != "justify":
            return self._break_greedy(words, style)
        size = style.size
        space = stringWidth(" ", ROMAN, size)
        parts = self._parts(words)
        widths = [part.width(size) for part, _ in parts]
        hyphen = stringWidth("-", ROMAN, size)
        best: list[tuple[float, int]] = [(0.0, 0)] + [(float("inf"), 0)] * len(parts)
        for start in range(len(parts)):
            if best[start][0] == float("inf"):
                continue
            measure = MEASURE - style.indent - (style.first if start == 0 else 0.0)
            natural, gaps = 0.0, 0
            for end in range(start + 1, len(parts) + 1):
                natural += widths[end - 1]
                joined = parts[end - 1][1]
                width = natural + gaps * space + (hyphen if joined else 0.0)
                if width - gaps * space * 0.18 > measure and end > start + 1:
                    break
                if end == len(parts):
                    cost = 0.0
                else:
                    stretch = (measure - width) / (max(gaps, 1) * space)
                    cost = 100 * abs(stretch) ** 3 + (4 if joined else 0) + 1
                if best[start][0] + cost < best[end][0]:
                    best[end] = (best[start][0] + cost, start)
                gaps += 0 if joined else 1
        return self._lines(parts, best)

    @staticmethod
    def _lines(parts: list[tuple[_Word, bool]], best: list[tuple[float, int]]) -> list[_Line]:
        ends = [len(parts)]
        while ends[-1] > 0:
            ends.append(best[ends[-1]][1])
        ends.reverse()
        lines = []
        for start, end in pairwise(ends):
            words: list[_Word] = []
            glue = False
            for part, joined in parts[start:end]:
                if glue:
                    words[-1] = _Word(words[-1].runs + part.runs, words[-1].notes + part.notes)
                else:
                    words.append(_Word(list(part.runs), list(part.notes)))
                glue = joined
            if glue:
                font, text, _ = words[-1].runs[-1]
                words[-1].runs[-1] = (font, text + "-", False)
            for word in words:
                word.runs = _merge(word.runs)
            lines.append(_Line(words, last=end == len(parts)))
        return lines

    def _parts(self, words: list[_Word]) -> list[tuple[_Word, bool]]:
        """Words cut at the places where they may be divided; True = goes on in the next part."""
        text = " ".join("".join(run[1] for run in word.runs if not run[2]) for word in words)
        whole = self._whole(text)
        parts: list[tuple[_Word, bool]] = []
        for word in words:
            font, first, is_mark = word.runs[0]
            core = first.rstrip(".,;:")
            places = [] if whole or is_mark or len(word.runs) > 1 else divide(core)
            position = 0
            for place in places:
                parts.append((_Word([(font, first[position:place], False)]), True))
                position = place
            parts.append((_Word([(font, first[position:], is_mark), *word.runs[1:]], word.notes), False))
        return parts

    @staticmethod
    def _break_greedy(words: list[_Word], style: Style) -> list[_Line]:
        space = stringWidth(" ", ROMAN, style.size)
        lines: list[_Line] = []
        line: list[_Word] = []
        width = 0.0
        for word in words:
            measure = MEASURE - style.indent - (style.first if not lines else 0.0)
            if line and width + space + word.width(style.size) > measure:
                lines.append(_Line(line, last=False))
                line, width = [], 0.0
            width += word.width(style.size) + (space if line else 0.0)
            line.append(word)
        return [*lines, _Line(line, last=True)] if line else lines

    # -- tables and figures --

    def table(
        self,
        caption: str,
        head: Sequence[str],
        rows: Sequence[Sequence[str]],
        widths: Sequence[float],
        *,
        total: bool = False,
        size: float = 8.8,
    ) -> None:
        """A ruled table; first column left, the others right aligned; the head is repeated on each page."""
        leading = size + 4.2
        self.require(leading * min(len(rows) + 5, 14))
        if caption:
            self.paragraph(caption, Style(size=9.4, leading=12, font=BOLD, align="left", before=6, after=4))
        self._table_head(head, widths, size)
        for index, row in enumerate(rows):
            if self._y - leading < self._floor:
                self._turn()
                self._table_head([*head], widths, size)
            is_total = total and index == len(rows) - 1
            if is_total:
                self._rule(0.4)
            self._row(row, widths, BOLD if is_total else ROMAN, size, leading)
        self._rule(0.8)
        self._y -= 12

    def _table_head(self, head: Sequence[str], widths: Sequence[float], size: float) -> None:
        self._rule(0.8)
        self._row(head, widths, ITALIC, size, size + 5)
        self._rule(0.4)

    def _rule(self, thickness: float) -> None:
        self._canvas.setLineWidth(thickness)
        y = self._y - 1
        self._canvas.line(self._left(), y, self._left() + MEASURE, y)

    def _row(
        self, row: Sequence[str], widths: Sequence[float], font: str, size: float, leading: float
    ) -> None:
        self._y -= leading
        self._canvas.setFont(font, size)
        x = self._left()
        for index, (cell, share) in enumerate(zip(row, widths, strict=True)):
            width = MEASURE * share
            if share < 0 or index == 0:
                self._canvas.drawString(x + 1, self._y + 3, cell)
            else:
                self._canvas.drawRightString(x + width - 2, self._y + 3, cell)
            x += abs(width)

    def figure(self, caption: str, height: float, draw: Callable[[Canvas, float, float], None]) -> None:
        """Line art of a given height; `draw` gets the canvas at the lower left corner, width and height."""
        self.require(height + 40)
        self._y -= height + 8
        self._canvas.saveState()
        self._canvas.translate(self._left(), self._y)
        draw(self._canvas, MEASURE, height)
        self._canvas.restoreState()
        self.paragraph(caption, Style(size=9, leading=11.5, font=ITALIC, align="centre", before=4, after=10))

    def leader(
        self, left: str, right: str, *, indent: float = 0.0, font: str = ROMAN, size: float = 10.4
    ) -> None:
        """A line of a list of contents: text, dots, page label."""
        self._ensure()
        if self._y - 15 < self._floor:
            self._turn()
        self._y -= 15
        canvas, x = self._canvas, self._left() + indent
        canvas.setFont(font, size)
        canvas.drawString(x, self._y, left)
        canvas.drawRightString(self._left() + MEASURE, self._y, right)
        start = x + stringWidth(left, font, size) + 6
        stop = self._left() + MEASURE - stringWidth(right, font, size) - 6
        canvas.setLineWidth(0.6)
        canvas.setDash(0.6, 4)
        if stop > start:
            canvas.line(start, self._y + 1, stop, self._y + 1)
        canvas.setDash()

    def ornament(self, width: float) -> None:
        """A short centred rule."""
        self._ensure()
        self._y -= 12
        middle = self._left() + MEASURE / 2
        self._canvas.setLineWidth(0.8)
        self._canvas.line(middle - width / 2, self._y + 4, middle + width / 2, self._y + 4)


def _merge(runs: list[tuple[str, str, bool]]) -> list[tuple[str, str, bool]]:
    merged: list[tuple[str, str, bool]] = []
    for font, text, is_mark in runs:
        if merged and merged[-1][0] == font and not merged[-1][2] and not is_mark:
            merged[-1] = (font, merged[-1][1] + text, False)
        else:
            merged.append((font, text, is_mark))
    return merged
