"""Real readings: two of one question with different chunks, one of another question, one that was stopped."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from app.gui.background import Background
from app.gui.history.panel import HistoryPanel
from engine.agent.events import ChunkFinished, Record
from engine.agent.reader import Observer
from engine.cancel import Cancelled, CancelToken
from engine.front import Front, ModelChoice, Prospect, ReadingOptions
from engine.models.catalogue import BUNDLED
from engine.paths import trace_database
from engine.session import Session

FILLER = " ".join(f"On day {n} the wind came from the north and the boats stayed." for n in range(60))
QUESTION = "Who built the granite quay of Osterhaven?"
OTHER = "Who lit the lamp of Skagholm?"
WAIT_MS = 30_000


class _StopAfterOne(Front):
    """Cancels once a chunk is done; front and observer in one."""

    def __init__(self, cancel: CancelToken) -> None:
        self._cancel = cancel

    def display(self, prospects: Sequence[Prospect]) -> AbstractContextManager[Observer | None]:
        """Itself."""
        return nullcontext(self)

    def observe(self, record: Record) -> None:
        """Cancel."""
        if isinstance(record.event, ChunkFinished):
            self._cancel.cancel()


@pytest.fixture(scope="session")
def read_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with four readings, the oldest first: stopped, other, small chunks, the model's chunks."""
    if not BUNDLED.is_file():
        pytest.skip("the bundled model is not in this checkout")
    folder = tmp_path_factory.mktemp("readings")
    quay, lamp = folder / "quay.txt", folder / "lamp & <i>light.txt"
    quay.write_text(
        f"{FILLER} The granite quay of Osterhaven was built by Ansel Brodersen. {FILLER}", "utf-8"
    )
    lamp.write_text(f"{FILLER} The lamp of Skagholm was lit by Berit Lund. {FILLER}", "utf-8")
    choice = ModelChoice(num_threads=2)
    cancel = CancelToken()
    with pytest.raises(Cancelled):
        Session(folder, choice=choice, front=_StopAfterOne(cancel), cancel=cancel).ask(
            [quay], "Which boats stayed?", options=ReadingOptions(chunk_tokens=64), estimate=False
        )
    session = Session(folder, choice=choice)
    session.ask([lamp], OTHER, estimate=False)
    session.ask([quay], QUESTION, options=ReadingOptions(chunk_tokens=128), estimate=False)
    session.ask([quay], QUESTION, estimate=False)
    return folder


@pytest.fixture
def folder(read_folder: Path, tmp_path: Path) -> Path:
    """A copy that the test may change."""
    target = tmp_path / "data"
    shutil.copytree(read_folder, target)
    return target


@pytest.fixture
def background(qtbot: QtBot, folder: Path) -> Iterator[Background]:
    made = Background(trace_database(folder))
    yield made
    made.close()


@pytest.fixture
def panel(qtbot: QtBot, background: Background) -> HistoryPanel:
    """The panel, filled."""
    made = HistoryPanel(background.call)
    qtbot.addWidget(made)
    made.resize(300, 640)
    made.show()
    made.refresh()
    qtbot.waitUntil(lambda: made.model.rowCount() == 4, timeout=WAIT_MS)
    return made
