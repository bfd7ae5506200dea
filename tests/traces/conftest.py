"""A store, and a run that was read to the end in it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.traces.store import TraceStore
from tests.traces.synthetic import MODEL, make_chunks, make_document, make_spec, records


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the database of the test is."""
    return tmp_path / "traces.db"


@pytest.fixture
def store(path: Path) -> Iterator[TraceStore]:
    """An empty store."""
    with TraceStore(path) as opened:
        yield opened


@pytest.fixture
def finished(store: TraceStore) -> str:
    """Id of a finished run with a certificate."""
    document = make_document()
    chunks = make_chunks([document])
    with store.create_run(make_spec([document], chunks), [document], chunks, model=MODEL) as writer:
        for record in records(writer.run_id, [document], chunks):
            writer.observe(record)
        writer.save_certificate('{"pages": 6}')
        writer.finish("finished")
    return writer.run_id
