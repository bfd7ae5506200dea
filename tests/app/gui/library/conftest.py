"""A library with real documents and a real reading of one of them."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from app.gui.background import Background
from app.gui.library.panel import LibraryPanel
from engine.documents.reader import open_document
from engine.front import ModelChoice
from engine.models.catalogue import BUNDLED
from engine.paths import RESOURCES, trace_database
from engine.session import Session
from engine.traces.store import TraceStore

FILLER = " ".join(f"On day {n} the wind came from the north and the boats stayed." for n in range(30))
TEXTS = {
    "book.txt": f"{FILLER} The granite quay of Osterhaven was built by Ansel Brodersen. {FILLER}",
    "letters.md": "# Letters\n\nThe North Mole shall be repaired. " + FILLER,
    "<b>bold<b>\nnext \u202egnp.exe.txt": "A name that wants to be more than a name. " + FILLER,
}
WAIT_MS = 30_000


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with four documents; `book.txt` was read once."""
    if not BUNDLED.is_file():
        pytest.skip("the bundled model is not in this checkout")
    folder = tmp_path_factory.mktemp("shelf")
    files = folder / "files"
    files.mkdir()
    for name, text in TEXTS.items():
        (files / name).write_text(text, "utf-8")
    with TraceStore(trace_database(folder)) as store:
        for path in (RESOURCES / "samples" / "kestrelmouth-report.pdf", *sorted(files.iterdir())):
            document = open_document(path)
            store.add_document(document)
        store.keep_token_count(document.content_hash, "any", 1234)
    session = Session(folder, choice=ModelChoice(num_threads=2))
    session.ask([files / "book.txt"], "Who built the granite quay of Osterhaven?", estimate=False)
    return folder


@pytest.fixture
def folder(shelf: Path, tmp_path: Path) -> Path:
    """A copy that the test may change."""
    target = tmp_path / "data"
    shutil.copytree(shelf, target)
    return target


@pytest.fixture
def background(qtbot: QtBot, folder: Path) -> Iterator[Background]:
    made = Background(trace_database(folder))
    yield made
    made.close()


@pytest.fixture
def panel(qtbot: QtBot, background: Background) -> LibraryPanel:
    """The panel, filled."""
    made = LibraryPanel(background.call)
    qtbot.addWidget(made)
    made.resize(300, 640)
    made.show()
    with qtbot.waitSignal(made.entries_loaded, timeout=WAIT_MS):
        made.refresh()
    return made


@pytest.fixture
def hash_of(panel: LibraryPanel) -> Callable[[str], str]:
    def find(name: str) -> str:
        (found,) = (entry for entry in panel.model.stored if entry.name == name)
        return found.content_hash

    return find
