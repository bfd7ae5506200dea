"""Another process: ``python -m tests.traces.child DATABASE ACTION``; says what it has done."""

import sys
import time
from pathlib import Path

from engine.agent.events import ChunkFinished
from engine.errors import StoreError
from engine.traces.store import RunWriter, TraceStore
from tests.traces.synthetic import MODEL, make_chunks, make_document, make_spec, records

DOCUMENT = make_document(40)
CHUNKS = make_chunks([DOCUMENT])
SPEC = make_spec([DOCUMENT], CHUNKS)


def say(*words: object) -> None:
    """One line, at once."""
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def create(store: TraceStore) -> None:
    """Start several runs, one after the other."""
    for number in range(5):
        with store.create_run(SPEC, [make_document(5, seed=number)], CHUNKS, model=MODEL) as writer:
            say(writer.run_id)


def read(store: TraceStore) -> None:
    """Read on in the only run there is, or start it; a line for every chunk that is committed."""
    runs = store.list_runs()
    if runs:
        with store.open_run(runs[0].run_id, SPEC) as writer:
            read_on(store, writer)
    else:
        with store.create_run(SPEC, [DOCUMENT], CHUNKS, model=MODEL) as writer:
            read_on(store, writer)


def read_on(store: TraceStore, writer: RunWriter) -> None:
    """From the checkpoint to the end."""
    point = store.checkpoint(writer.run_id)
    say("open", point.next_chunk_index)
    for record in records(
        writer.run_id,
        [DOCUMENT],
        CHUNKS[point.next_chunk_index :],
        memory=point.memory,
        first_sequence=point.next_sequence,
    ):
        writer.observe(record)
        if isinstance(record.event, ChunkFinished):
            say(record.event.chunk_index)
            time.sleep(
                0.005
            )  # as reading a chunk does; else a busy machine's child is through before it is killed
    writer.finish("finished")


def hold(store: TraceStore) -> None:
    """Hold a run until killed."""
    with store.create_run(SPEC, [DOCUMENT], CHUNKS, model=MODEL) as writer:
        say(writer.run_id)
        time.sleep(600)


def main() -> None:
    """Do it; an expected error is one more line."""
    actions = {"create": create, "read": read, "hold": hold}
    try:
        with TraceStore(Path(sys.argv[1])) as store:
            actions[sys.argv[2]](store)
    except StoreError as exc:
        say(type(exc).__name__, exc)


if __name__ == "__main__":
    main()
