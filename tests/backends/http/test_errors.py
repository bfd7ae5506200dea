"""What goes wrong with a server is an error of ours, with a sentence and a hint."""

import json
import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest

from engine.backends.base import Request, Segment
from engine.backends.http.address import parse_address
from engine.backends.http.backend import ServerBackend
from engine.backends.http.client import Client
from engine.backends.http.opening import API_KEY_VARIABLE, open_server
from engine.cancel import Cancelled, CancelToken
from engine.errors import (
    BackendDiedError,
    ContextOverflowError,
    ForeignServerError,
    GenerationError,
    OutOfMemoryError,
    PalimpsestError,
    PlanError,
    PromptMismatchError,
    ServedModelError,
    ServerAuthError,
    ServerError,
    ServerReplyError,
    ServerTimeoutError,
    ServerUnreachableError,
)
from tests.backends.http.conftest import CARD, Exchange, Stub

REQUEST = Request(prompt=(Segment("Say something."),), max_tokens=20)
USAGE = {"prompt_tokens": 7, "completion_tokens": 2}


def delta(text: str, reason: str | None = None) -> dict[str, Any]:
    return {"choices": [{"delta": {"content": text}, "finish_reason": reason}]}


END = ({"choices": [], "usage": USAGE}, "[DONE]")


def count_words(exchange: Exchange, *, window: int = 1 << 20) -> None:
    """A server whose tokens are words, and eight of template; a prompt over its window it halves, as Ollama does."""
    words = len(exchange.body["messages"][0]["content"].split()) + 8
    taken = words if words <= window else window // 2 + 2
    exchange.json({"choices": [], "usage": {"prompt_tokens": taken, "completion_tokens": 1}})


def chat(stub: Stub, *events: Any, cut: bool = False) -> None:
    """Have the stub count words, and stream these events."""

    def answer(exchange: Exchange) -> None:
        if exchange.body.get("stream"):
            exchange.events(*events, cut=cut)
        else:
            count_words(exchange)

    stub.answers["/v1/chat/completions"] = answer


def be_silent(released: threading.Event) -> None:
    """Do not answer before the test is over."""
    released.wait(30)


@contextmanager
def opened(stub: Stub, **options: Any) -> Iterator[ServerBackend]:
    with closing(open_server(stub.address, **options)) as backend:
        yield backend


def closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def test_nobody_listens() -> None:
    with pytest.raises(ServerUnreachableError) as caught:
        open_server(f"127.0.0.1:{closed_port()}")
    assert caught.value.hint


def test_something_else_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def greet() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"220 mail.example.org ESMTP\r\n")
                connection.recv(1000)

        thread = threading.Thread(target=greet)
        thread.start()
        with pytest.raises(ForeignServerError):
            open_server(f"127.0.0.1:{listener.getsockname()[1]}")
        thread.join()


@pytest.mark.parametrize(
    ("body", "kind"),
    [(b"<html>Hello</html>", "text/html"), (b"{}", "application/json"), (b"[1]", "application/json")],
)
def test_a_web_server_without_the_api(stub: Stub, body: bytes, kind: str) -> None:
    stub.answers["/v1/models"] = lambda exchange: exchange.raw(200, kind, body)
    with pytest.raises(ForeignServerError) as caught:
        open_server(stub.address)
    assert caught.value.hint


def test_redirects_are_not_followed(stub: Stub) -> None:
    stub.answers["/v1/models"] = lambda exchange: exchange.raw(
        302, "text/plain", b"", Location=f"{stub.address}/other"
    )
    with pytest.raises(ForeignServerError, match="another address"):
        open_server(stub.address)
    assert [path for path, *_ in stub.asked] == ["/v1/models"]


