"""Reading, appearance, library and storage: the small pages of the settings."""

import os
import threading
from pathlib import Path

from PySide6.QtCore import QCoreApplication, QUrl
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import (
    QButtonGroup,
    QComboBox,
    QFileDialog,
    QFrame,
    QHBoxLayout,
    QListWidget,
    QRadioButton,
    QVBoxLayout,
)

from app.gui.look import set_role
from app.gui.offload import Offload
from app.gui.reading.parts import button, label
from app.gui.reading.words import mode_name, safe_text, size
from app.gui.settings.pages import Page, form, number_of, optional_number
from app.gui.settings.preferences import MODES, TEXT_SCALES, PreferenceKeeper, Scheme
from engine.paths import DATA_DIR_VARIABLE

translate = QCoreApplication.translate


class ReadingPage(Page):
    """The page "Reading": what a new reading begins with.

    Args:
        keeper: the preferences; a choice holds at once.
    """

    def __init__(self, keeper: PreferenceKeeper) -> None:
        super().__init__(
            translate("Settings", "Reading"),
            translate(
                "Settings", "What a new reading begins with. “Automatic” is what suits model and machine."
            ),
        )
        value = keeper.value
        automatic = translate("Settings", "Automatic")
        self.mode = QComboBox()
        self.mode.setAccessibleName(translate("Settings", "Way of reading"))
        self.mode.addItem(automatic, "")
        for mode in MODES:
            self.mode.addItem(mode_name(mode), mode)
        self.mode.setCurrentIndex(max(0, self.mode.findData(value.mode)))
        self.mode.currentIndexChanged.connect(lambda _: keeper.update(mode=self.mode.currentData()))
        lines = form()
        lines.addRow(translate("Settings", "Way of reading"), self.mode)
        self.chunk = optional_number(
            16, 100_000, automatic, value.chunk_tokens, translate("Settings", "Tokens of a chunk")
        )
        self.chunk.valueChanged.connect(lambda _: keeper.update(chunk_tokens=number_of(self.chunk)))
        lines.addRow(translate("Settings", "Chunk, tokens"), self.chunk)
        self.memory = optional_number(
            16, 32_000, automatic, value.memory_tokens, translate("Settings", "Tokens of the memory")
        )
        self.memory.valueChanged.connect(lambda _: keeper.update(memory_tokens=number_of(self.memory)))
        lines.addRow(translate("Settings", "Memory, tokens"), self.memory)
        self.threads = optional_number(
            1, 1024, automatic, value.num_threads, translate("Settings", "Threads that compute")
        )
        self.threads.valueChanged.connect(lambda _: keeper.update(num_threads=number_of(self.threads)))
        cores = label(
            translate("Settings", "This machine computes up to %1 at a time.").replace(
                "%1", str(os.cpu_count() or 1)
            )
        )
        set_role(cores, "caption")
        threads = QVBoxLayout()
        threads.setSpacing(4)
        threads.addWidget(self.threads)
        threads.addWidget(cores)
        lines.addRow(translate("Settings", "Threads"), threads)
        self.layers = optional_number(
            0, 10_000, automatic, value.num_gpu_layers, translate("Settings", "Layers on the graphics card")
        )
        self.layers.valueChanged.connect(lambda _: keeper.update(num_gpu_layers=number_of(self.layers)))
        lines.addRow(translate("Settings", "Layers on the graphics card"), self.layers)
        self.column.addLayout(lines)
        self.column.addStretch(1)


class AppearancePage(Page):
    """The page "Appearance".

    Args:
        keeper: the preferences; a choice holds at once.
    """

    def __init__(self, keeper: PreferenceKeeper) -> None:
        super().__init__(translate("Settings", "Appearance"))
        value = keeper.value
        self.schemes = QButtonGroup(self)
        for scheme, text in (
            (Scheme.SYSTEM, translate("Settings", "As the system")),
            (Scheme.LIGHT, translate("Settings", "Light")),
            (Scheme.DARK, translate("Settings", "Dark")),
        ):
            choice = QRadioButton(text)
            choice.setChecked(scheme is value.scheme)
            choice.setProperty("scheme", scheme.value)
            choice.clicked.connect(lambda _, scheme=scheme: keeper.update(scheme=scheme))
            self.schemes.addButton(choice)
            self.column.addWidget(choice)
        self.column.addSpacing(12)
        self.scale = QComboBox()
        self.scale.setAccessibleName(translate("Settings", "Size of text"))
        for scale in TEXT_SCALES:
            self.scale.addItem(f"{round(100 * scale)} %", scale)
        self.scale.setCurrentIndex(TEXT_SCALES.index(value.text_scale))
        self.scale.currentIndexChanged.connect(lambda _: keeper.update(text_scale=self.scale.currentData()))
        lines = form()
        lines.addRow(translate("Settings", "Size of text"), self.scale)
        self.column.addLayout(lines)
        self.column.addStretch(1)


