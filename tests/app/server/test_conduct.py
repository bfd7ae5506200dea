"""Readings over HTTP from start to end: queue, cancel, disconnect, stop of the server, resume."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from engine.paths import trace_database
from engine.traces.store import TraceStore
from tests.app.server.conftest import (
    QUESTION,
    Serve,
    Server,
    events,
    make_text,
    needs_model,
    problem,
    upload,
)

pytestmark = needs_model
MEDIUM, LONG = make_text(300), make_text(6000)


def wait_for(condition: Callable[[], bool], *, timeout_s: float = 120) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.02)


def ask(client: httpx2.Client, text: str, **options: Any) -> httpx2.Response:
    return client.post("/ask", json={"documents": [upload(client, text)], "question": QUESTION, **options})


def begin(client: httpx2.Client, text: str = LONG) -> str:
    """Start a reading in the background and wait until it has read a chunk; returns its run id."""
    ticket = ask(client, text, wait=False).json()["id"]
    wait_for(lambda: bool((client.get(f"/runs/{ticket}").json()["progress"] or {}).get("chunks_done")))
    run_id = client.get(f"/runs/{ticket}").json()["run_id"]
    assert isinstance(run_id, str)
    return run_id


def until(stream: Iterator[tuple[str, str, dict[str, Any]]], name: str) -> dict[str, Any]:
    """Data of the next event of this name."""
    return next(data for found, _, data in stream if found == name)


@pytest.fixture(autouse=True)
def _idle(request: pytest.FixtureRequest) -> Iterator[None]:
    """Each test leaves the shared server with nothing to do."""
    yield
    if "client" in request.fixturenames:
        with request.getfixturevalue("server").client() as client:
            for run in client.get("/runs").json():
                if run["status"] in ("queued", "running"):
                    client.post(f"/runs/{run['id']}/cancel")


def test_cancel_stops_and_resume_goes_on(client: httpx2.Client) -> None:
    body = {"documents": [upload(client, MEDIUM)], "question": QUESTION, "stream": True}
    with client.stream("POST", "/ask", json=body) as response:
        stream = events(response)
        run_id = until(stream, "chunk_finished")["run_id"]
        cancelled = client.post(f"/runs/{run_id}/cancel")
        rest = list(stream)
    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "stopped")
    name, _, last = rest[-1]
    assert (name, last["run_id"], last["error"]["code"]) == ("stopped", run_id, "stopped")
    stopped = client.get(f"/runs/{run_id}").json()
    assert 0 < stopped["chunks_done"] < stopped["chunks_total"]
    assert stopped["result"] is None
    with client.stream("GET", f"/runs/{run_id}/events") as response:
        replayed = list(events(response))
    assert sum(name == "chunk_finished" for name, _, _ in replayed) == stopped["chunks_done"]
    assert replayed[-1][0] == "stopped"

    with client.stream("POST", f"/runs/{run_id}/resume", json={"stream": True}) as response:
        resumed = list(events(response))
    started = [data["chunk"] for name, _, data in resumed if name == "chunk_started"]
    assert started == list(range(stopped["chunks_done"] + 1, stopped["chunks_total"] + 1))
    assert resumed[-1][0] == "result"
    result = resumed[-1][2]
    assert result["run_id"] == run_id
    assert result["coverage"]["tokens_read"] == result["coverage"]["tokens"]
    straight = ask(client, MEDIUM).json()
    for field in ("answer", "answered", "evidence", "coverage"):
        assert result[field] == straight[field]


def test_asks_wait_in_order_and_a_waiting_one_can_be_cancelled(client: httpx2.Client) -> None:
    first = begin(client)
    second, third = (ask(client, MEDIUM, wait=False) for _ in range(2))
    assert second.status_code == third.status_code == 202
    assert [response.json()["position"] for response in (second, third)] == [1, 2]
    ticket = third.json()["id"]
    assert third.headers["location"] == f"/v1/runs/{ticket}"
    health = client.get("/health").json()
    assert (health["running"], health["queued"]) == (first, 2)
    listed = client.get("/runs").json()
    assert [run["id"] for run in listed[:2]] == [second.json()["id"], ticket]
    assert listed[0]["run_id"] is None

    with client.stream("GET", f"/runs/{ticket}/events") as response:
        stream = events(response)
        assert until(stream, "queued") == {"id": ticket, "position": 2}
        cancelled = client.post(f"/runs/{second.json()['id']}/cancel").json()
        assert (cancelled["status"], cancelled["run_id"], cancelled["position"]) == ("cancelled", None, None)
        assert until(stream, "queued") == {"id": ticket, "position": 1}
        assert client.post(f"/runs/{first}/cancel").json()["status"] == "stopped"
        assert until(stream, "started")["documents"] == ["book.txt"]
        assert until(stream, "result")["answered"] in (True, False)
    details = client.get(f"/runs/{ticket}").json()  # the ticket is good for the run as well
    assert details["status"] == "finished"
    assert details["id"] == details["run_id"] == details["result"]["run_id"]


def test_a_waiting_resume_shows_its_run_as_queued(client: httpx2.Client) -> None:
    stopped = begin(client)
    client.post(f"/runs/{stopped}/cancel")
    begin(client)
    again = client.post(f"/runs/{stopped}/resume", json={"wait": False})
    assert (again.status_code, again.json()["status"], again.json()["position"]) == (202, "queued", 1)
    assert problem(client.post(f"/runs/{stopped}/resume")) == "already_reading"
    taken_out = client.post(f"/runs/{stopped}/cancel").json()
    assert (taken_out["status"], taken_out["position"]) == ("stopped", None)


def leave(server: Server, text: str, **options: bool) -> str:
    """Ask for a stream and hang up after the first chunk; returns the run's id."""
    with server.client() as client:
        body = {"documents": [upload(client, text)], "question": QUESTION, "stream": True, **options}
        with client.stream("POST", "/ask", json=body) as response:
            run_id = until(events(response), "chunk_finished")["run_id"]
    assert isinstance(run_id, str)
    return run_id


