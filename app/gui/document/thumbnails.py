"""The pages in small at the side of a document."""

from PySide6.QtCore import (
    QAbstractListModel,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QRectF,
    QSize,
    Qt,
    QTimer,
    Signal,
)
from PySide6.QtGui import QHideEvent, QImage, QPainter, QPen, QResizeEvent, QShowEvent
from PySide6.QtWidgets import QListView, QStyle, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from app.gui.document.pdf_thread import Lane, PdfThread, PictureKey
from app.gui.document.picture_store import PictureStore
from app.gui.document.values import PagePlace
from app.gui.look import tones

Index = QModelIndex | QPersistentModelIndex

_WIDTH, _HEIGHT = 112, 152
_BUDGET_BYTES = 12 * 2**20
_LABEL = 22
_PADDING = 12


class _Pages(QAbstractListModel):
    def __init__(self, pages: tuple[PagePlace, ...], parent: QObject) -> None:
        super().__init__(parent)
        self.pages = pages

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self.pages)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole):
            return self.pages[index.row()].label
        return None


class Thumbnails(QListView):
    """A list of small pages; only those that can be seen are drawn."""

    page_wanted = Signal(int)
    """Go to this physical page."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName(self.tr("Pages in small"))
        self.setUniformItemSizes(True)
        self.setVerticalScrollMode(QListView.ScrollMode.ScrollPerPixel)
        self.setItemDelegate(_Painter(self))
        self.clicked.connect(self._go)
        self.activated.connect(self._go)
        self.pictures = PictureStore(_BUDGET_BYTES)
        self._thread: PdfThread | None = None
        self._pages: _Pages | None = None
        self._sizes: list[tuple[float, float]] = []
        self._soon = QTimer(self, singleShot=True, interval=30)
        self._soon.timeout.connect(self._ask)
        self.verticalScrollBar().valueChanged.connect(lambda: self._soon.start())

    def set_document(
        self, pages: tuple[PagePlace, ...], thread: PdfThread, sizes: list[tuple[float, float]]
    ) -> None:
        """Show the pages of a document that a thread has opened; sizes are in points, [num_pages]."""
        self.clear()
        self._thread, self._sizes = thread, sizes
        self._pages = _Pages(pages, self)
        self.setModel(self._pages)
        thread.picture_ready.connect(self._take)
        thread.sized.connect(self._take_sizes)
        self._soon.start()

    def clear(self) -> None:
        """Show nothing."""
        if self._thread is not None:
            self._thread.picture_ready.disconnect(self._take)
            self._thread.sized.disconnect(self._take_sizes)
        self._thread = None
        before, self._pages = self._pages, None
        self.setModel(None)
        if before is not None:
            before.deleteLater()
        self.pictures.clear()

    def show_page(self, number: int) -> None:
        """Mark the page that is looked at."""
        if self._pages is None:
            return
        index = self._pages.index(number - 1, 0)
        if index != self.currentIndex():
            self.setCurrentIndex(index)

    def key_of(self, row: int) -> PictureKey:
        """The picture of a page that fits here."""
        width, height = self._sizes[row]
        scale = min(_WIDTH / width, _HEIGHT / height) * self.devicePixelRatioF()
        across, down = max(round(width * scale), 1), max(round(height * scale), 1)
        return PictureKey(row, across, down, 0, 0, across, down)

    def _go(self, index: QModelIndex) -> None:
        self.page_wanted.emit(index.row() + 1)

    def _take(self, key: PictureKey, image: QImage) -> None:
        if self.sender() is self._thread and self._thread is not None and key == self.key_of(key.page):
            self.pictures.put(key, image)
            self.update(self.model().index(key.page, 0))

    def _take_sizes(self, sizes: list[tuple[float, float]]) -> None:
        if self.sender() is self._thread:
            self._sizes = sizes
            self._soon.start()

    def _ask(self) -> None:
        if self._thread is None:
            return
        wanted: list[PictureKey] = []
        if self.isVisible():
            first = self.indexAt(self.viewport().rect().topLeft()).row()
            step = max(self.sizeHintForRow(0), 1)
            count = self.viewport().height() // step + 2
            rows = range(max(first, 0), min(max(first, 0) + count, len(self._sizes)))
            wanted = [key for row in rows if (key := self.key_of(row)) not in self.pictures]
        self._thread.want(Lane.THUMBNAILS, wanted)

    def showEvent(self, event: QShowEvent) -> None:
        """Draw what can be seen now."""
        super().showEvent(event)
        if self.currentIndex().isValid():
            self.scrollTo(self.currentIndex())
        self._soon.start()

    def hideEvent(self, event: QHideEvent) -> None:
        """Draw no more."""
        super().hideEvent(event)
        self._soon.start()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Draw what can be seen now."""
        super().resizeEvent(event)
        self._soon.start()


class _Painter(QStyledItemDelegate):
    def __init__(self, view: Thumbnails) -> None:
        super().__init__(view)
        self._view = view

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        return QSize(_WIDTH + 2 * _PADDING, _HEIGHT + _LABEL + _PADDING)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        tone = tones(self._view.window())
        density = self._view.devicePixelRatioF()
        key = self._view.key_of(index.row())
        size = QSize(round(key.width / density), round(key.height / density))
        area = QRectF(option.rect)
        page = QRectF(0, 0, size.width(), size.height())
        page.moveCenter(area.center())
        page.moveTop(round(area.top() + _PADDING + (_HEIGHT - size.height())))
        page.moveLeft(round(page.left()))
        is_current = bool(option.state & QStyle.StateFlag.State_Selected)
        painter.save()
        painter.fillRect(page, Qt.GlobalColor.white)
        image = self._view.pictures.get(key)
        if image is not None:
            image.setDevicePixelRatio(density)
            painter.drawImage(page.topLeft(), image)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(tone.accent if is_current else tone.line, 2 if is_current else 1))
        painter.drawRoundedRect(page.adjusted(-1, -1, 1, 1), 2, 2)
        painter.setPen(tone.accent if is_current else tone.muted)
        label = QRectF(area.left(), page.bottom() + 4, area.width(), _LABEL - 4)
        painter.drawText(label, Qt.AlignmentFlag.AlignCenter, str(index.data()))
        painter.restore()
