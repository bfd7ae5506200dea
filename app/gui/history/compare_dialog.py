"""Two runs side by side: what differs in settings, answers, evidence, coverage, cost and memory."""

from PySide6.QtCore import QCoreApplication, QDateTime, QLocale, Qt, Signal
from PySide6.QtGui import QShowEvent, QTextCharFormat, QTextCursor
from PySide6.QtWidgets import (
    QDialog,
    QFrame,
    QGridLayout,
    QScrollArea,
    QStackedWidget,
    QTextBrowser,
    QVBoxLayout,
    QWidget,
)

from app.gui.calling import Call
from app.gui.history import queries, wording
from app.gui.history.values import Comparison, Quote, Side
from app.gui.look import reading_font, set_role, tones
from app.gui.reading.parts import button, label
from app.gui.reading.words import duration, mode_name, number, one_line, page_label, plural, safe_text
from engine.errors import PalimpsestError

translate = QCoreApplication.translate

_MOST_QUOTES = 100
_MOST_CHARACTERS = 2000


class CompareDialog(QDialog):
    """Shows two runs side by side; does not hold up the window.

    Args:
        call: asks the store.
        one: id of a run.
        other: id of another.
        parent: the window.
    """

    place_wanted = Signal(str, int, list)
    """(content hash, physical page, phrases to mark there)."""
    run_opened = Signal(str)

    def __init__(self, call: Call, one: str, other: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(self.tr("Compare two readings"))
        self.resize(980, 720)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self._pages = QStackedWidget()
        layout.addWidget(self._pages)
        self.state = label(self.tr("Comparing…"), "muted")
        self.state.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._pages.addWidget(self.state)
        self.comparison: Comparison | None = None
        call(lambda store: queries.compare(store, one, other), self._show, self._fail, key="history-compare")

    def _fail(self, error: PalimpsestError) -> None:
        set_role(self.state, "error")
        self.state.setText(safe_text(str(error)))

    def _show(self, comparison: Comparison) -> None:
        self.comparison = comparison
        page = QWidget()
        grid = QGridLayout(page)
        grid.setContentsMargins(24, 24, 24, 24)
        grid.setHorizontalSpacing(24)
        grid.setVerticalSpacing(8)
        grid.setColumnStretch(0, 1)
        grid.setColumnStretch(1, 1)
        for column, side in enumerate((comparison.left, comparison.right)):
            grid.addWidget(self._head(side), 0, column, Qt.AlignmentFlag.AlignTop)
            grid.addWidget(self._answer(side), 2, column)
            grid.addWidget(self._quotes(side), 7, column, Qt.AlignmentFlag.AlignTop)
        self._head_line(grid, 1, self.tr("Answer"))
        self._head_line(grid, 3, self.tr("Reading"))
        grid.addWidget(self._figures(comparison), 4, 0, 1, 2)
        self._head_line(grid, 5, self.tr("Evidence that only one found"))
        common = plural(
            comparison.num_common,
            self.tr("Both found 1 passage."),
            self.tr("Both found %1 passages.", "", comparison.num_common),
        )
        grid.addWidget(label(common, "caption"), 6, 0, 1, 2)
        self._head_line(grid, 8, self.tr("Last memory, from the older to the newer reading"))
        grid.addWidget(_MemoryDiff(comparison), 9, 0, 1, 2)
        grid.setRowStretch(10, 1)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setWidget(page)
        self._pages.addWidget(scroll)
        self._pages.setCurrentWidget(scroll)

    def _head_line(self, grid: QGridLayout, line: int, text: str) -> None:
        made = label(text, "heading")
        made.setContentsMargins(0, 16, 0, 0)
        grid.addWidget(made, line, 0, 1, 2)

    def _head(self, side: Side) -> QWidget:
        page = QWidget()
        layout = QVBoxLayout(page)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(label(safe_text(side.run.question), "title"))
        created = QLocale().toString(
            QDateTime.fromSecsSinceEpoch(round(side.run.created_at)), QLocale.FormatType.ShortFormat
        )
        layout.addWidget(
            label(f"{created} · {one_line(side.run.model)} · {mode_name(side.run.mode)}", "caption")
        )
        layout.addWidget(label(wording.documents(side.run), "caption"))
        opener = button(self.tr("Open this reading"), role="quiet")
        opener.clicked.connect(lambda: self.run_opened.emit(side.run.run_id))
        layout.addWidget(opener, 0, Qt.AlignmentFlag.AlignLeft)
        return page

    def _answer(self, side: Side) -> QFrame:
        card = QFrame()
        set_role(card, "card")
        layout = QVBoxLayout(card)
        layout.setContentsMargins(16, 12, 16, 12)
        text = label(safe_text(side.answer or wording.outcome(side.run)), "" if side.answer else "muted")
        if side.answer:
            text.setFont(reading_font(self, 1.1))
        layout.addWidget(text)
        layout.addStretch(1)
        return card

    def _figures(self, comparison: Comparison) -> QFrame:
        card = QFrame()
        set_role(card, "card")
        grid = QGridLayout(card)
        grid.setContentsMargins(16, 12, 16, 12)
        grid.setHorizontalSpacing(16)
        grid.setVerticalSpacing(6)
        for column, stretch in enumerate((2, 4, 4)):
            grid.setColumnStretch(column, stretch)
        left, right = comparison.left, comparison.right
        none = self.tr("none yet")
        rows = [
            (self.tr("How it stands"), wording.progress(left.run), wording.progress(right.run)),
            (self.tr("Coverage"), left.coverage or none, right.coverage or none),
            (self.tr("Time"), duration(left.wall_s), duration(right.wall_s)),
            (self.tr("Tokens computed"), number(left.prompt_tokens), number(right.prompt_tokens)),
            (self.tr("Tokens written"), number(left.completion_tokens), number(right.completion_tokens)),
        ]
        rows += [
            (setting_name(each.name), each.left, each.right)
            for each in comparison.settings
            if each.name not in ("question",)
        ]
        for line, (name, one, other) in enumerate(rows):
            differs = one != other
            grid.addWidget(label(name, "muted"), line, 0, Qt.AlignmentFlag.AlignTop)
            for column, value in ((1, one), (2, other)):
                shown = label(one_line(value) or "–", "heading" if differs else "")
                grid.addWidget(shown, line, column, Qt.AlignmentFlag.AlignTop)
        return card

    def _quotes(self, side: Side) -> QWidget:
        page = QWidget()
        layout = QVBoxLayout(page)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        if not side.only:
            layout.addWidget(label(self.tr("Nothing that the other did not find."), "muted"))
        for quote in side.only[:_MOST_QUOTES]:
            layout.addWidget(self._quote(quote))
        if len(side.only) > _MOST_QUOTES:
            rest = len(side.only) - _MOST_QUOTES
            layout.addWidget(label(plural(rest, self.tr("1 more"), self.tr("%1 more", "", rest)), "muted"))
        return page

    def _quote(self, quote: Quote) -> QFrame:
        card = QFrame()
        set_role(card, "card")
        layout = QVBoxLayout(card)
        layout.setContentsMargins(16, 12, 16, 8)
        layout.setSpacing(4)
        text = label(one_line(quote.text, _MOST_CHARACTERS))  # lines of a page end where the page did
        text.setFont(reading_font(self))
        layout.addWidget(text)
        place = button(
            f"{one_line(quote.document, 60)}, {page_label(quote.label, quote.page)}".replace("&", "&&")
        )
        set_role(place, "quiet")
        place.clicked.connect(lambda: self.place_wanted.emit(quote.content_hash, quote.page, [quote.text]))
        layout.addWidget(place, 0, Qt.AlignmentFlag.AlignLeft)
        return card


class _MemoryDiff(QTextBrowser):
    """The word-level difference of two memories, as text that can be selected."""

    def __init__(self, comparison: Comparison) -> None:
        super().__init__()
        self._comparison = comparison
        self.setOpenLinks(False)
        self.setAccessibleName(self.tr("Difference of the memories"))
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.document().setDocumentMargin(0)
        self.document().documentLayout().documentSizeChanged.connect(
            lambda size: self.setFixedHeight(round(size.height()) + 8)
        )

    def showEvent(self, event: QShowEvent) -> None:
        """Colours and font are those of the moment."""
        self._fill()
        super().showEvent(event)

    def _fill(self) -> None:
        tone = tones(self)
        self.clear()
        self.setFont(reading_font(self))
        cursor = QTextCursor(self.document())
        formats = {change: QTextCharFormat() for change in ("same", "added", "removed")}
        formats["added"].setBackground(tone.added)
        formats["removed"].setBackground(tone.removed)
        formats["removed"].setFontStrikeOut(True)
        if not any(text.strip() for _, text in self._comparison.memory_changes):
            cursor.insertText(self.tr("Both memories are empty."), formats["same"])
        for change, text in self._comparison.memory_changes:
            cursor.insertText(safe_text(text), formats[change])


def setting_name(name: str) -> str:
    """A setting in plain words."""
    names = {
        "documents": translate("History", "Documents"),
        "model": translate("History", "Model"),
        "prompts": translate("History", "Wording of the prompts"),
        "mode": translate("History", "Way of reading"),
        "chunk_tokens": translate("History", "Chunk, tokens"),
        "memory_tokens": translate("History", "Memory, tokens"),
        "answer_tokens": translate("History", "Answer, tokens"),
        "question_tokens": translate("History", "Question, tokens"),
        "overlap_tokens": translate("History", "Overlap, tokens"),
        "rounds": translate("History", "Rounds"),
        "recall_chunks": translate("History", "Chunks read once more"),
        "sampling.temperature": translate("History", "Temperature"),
        "sampling.seed": translate("History", "Seed"),
    }
    return names.get(name, name)