def test_proxies_of_the_environment_are_not_asked(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{closed_port()}")
    chat(stub, delta("Hi.", "stop"), *END)
    with opened(stub) as backend:
        assert backend.generate([REQUEST])[0].text == "Hi."


def test_the_key_is_sent_and_never_logged(
    stub: Stub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(API_KEY_VARIABLE, "sk-very-secret")
    caplog.set_level(logging.DEBUG)
    chat(stub, delta("Hi.", "stop"), *END)
    with opened(stub) as backend:
        backend.generate([REQUEST])
    assert {headers.get("Authorization") for _, headers, _ in stub.asked} == {"Bearer sk-very-secret"}
    assert "sk-very-secret" not in caplog.text


def test_a_refused_key_is_not_repeated(stub: Stub) -> None:
    stub.answers["/v1/models"] = lambda exchange: exchange.json({"error": "Unauthorized"}, 401)
    with pytest.raises(ServerAuthError, match="refuses") as caught:
        open_server(stub.address, api_key="sk-wrong")
    assert "sk-wrong" not in str(caught.value)
    with pytest.raises(ServerAuthError, match="characters"):
        open_server(stub.address, api_key="sk-wröng")


def test_an_unencrypted_key_for_another_machine_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    Client(parse_address("http://models.example.org"), api_key="k").close()
    assert "unencrypted" in caplog.text
    caplog.clear()
    Client(parse_address("https://models.example.org"), api_key="k").close()
    Client(parse_address("http://localhost:1"), api_key="k").close()
    assert not caplog.text


def test_a_server_that_is_loading(stub: Stub) -> None:
    stub.answers["/v1/models"] = lambda exchange: exchange.json({"error": {"message": "Loading model"}}, 503)
    with pytest.raises(ServerError, match="Loading model"):
        open_server(stub.address)


def test_models_must_be_chosen_and_exist(stub: Stub) -> None:
    stub.answers["/v1/models"] = lambda exchange: exchange.json({"data": []})
    with pytest.raises(ServedModelError, match="has no model"):
        open_server(stub.address)
    cards = [{"id": name} for name in ("qwen3:8b", "llama3.2:latest")]
    stub.answers["/v1/models"] = lambda exchange: exchange.json({"data": cards})
    chat(stub)
    with pytest.raises(ServedModelError, match="several") as caught:
        open_server(stub.address)
    assert "qwen3:8b, llama3.2:latest" in caught.value.hint
    with pytest.raises(ServedModelError, match="'qwen3:8c'") as caught:
        open_server(stub.address, model="qwen3:8c")
    assert "qwen3:8b" in caught.value.hint
    with pytest.raises(ServedModelError) as caught:
        open_server(stub.address, model="mistral")
    assert "It has: qwen3:8b, llama3.2:latest" in caught.value.hint
    with opened(stub, model="llama3.2") as backend:
        assert backend.info.name == "llama3.2:latest"


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (500, {"error": {"message": "CUDA out of memory. Tried to allocate 2 GiB"}}, OutOfMemoryError),
        (500, {"error": {"message": "EngineCore encountered an issue"}}, BackendDiedError),
        (400, {"error": {"message": "maximum context length is 4096 tokens"}}, ContextOverflowError),
        (400, {"detail": "unknown field"}, GenerationError),
        (404, {"error": {"message": "The model `x` does not exist."}}, ServedModelError),
        (401, {"error": "no"}, ServerAuthError),
    ],
)
def test_refused_requests(stub: Stub, status: int, body: Any, error: type[PalimpsestError]) -> None:
    chat(stub)
    with opened(stub) as backend:
        stub.answers["/v1/chat/completions"] = lambda exchange: exchange.json(body, status)
        with pytest.raises(error) as caught:
            backend.generate([REQUEST, REQUEST])
        assert type(caught.value) is error


@pytest.mark.parametrize(
    ("events", "cut", "error"),
    [
        ((delta("The"), delta(" sea")), True, BackendDiedError),
        ((delta("The"), delta(" sea")), False, BackendDiedError),
        (("{not json",), False, ServerReplyError),
        (('"a string"',), False, ServerReplyError),
        (({"something": "else"},), False, ServerReplyError),
        ((delta("The"), {"error": {"message": "CUDA out of memory", "code": 500}}), False, OutOfMemoryError),
        ((delta("The"), {"error": "broken"}), False, BackendDiedError),
        ((delta("Yes.", "stop"), "[DONE]"), False, ServerReplyError),  # without usage nothing is proven
    ],
)
def test_broken_streams(stub: Stub, events: tuple[Any, ...], cut: bool, error: type[PalimpsestError]) -> None:
    chat(stub, *events, cut=cut)
    with opened(stub) as backend:
        with pytest.raises(error) as caught:
            backend.generate([REQUEST])
        assert type(caught.value) is error
        chat(stub, delta("Good."), delta("", "stop"), *END)
        assert backend.generate([REQUEST])[0].text == "Good."


def test_a_reply_that_is_not_streamed(stub: Stub) -> None:
    chat(stub)
    with opened(stub) as backend:
        stub.answers["/v1/chat/completions"] = lambda exchange: exchange.json({"choices": []})
        with pytest.raises(ServerReplyError, match="stream"):
            backend.generate([REQUEST])


def test_a_silent_server(stub: Stub) -> None:
    chat(stub)
    with opened(stub, timeout_s=0.2) as backend:
        released = threading.Event()
        stub.answers["/v1/chat/completions"] = lambda exchange: be_silent(released)
        with pytest.raises(ServerTimeoutError):
            backend.generate([REQUEST])
        released.set()


def test_a_cancel_does_not_wait_for_a_silent_server(stub: Stub) -> None:
    chat(stub)
    with opened(stub) as backend:
        released = threading.Event()
        stub.answers["/v1/chat/completions"] = lambda exchange: be_silent(released)
        cancel = CancelToken()
        timer = threading.Timer(0.1, cancel.cancel)
        timer.start()
        began = time.monotonic()
        with pytest.raises(Cancelled):
            backend.generate([REQUEST] * 3, cancel=cancel)
        assert time.monotonic() - began < 10
        released.set()
        timer.join()


