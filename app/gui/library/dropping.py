"""Files out of drags and dialogs."""

from pathlib import Path

from PySide6.QtCore import QCoreApplication, QMimeData

from engine.documents.reader import SUFFIXES


def paths_of(data: QMimeData) -> list[str]:
    """The local files and folders that are dragged; [] = there are none."""
    return [url.toLocalFile() for url in data.urls() if url.isLocalFile() and url.toLocalFile()]


def file_filter() -> str:
    """The filter of an open dialog: every format that can be read."""
    patterns = " ".join(f"*{suffix}" for suffix in SUFFIXES)
    documents = QCoreApplication.translate("Library", "Documents")
    anything = QCoreApplication.translate("Library", "All files")
    return f"{documents} ({patterns});;{anything} (*)"


def is_document(path: Path) -> bool:
    """Whether the name is one of a document that can be read."""
    return path.suffix.lower() in SUFFIXES
