"""Readings as files: Markdown, HTML, PDF, or everything as JSON; made in the background, put in place when complete."""

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QMarginsF, QObject, QSaveFile, Signal
from PySide6.QtGui import QFont, QPageLayout, QPageSize, QPdfWriter, QTextDocument
from PySide6.QtWidgets import QFileDialog, QWidget

from app.gui.background import Background
from app.gui.look import SERIF
from engine.errors import PalimpsestError, StoreError

if TYPE_CHECKING:
    from engine.traces.store import TraceStore

_PDF_POINTS = 10.5
_MARGIN_MM = 22.0
_MOST_NAME = 60


class ExportDesk(QObject):
    """Asks where to, and writes.

    Args:
        background: reaches the store; files are made in its thread.
        window: owner of the dialog.
    """

    exported = Signal(str)
    """Path of the file that was written."""
    failed = Signal(str, str)
    """A sentence and a hint."""

    def __init__(self, background: Background, window: QWidget) -> None:
        super().__init__(window)
        self._background = background
        self._window = window

    def export(self, run_id: str, kind: str, question: str) -> None:
        """Ask for a place and write there. `kind` is "md", "html", "pdf" or "json"."""
        names = {
            "md": self.tr("Markdown"),
            "html": self.tr("Web page"),
            "pdf": self.tr("PDF"),
            "json": self.tr("JSON"),
        }
        path, _ = QFileDialog.getSaveFileName(
            self._window, self.tr("Export"), f"{file_stem(question)}.{kind}", f"{names[kind]} (*.{kind})"
        )
        if path:
            self.write(run_id, kind, Path(path))

    def write(self, run_id: str, kind: str, path: Path) -> None:
        """Write to a place."""

        def fail(error: PalimpsestError) -> None:
            self.failed.emit(error.message, error.hint)

        self._background.call(
            lambda store: write_export(store, run_id, kind, path),
            lambda _: self.exported.emit(str(path)),
            fail,
        )


def write_export(store: "TraceStore", run_id: str, kind: str, path: Path) -> None:
    """Make an export and put it in place; a file that was there is replaced only by a complete one.

    Raises:
        StoreError: the run cannot be read, or the file cannot be written.
    """
    from app.export import html, markdown
    from app.export.bundle import make_bundle

    bundle = make_bundle(store, run_id, with_calls=kind == "json")
    file = QSaveFile(str(path))
    if not file.open(QSaveFile.OpenModeFlag.WriteOnly):
        raise _not_written(path, file.errorString())
    match kind:
        case "json":
            file.write(json.dumps(bundle, ensure_ascii=False, indent=1).encode("utf-8", "replace"))
        case "md":
            file.write(markdown.render(bundle).encode("utf-8", "replace"))
        case "html":
            file.write(html.render(bundle).encode("utf-8", "replace"))
        case "pdf":
            _print(html.render(bundle), file, bundle["question"])
        case _:
            file.cancelWriting()
            raise ValueError(f"no export is called {kind!r}")
    if not file.commit():
        raise _not_written(path, file.errorString())


def _print(text: str, file: QSaveFile, title: str) -> None:
    """The HTML export on pages; without its style sheet, whose colours are those of a screen."""
    writer = QPdfWriter(file)
    writer.setTitle(title)
    writer.setCreator("Palimpsest")
    writer.setPageLayout(
        QPageLayout(
            QPageSize(QPageSize.PageSizeId.A4),
            QPageLayout.Orientation.Portrait,
            QMarginsF(_MARGIN_MM, _MARGIN_MM, _MARGIN_MM, _MARGIN_MM),
            QPageLayout.Unit.Millimeter,
        )
    )
    document = QTextDocument()
    font = QFont()
    font.setFamilies([*SERIF, "serif"])
    font.setPointSizeF(_PDF_POINTS)
    document.setDefaultFont(font)
    document.setHtml(re.sub(r"(?s)<style>.*?</style>", "", text))
    document.print_(writer)


def file_stem(question: str) -> str:
    """A file name that says what was asked."""
    words = re.sub(r"[^\w\- ]+", "", question).split()
    return " ".join(words)[:_MOST_NAME].strip() or "reading"


def _not_written(path: Path, reason: str) -> StoreError:
    return StoreError(
        f"{path.name} cannot be written: {reason}.", hint="Choose another place, or make room there."
    )
