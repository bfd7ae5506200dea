"""The one thread that PDFium runs in: pictures of pages and places of characters, for the view that wants them.

PDFium is not thread-safe, so that one thread owns one open document. It works off wishes: whoever shows pages says
what it wants to see now, most urgent first, and a later wish replaces an earlier one; a picture that nobody wants
any more is abandoned in the middle. On a merged report of 3,000 pages PDFium opens the file in 4 ms and gives all
page sizes in 75 ms; Qt's own PDF module gives the sizes in 575 ms and would do so in the thread of the window.
"""

import ctypes
import enum
import logging
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from threading import Condition
from typing import TYPE_CHECKING, Any, NamedTuple

from PySide6.QtCore import QObject, QThread, Signal
from PySide6.QtGui import QImage

from app.gui.document.page_characters import PageCharacters, Rect
from engine.errors import CorruptDocumentError, DocumentError, PasswordNeededError

if TYPE_CHECKING:
    from pypdfium2 import PdfDocument, PdfPage

logger = logging.getLogger(__name__)

_KEPT_PAGES = 4
_FIRST_SIZES = 200
_SIZES_AT_ONCE = 100
_LETTER = (612.0, 792.0)
_LONGEST_POINTS = 200_000.0
"""Fourteen times what the format allows; a page that claims more is broken."""


class PictureKey(NamedTuple):
    """A part of a picture of a page.

    Attributes:
        page: its index, from 0.
        width: of the whole picture, in device pixels.
        height: likewise.
        left: where the part starts in the whole.
        top: likewise.
        part_width: of the part.
        part_height: likewise.
    """

    page: int
    width: int
    height: int
    left: int
    top: int
    part_width: int
    part_height: int

    @property
    def is_whole(self) -> bool:
        """Whether the part is all of it."""
        return self.part_width == self.width and self.part_height == self.height


class Lane(enum.IntEnum):
    """Kinds of wishes, the most urgent first."""

    CHARACTERS = 0
    VISIBLE = 1
    SIZES = 2
    THUMBNAILS = 3
    AHEAD = 4


Wish = PictureKey | int
"""A picture, or the characters or sizes of a page given by its index."""


