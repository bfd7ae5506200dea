"""Several processes, and processes that are killed."""

import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from engine.agent.events import ChunkFinished
from engine.errors import RunOwnedError
from engine.traces.store import TraceStore
from tests.traces.child import CHUNKS, DOCUMENT, SPEC
from tests.traces.synthetic import records

ROOT = Path(__file__).parents[2]


@contextmanager
def child(path: Path, action: str) -> Iterator[subprocess.Popen[str]]:
    """Another process at work on the same database; killed at the end of the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.traces.child", str(path), action],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def line(process: subprocess.Popen[str]) -> str:
    """The next line that the child says; "" = it ended."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_killed_again_and_again(path: Path) -> None:
    rng = random.Random(4)
    memories = [
        record.event.memory_after
        for record in records("", [DOCUMENT], CHUNKS)
        if isinstance(record.event, ChunkFinished)
    ]
    done, kills = 0, 0
    while done < len(CHUNKS):
        with child(path, "read") as process:
            assert line(process) == f"open {done}"
            for _ in range(rng.randint(1, 6)):
                said = line(process)
                done = int(said) + 1 if said else done
            time.sleep(rng.random() * 0.004)
            process.kill()
            rest = process.stdout.read().split() if process.stdout else []
        kills += 1
        with TraceStore(path) as store:
            (run,) = store.list_runs()
            assert run.status in ("interrupted", "finished")
            point = store.checkpoint(run.run_id)
            promised = int(rest[-1]) + 1 if rest else done
            assert promised <= point.next_chunk_index <= promised + 1
            assert point.memory == memories[point.next_chunk_index - 1]
            assert [step.chunk.index for step in store.steps(run.run_id)] == list(
                range(point.next_chunk_index)
            )
            assert store.verify() == []
            done = point.next_chunk_index
    assert kills > 3


def test_one_writer_many_readers(path: Path) -> None:
    with child(path, "hold") as process:
        run_id = line(process)
        with TraceStore(path) as store:
            assert store.get_run(run_id).status == "running"
            with pytest.raises(RunOwnedError, match=str(process.pid)):
                store.open_run(run_id, SPEC)
            process.kill()
            process.wait()
            assert store.get_run(run_id).status == "interrupted"
            with store.open_run(run_id, SPEC):
                assert store.get_run(run_id).status == "running"


def test_two_processes_want_the_same_run(path: Path) -> None:
    with child(path, "hold") as holder:
        assert line(holder)
        with child(path, "read") as second:
            assert line(second).startswith("RunOwnedError")
            assert second.wait() == 0


def test_a_process_number_used_again_is_another_process(path: Path) -> None:
    with child(path, "hold") as process, TraceStore(path) as store:
        run_id = line(process)
        started = psutil.Process(process.pid).create_time()
        store.db.conn.execute("UPDATE leases SET process_started = ?", (started - 100,))
        assert store.get_run(run_id).status == "interrupted"


def test_a_process_of_another_host_counts_until_its_lease_expires(path: Path) -> None:
    with child(path, "hold") as process, TraceStore(path) as store:
        run_id = line(process)
        process.kill()
        process.wait()
        store.db.conn.execute("UPDATE leases SET host = 'elsewhere'")
        assert store.get_run(run_id).status == "running"
        store.db.conn.execute("UPDATE leases SET expires_at = ?", (time.time() - 1,))
        assert store.get_run(run_id).status == "interrupted"


def test_runs_created_at_once(path: Path) -> None:
    """A new file, too: all processes find it without a schema."""
    with child(path, "create") as one, child(path, "create") as two, child(path, "create") as three:
        said = [line(process) for process in (one, two, three) for _ in range(5)]
        assert [process.wait() for process in (one, two, three)] == [0, 0, 0]
    with TraceStore(path) as store:
        assert sorted(run.run_id for run in store.list_runs()) == sorted(said)
        assert store.verify() == []
