"""Reads a long document and reports resident memory from the first chunk to the last, speed and answers.

    python -m benchmarks.long_reading FILE --facts FACTS.json --work FOLDER

FACTS.json is what `insert_facts.py` printed for FILE: each of its questions is asked in a reading of its own.
Prints one JSON object.
"""

import argparse
import json
import shutil
import time
from pathlib import Path
from typing import Any

from benchmarks.environment import describe
from benchmarks.kill_resume import finish, start


def read(file: Path, question: str, work: Path) -> dict[str, Any]:
    """One reading with its figures."""
    notes = work / "notes.jsonl"
    notes.unlink(missing_ok=True)
    shutil.rmtree(work / "data", ignore_errors=True)
    began = time.monotonic()
    result = finish(start(work / "data", notes, ["--question", question, "--threads", "1", str(file)]))
    wall_s = time.monotonic() - began
    resident = [json.loads(line)["rss"] for line in notes.read_text().splitlines()]
    tenth = max(1, len(resident) // 10)
    return {
        "question": question,
        "answer": result["answer"],
        "evidence": result["evidence"],
        "coverage": {name: value for name, value in result["coverage"].items() if name != "skipped"},
        "skipped": len(result["coverage"]["skipped"]),
        "tokens_per_s": round(result["coverage"]["tokens"] / result["timings"]["wall_s"]),
        "wall_s": round(wall_s, 1),
        "resident_mb": {
            "first_chunk": round(resident[0] / 1e6, 1),
            "after_a_tenth": round(resident[tenth] / 1e6, 1),
            "last_chunk": round(resident[-1] / 1e6, 1),
            "most": round(max(resident) / 1e6, 1),
        },
    }


def main() -> None:
    """Ask every question."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--facts", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    facts = json.loads(options.facts.read_text("utf-8"))
    facts = facts["facts"] if isinstance(facts, dict) else facts
    readings = []
    for fact in facts:
        reading = read(options.file, fact["question"], options.work)
        reading["expected"] = fact["answer"]
        reading["right"] = fact["answer"].casefold() in reading["answer"].casefold()
        readings.append(reading)
    report = {"benchmark": "long reading", "environment": describe(), "file": options.file.name}
    print(json.dumps({**report, "readings": readings}, indent=2))


if __name__ == "__main__":
    main()
