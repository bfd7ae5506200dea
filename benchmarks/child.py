"""A reading in a process of its own that notes, for each chunk, when it began and how much memory was resident.

Other benchmarks start it as a child, kill it, and read its notes. The lines of the notes are JSON:
``{"chunk": index, "rss": bytes}`` at the start of each chunk, in the order in which they happened.
"""

import argparse
import json
import os
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import psutil

from benchmarks.clock import Clock
from engine.agent.events import ChunkStarted, Record
from engine.agent.reader import Observer
from engine.agent.result import Result
from engine.front import Front, ModelChoice, Prospect, ReadingOptions
from engine.session import Session


class Notes(Front):
    """A front that appends a line to a file at the start of each chunk, in one write: a kill leaves whole lines."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self._process = psutil.Process()

    def display(self, prospects: Sequence[Prospect]) -> AbstractContextManager[Observer | None]:
        """The display is the notes themselves."""
        return nullcontext(self)

    def observe(self, record: Record) -> None:
        """Note the start of a chunk."""
        if isinstance(record.event, ChunkStarted):
            line = {"chunk": record.event.chunk_index, "rss": self._process.memory_info().rss}
            os.write(self._file, (json.dumps(line) + "\n").encode())


def main() -> None:
    """Ask, or resume with ``--resume RUN``.

    Prints the result as `palimpsest ask --json` does, and in `reading_s` the seconds from the open model to it.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--notes", type=Path, required=True)
    parser.add_argument("--model")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--resume")
    parser.add_argument("--question", default="")
    parser.add_argument("files", nargs="*", type=Path)
    options = parser.parse_args()
    choice = ModelChoice(model=options.model, num_threads=options.threads)
    clock = Clock()
    session = Session(options.data_dir, choice=choice, front=Notes(options.notes), opener=clock.open_model)
    result: Result
    clock.start()
    if options.resume:
        result = session.resume(options.resume)
    else:
        result = session.ask(options.files, options.question, options=ReadingOptions(), estimate=False)
    print(json.dumps({**result.to_dict(), "reading_s": round(clock.seconds, 3)}))


if __name__ == "__main__":
    main()