class LibraryPage(Page):
    """The page "Library": watched folders.

    Args:
        keeper: the preferences; a choice holds at once.
    """

    def __init__(self, keeper: PreferenceKeeper) -> None:
        super().__init__(
            translate("Settings", "Library"),
            translate(
                "Settings",
                "Documents that come into a watched folder, or change there, are taken into the library by themselves. "
                "Nothing in the folder is changed.",
            ),
        )
        self._keeper = keeper
        self.folders = QListWidget()
        self.folders.setAccessibleName(translate("Settings", "Watched folders"))
        self.folders.setMinimumHeight(140)
        frame = QFrame()
        set_role(frame, "card")
        inner = QVBoxLayout(frame)
        inner.setContentsMargins(4, 4, 4, 4)
        inner.addWidget(self.folders)
        self.column.addWidget(label(translate("Settings", "Watched folders"), "heading"))
        self.column.addWidget(frame)
        add = button(translate("Settings", "Add a folder…"), "add")
        add.clicked.connect(self._choose)
        self.remove_button = button(translate("Settings", "Watch no longer"), role="quiet")
        self.remove_button.clicked.connect(self._remove)
        self.folders.currentRowChanged.connect(lambda row: self.remove_button.setEnabled(row >= 0))
        line = QHBoxLayout()
        line.addWidget(add)
        line.addWidget(self.remove_button)
        line.addStretch(1)
        self.column.addLayout(line)
        self.column.addStretch(1)
        self._show()

    def add_folder(self, path: str) -> None:
        """Watch a folder."""
        if path not in self._keeper.value.watched_folders:
            self._keeper.update(watched_folders=(*self._keeper.value.watched_folders, path))
        self._show()

    def _choose(self) -> None:
        path = QFileDialog.getExistingDirectory(self, translate("Settings", "Watch a folder"))
        if path:
            self.add_folder(path)

    def _remove(self) -> None:
        row = self.folders.currentRow()
        kept = list(self._keeper.value.watched_folders)
        if 0 <= row < len(kept):
            del kept[row]
            self._keeper.update(watched_folders=tuple(kept))
        self._show()

    def _show(self) -> None:
        self.folders.clear()
        self.folders.addItems([safe_text(path) for path in self._keeper.value.watched_folders])
        self.remove_button.setEnabled(self.folders.currentRow() >= 0)


class StoragePage(Page):
    """The page "Storage": where everything is, how much it takes, and what leaves this computer.

    Args:
        folder: the data folder.
        offload: measures it.
    """

    def __init__(self, folder: Path, offload: Offload) -> None:
        super().__init__(
            translate("Settings", "Storage and privacy"),
            translate(
                "Settings", "Documents, readings and models of yours are in one folder on this computer."
            ),
        )
        place = label(safe_text(str(folder)), "mono")
        place.setAccessibleName(translate("Settings", "Data folder"))
        self.column.addWidget(place)
        self.size_line = label(translate("Settings", "Measuring…"), "muted")
        self.column.addWidget(self.size_line)
        opener = button(translate("Settings", "Open the folder"), "folder")
        opener.clicked.connect(lambda: QDesktopServices.openUrl(QUrl.fromLocalFile(str(folder))))
        line = QHBoxLayout()
        line.addWidget(opener)
        line.addStretch(1)
        self.column.addLayout(line)
        self.column.addSpacing(12)
        self.column.addWidget(label(translate("Settings", "To keep it elsewhere"), "heading"))
        self.column.addWidget(
            label(
                translate(
                    "Settings",
                    "Close the program, move the folder, and set the environment variable %1 to its new place, or "
                    "start with --data-dir. A database cannot live on a network share.",
                ).replace("%1", DATA_DIR_VARIABLE),
                "muted",
            )
        )
        self.column.addSpacing(12)
        self.column.addWidget(label(translate("Settings", "Privacy"), "heading"))
        self.column.addWidget(
            label(
                translate(
                    "Settings",
                    "Nothing leaves this computer, with one exception that you choose: a model behind a server is sent "
                    "the text that it reads. There is no telemetry and no search for updates.",
                ),
                "muted",
            )
        )
        self.column.addStretch(1)
        offload.run(lambda stop: folder_size(folder, stop), self._show_size)

    def _show_size(self, num_bytes: int) -> None:
        self.size_line.setText(translate("Settings", "%1 on disk").replace("%1", size(num_bytes)))


def folder_size(folder: Path, stop: threading.Event) -> int:
    """Bytes of all files in a folder, links left out."""
    total = 0
    for directory, _, names in os.walk(folder):
        if stop.is_set():
            break
        for name in names:
            try:
                total += os.lstat(os.path.join(directory, name)).st_size
            except OSError:  # gone meanwhile
                continue
    return total
