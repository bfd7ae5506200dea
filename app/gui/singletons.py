"""Keeps None, True and False alive under a PySide6 that gives away references to them that it does not own.

PySide6 6.12.0 returns these objects without counting the reference, as Python 3.12 and later allow, where they are
immortal; on Python 3.11 every `emit()` and every `parent()` without a parent takes one reference from them, and some
thousand calls later the interpreter ends with "deallocating None". 6.11.1 does not. Measured with
``sys.getrefcount`` over 100 calls each: emit -100 (True), parent -100, property -100 and sender -100 (None).
"""

import ctypes
import sys

_MANY = 1 << 40
"""More references than a program can lose in a year of a million a second, fewer than would overflow."""


def protect() -> None:
    """Count references to the singletons that nobody will give back; does nothing where they are immortal."""
    if sys.version_info >= (3, 12) or sys.implementation.name != "cpython":
        return
    for singleton in (None, True, False):
        if sys.getrefcount(singleton) < _MANY:
            ctypes.c_ssize_t.from_address(id(singleton)).value += _MANY
