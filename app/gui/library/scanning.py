"""What watched folders hold. No Qt; runs on a thread of its own and stops when it is told to."""

import os
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from app.gui.library.dropping import is_document

SETTLED_S = 1.5
"""A file that was written less than this ago may still be being written."""

MAX_DIRECTORIES = 1000
"""Most folders that the system is asked to report changes of; the rest is found by looking again."""

_PAUSE_EVERY = 200

Stamp = tuple[int, float]
"""(size in bytes, time of the last change in seconds since the epoch)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """What a look at the folders gave.

    Attributes:
        files: every document that is there, with its stamp.
        unsettled: whether some were left out because they are being written.
        directories: folders to be told of, at most `MAX_DIRECTORIES`.
        missing: watched folders that are not there or may not be read.
    """

    files: Mapping[str, Stamp]
    unsettled: bool
    directories: tuple[str, ...]
    missing: tuple[str, ...]


def scan(folders: Iterable[str], stop: threading.Event) -> Scan:
    """Look for documents at any depth. Links to folders are not followed, hidden folders are left out."""
    files: dict[str, Stamp] = {}
    directories: list[str] = []
    missing: list[str] = []
    unsettled = False
    now = time.time()
    for folder in folders:
        if not os.access(folder, os.R_OK | os.X_OK) or not Path(folder).is_dir():
            missing.append(folder)
            continue
        for directory, path, stamp in _walk(folder, stop):
            if path is None or stamp is None:
                if len(directories) < MAX_DIRECTORIES:
                    directories.append(directory)
            elif 0 <= now - stamp[1] < SETTLED_S:
                unsettled = True
            elif stamp[0]:
                files[path] = stamp
    return Scan(files=files, unsettled=unsettled, directories=tuple(directories), missing=tuple(missing))


def _walk(folder: str, stop: threading.Event) -> Iterator[tuple[str, str | None, Stamp | None]]:
    """(folder, None, None) for each folder, (its folder, path, stamp) for each document."""
    waiting = [folder]
    seen = 0
    while waiting and not stop.is_set():
        directory = waiting.pop()
        yield directory, None, None
        try:
            entries = list(os.scandir(directory))
        except OSError:  # gone meanwhile, or not ours to read: what else is there counts
            continue
        for entry in entries:
            seen += 1
            if seen % _PAUSE_EVERY == 0:
                time.sleep(0.001)  # the window's thread must get its turn
                if stop.is_set():
                    return
            try:
                if entry.is_dir(follow_symlinks=False):
                    if not entry.name.startswith("."):
                        waiting.append(entry.path)
                elif (
                    is_document(Path(entry.name))
                    and not entry.name.startswith((".", "~$"))
                    and entry.is_file()
                ):
                    stat = entry.stat()
                    yield directory, entry.path, (stat.st_size, stat.st_mtime)
            except OSError:  # gone between two looks
                continue
