"""Readings of a short and of a long document, each in a process of its own: time a token, and resident memory."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from benchmarks.kill_resume import finish, start


@dataclass(frozen=True, slots=True, kw_only=True)
class Lap:
    """One reading.

    Attributes:
        tokens: of the document.
        reading_s: seconds from the open model to the result.
        resident_bytes: resident memory at the start of each chunk.
        answer: the answer.
    """

    tokens: int
    reading_s: float
    resident_bytes: tuple[int, ...]
    answer: str

    @property
    def us_per_token(self) -> float:
        """Microseconds a token of the document."""
        return 1e6 * self.reading_s / self.tokens

    @property
    def growth(self) -> float:
        """Most memory in the last tenth of the chunks, relative to the most in the second tenth.

        The first tenth is left out: caches fill and the first long chunk grows buffers once.
        """
        tenth = max(1, len(self.resident_bytes) // 10)
        return max(self.resident_bytes[-tenth:]) / max(self.resident_bytes[tenth : 2 * tenth])


def read_in_child(document: Path, question: str, *, work: Path, num_threads: int) -> Lap:
    """Read a document with the starter in a child process.

    Raises:
        SystemExit: the child failed.
    """
    notes = work / "notes.jsonl"
    notes.unlink(missing_ok=True)
    shutil.rmtree(work / "data", ignore_errors=True)
    arguments = ["--question", question, "--threads", str(num_threads), str(document)]
    result = finish(start(work / "data", notes, arguments))
    resident = [json.loads(line)["rss"] for line in notes.read_text("utf-8").splitlines()]
    return Lap(
        tokens=result["coverage"]["tokens_read"],
        reading_s=result["reading_s"],
        resident_bytes=tuple(resident),
        answer=result["answer"],
    )
