"""Cards of excerpts as they are found: the document's own words, their page, and what became of them."""

from collections.abc import Sequence

from PySide6.QtCore import (
    QAbstractListModel,
    QEvent,
    QModelIndex,
    QPersistentModelIndex,
    QPoint,
    QPointF,
    QRect,
    QRectF,
    QSize,
    Qt,
    Signal,
)
from PySide6.QtGui import (
    QAction,
    QFont,
    QFontMetrics,
    QGuiApplication,
    QKeyEvent,
    QKeySequence,
    QPainter,
    QResizeEvent,
    QTextLayout,
    QTextOption,
)
from PySide6.QtWidgets import QListView, QMenu, QStyle, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from app.gui.icons import icon
from app.gui.look import reading_font, tones
from app.gui.reading.parts import column, label
from app.gui.reading.record import QuestionRecord
from app.gui.reading.state import ReadingState
from app.gui.reading.values import Excerpt
from app.gui.reading.words import fill, number, one_line, page_label, translate

_MOST_LINES = 4
_MOST_CHARACTERS = 600
_PADDING = 10
_GAP = 6
_BAR = 3
_MARGIN = 6
_MOST_HEIGHTS = 4000

_Index = QModelIndex | QPersistentModelIndex
ExcerptRole = Qt.ItemDataRole.UserRole
PlaceRole = Qt.ItemDataRole.UserRole + 1
FateRole = Qt.ItemDataRole.UserRole + 2


