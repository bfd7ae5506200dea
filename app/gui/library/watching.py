"""Watched folders: new and changed documents in them are taken into the library."""

from collections.abc import Iterable, Mapping

from PySide6.QtCore import QFileSystemWatcher, QObject, QTimer, Signal

from app.gui.library.scanning import Scan, Stamp, scan
from app.gui.offload import Offload

DEBOUNCE_MS = 700
RESCAN_MS = 60_000
_WATCHES_A_TURN = 50


class WatchedFolders(QObject):
    """Looks into folders when the system reports a change, and once a minute, since not every disk reports.

    Args:
        parent: its owner.
    """

    files_found = Signal(list)
    """Paths of documents that are new or changed."""
    folders_missing = Signal(list)
    """Watched folders that are not there."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._folders: tuple[str, ...] = ()
        self._ignored: frozenset[str] = frozenset()
        self._known: dict[str, Stamp] = {}
        self._has_known = False
        self._missing: tuple[str, ...] = ()
        self._is_scanning = False
        self._is_due = False
        self._offload = Offload(self)
        self._watcher = QFileSystemWatcher(self)
        self._watcher.directoryChanged.connect(self._changed)
        self._unwatched: list[str] = []
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(DEBOUNCE_MS)
        self._soon.timeout.connect(self.rescan)
        self._again = QTimer(self)
        self._again.setInterval(RESCAN_MS)
        self._again.timeout.connect(self.rescan)
        self._filling = QTimer(self)
        self._filling.setInterval(0)
        self._filling.timeout.connect(self._watch_some)

    def set_folders(self, folders: Iterable[str], ignored: Iterable[str] = ()) -> None:
        """What to watch, and files in it to leave alone. Nothing is reported before `set_known` was called."""
        folders, self._ignored = tuple(folders), frozenset(ignored)
        if folders == self._folders:
            return
        self._folders = folders
        self._unwatched.clear()
        if self._watcher.directories():
            self._watcher.removePaths(self._watcher.directories())
        if folders:
            self._again.start()
            self._soon.start(0)
        else:
            self._again.stop()
            self._soon.stop()

    def set_known(self, known: Mapping[str, tuple[int | None, float | None]]) -> None:
        """The files that the library holds, with size and time of change, so that only others are reported."""
        for path, (size, modified) in known.items():
            if size is not None and modified is not None:
                self._known[path] = (size, modified)
        if not self._has_known:
            self._has_known = True
            if self._folders:
                self._soon.start(0)

    def rescan(self) -> None:
        """Look now."""
        if not self._folders or not self._has_known:
            return
        if self._is_scanning:
            self._is_due = True
            return
        self._is_scanning = True
        folders = self._folders
        self._offload.run(lambda stop: (folders, scan(folders, stop)), self._take)

    def close(self) -> None:
        """End the thread; waits for it."""
        for timer in (self._soon, self._again, self._filling):
            timer.stop()
        self._offload.close()

    def _take(self, outcome: tuple[tuple[str, ...], Scan]) -> None:
        folders, found = outcome
        self._is_scanning = False
        if folders != self._folders:
            self._soon.start(0)
            return
        # Remembered although it may fail: a file that cannot be read is not tried again until it changes.
        new = [
            path
            for path, stamp in found.files.items()
            if self._known.get(path) != stamp and path not in self._ignored
        ]
        self._known.update({path: found.files[path] for path in new})
        self._watch(found.directories)
        if found.missing != self._missing:
            self._missing = found.missing
            self.folders_missing.emit(list(found.missing))
        if new:
            self.files_found.emit(sorted(new))
        if found.unsettled or self._is_due:
            self._is_due = False
            self._soon.start()

    def _watch(self, directories: Iterable[str]) -> None:
        watched = set(self._watcher.directories())
        self._unwatched = [each for each in directories if each not in watched]
        if self._unwatched:
            self._filling.start()

    def _watch_some(self) -> None:
        some, self._unwatched = self._unwatched[:_WATCHES_A_TURN], self._unwatched[_WATCHES_A_TURN:]
        if some:
            self._watcher.addPaths(some)
        if not self._unwatched:
            self._filling.stop()
            self._soon.start()  # what came between the look and the watch was reported to nobody

    def _changed(self, _: str) -> None:
        self._soon.start()
