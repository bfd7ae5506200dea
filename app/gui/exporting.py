"""Where a reading is written to, and what came of it."""

from pathlib import Path

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QFileDialog, QWidget

from app.gui.background import Background
from engine.errors import PalimpsestError


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
        from app.gui.reading.exporting import suggested_name

        names = {
            "md": self.tr("Markdown"),
            "html": self.tr("Web page"),
            "pdf": self.tr("PDF"),
            "json": self.tr("JSON"),
        }
        path, _ = QFileDialog.getSaveFileName(
            self._window, self.tr("Export"), suggested_name(question, kind), f"{names[kind]} (*.{kind})"
        )
        if path:
            self.write(run_id, kind, Path(path))

    def write(self, run_id: str, kind: str, path: Path) -> None:
        """Write to a place."""
        from app.gui.reading.exporting import write_export

        def fail(error: PalimpsestError) -> None:
            self.failed.emit(error.message, error.hint)

        self._background.call(
            lambda store: write_export(store, run_id, kind, path),
            lambda _: self.exported.emit(str(path)),
            fail,
        )