class ExcerptModel(QAbstractListModel):
    """The excerpts of one question.

    Rows are the excerpts that were told, not those of the record, which a reading that goes on cuts before
    anything is drawn anew.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._question: QuestionRecord | None = None
        self._state: ReadingState | None = None
        self._cited: set[tuple[int, int, int]] = set()
        self._excerpts: list[Excerpt] = []
        self._lines: list[str | None] = []  # made when they are looked at

    def show_question(self, state: ReadingState | None, question: QuestionRecord | None) -> None:
        """Show all excerpts of a question."""
        self.beginResetModel()
        self._state, self._question = state, question
        self._excerpts = list(question.excerpts) if question else []
        self._lines = [None] * len(self._excerpts)
        self._cited = _cited(question)
        self.endResetModel()

    def catch_up(self) -> None:
        """Show those that came since."""
        first = len(self._excerpts)
        fresh = self._question.excerpts[first:] if self._question else []
        if not fresh:
            return
        self.beginInsertRows(QModelIndex(), first, first + len(fresh) - 1)
        self._excerpts += fresh
        self._lines += [None] * len(fresh)
        self.endInsertRows()

    def answered(self) -> None:
        """Say which of them the answer rests on."""
        self._cited = _cited(self._question)
        if self._excerpts:
            self.dataChanged.emit(self.index(0), self.index(len(self._excerpts) - 1), [FateRole])

    def rowCount(self, parent: _Index = QModelIndex(), /) -> int:  # noqa: B008
        """Number of excerpts."""
        return 0 if parent.isValid() else len(self._excerpts)

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole, /) -> object:
        """Quote, place in words, fate in words, or the excerpt itself."""
        row = index.row()
        if not 0 <= row < len(self._excerpts):
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return self._line(row)
        excerpt = self._excerpts[row]
        if role == ExcerptRole:
            return excerpt
        if role == PlaceRole:
            return self._place(excerpt)
        if role == FateRole:
            return self._fate(excerpt)
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return f"{self._line(row)}, {self._place(excerpt)}, {self._fate(excerpt)}"
        if role == Qt.ItemDataRole.ToolTipRole:
            return one_line(self._document(excerpt), 200)
        return None

    def _line(self, row: int) -> str:
        line = self._lines[row]
        if line is None:
            line = self._lines[row] = one_line(self._excerpts[row].quote, _MOST_CHARACTERS)
        return line

    def _place(self, excerpt: Excerpt) -> str:
        line = page_label(excerpt.place.label, excerpt.place.page)
        if self._state is not None and self._state.plan and len(self._state.plan.documents) > 1:
            line += f" · {one_line(self._document(excerpt), 60)}"
        return line

    def _document(self, excerpt: Excerpt) -> str:
        documents = self._state.plan.documents if self._state and self._state.plan else ()
        at = excerpt.place.document
        return documents[at].name if at < len(documents) else ""

    def _fate(self, excerpt: Excerpt) -> str:
        place = excerpt.place
        if (place.document, place.start, place.end) in self._cited:
            return self.tr("in the answer")
        return fill(translate("Reading", "found at step %1"), number(excerpt.chunk))


def _cited(question: QuestionRecord | None) -> set[tuple[int, int, int]]:
    claims = question.answer.claims if question and question.answer else ()
    return {
        (claim.place.document, claim.place.start, claim.place.end)
        for claim in claims
        if claim.place is not None
    }


class ExcerptDelegate(QStyledItemDelegate):
    """Paints an excerpt as a card. Heights are kept, since a layout of text for each row takes time."""

    def __init__(self, view: QListView) -> None:
        super().__init__(view)
        self._view = view
        self._heights: dict[tuple[str, int], int] = {}
        self._quote_font = reading_font(view, 1.05)

    def new_look(self) -> None:
        """Fonts changed."""
        self._heights.clear()
        self._quote_font = reading_font(self._view, 1.05)

    def sizeHint(self, option: QStyleOptionViewItem, index: _Index, /) -> QSize:
        """As high as its lines, at most four."""
        width = self._view.viewport().width()
        quote = str(index.data(Qt.ItemDataRole.DisplayRole))
        if (quote, width) not in self._heights:
            if len(self._heights) > _MOST_HEIGHTS:
                self._heights.clear()
            lines = len(self._lines(quote, self._text_width(width)))
            text = lines * QFontMetrics(self._quote_font).lineSpacing() + _GAP + self._foot_height()
            self._heights[quote, width] = text + 2 * _PADDING + _MARGIN
        return QSize(width, self._heights[quote, width])

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: _Index, /) -> None:
        """Card, bar, quote, place at the left, fate at the right."""
        tone = tones(self._view)
        area: QRect = option.rect
        state = option.state
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        frame = QRectF(area).adjusted(1, 1, -1, 1 - _MARGIN)
        is_current = bool(state & (QStyle.StateFlag.State_Selected | QStyle.StateFlag.State_MouseOver))
        has_focus = bool(state & QStyle.StateFlag.State_HasFocus)
        painter.setPen(tone.accent if has_focus else tone.line)
        painter.setBrush(tone.surface)
        painter.drawRoundedRect(frame, 6, 6)
        if is_current:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(tone.accent_soft)
            painter.drawRoundedRect(frame, 6, 6)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(tone.found)
        painter.drawRoundedRect(
            QRectF(frame.left() + 5, frame.top() + 8, _BAR, frame.height() - 16), 1.5, 1.5
        )
        self._paint_text(painter, frame, index)
        painter.restore()

    def _paint_text(self, painter: QPainter, frame: QRectF, index: _Index) -> None:
        tone = tones(self._view)
        left, top = frame.left() + _PADDING + _BAR + 4, frame.top() + _PADDING
        painter.setPen(tone.text)
        painter.setFont(self._quote_font)
        metrics = QFontMetrics(self._quote_font)
        lines = self._lines(str(index.data()), self._text_width(self._view.viewport().width()))
        width = int(frame.right() - left - _PADDING)
        for line in lines:
            painter.drawText(
                QRectF(left, top, width, metrics.lineSpacing()), Qt.AlignmentFlag.AlignLeft, line
            )
            top += metrics.lineSpacing()
        small = self._small_font()
        painter.setFont(small)
        foot = QRectF(left, top + _GAP, width, self._foot_height())
        fate = str(index.data(FateRole))
        room = width - QFontMetrics(small).horizontalAdvance(fate) - 16
        place = QFontMetrics(small).elidedText(str(index.data(PlaceRole)), Qt.TextElideMode.ElideRight, room)
        painter.setPen(tone.accent)
        painter.drawText(foot, Qt.AlignmentFlag.AlignLeft, place)
        painter.setPen(tone.muted)
        painter.drawText(foot, Qt.AlignmentFlag.AlignRight, fate)

    def _lines(self, text: str, width: int) -> list[str]:
        option = QTextOption()
        option.setWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)
        layout = QTextLayout(text, self._quote_font)
        layout.setTextOption(option)
        found: list[str] = []
        layout.beginLayout()
        while len(found) < _MOST_LINES:
            line = layout.createLine()
            if not line.isValid():
                break
            line.setLineWidth(max(width, 40))
            line.setPosition(QPointF(0, 0))
            start, length = line.textStart(), line.textLength()
            found.append(_slice(text, start, length))
        layout.endLayout()
        shown = sum(map(len, found))
        if found and shown < len(text.rstrip()) and len(found) == _MOST_LINES:
            metrics = QFontMetrics(self._quote_font)
            found[-1] = metrics.elidedText(found[-1].rstrip() + "…", Qt.TextElideMode.ElideRight, width)
        return [line.rstrip() for line in found]

    def _text_width(self, width: int) -> int:
        return width - 2 * _PADDING - _BAR - 8

    def _small_font(self) -> QFont:
        font = QFont(self._view.font())
        font.setPointSizeF(font.pointSizeF() * 0.9)
        return font

    def _foot_height(self) -> int:
        return QFontMetrics(self._small_font()).lineSpacing()


def _slice(text: str, start: int, length: int) -> str:
    """Part of a text by Qt's count, which counts characters beyond the first plane twice."""
    if text.isascii():
        return text[start : start + length]
    units = text.encode("utf-16-le", "surrogatepass")
    return units[2 * start : 2 * (start + length)].decode("utf-16-le", "replace")


