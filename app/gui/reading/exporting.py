"""A run as a file: Markdown, a web page, PDF, or everything as JSON. For the background thread."""

import json
import os
import re
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QBuffer, QIODevice, QMarginsF
from PySide6.QtGui import QFont, QPageLayout, QPageSize, QPdfWriter, QTextDocument

from app.gui.reading.words import fill, one_line, translate
from engine.errors import PalimpsestError

if TYPE_CHECKING:  # the store brings SQLite, which the window does without until it is needed
    from engine.traces.store import TraceStore

KINDS = {"md": ".md", "html": ".html", "pdf": ".pdf", "json": ".json"}
"""What can be written, with the suffix of its files."""

_STYLE = re.compile(r"<style>.*?</style>", re.DOTALL)
_PRINT_STYLE = """<style>
h1 { font-size: 17pt } h2 { font-size: 13pt; margin-top: 16pt } h3 { font-size: 10pt; color: #555555 }
p, li { font-size: 10.5pt } .place, footer { color: #555555; font-size: 9pt }
blockquote { margin-left: 12pt; margin-right: 12pt }
ins { background-color: #d8f0dc; text-decoration: underline }
del { background-color: #f9deda; text-decoration: line-through }
</style>"""
_FONTS = ["Source Serif 4", "Noto Serif", "Charter", "Georgia", "Liberation Serif", "DejaVu Serif", "serif"]


def write_export(store: "TraceStore", run_id: str, kind: str, path: Path) -> Path:
    """Write a run to a file; one that is there is replaced only when the new one is whole.

    Args:
        store: where the run is.
        run_id: the run.
        kind: one of `KINDS`.
        path: the file.

    Raises:
        engine.errors.PalimpsestError: the run cannot be read, or the file cannot be written.
    """
    from app.export.bundle import make_bundle

    bundle = make_bundle(store, run_id, with_calls=kind == "json")
    content = _RENDER[kind](bundle)
    try:
        _replace(path, content)
    except OSError as exc:
        raise PalimpsestError(
            fill(
                translate("Reading", "%1 cannot be written: %2."),
                one_line(path.name, 80),
                exc.strerror or type(exc).__name__,
            ),
            hint=translate("Reading", "Choose another folder, or make room on the disk."),
        ) from exc
    return path


def suggested_name(question: str, kind: str) -> str:
    """A file name for an answer, without what file systems refuse."""
    words = re.sub(r"[^\w\s-]+", "", question)[:60].split()
    return ("-".join(words).lower() or "palimpsest") + KINDS[kind]


def _markdown(bundle: dict[str, Any]) -> bytes:
    from app.export import markdown

    return _encode(markdown.render(bundle))


def _html(bundle: dict[str, Any]) -> bytes:
    from app.export import html

    return _encode(html.render(bundle))


def _json(bundle: dict[str, Any]) -> bytes:
    return _encode(json.dumps(bundle, ensure_ascii=False, indent=2) + "\n")


def _pdf(bundle: dict[str, Any]) -> bytes:
    """The web page on paper: Qt's text knows no translucent colours, so that it gets a style of its own."""
    from app.export import html

    document = QTextDocument()
    document.setUndoRedoEnabled(False)
    font = QFont(_FONTS, 11)
    document.setDefaultFont(font)
    page = _STYLE.sub(lambda _: _PRINT_STYLE, html.render(bundle), count=1)
    document.setHtml(page.encode("utf-8", "replace").decode("utf-8"))
    buffer = QBuffer()
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    writer = QPdfWriter(buffer)
    writer.setTitle(one_line(bundle["question"], 200))
    writer.setCreator("Palimpsest")
    writer.setPageSize(QPageSize(QPageSize.PageSizeId.A4))
    writer.setPageMargins(QMarginsF(0, 0, 0, 0), QPageLayout.Unit.Millimeter)  # the text has its own, of 2 cm
    writer.setResolution(300)
    document.print_(writer)
    del writer  # the file is whole only now
    return bytes(buffer.data().data())


_RENDER: dict[str, Callable[[dict[str, Any]], bytes]] = {
    "md": _markdown,
    "html": _html,
    "pdf": _pdf,
    "json": _json,
}


def _encode(text: str) -> bytes:
    # Half characters out of file names that are not UTF-8 become "?".
    return text.encode("utf-8", "replace")


def _replace(path: Path, content: bytes) -> None:
    beside = path.with_name(f".{path.stem[:40]}-{secrets.token_hex(4)}")
    try:
        with beside.open("xb") as file:
            file.write(content)
        os.replace(beside, path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
