"""Kills readings with SIGKILL at random instants, resumes them, and holds the results against one that was left alone.

    python -m benchmarks.kill_resume FILE -q QUESTION --kills 100 --work FOLDER

For each round: a new run is started, killed after a random time, and resumed to its end. Checked: the answer, its
quotes and the coverage are those of the uninterrupted run; no chunk was begun more than twice and at most one twice;
`verify` finds nothing. Prints one JSON object; exits 1 if anything differed.
"""

import argparse
import json
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.environment import describe
from engine.paths import trace_database
from engine.traces.store import TraceStore

CHILD = [sys.executable, str(Path(__file__).with_name("child.py"))]


def start(data: Path, notes: Path, arguments: list[str]) -> subprocess.Popen[str]:
    """Start a reading as a child."""
    command = [*CHILD, "--data-dir", str(data), "--notes", str(notes), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def finish(child: subprocess.Popen[str]) -> dict[str, Any]:
    """Wait for a child's result."""
    out, _ = child.communicate()
    if child.returncode:
        raise SystemExit(f"a reading failed with exit code {child.returncode}")
    result: dict[str, Any] = json.loads(out)
    return result


def essence(result: dict[str, Any]) -> dict[str, Any]:
    """What must be equal."""
    return {name: result[name] for name in ("answer", "answered", "evidence", "coverage")}


def one_round(
    work: Path, arguments: list[str], delay_s: float
) -> tuple[dict[str, Any] | None, dict[str, Any]]:
    """Start, kill, resume. Returns the result and what was seen on the way."""
    notes = work / "notes.jsonl"
    notes.unlink(missing_ok=True)
    data = work / "data"
    child = start(data, notes, arguments)
    try:
        child.wait(timeout=delay_s)
    except subprocess.TimeoutExpired:
        child.send_signal(signal.SIGKILL)
    child.wait()
    if child.stdout:
        child.stdout.close()
    database = trace_database(data)
    runs = []
    if database.exists():
        with TraceStore(database) as store:
            runs = store.list_runs(1)
    if not runs:  # killed before the run existed: nothing was begun, nothing is lost
        return None, {"stage": "before the run", "chunks": 0, "twice": 0}
    stage = "finished" if runs[0].is_finished else "reading" if runs[0].chunks_done else "first chunk"
    result = finish(start(data, notes, ["--resume", runs[0].run_id]))  # finds the model itself
    begun = Counter(json.loads(line)["chunk"] for line in notes.read_text().splitlines())
    with TraceStore(database) as store:
        findings = store.verify()
    seen = {
        "stage": stage,
        "chunks": runs[0].chunks_done,
        "twice": sum(times - 1 for times in begun.values()),
        "findings": findings,
    }
    return result, seen


def main() -> None:
    """Run all rounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file")
    parser.add_argument("-q", "--question", required=True)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--model", help="GGUF file; the bundled model by default")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    arguments = ["--question", options.question, options.file]
    if options.threads:
        arguments += ["--threads", str(options.threads)]
    if options.model:
        arguments += ["--model", options.model]
    shutil.rmtree(options.work / "data", ignore_errors=True)
    began = time.monotonic()
    whole = finish(start(options.work / "data", options.work / "notes.jsonl", arguments))
    duration = time.monotonic() - began
    rng = random.Random(options.seed)
    stages: Counter[str] = Counter()
    wrong, most_twice = [], 0
    for number in range(options.kills):
        shutil.rmtree(options.work / "data", ignore_errors=True)
        result, seen = one_round(options.work, arguments, rng.uniform(0.0, duration * 1.05))
        stages[seen["stage"]] += 1
        most_twice = max(most_twice, seen["twice"])
        if seen["twice"] > 1 or seen.get("findings") or (result and essence(result) != essence(whole)):
            wrong.append({"round": number, **seen})
        print(f"{number + 1} of {options.kills}: {seen}", file=sys.stderr)
    report = {
        "benchmark": "kill and resume",
        "environment": describe(),
        "seed": options.seed,
        "kills": options.kills,
        "uninterrupted_s": round(duration, 2),
        "chunks": whole["coverage"]["chunks"],
        "answer": whole["answer"],
        "killed_at": dict(stages),
        "most_chunks_begun_twice": most_twice,
        "wrong": wrong,
    }
    print(json.dumps(report, indent=2))
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