class _View(QListView):
    """A list that breaks its lines anew with its width.

    Attributes:
        entered_by_key: the Enter key on a card.
    """

    entered_by_key = Signal(QModelIndex)

    def resizeEvent(self, event: QResizeEvent, /) -> None:
        """Heights depend on the width."""
        super().resizeEvent(event)
        if event.size().width() != event.oldSize().width():
            self.scheduleDelayedItemsLayout()

    def keyPressEvent(self, event: QKeyEvent, /) -> None:
        """Enter is as good as a click."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.currentIndex().isValid():
            self.entered_by_key.emit(self.currentIndex())
            return
        super().keyPressEvent(event)


class EvidenceView(QWidget):
    """The list of cards.

    Attributes:
        place_wanted: a `Place` of a card that was clicked, or entered.
    """

    place_wanted = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._model = ExcerptModel(self)
        self._list = _View()
        self._list.setModel(self._model)
        self._delegate = ExcerptDelegate(self._list)
        self._list.setItemDelegate(self._delegate)
        self._list.setAccessibleName(self.tr("Evidence"))
        self._list.setLayoutMode(QListView.LayoutMode.Batched)
        self._list.setBatchSize(40)
        self._list.setResizeMode(QListView.ResizeMode.Adjust)
        self._list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._list.setVerticalScrollMode(QListView.ScrollMode.ScrollPerPixel)
        self._list.verticalScrollBar().setSingleStep(24)
        self._list.setMouseTracking(True)
        self._list.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self._list.customContextMenuRequested.connect(self._open_menu)
        self._copy = QAction(icon("copy"), self.tr("Copy quote"), self)
        self._copy.setShortcut(QKeySequence(QKeySequence.StandardKey.Copy))
        self._copy.setShortcutContext(Qt.ShortcutContext.WidgetShortcut)
        self._copy.triggered.connect(self.copy)
        self._show = QAction(icon("page"), self.tr("Show in document"), self)
        self._show.triggered.connect(lambda: self._go(self._list.currentIndex()))
        self._list.addActions([self._show, self._copy])
        self._empty = label(self.tr("Excerpts that matter will appear here as they are found."), "muted")
        layout = column(self)
        layout.addWidget(self._empty)
        layout.addWidget(self._list)
        self._list.clicked.connect(self._go)
        self._list.entered_by_key.connect(self._go)
        self._fit()

    @property
    def count(self) -> int:
        """Number of cards."""
        return self._model.rowCount()

    def show_question(self, state: ReadingState | None, index: int) -> None:
        """Show the excerpts of a question of a reading."""
        question = state.questions[index] if state is not None and index < len(state.questions) else None
        self._model.show_question(state, question)
        self._fit()

    def catch_up(self) -> None:
        """Show the excerpts that came since; stays where it is."""
        self._model.catch_up()
        self._fit()

    def answered(self) -> None:
        """Mark what the answer rests on."""
        self._model.answered()

    def excerpts(self) -> Sequence[Excerpt]:
        """Those that are shown."""
        return [self._model.index(row).data(ExcerptRole) for row in range(self.count)]

    def copy(self) -> None:
        """Put the quote of the current card on the clipboard, with its page."""
        index = self._list.currentIndex()
        if index.isValid():
            excerpt: Excerpt = index.data(ExcerptRole)
            QGuiApplication.clipboard().setText(f"“{excerpt.quote}” ({index.data(PlaceRole)})")

    def changeEvent(self, event: QEvent, /) -> None:
        """Fonts give the heights."""
        super().changeEvent(event)
        if event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange) and hasattr(self, "_delegate"):
            self._delegate.new_look()
            self._list.scheduleDelayedItemsLayout()
            self._fit()

    def _fit(self) -> None:
        has_any = self.count > 0
        self._list.setVisible(has_any)
        self._empty.setVisible(not has_any)
        option = QStyleOptionViewItem()
        height = 4
        for row in range(min(self.count, 12)):
            height += self._delegate.sizeHint(option, self._model.index(row)).height()
        self._list.setFixedHeight(min(height, 440))

    def resizeEvent(self, event: QResizeEvent, /) -> None:
        """Heights depend on the width."""
        super().resizeEvent(event)
        self._fit()

    def _go(self, index: _Index) -> None:
        excerpt: Excerpt | None = index.data(ExcerptRole)
        if excerpt is not None:
            self.place_wanted.emit(excerpt.place)

    def _open_menu(self, at: QPoint) -> None:
        if self._list.indexAt(at).isValid():
            menu = QMenu(self)
            menu.addActions([self._show, self._copy])
            menu.exec(self._list.viewport().mapToGlobal(at))
