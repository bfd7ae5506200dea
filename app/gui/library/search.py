"""Search over the pages of all documents, with an exact count; results come while one types."""

import re
import unicodedata
from collections.abc import Sequence

from PySide6.QtCore import (
    QAbstractListModel,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QPointF,
    QRect,
    QSize,
    Qt,
    QTimer,
    Signal,
)
from PySide6.QtGui import QColor, QFontMetrics, QKeyEvent, QMouseEvent, QPainter, QTextCharFormat, QTextLayout
from PySide6.QtWidgets import (
    QAbstractItemView,
    QListView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QVBoxLayout,
    QWidget,
)

from app.gui.calling import Call
from app.gui.icons import icon
from app.gui.library import queries, wording
from app.gui.library.painting import (
    GAP,
    MARGIN,
    caption_font,
    draw_line,
    fill_rounded,
    strong_font,
    text_layout,
)
from app.gui.library.values import Entry, Found, PageHit, Tally
from app.gui.look import Tones, tones
from app.gui.reading.parts import label
from app.gui.reading.words import one_line, page_label, safe_text
from engine.errors import PalimpsestError

DEBOUNCE_MS = 150
_MOST_NAMES = 5
_TERM = re.compile(r'"([^"]*)"|(\S+)')
_WORD = re.compile(r"\w+")
Index = QModelIndex | QPersistentModelIndex
_NONE = QModelIndex()

HIT_ROLE = int(Qt.ItemDataRole.UserRole)


def words_of(query: str) -> list[str]:
    """The words and "quoted phrases" of what was typed."""
    found = [" ".join((quoted or word).replace('"', " ").split()) for quoted, word in _TERM.findall(query)]
    return [each for each in found if each]


def fold(text: str) -> str:
    """Without case and accents, as the index compares."""
    parts = unicodedata.normalize("NFKD", text)
    return "".join(each for each in parts if not unicodedata.combining(each)).casefold()


class Results(QWidget):
    """What a search found.

    Args:
        call: asks the store.
        parent: the panel.
    """

    place_wanted = Signal(str, int, list)
    """(content hash, physical page, words and phrases that were searched for)."""
    document_wanted = Signal(str)
    failed = Signal(object)
    left = Signal()
    """The keyboard wants to go back to the search field."""

    def __init__(self, call: Call, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._call = call
        self._query = ""
        self._documents: Sequence[Entry] = ()
        self._found: Found | None = None
        self._tally = Tally()
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(DEBOUNCE_MS)
        self._timer.timeout.connect(self._ask)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        self.summary = label("", "caption")
        self.summary.setContentsMargins(12, 4, 12, 4)
        layout.addWidget(self.summary)
        self.model = _ResultsModel(self)
        self.view = _ResultsList(self.model)
        self.view.setAccessibleName(self.tr("Search results"))
        self.view.chosen.connect(self._choose)
        self.view.left.connect(self.left)
        layout.addWidget(self.view, 1)

    def search(self, query: str, documents: Sequence[Entry]) -> None:
        """Look for `query` once nothing was typed for a moment; "" ends the search.

        Args:
            query: what was typed.
            documents: all documents: their names are searched too, and their pages are counted in.
        """
        self._query = query
        self._documents = documents
        if query.strip():
            self._timer.start()
        else:
            self._timer.stop()
            self.model.show([], [], [])
            self.summary.clear()

    def activate_first(self) -> None:
        """As a click on the first result."""
        if self.model.rowCount():
            self.view.setCurrentIndex(self.model.index(0))
            self._choose(self.model.index(0).data(HIT_ROLE))

    def _ask(self) -> None:
        query = self._query
        self._call(
            lambda store: queries.search_pages(store, query), self._show, self._fail, key="library-search"
        )

    def _show(self, found: Found) -> None:
        if found.query != self._query:
            return
        self._found = found
        wanted = fold(queries.phrase_of(found.query))
        names = [each for each in self._documents if wanted in fold(each.name)][:_MOST_NAMES]
        self.model.show(names, found.hits, words_of(found.query))
        self.view.scrollToTop()
        self._tally = Tally(remaining=tuple(each.content_hash for each in self._documents))
        self._say()
        self._count()

    def _count(self) -> None:
        if not self._tally.remaining:
            return
        query, so_far = self._query, self._tally

        def take(tally: Tally) -> None:
            if query == self._query:
                self._tally = tally
                self._say()
                self._count()

        self._call(
            lambda store: queries.count_on(store, query, so_far), take, self._fail, key="library-count"
        )

    def _say(self) -> None:
        line = wording.tally_line(self._tally, self._found, queries.phrase_of(self._query))
        if self._found is not None and self._found.is_cut:
            line += " " + self.tr("The best %1 pages are shown.").replace("%1", str(len(self._found.hits)))
        self.summary.setText(line)

    def _fail(self, error: PalimpsestError) -> None:
        self.failed.emit(error)

    def _choose(self, chosen: object) -> None:
        if isinstance(chosen, PageHit):
            self.place_wanted.emit(chosen.content_hash, chosen.page, words_of(self._query))
        elif isinstance(chosen, Entry):
            self.document_wanted.emit(chosen.content_hash)


class _ResultsModel(QAbstractListModel):
    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._rows: list[Entry | PageHit] = []
        self._words: list[str] = []

    def rowCount(self, parent: Index = _NONE) -> int:
        return 0 if parent.isValid() else len(self._rows)

    def data(self, index: Index, role: int = int(Qt.ItemDataRole.DisplayRole)) -> object:
        if not index.isValid():
            return None
        found = self._rows[index.row()]
        if role == HIT_ROLE:
            return found
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole):
            if isinstance(found, Entry):
                return wording.spoken(found, is_chosen=False)
            place = page_label(found.label, found.page)
            return f"{one_line(found.document)}, {place}: {safe_text(found.snippet)}"
        return None

    def show(self, names: Sequence[Entry], hits: Sequence[PageHit], words: list[str]) -> None:
        self.beginResetModel()
        self._rows = [*names, *hits]
        self._words = [fold(word) for phrase in words for word in _WORD.findall(phrase)]
        self.endResetModel()

    def marks(self, text: str) -> list[tuple[int, int]]:
        """Where words of the query stand in a snippet: (start, length) in Qt's units, UTF-16."""
        return [
            (_utf16(text[: match.start()]), _utf16(match.group()))
            for match in _WORD.finditer(text)
            if any(fold(match.group()).startswith(word) for word in self._words)
        ]


