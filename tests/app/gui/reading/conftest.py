"""One real reading by the worker and the bundled model, recorded message by message; and a trace of the same."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from pypdf import PdfWriter

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from app.gui.reading.state import ReadingState
from app.worker.protocol import Message, Model, Options, ReadJob, decode_message, encode_job
from engine.models.catalogue import BUNDLED
from engine.paths import RESOURCES, trace_database
from engine.traces.store import TraceStore

SAMPLE = RESOURCES / "samples" / "kestrelmouth-report.pdf"
NUM_PAGES = 14
QUESTIONS = (
    "To whom was the contract for dredging the Inner Basin awarded?",
    "Who was elected Deputy Chairman on 14 May 1935?",
    "Which composer wrote the opera about a Venetian glassblower?",
)
ANSWERED, ALSO_ANSWERED, SILENT = range(3)


@dataclass(frozen=True, repr=False)
class Recorded:
    """What a worker said, and the folder that it wrote into."""

    folder: Path
    messages: Sequence[Message]

    @property
    def run_ids(self) -> list[str]:
        """Of the questions, in order."""
        (started,) = [message for message in self.messages if message.name == "started"]
        return [each["run_id"] for each in started.values["runs"]]

    def of(self, run_id: str) -> "Recorded":
        """The same as if only this question had been asked."""
        kept = []
        for message in self.messages:
            values = dict(message.values)
            if values.get("run_id", run_id) != run_id:
                continue
            if message.name in ("planned", "started", "result"):
                place = self.run_ids.index(run_id)
                values["runs"] = [values["runs"][place]]
            kept.append(replace(message, values=values))
        return Recorded(self.folder, kept)


def work(job: ReadJob) -> list[Message]:
    """All that the worker says of a job."""
    with subprocess.Popen(
        [sys.executable, "-m", "app.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).resolve().parents[4],
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(encode_job(job))
        child.stdin.flush()  # and it stays open: its end would mean that the window died
        lines = child.stdout.read().splitlines()
    assert child.returncode == 0
    return [decode_message(line) for line in lines]


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    """Three questions on the first pages of the sample document, read to the end."""
    if not BUNDLED.is_file():
        pytest.skip("the bundled model is not in this checkout")
    folder = tmp_path_factory.mktemp("reading")
    cut = PdfWriter()
    cut.append(str(SAMPLE), pages=(0, NUM_PAGES))
    document = folder / "report, cut.pdf"
    cut.write(document)
    job = ReadJob(
        data=str(folder),
        documents=(str(document),),
        questions=QUESTIONS,
        options=Options(),
        model=Model(num_threads=2),
    )
    return Recorded(folder, work(job))


@pytest.fixture
def store(recorded: Recorded) -> Iterator[TraceStore]:
    """The trace that the worker wrote."""
    with TraceStore(trace_database(recorded.folder)) as opened:
        yield opened


@pytest.fixture
def finished(qapp: object, recorded: Recorded) -> ReadingState:
    """The state after all messages."""
    state = ReadingState(QUESTIONS)
    feed(state, recorded.messages)
    return state


def feed(state: ReadingState, messages: Sequence[Message]) -> None:
    """Apply messages in order."""
    for message in messages:
        state.apply(message.name, message.values)