def test_a_client_that_goes_away_does_not_stop_its_reading(client: httpx2.Client, server: Server) -> None:
    run_id = leave(server, LONG)
    seen = client.get(f"/runs/{run_id}").json()["chunks_done"]
    wait_for(lambda: bool(client.get(f"/runs/{run_id}").json()["chunks_done"] > seen + 2))
    assert client.get(f"/runs/{run_id}").json()["status"] == "running"


def test_a_client_that_goes_away_stops_its_reading_if_it_said_so(
    client: httpx2.Client, server: Server
) -> None:
    run_id = leave(server, LONG, cancel_on_disconnect=True)
    wait_for(lambda: bool(client.get(f"/runs/{run_id}").json()["status"] == "stopped"))


def test_a_waiting_client_that_goes_away_stops_its_reading_too(client: httpx2.Client, server: Server) -> None:
    documents = [upload(client, LONG)]
    before = {run["id"] for run in client.get("/runs").json()}
    with server.client() as leaving, pytest.raises(httpx2.ReadTimeout):
        leaving.post(
            "/ask",
            json={"documents": documents, "question": QUESTION, "cancel_on_disconnect": True},
            timeout=httpx2.Timeout(30, read=3),
        )
    wait_for(lambda: client.get("/health").json()["running"] is None)
    new = [run for run in client.get("/runs").json() if run["id"] not in before]
    assert [run["status"] for run in new] == ["stopped"]


def test_a_late_follower_gets_everything_once(client: httpx2.Client) -> None:
    run_id = begin(client)
    with client.stream("GET", f"/runs/{run_id}/events") as response:
        stream = events(response)
        numbers = []
        for name, number, data in stream:
            if number:
                numbers.append(int(number))
            if name == "chunk_finished" and data["chunk"] == 12:
                break
    assert numbers == list(range(len(numbers)))


def test_who_waits_for_a_stopped_reading_is_told(client: httpx2.Client, server: Server) -> None:
    from concurrent.futures import ThreadPoolExecutor

    run_id = begin(client)
    client.post(f"/runs/{run_id}/cancel")
    with server.client() as other, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(other.post, f"/runs/{run_id}/resume")
        wait_for(lambda: client.get(f"/runs/{run_id}").json()["status"] == "running")
        client.post(f"/runs/{run_id}/cancel")
        response = waiting.result(60)
    assert (response.status_code, problem(response)) == (409, "stopped")
    assert f"/v1/runs/{run_id}/resume" in response.json()["error"]["hint"]


def test_a_document_that_changed_meanwhile_is_refused(client: httpx2.Client, tmp_path: Path) -> None:
    path = tmp_path / "harbour.txt"
    path.write_text("The harbour froze in May.", "utf-8")
    content_hash = client.post("/documents", json={"path": str(path)}).json()["content_hash"]
    body = {"documents": [content_hash], "question": "When did the harbour freeze?", "wait": False}
    begin(client)
    ticket = client.post("/ask", json=body).json()["id"]
    path.write_text("The harbour froze in June.", "utf-8")
    (reading,) = [run for run in client.get("/runs").json() if run["status"] == "running"]
    client.post(f"/runs/{reading['id']}/cancel")
    wait_for(lambda: client.get(f"/runs/{ticket}").json()["status"] == "failed")
    assert "has changed" in client.get(f"/runs/{ticket}").json()["error"]
    with client.stream("GET", f"/runs/{ticket}/events") as response:
        assert [(name, data["error"]["code"]) for name, _, data in events(response)][-1] == (
            "error",
            "document_changed",
        )
    assert problem(client.post("/ask", json=body)) == "document_changed"
    path.unlink()
    assert problem(client.post("/ask", json=body)) == "document_gone"


