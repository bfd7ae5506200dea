"""Keeps drawn pages within a budget of memory, and knows what else there is of a page until the right one comes."""

from collections import OrderedDict

from PySide6.QtGui import QImage

from app.gui.document.pdf_thread import PictureKey

BUDGET_BYTES = 96 * 2**20
WHOLE_PIXELS = 4_200_000
"""A page with more is drawn in tiles, so that no zoom takes more memory than the screen needs."""
TILE = 1024


class PictureStore:
    """Pictures by key; what was used longest ago goes first.

    Args:
        budget_bytes: as much memory the pictures may take together.
    """

    def __init__(self, budget_bytes: int = BUDGET_BYTES) -> None:
        self._budget = budget_bytes
        self._pictures: OrderedDict[PictureKey, QImage] = OrderedDict()
        self._by_page: dict[int, list[PictureKey]] = {}
        self.size_bytes = 0

    def __contains__(self, key: PictureKey) -> bool:
        return key in self._pictures

    def get(self, key: PictureKey) -> QImage | None:
        """The picture, which counts as used now."""
        picture = self._pictures.get(key)
        if picture is not None:
            self._pictures.move_to_end(key)
        return picture

    def put(self, key: PictureKey, picture: QImage) -> None:
        """Keep a picture; others may go for it."""
        if key in self._pictures:
            return
        self._pictures[key] = picture
        self._by_page.setdefault(key.page, []).append(key)
        self.size_bytes += picture.sizeInBytes()
        while self.size_bytes > self._budget and len(self._pictures) > 1:
            oldest, dropped = self._pictures.popitem(last=False)
            self.size_bytes -= dropped.sizeInBytes()
            self._by_page[oldest.page].remove(oldest)
            if not self._by_page[oldest.page]:
                del self._by_page[oldest.page]

    def stand_in(self, index: int) -> tuple[PictureKey, QImage] | None:
        """The largest picture of a whole page, of whatever size."""
        keys = [key for key in self._by_page.get(index, ()) if key.is_whole]
        if not keys:
            return None
        best = max(keys, key=lambda key: key.width)
        return best, self._pictures[best]

    def clear(self) -> None:
        """Forget all of them."""
        self._pictures.clear()
        self._by_page.clear()
        self.size_bytes = 0


def keys_for(
    index: int, width: int, height: int, *, left: int, top: int, right: int, bottom: int
) -> list[PictureKey]:
    """The pictures that cover what can be seen of a page: the whole one, or tiles of a large one.

    Args:
        index: of the page, from 0.
        width: of the page, in device pixels.
        height: likewise.
        left: what can be seen of it starts here, in device pixels.
        top: likewise.
        right: and ends here.
        bottom: likewise.
    """
    if width * height <= WHOLE_PIXELS:
        return [PictureKey(index, width, height, 0, 0, width, height)]
    return [
        PictureKey(index, width, height, x, y, min(TILE, width - x), min(TILE, height - y))
        for y in range(max(top, 0) // TILE * TILE, min(bottom, height), TILE)
        for x in range(max(left, 0) // TILE * TILE, min(right, width), TILE)
    ]


def preview_key(index: int, width: int, height: int) -> PictureKey:
    """A small picture of a page of these proportions, for what is drawn in tiles."""
    across = 480
    down = max(min(round(across * height / max(width, 1)), 4 * across), 1)
    return PictureKey(index, across, down, 0, 0, across, down)