class PdfThread(QThread):
    """Opens a PDF and fulfils wishes until it is stopped; every signal comes from this thread.

    Args:
        path: the file.
        password: of an encrypted one.
        parent: owner.
    """

    opened = Signal(object)
    """Sizes of the first pages in points, those not known yet as the first one, [num_pages]."""
    sized = Signal(object)
    """The same, complete; only where it was not at first."""
    failed = Signal(str, str, bool)
    """The file cannot be shown: a sentence, a hint, whether a password would help."""
    picture_ready = Signal(object, object)
    """A `PictureKey` and its `QImage`."""
    characters_ready = Signal(object)
    """The `PageCharacters` of a page; a page that cannot be loaded has none."""

    def __init__(self, path: Path, password: str | None, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("pdf")
        self._path = path
        self._password = password
        self._changed = Condition()
        self._lanes: dict[Lane, list[Wish]] = {lane: [] for lane in Lane}
        self._at_work: tuple[Lane, Wish] | None = None
        self._is_stopped = False
        self._is_stale = False
        self._sizes: list[tuple[float, float]] = []
        self._pages: OrderedDict[int, PdfPage] = OrderedDict()

    def want(self, lane: Lane, wishes: Sequence[Wish]) -> None:
        """Replace what is wanted in a lane, most urgent first. From any thread."""
        with self._changed:
            self._lanes[lane] = list(wishes)
            if self._at_work is not None and self._at_work[0] is lane:
                wish = self._at_work[1]
                if wish in self._lanes[lane]:
                    self._lanes[lane].remove(wish)  # it is coming
                elif lane is not Lane.SIZES:
                    self._is_stale = True
            self._changed.notify()

    def stop(self) -> None:
        """Ask it to end, at once where it draws; wait for it with `wait`. From any thread."""
        with self._changed:
            self._is_stopped = self._is_stale = True
            self._changed.notify()

    def run(self) -> None:
        """Work until stopped; Qt calls this."""
        # Imported here: loading PDFium takes 80 ms, which the start of the window need not wait for.
        from engine.documents.pdf_text import PDFIUM_LOCK

        try:
            document = self._open()
        except DocumentError as exc:
            self.failed.emit(exc.message, exc.hint, isinstance(exc, PasswordNeededError))
            return
        try:
            self._measure_first(document)
            while (task := self._next()) is not None:
                self._fulfil(document, *task)
        finally:
            with PDFIUM_LOCK:
                self._close_pages()
                document.close()

    def _open(self) -> "PdfDocument":
        from engine.documents.pdf_text import PDFIUM_LOCK, open_pdfium

        try:
            with PDFIUM_LOCK:
                return open_pdfium(self._path, self._password)
        except CorruptDocumentError:
            # As the reader did when it read the file, so that pages and texts are the same.
            from engine.documents.pdf_structure import repaired

            data = repaired(self._path, self._password)
            if data is None:
                raise
            with PDFIUM_LOCK:
                return open_pdfium(self._path, self._password, data)
        except OSError as exc:
            raise CorruptDocumentError(f"{self._path.name} cannot be read: {exc.strerror or exc}.") from exc

    def _measure_first(self, document: "PdfDocument") -> None:
        from engine.documents.pdf_text import PDFIUM_LOCK

        with PDFIUM_LOCK:
            num_pages = len(document)
            self._sizes = [_size(document, index) for index in range(min(num_pages, _FIRST_SIZES))]
        if not self._sizes:
            self.failed.emit(f"{self._path.name} has no pages.", "", False)
            return
        num_missing = num_pages - len(self._sizes)
        self.opened.emit([*self._sizes, *([self._sizes[0]] * num_missing)])
        if num_missing:
            self.want(Lane.SIZES, range(len(self._sizes), num_pages, _SIZES_AT_ONCE))

    def _next(self) -> tuple[Lane, Wish] | None:
        with self._changed:
            self._at_work = None
            self._is_stale = False
            while not self._is_stopped:
                for lane in Lane:
                    if self._lanes[lane]:
                        self._at_work = lane, self._lanes[lane].pop(0)
                        return self._at_work
                self._changed.wait()
            return None

    def _fulfil(self, document: "PdfDocument", lane: Lane, wish: Wish) -> None:
        from engine.documents.pdf_text import PDFIUM_LOCK

        with PDFIUM_LOCK:
            if isinstance(wish, PictureKey):
                image = self._draw(document, wish)
            elif lane is Lane.SIZES:
                self._measure(document, wish)
                return
            else:
                self.characters_ready.emit(_characters(document, wish))
                return
        if image is not None:
            self.picture_ready.emit(wish, image)

    def _measure(self, document: "PdfDocument", first: int) -> None:
        last = min(first + _SIZES_AT_ONCE, len(document))
        self._sizes.extend(_size(document, index) for index in range(first, last))
        if last == len(document):
            self.sized.emit(list(self._sizes))

    def _draw(self, document: "PdfDocument", key: PictureKey) -> QImage | None:
        """The picture; a blank one if the page cannot be loaded, None if it was abandoned."""
        image = QImage(key.part_width, key.part_height, QImage.Format.Format_RGB32)
        if image.isNull():  # no memory for it
            logger.warning("no memory for a picture of %d x %d", key.part_width, key.part_height)
            return None
        image.fill(0xFFFFFFFF)
        page = self._page(document, key.page)
        if page is None:
            return image
        return image if _render(page, key, image, lambda: self._is_stale) else None

    def _page(self, document: "PdfDocument", index: int) -> "PdfPage | None":
        from pypdfium2 import PdfiumError

        from engine.documents.pdf_text import load_page

        page = self._pages.pop(index, None)
        if page is None:
            try:
                page = load_page(document, index)
            except PdfiumError as exc:
                logger.warning("page %d cannot be loaded: %s", index + 1, exc)
                return None
        self._pages[index] = page
        while len(self._pages) > _KEPT_PAGES:
            self._pages.popitem(last=False)[1].close()
        return page

    def _close_pages(self) -> None:
        for page in self._pages.values():
            page.close()
        self._pages.clear()


def _size(document: "PdfDocument", index: int) -> tuple[float, float]:
    """Width and height of a page in points; those of a letter for a page without any that can be shown."""
    from pypdfium2 import PdfiumError

    try:
        width, height = document.get_page_size(index)
    except PdfiumError:
        return _LETTER
    is_sound = 1 <= width <= _LONGEST_POINTS and 1 <= height <= _LONGEST_POINTS
    return (float(width), float(height)) if is_sound else _LETTER


def _characters(document: "PdfDocument", index: int) -> PageCharacters:
    from pypdfium2 import PdfiumError

    from engine.documents.pdf_text import characters_on_page

    try:
        text, boxes = characters_on_page(document, index)
        height = document.get_page_size(index)[1]
    except PdfiumError as exc:
        logger.warning("the text of page %d cannot be read: %s", index + 1, exc)
        return PageCharacters(index + 1, "", ())
    places = [
        None if box is None else Rect(box[0], height - box[3], box[2], height - box[1]) for box in boxes
    ]
    return PageCharacters(index + 1, text, places)


def _render(page: "PdfPage", key: PictureKey, image: QImage, is_stale: Any) -> bool:
    """Let PDFium draw into an image's own memory; False if it was abandoned half-way."""
    from pypdfium2 import raw

    buffer = (ctypes.c_ubyte * image.sizeInBytes()).from_buffer(image.bits())
    bitmap = raw.FPDFBitmap_CreateEx(
        key.part_width, key.part_height, raw.FPDFBitmap_BGRx, buffer, image.bytesPerLine()
    )
    pause = raw.IFSDK_PAUSE(version=1)
    pause.NeedToPauseNow = type(pause.NeedToPauseNow)(lambda _: int(is_stale()))
    try:
        status = raw.FPDF_RenderPageBitmap_Start(
            bitmap, page.raw, -key.left, -key.top, key.width, key.height, 0, raw.FPDF_ANNOT, pause
        )
        raw.FPDF_RenderPage_Close(page.raw)
    finally:
        raw.FPDFBitmap_Destroy(bitmap)
    return bool(status != raw.FPDF_RENDER_TOBECONTINUED)