class _ResultsList(QListView):
    chosen = Signal(object)
    left = Signal()

    def __init__(self, model: _ResultsModel) -> None:
        super().__init__()
        self.setModel(model)
        self.setItemDelegate(_ResultDelegate(self, model))
        self.setUniformItemSizes(True)
        self.setMouseTracking(True)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        super().mouseReleaseEvent(event)
        index = self.indexAt(event.position().toPoint())
        if index.isValid() and event.button() is Qt.MouseButton.LeftButton:
            self.chosen.emit(index.data(HIT_ROLE))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.currentIndex().isValid():
            self.chosen.emit(self.currentIndex().data(HIT_ROLE))
        elif event.key() == Qt.Key.Key_Escape or (
            event.key() == Qt.Key.Key_Up and self.currentIndex().row() <= 0
        ):
            self.left.emit()
        else:
            super().keyPressEvent(event)


class _ResultDelegate(QStyledItemDelegate):
    def __init__(self, view: QListView, model: _ResultsModel) -> None:
        super().__init__(view)
        self._view = view
        self._model = model

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        small = QFontMetrics(caption_font(self._view.font()))
        return QSize(120, QFontMetrics(self._view.font()).height() + 2 * small.height() + 2 * MARGIN)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        found = index.data(HIT_ROLE)
        tone = tones(self._view)
        rect = option.rect.adjusted(4, 1, -4, -1)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        is_current = bool(option.state & QStyle.StateFlag.State_Selected)
        if is_current or option.state & QStyle.StateFlag.State_MouseOver:
            fill_rounded(painter, rect, tone.accent_soft)
        if is_current and option.state & QStyle.StateFlag.State_HasFocus:
            painter.setPen(tone.accent)
            painter.drawRoundedRect(rect.adjusted(0, 0, -1, -1), 6, 6)
        inner = rect.adjusted(2 * GAP, MARGIN - 1, -2 * GAP, 0)
        if isinstance(found, Entry):
            self._paint_name(painter, inner, found, tone)
        elif isinstance(found, PageHit):
            self._paint_hit(painter, inner, found, tone)
        painter.restore()

    def _paint_name(self, painter: QPainter, rect: QRect, entry: Entry, tone: Tones) -> None:
        icon("file").paint(painter, QRect(rect.left(), rect.top(), 20, 20))
        height = QFontMetrics(self._view.font()).height()
        line = QRect(rect.left() + 28, rect.top(), rect.width() - 28, height)
        strong = strong_font(self._view.font())
        draw_line(painter, line, one_line(entry.name), strong, tone.text, Qt.TextElideMode.ElideMiddle)
        small = caption_font(self._view.font())
        below = QRect(line.left(), line.bottom() + 1, line.width(), QFontMetrics(small).height())
        draw_line(painter, below, " · ".join(wording.facts(entry)), small, tone.muted)

    def _paint_hit(self, painter: QPainter, rect: QRect, hit: PageHit, tone: Tones) -> None:
        small = caption_font(self._view.font())
        strong = strong_font(small)
        place = page_label(hit.label, hit.page)
        height = QFontMetrics(self._view.font()).height()
        place_width = QFontMetrics(strong).horizontalAdvance(place)
        name_rect = QRect(rect.left(), rect.top(), rect.width() - place_width - 8, height)
        draw_line(painter, name_rect, one_line(hit.document), strong, tone.text, Qt.TextElideMode.ElideMiddle)
        place_rect = QRect(rect.right() - place_width, rect.top(), place_width + 1, height)
        draw_line(painter, place_rect, place, strong, tone.accent)
        snippet = safe_text(hit.snippet)
        layout = text_layout(snippet, small, rect.width(), 2)
        painter.setPen(tone.muted)
        layout.draw(
            painter, QPointF(rect.left(), name_rect.bottom() + 1), _ranges(self._model, snippet, tone)
        )


def _ranges(model: _ResultsModel, text: str, tone: Tones) -> list[QTextLayout.FormatRange]:
    made = []
    for start, length in model.marks(text):
        wanted = QTextLayout.FormatRange()
        wanted.start, wanted.length = start, length
        wanted.format = _marked(tone.text, tone.highlight)
        made.append(wanted)
    return made


def _utf16(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _marked(text: QColor, wash: QColor) -> QTextCharFormat:
    made = QTextCharFormat()
    made.setForeground(text)
    made.setBackground(wash)
    return made