def test_a_run_of_another_process_can_be_followed_but_not_taken(
    client: httpx2.Client, folder: Path, tmp_path: Path
) -> None:
    path = tmp_path / "long.txt"
    path.write_text(LONG, "utf-8")
    command = [
        sys.executable,
        "-m",
        "palimpsest",
        "ask",
        str(path),
        "-q",
        QUESTION,
        "--quiet",
        "--threads",
        "1",
    ]
    child = subprocess.Popen([*command, "--data-dir", str(folder)], stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: any(run["status"] == "running" for run in client.get("/runs").json()))
        (run_id,) = [run["id"] for run in client.get("/runs").json() if run["status"] == "running"]
        assert problem(client.post(f"/runs/{run_id}/resume")) == "run_owned"
        assert problem(client.post(f"/runs/{run_id}/cancel")) == "not_reading"
        with client.stream("GET", f"/runs/{run_id}/events") as response:
            stream = events(response)
            for chunk in (1, 2, 3):
                assert until(stream, "chunk_finished")["chunk"] == chunk
            child.send_signal(signal.SIGINT)
            assert until(stream, "stopped")["run_id"] == run_id
    finally:
        child.kill()
        child.wait()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_server_leaves_a_run_that_the_next_one_goes_on_with(
    serve: Serve, tmp_path: Path, number: signal.Signals
) -> None:
    first = serve(folder=tmp_path)
    with first.client() as client:
        run_id = begin(client, MEDIUM)
        queued = ask(client, LONG, wait=False).json()["id"]
        with (
            client.stream("GET", f"/runs/{run_id}/events") as reading,
            client.stream("GET", f"/runs/{queued}/events") as waiting,
        ):
            following = events(reading)
            until(following, "chunk_finished")
            assert first.stop(number) == 0
            assert [name for name, _, _ in following][-1] == "stopped"
            assert [name for name, _, _ in events(waiting)][-1] == "stopped"
    assert not [line for line in first.lines if "Traceback" in line or "ERROR" in line]
    with TraceStore(trace_database(tmp_path)) as store:
        (row,) = store.list_runs()
        assert (row.run_id, row.status) == (run_id, "stopped")
        assert 0 < row.chunks_done < row.chunks_total
        assert store.verify() == []
    second = serve(folder=tmp_path)
    with second.client() as client:
        assert problem(client.get(f"/runs/{queued}")) == "run_not_found"
        response = client.post(f"/runs/{run_id}/resume")
    assert response.status_code == 200
    coverage = response.json()["coverage"]
    assert coverage["tokens_read"] == coverage["tokens"]
    assert second.stop() == 0


def test_a_server_without_a_token_gives_no_access_to_files(serve: Serve, tmp_path: Path) -> None:
    server = serve("--no-token", token=None)
    assert any("every program" in line for line in server.lines)
    secret = tmp_path / "secret.txt"
    secret.write_text("The code of the safe is 1234.", "utf-8")
    with server.client(None) as client:
        assert problem(client.post("/documents", json={"path": str(secret)})) == "token_needed"
        body = {"documents": [upload(client, "A short text.")], "question": "What is it?"}
        assert problem(client.post("/ask", json={**body, "model": str(secret)})) == "model_not_found"
        assert client.post("/ask", json={**body, "model": "palimpsest-starter"}).status_code == 200
        # A page of another origin may post a form without asking first.
        foreign = client.post(
            "/documents", files={"file": b"spam"}, headers={"Origin": "https://evil.example"}
        )
        assert problem(foreign) == "cross_origin"


def test_the_token_is_new_at_every_start_and_printed_with_a_line_to_try(serve: Serve) -> None:
    tokens = []
    for _ in range(2):
        server = serve(token=None)
        (line,) = [line for line in server.lines if line.startswith("Token: ")]
        tokens.append(line.removeprefix("Token: ").strip())
        command = server.lines[-1].removeprefix("Try: ")
        done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)
        assert json.loads(done.stdout)["status"] == "ok"
        assert server.stop() == 0
    assert len(set(tokens)) == 2
    assert all(len(token) >= 43 for token in tokens)
