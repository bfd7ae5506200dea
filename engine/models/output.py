"""Files that get their name only when they are whole.

Everything is written into a folder beside the target, which is on the same file system; the finished file is synced and
renamed out of it. However the block ends, the folder goes. One that a killed process left behind is removed by
the next import into the same place.
"""

import os
import re
import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from engine.errors import NoSpaceError

_RESERVE_BYTES = 64 << 20
_LEFT_OVER = re.compile(r"\.palimpsest-import-(\d+)")


@contextmanager
def workspace(target: Path) -> Iterator[Path]:
    """A folder beside a file that is to be written, gone after the block.

    Raises:
        OSError: the folder cannot be made.
    """
    parent = target.parent
    parent.mkdir(parents=True, exist_ok=True)
    _remove_left_overs(parent)
    folder = parent / f".palimpsest-import-{os.getpid()}"
    folder.mkdir(exist_ok=True)
    try:
        yield folder
    finally:
        with _uninterrupted():
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Hold Ctrl-C back: who presses it twice wants to be rid of the files too."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)


def _remove_left_overs(parent: Path) -> None:
    for path in parent.glob(".palimpsest-import-*"):
        match = _LEFT_OVER.fullmatch(path.name)
        if match and not psutil.pid_exists(int(match[1])):
            shutil.rmtree(path, ignore_errors=True)


def check_space(folder: Path, needed_bytes: int) -> None:
    """Refuse to begin what the disk cannot hold.

    Args:
        folder: on the disk in question; need not exist yet.
        needed_bytes: size of all files that will stand there at one time.

    Raises:
        NoSpaceError: it is too full.
    """
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free_bytes = shutil.disk_usage(existing).free
    if free_bytes < needed_bytes + _RESERVE_BYTES:
        raise NoSpaceError(
            f"{needed_bytes / 1e9:.1f} GB are needed in {folder}, and {free_bytes / 1e9:.1f} GB are free.",
            hint="Make room, or write to another disk.",
        )


def put_in_place(finished: Path, target: Path) -> None:
    """Give a finished file its name, so that after a power cut there is the old file or the new one, whole.

    Raises:
        OSError: the file cannot be synced or renamed.
    """
    with finished.open("rb+") as file:
        os.fsync(file.fileno())
    finished.replace(target)
    with suppress(OSError):  # not every file system lets a folder be synced
        descriptor = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
