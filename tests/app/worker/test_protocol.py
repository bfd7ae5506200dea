import json
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.worker import protocol
from app.worker.protocol import (
    COMMANDS,
    JOBS,
    BranchJob,
    Message,
    ProtocolError,
    ReadJob,
    decode_command,
    decode_job,
    decode_message,
    encode_command,
    encode_job,
    encode_message,
)

ANY_TEXT = st.text(st.characters(codec=None))  # half characters too, as file names can hold them
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | ANY_TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(ANY_TEXT, inner),
    max_leaves=8,
)


@pytest.mark.parametrize("kind", list(JOBS.values()))
@given(data=st.data())
def test_jobs_survive_the_way(kind: type[protocol.Job], data: st.DataObject) -> None:
    job = data.draw(st.builds(cast("type[ReadJob]", kind)))
    line = encode_job(job)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert decode_job(line) == job


@given(st.one_of(*(st.builds(kind) for kind in COMMANDS.values())))
def test_commands_survive_the_way(command: protocol.Command) -> None:
    assert decode_command(encode_command(command)) == command


@given(ANY_TEXT, st.dictionaries(ANY_TEXT, PLAIN))
def test_messages_survive_the_way(name: str, values: dict[str, object]) -> None:
    line = encode_message(Message(name=name, values=values))
    assert line.count(b"\n") == 1
    assert decode_message(line) == Message(name=name, values=values)


@given(st.binary() | PLAIN.map(lambda value: json.dumps(value).encode()))
def test_garbage_is_refused_and_nothing_else_happens(line: bytes) -> None:
    for decode in (decode_job, decode_command, decode_message):
        with pytest.raises(ProtocolError):
            decode(line)


@pytest.mark.parametrize(
    "values",
    [
        {"data": "/d"},
        {"data": "/d", "paths": "no list"},
        {"data": "/d", "paths": [1]},
        {"data": "/d", "paths": [], "more": 1},
        {"data": 7, "paths": []},
        {"data": "/d", "paths": [], "model": {"num_threads": "2"}},
        {"data": "/d", "paths": [], "asks": 1},
    ],
)
def test_a_job_with_wrong_values_is_refused(values: dict[str, object]) -> None:
    line = json.dumps({"job": "import", "values": values}).encode()
    with pytest.raises(ProtocolError):
        decode_job(line)


def test_what_is_left_out_has_its_default() -> None:
    line = json.dumps({"job": "read", "values": {"data": "d", "documents": ["x"], "questions": ["?"]}})
    assert decode_job(line.encode()) == ReadJob(data="d", documents=("x",), questions=("?",))
    line = json.dumps({"job": "branch", "values": {"data": "d", "run_id": "r", "temperature": 1}})
    job = decode_job(line.encode())
    assert isinstance(job, BranchJob)
    assert job.temperature == 1.0


def test_nothing_heavy_is_imported_for_it() -> None:
    import subprocess
    import sys

    program = (
        "import sys, app.worker.protocol; print([m for m in sys.modules if m.split('.')[0] == 'engine'])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
