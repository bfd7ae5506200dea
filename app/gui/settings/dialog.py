"""The settings: a list of pages on the left, the page on the right. Every choice holds at once."""

from pathlib import Path

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QCloseEvent
from PySide6.QtWidgets import (
    QDialog,
    QHBoxLayout,
    QListWidget,
    QListWidgetItem,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from app.gui.icons import icon
from app.gui.library.painting import PlainIconDelegate
from app.gui.offload import Offload
from app.gui.reading.parts import button
from app.gui.settings.model_page import ModelPage
from app.gui.settings.other_pages import AppearancePage, LibraryPage, ReadingPage, StoragePage
from app.gui.settings.preferences import PreferenceKeeper

_NAME = int(Qt.ItemDataRole.UserRole)


class SettingsDialog(QDialog):
    """All settings. Further pages (models from a hub, training, languages) come in with `add_page`.

    Args:
        keeper: the preferences.
        folder: the data folder.
        home: the user's home folder; models of other programs are looked for below it.
        parent: the window.
    """

    def __init__(
        self,
        keeper: PreferenceKeeper,
        folder: Path,
        *,
        home: Path | None = None,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle(self.tr("Settings"))
        self.resize(760, 580)
        self._offload = Offload(self)
        self._list = QListWidget()
        self._list.setAccessibleName(self.tr("Pages of the settings"))
        self._list.setFixedWidth(176)
        self._list.setIconSize(QSize(18, 18))
        self._list.setItemDelegate(PlainIconDelegate(self._list))
        self._pages = QStackedWidget()
        self._list.currentRowChanged.connect(self._pages.setCurrentIndex)
        self.model_page = ModelPage(keeper, folder, self._offload, home if home is not None else Path.home())
        self.reading_page = ReadingPage(keeper)
        self.appearance_page = AppearancePage(keeper)
        self.library_page = LibraryPage(keeper)
        self.storage_page = StoragePage(folder, self._offload)
        self._build()
        self.add_page("model", self.tr("Model"), "model", self.model_page)
        self.add_page("reading", self.tr("Reading"), "book", self.reading_page)
        self.add_page("appearance", self.tr("Appearance"), "sun", self.appearance_page)
        self.add_page("library", self.tr("Library"), "watch", self.library_page)
        self.add_page("storage", self.tr("Storage and privacy"), "folder", self.storage_page)
        self._list.setCurrentRow(0)

    def add_page(self, name: str, title: str, icon_name: str, page: QWidget) -> None:
        """Put a page behind the others."""
        item = QListWidgetItem(icon(icon_name), title)
        item.setData(_NAME, name)
        self._list.addItem(item)
        self._pages.addWidget(page)

    def show_page(self, name: str) -> None:
        """Turn to a page: "model", "reading", "appearance", "library", "storage"."""
        for row in range(self._list.count()):
            if self._list.item(row).data(_NAME) == name:
                self._list.setCurrentRow(row)

    def done(self, result: int) -> None:
        """The test of a model and the search for others end with the dialog."""
        self._end()
        super().done(result)

    def closeEvent(self, event: QCloseEvent) -> None:
        """As `done`."""
        self._end()
        super().closeEvent(event)

    def _end(self) -> None:
        self.model_page.test.stop()
        self._offload.close()

    def _build(self) -> None:
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.setSpacing(0)
        columns = QHBoxLayout()
        columns.setContentsMargins(12, 16, 0, 0)
        columns.setSpacing(0)
        columns.addWidget(self._list)
        columns.addWidget(self._pages, 1)
        outer.addLayout(columns, 1)
        close = button(self.tr("Close"))
        close.setDefault(True)
        close.clicked.connect(self.accept)
        bottom = QHBoxLayout()
        bottom.setContentsMargins(16, 12, 16, 16)
        bottom.addStretch(1)
        bottom.addWidget(close)
        outer.addLayout(bottom)