def test_an_error_of_one_request_ends_the_others(stub: Stub) -> None:
    chat(stub)
    released = threading.Event()

    def answer(exchange: Exchange) -> None:
        if "fail" in exchange.body["messages"][0]["content"]:
            exchange.json({"error": "broken"}, 500)
        else:
            be_silent(released)

    with opened(stub) as backend:
        stub.answers["/v1/chat/completions"] = answer
        failing = Request(prompt=(Segment("Please fail."),), max_tokens=20)
        began = time.monotonic()
        with pytest.raises(BackendDiedError):
            backend.generate([REQUEST, REQUEST, failing])
        assert time.monotonic() - began < 10
        released.set()


def test_no_more_requests_at_once_than_wanted(stub: Stub) -> None:
    chat(stub)
    lock = threading.Lock()
    running, most = 0, 0

    def answer(exchange: Exchange) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.05)
        with lock:
            running -= 1
        exchange.events(delta("Yes.", "stop"), *END)

    with opened(stub, num_parallel=3) as backend:
        stub.answers["/v1/chat/completions"] = answer
        assert len(backend.generate([REQUEST] * 9)) == 9
    assert most == 3


def test_a_window_that_is_smaller_than_said_is_found_at_once(stub: Stub) -> None:
    """Ollama takes a prompt that is too long, drops half of its window, and says nothing."""
    stub.answers["/v1/chat/completions"] = lambda exchange: count_words(exchange, window=2048)
    with pytest.raises(PromptMismatchError, match="1026 of the ") as caught:
        open_server(stub.address, context_tokens=4096)
    assert caught.value.hint
    with opened(stub, context_tokens=2048) as backend:
        assert backend.info.context_tokens == 2048


def test_ollama_is_recognised_and_its_window_read(stub: Stub) -> None:
    tags = {"models": [{"name": CARD["id"], "digest": "abc"}]}
    loaded = {"models": [{"name": CARD["id"], "context_length": 4096}]}
    stub.answers |= {
        "/api/version": lambda exchange: exchange.json({"version": "0.32.9"}),
        "/api/tags": lambda exchange: exchange.json(tags),
        "/api/ps": lambda exchange: exchange.json(loaded),
        "/v1/chat/completions": lambda exchange: count_words(exchange, window=4096),
    }
    with opened(stub) as backend:
        assert (backend.info.backend, backend.info.context_tokens) == ("ollama", 4096)
        before = backend.info.fingerprint
    with pytest.raises(PlanError, match="4096"):
        open_server(stub.address, context_tokens=8192)
    loaded["models"][0]["context_length"] = 8192  # what /api/ps says is not taken on trust
    with pytest.raises(PromptMismatchError) as caught:
        open_server(stub.address)
    assert "OLLAMA_CONTEXT_LENGTH" in caught.value.hint
    loaded["models"][0]["context_length"] = 4096
    tags["models"][0]["digest"] = "def"
    with opened(stub) as backend:
        assert backend.info.fingerprint != before


def test_lm_studio_is_recognised_and_its_window_read(stub: Stub) -> None:
    rows = {
        "data": [
            {"id": CARD["id"], "arch": "qwen2", "loaded_context_length": 2048, "max_context_length": 9999}
        ]
    }
    stub.answers |= {
        "/api/v0/models": lambda exchange: exchange.json(rows),
        "/v1/chat/completions": lambda exchange: count_words(exchange, window=2048),
    }
    with opened(stub) as backend:
        assert (backend.info.backend, backend.info.context_tokens) == ("lm-studio", 2048)


@pytest.mark.parametrize("counted", [1, 100_000])
def test_a_count_out_of_bounds_is_an_error(stub: Stub, counted: int) -> None:
    chat(stub, delta("Yes.", "stop"), {"choices": [], "usage": {"prompt_tokens": counted}}, "[DONE]")
    with opened(stub) as backend, pytest.raises(PromptMismatchError, match="between"):
        backend.generate([Request(prompt=(Segment("The sea was calm. " * 20, is_data=True),), max_tokens=20)])


def test_a_reply_cut_by_the_end_of_the_window_is_an_error(stub: Stub) -> None:
    chat(
        stub,
        delta("Yes", "length"),
        {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3}},
        "[DONE]",
    )
    with opened(stub) as backend, pytest.raises(PromptMismatchError, match="end of its window"):
        backend.generate([REQUEST])


def test_no_character_of_a_stream_ends_an_event(stub: Stub) -> None:
    """Line separators of Unicode are text; only line feeds and carriage returns end a line of a stream."""
    text = "a\u2028b\u2029c\x85d\x0be\x1cf"
    event = json.dumps(delta(text, "stop"), ensure_ascii=False)
    chat(stub, event, *END)
    with opened(stub) as backend:
        assert backend.generate([REQUEST])[0].text == text
