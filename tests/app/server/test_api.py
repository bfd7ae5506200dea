"""What each route gives and refuses, over HTTP from a real server with the bundled model."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from openapi_spec_validator import validate

from app.server.schemas import ResultBody
from engine.documents.reader import SUFFIXES, open_document
from engine.paths import trace_database
from engine.traces.store import TraceStore
from tests.app.server.conftest import (
    QUESTION,
    TOKEN,
    Server,
    events,
    make_text,
    needs_model,
    problem,
    upload,
)

pytestmark = needs_model
COMMAND = [sys.executable, "-m", "palimpsest"]
BOOK = make_text(60)


def palimpsest(*arguments: object) -> str:
    done = subprocess.run([*COMMAND, *map(str, arguments)], capture_output=True, text=True, check=True)
    return done.stdout


@pytest.fixture(scope="module")
def result(server: Server) -> dict[str, Any]:
    """One finished reading for the tests that look at it."""
    with server.client() as client:
        response = client.post("/ask", json={"documents": [upload(client, BOOK)], "question": QUESTION})
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


def test_ask_gives_what_the_command_line_prints(result: dict[str, Any], tmp_path: Path) -> None:
    book = tmp_path / "book.txt"
    book.write_text(BOOK, "utf-8")
    printed = json.loads(
        palimpsest("ask", book, "-q", QUESTION, "--json", "--quiet", "--threads", 1, "--data-dir", tmp_path)
    )
    for body in (result, printed):
        ResultBody.model_validate(body)  # refuses fields that the OpenAPI document does not have
    mine, theirs = (
        {**body, "run_id": "", "timings": {**body["timings"], "wall_s": 0}} for body in (result, printed)
    )
    assert mine == theirs
    assert mine["coverage"]["tokens"] == mine["coverage"]["tokens_read"] > 500


@pytest.mark.parametrize("options", [{}, {"mode": "parallel"}, {"recall_chunks": 2}], ids=str)
def test_a_stream_holds_every_event_and_ends_with_the_result(
    client: httpx2.Client, options: dict[str, Any]
) -> None:
    body = {"documents": [upload(client, BOOK)], "question": QUESTION, "stream": True, **options}
    with client.stream("POST", "/ask", json=body) as response:
        live = list(events(response))
    names = [name for name, _, _ in live]
    assert names[:3] == ["queued", "started", "progress"]
    assert names[-2:] == ["answer_finished", "result"]
    assert {"chunk_started", "token_delta", "call_finished", "evidence_found", "chunk_finished"} <= set(names)
    result = live[-1][2]
    assert result["answer"] == "Ansel Brodersen"
    if not options:
        assert names.count("chunk_finished") == result["coverage"]["chunks"]

    progress = [data for name, _, data in live if name == "progress"]
    assert [data["chunks_done"] for data in progress] == list(range(names.count("chunk_finished") + 1))
    assert progress[0]["eta_s"] is None
    assert progress[1]["eta_s"] > 0
    if "mode" not in options:  # rounds of the parallel mode that would add nothing are left out
        assert progress[-1]["eta_s"] == 0
        assert progress[-1]["tokens_done"] == progress[-1]["tokens_total"]

    numbered = [(name, data) for name, number, data in live if number]
    assert [data["sequence"] for _, data in numbered] == list(range(len(numbered)))
    path = f"/runs/{result['run_id']}/events"
    with client.stream("GET", path) as response:
        replayed = [(name, data) for name, _, data in events(response)]
    assert replayed == [*numbered, ("result", result)]
    with client.stream("GET", path, headers={"Last-Event-ID": "4"}) as response:
        assert [(name, data) for name, _, data in events(response)] == replayed[5:]


def test_runs_show_the_reading(client: httpx2.Client, result: dict[str, Any]) -> None:
    run_id = result["run_id"]
    details = client.get(f"/runs/{run_id[:17]}").json()
    assert details["result"] == result
    assert details["status"] == "finished"
    assert details["question"] == QUESTION
    assert [document["name"] for document in details["documents"]] == ["book.txt"]
    listed = client.get("/runs", params={"limit": 1000}).json()
    (row,) = [row for row in listed if row["id"] == run_id]
    assert {key: details[key] for key in row} == row
    assert client.post(f"/runs/{run_id}/resume").json() == result
    assert problem(client.post(f"/runs/{run_id}/cancel")) == "not_reading"


@pytest.mark.parametrize(
    ("format_", "kind"), [("md", "text/markdown"), ("html", "text/html"), ("json", "application/json")]
)
def test_an_export_is_the_file_of_the_command_line(
    client: httpx2.Client, result: dict[str, Any], folder: Path, format_: str, kind: str
) -> None:
    response = client.get(f"/runs/{result['run_id']}/export", params={"format": format_})
    assert response.headers["content-type"].startswith(kind)
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert response.text == palimpsest("export", result["run_id"], "--format", format_, "--data-dir", folder)


def test_search_models_and_health(client: httpx2.Client, result: dict[str, Any]) -> None:
    (hit,) = client.get("/search", params={"text": "granite Brodersen"}).json()
    assert (hit["document"], hit["page"]) == ("book.txt", result["evidence"][0]["page"])
    assert client.get("/search", params={"text": "zeppelin"}).json() == []
    first = client.get("/models").json()[0]
    assert (first["name"], first["bundled"]) == ("palimpsest-starter", True)
    health = client.get("/health").json()
    assert (health["status"], health["running"], health["queued"]) == ("ok", None, 0)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Ansel's report.txt", "Ansel's report.txt"),
        ("../../../outside.txt", "outside.txt"),
        ("/etc/cron.d/job", "job"),
        ("..\\..\\windows.txt", "windows.txt"),
        ("日本語.md", "日本語.md"),
        (".bashrc", ".bashrc"),
    ],
)
def test_the_name_of_an_upload_is_shown_and_is_no_path(
    client: httpx2.Client, folder: Path, name: str, shown: str
) -> None:
    before = {path for path in folder.rglob("*") if path.parent.name != "uploads"}
    response = client.post("/documents", files={"file": (name, f"A text called {name}.".encode())})
    assert response.status_code == 201
    assert response.json()["name"] == shown
    assert {path for path in folder.rglob("*") if path.parent.name != "uploads"} == before
    for path in (folder / "uploads").iterdir():
        assert len(path.stem) == 64
        assert set(path.stem) <= set("0123456789abcdef")
        assert path.suffix in ("", *SUFFIXES)


def test_an_upload_keeps_its_name_through_a_reading(client: httpx2.Client, folder: Path) -> None:
    text = "The lamp of the mole was lit by gas. " * 3
    content_hash = upload(client, text, "Mole & lamp.txt")
    result = client.post(
        "/ask", json={"documents": [content_hash[:12]], "question": "Who lit the lamp of the mole?"}
    ).json()
    details = client.get(f"/runs/{result['run_id']}").json()
    assert details["documents"] == [{"content_hash": content_hash, "name": "Mole & lamp.txt"}]
    named = [row["name"] for row in client.get("/documents").json() if row["content_hash"] == content_hash]
    assert named == ["Mole & lamp.txt"]
    assert json.loads(palimpsest("verify", "--json", "--data-dir", folder)) == {"ok": True, "findings": []}


def test_a_path_and_an_upload_of_one_text_are_one_document(client: httpx2.Client, tmp_path: Path) -> None:
    path = tmp_path / "harbour.txt"
    path.write_text("The harbour froze in May.", "utf-8")
    added = client.post("/documents", json={"path": str(path)})
    assert added.status_code == 201
    assert added.json()["name"] == "harbour.txt"
    assert upload(client, "The harbour froze in May.", "other.txt") == added.json()["content_hash"]


def test_a_file_name_that_is_no_utf8_does_no_harm(
    client: httpx2.Client, folder: Path, tmp_path: Path
) -> None:
    path = tmp_path / "b\udcfcch.txt"
    try:
        path.write_text("The harbour master kept a book.", "utf-8")
    except OSError:
        pytest.skip("this file system has no such names")
    document = open_document(path)  # as the command line would have left it
    with TraceStore(trace_database(folder)) as store:
        store.add_document(document)
    (row,) = [row for row in client.get("/documents").json() if row["content_hash"] == document.content_hash]
    assert row["name"] == "b?ch.txt"
    body = {"documents": [document.content_hash], "question": "Who kept a book?", "stream": True}
    with client.stream("POST", "/ask", json=body) as response:
        name, _, result = list(events(response))[-1]
    assert name == "result"
    assert client.get(f"/runs/{result['run_id']}").json()["documents"][0]["name"] == "b?ch.txt"
    assert client.get(f"/runs/{result['run_id']}/export").status_code == 200


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 some archive", bytes(range(256)) * 9, b" \n "])
def test_what_cannot_be_read_is_not_kept(client: httpx2.Client, folder: Path, content: bytes) -> None:
    uploads = folder / "uploads"
    before = sorted(uploads.iterdir()) if uploads.exists() else []
    response = client.post("/documents", files={"file": ("broken.pdf", content)})
    assert response.status_code in (415, 422)
    assert problem(response) in ("no_text", "unsupported_format", "corrupt_document")
    assert sorted(uploads.iterdir()) == before


def test_an_encrypted_upload_needs_its_password(client: httpx2.Client) -> None:
    from io import BytesIO

    from pypdf import PdfWriter
    from reportlab.pdfgen.canvas import Canvas

    plain = BytesIO()
    canvas = Canvas(plain)
    canvas.drawString(72, 700, "The granite quay was built by Ansel Brodersen.")
    canvas.save()
    writer = PdfWriter(plain)
    writer.encrypt("sesame", algorithm="AES-256")
    sealed = BytesIO()
    writer.write(sealed)
    files = {"file": ("sealed.pdf", sealed.getvalue())}
    assert problem(client.post("/documents", files=files)) == "password_needed"
    added = client.post("/documents", files=files, data={"password": "sesame"})
    assert added.status_code == 201
    ask = {"documents": [added.json()["content_hash"]], "question": "Who built the granite quay?"}
    assert problem(client.post("/ask", json=ask)) == "password_needed"
    assert client.post("/ask", json={**ask, "password": "sesame"}).status_code == 200


def _blocks(size_bytes: int) -> Iterator[bytes]:
    """A body that does not say how long it is."""
    yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'
    for _ in range(size_bytes // 65_536):
        yield b"a" * 65_536
    yield b"\r\n--x--\r\n"


def test_an_upload_over_the_limit_is_refused(client: httpx2.Client) -> None:
    declared = client.post("/documents", files={"file": ("a.txt", b"a" * (8 << 20))})
    assert (declared.status_code, problem(declared)) == (413, "too_large")
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    chunked = client.post("/documents", content=_blocks(8 << 20), headers=headers)
    assert (chunked.status_code, problem(chunked)) == (413, "too_large")
    below = client.post("/documents", content=_blocks(1 << 19), headers=headers)
    assert below.status_code == 201
    long_json = client.post("/ask", json={"documents": ["a" * (2 << 20)], "question": "?"})
    assert (long_json.status_code, problem(long_json)) == (413, "too_large")


JSON = {"Content-Type": "application/json"}
ASK = {"documents": ["{book}"], "question": "?"}


@pytest.mark.parametrize(
    ("method", "path", "arguments", "status", "code"),
    [
        ("POST", "/ask", {"content": "{nope", "headers": JSON}, 400, "invalid_json"),
        ("POST", "/ask", {"content": "{}"}, 422, "invalid_request"),
        ("POST", "/ask", {"json": [1]}, 422, "invalid_request"),
        ("POST", "/ask", {"json": {"documents": ["a"] * 2}}, 422, "invalid_request"),
        ("POST", "/ask", {"json": {"documents": [], "question": "?"}}, 422, "invalid_request"),
        ("POST", "/ask", {"json": {"documents": ["{book}"], "question": " "}}, 422, "plan"),
        ("POST", "/ask", {"json": {**ASK, "mood": 1}}, 422, "invalid_request"),
        ("POST", "/ask", {"json": {**ASK, "mode": "x"}}, 422, "invalid_request"),
        ("POST", "/ask", {"json": {**ASK, "mode": "faithful"}}, 422, "unsupported_mode"),
        ("POST", "/ask", {"json": {**ASK, "chunk_tokens": 99999}}, 422, "plan"),
        ("POST", "/ask", {"json": {**ASK, "model": "nobody"}}, 404, "model_not_found"),
        ("POST", "/ask", {"json": {"documents": ["0" * 64], "question": "?"}}, 404, "unknown_document"),
        ("POST", "/ask", {"json": {"documents": ["abc"], "question": "?"}}, 404, "unknown_document"),
        ("POST", "/documents", {"json": {"path": "relative.txt"}}, 422, "plan"),
        ("POST", "/documents", {"json": {"path": "/dev/zero"}}, 404, "document_not_found"),
        ("POST", "/documents", {"json": {"path": "/"}}, 404, "document_not_found"),
        ("POST", "/documents", {"json": {"path": "/no/such/file.pdf"}}, 404, "document_not_found"),
        ("POST", "/documents", {"json": {}}, 422, "invalid_request"),
        ("POST", "/documents", {"content": "{nope", "headers": JSON}, 400, "invalid_json"),
        ("POST", "/documents", {"content": "text"}, 415, "unsupported_body"),
        ("POST", "/documents", {"files": {"other": ("a.txt", b"a")}}, 422, "invalid_request"),
        ("POST", "/documents", {"data": {"file": "no file"}, "files": {"x": b"a"}}, 422, "invalid_request"),
        ("POST", "/documents", {"files": [("file", b"a"), ("file", b"b")]}, 400, "bad_request"),
        ("GET", "/runs/2020", {}, 404, "run_not_found"),
        ("GET", "/runs/2020/events", {}, 404, "run_not_found"),
        ("GET", "/runs/2020/export", {}, 404, "run_not_found"),
        ("POST", "/runs/2020/resume", {}, 404, "run_not_found"),
        ("POST", "/runs/2020/cancel", {}, 404, "run_not_found"),
        ("GET", "/runs?limit=0", {}, 422, "invalid_request"),
        ("GET", "/search", {}, 422, "invalid_request"),
        ("GET", "/nowhere", {}, 404, "not_found"),
        ("DELETE", "/runs", {}, 405, "method_not_allowed"),
    ],
)  # fmt: skip
def test_every_bad_request_gets_a_problem(
    client: httpx2.Client,
    result: dict[str, Any],
    method: str,
    path: str,
    arguments: dict[str, Any],
    status: int,
    code: str,
) -> None:
    if "{book}" in str(arguments):
        arguments = json.loads(json.dumps(arguments).replace("{book}", upload(client, BOOK)))
    response = client.request(method, path, **arguments)
    assert (response.status_code, problem(response)) == (status, code)


def test_a_password_is_never_repeated(client: httpx2.Client) -> None:
    response = client.post("/ask", json={"documents": ["0" * 64], "question": "?", "password": ["hush-hush"]})
    assert problem(response) == "invalid_request"
    assert "hush-hush" not in response.text


@pytest.fixture(scope="module")
def document(server: Server) -> dict[str, Any]:
    """The OpenAPI document as it is served."""
    with server.client() as client:
        body: dict[str, Any] = client.get("/openapi.json").json()
    return body


def test_the_openapi_document_is_valid_and_described(document: dict[str, Any]) -> None:
    validate(document)
    assert document["security"] == [{"token": []}]
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert operation["summary"], (method, path)
            assert operation["description"], (method, path)
            assert {"4XX", "5XX"} <= set(operation["responses"]), (method, path)
    fields = document["components"]["schemas"]["AskBody"]["properties"]
    assert {
        "documents",
        "question",
        "mode",
        "chunk_tokens",
        "memory_tokens",
        "seed",
        "model",
        "stream",
    } <= set(fields)
    assert "://" not in json.dumps(document), "the document points elsewhere"


def test_the_command_prints_the_same_document(document: dict[str, Any], tmp_path: Path) -> None:
    data = tmp_path / "data"
    assert json.loads(palimpsest("serve", "--openapi", "--data-dir", data)) == document
    assert not data.exists()


def test_no_route_answers_without_the_token(server: Server, document: dict[str, Any]) -> None:
    paths = [
        (method.upper(), path.removeprefix("/v1").replace("{run}", "2020"))
        for path, methods in document["paths"].items()
        for method in methods
    ]
    assert len(paths) == 12
    for token in (None, "wrong", TOKEN[:-1], TOKEN + "x"):
        with server.client(token) as stranger:
            for method, path in [*paths, ("GET", "/openapi.json"), ("GET", "/docs")]:
                response = stranger.request(method, path)
                assert (response.status_code, problem(response)) == (401, "unauthorized"), (method, path)
                assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "", "10.0.0.1"]
)
def test_a_foreign_host_name_is_refused(client: httpx2.Client, host: str) -> None:
    response = client.get("/health", headers={"Host": host})
    assert (response.status_code, problem(response)) == (421, "wrong_host")


def test_a_web_page_is_refused(client: httpx2.Client) -> None:
    for origin in ("https://evil.example", "null", "http://localhost:1"):
        response = client.post("/runs/2020/cancel", headers={"Origin": origin})
        assert (response.status_code, problem(response)) == (403, "cross_origin")
        preflight = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        answer = client.options("/ask", headers=preflight)
        assert not [name for name in answer.headers if name.startswith("access-control")]


def test_nothing_was_logged(server: Server, result: dict[str, Any]) -> None:
    """Last in this module: a refused request is no reason for a traceback."""
    assert not [line for line in server.lines if "Traceback" in line or "ERROR" in line], server.lines
