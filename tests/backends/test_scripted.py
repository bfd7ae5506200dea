import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engine.backends.base import Request, Segment
from engine.backends.scripted import Fault, ScriptedBackend, ScriptError
from engine.cancel import Cancelled, CancelToken
from engine.errors import BackendDiedError

REQUEST = Request(prompt=(Segment("<|q|>"), Segment("<|q|> who?", is_data=True)), max_tokens=50)


def test_replies_in_order_and_requests_recorded() -> None:
    backend = ScriptedBackend(["one", "two"])
    assert [completion.text for completion in backend.generate([REQUEST, REQUEST])] == ["one", "two"]
    assert backend.requests == [REQUEST, REQUEST]
    with pytest.raises(ScriptError, match="2 replies"):
        backend.generate([REQUEST])


def test_replies_by_function() -> None:
    backend = ScriptedBackend(lambda request: request.prompt[1].text.upper())
    assert backend.generate([REQUEST])[0].text == "<|Q|> WHO?"


def test_an_empty_reply() -> None:
    completion = ScriptedBackend([""]).generate([REQUEST])[0]
    assert completion.text == ""
    assert completion.token_ids == ()
    assert completion.finish_reason == "stop"


def test_labels_are_single_tokens_in_replies_only() -> None:
    backend = ScriptedBackend(["<|s1|><|s999|>"])
    completion = backend.generate([REQUEST])[0]
    assert len(completion.token_ids) == 2
    assert not set(backend.tokenize("<|s1|><|s999|>")) & set(completion.token_ids)


def test_replies_must_match_their_grammar() -> None:
    request = Request(prompt=REQUEST.prompt, max_tokens=9, grammar='root ::= "yes" | "no"')
    with pytest.raises(ScriptError, match="grammar"):
        ScriptedBackend(["maybe"]).generate([request])
    assert ScriptedBackend(["maybe"], checks_grammar=False).generate([request])[0].text == "maybe"


def test_a_fault_at_one_request() -> None:
    faults = {1: Fault(error=BackendDiedError("gone"), after_tokens=2)}
    backend = ScriptedBackend(["a b c", "a b c", "a b c"], faults=faults)
    pieces: list[str] = []
    assert backend.generate([REQUEST])[0].text == "a b c"
    with pytest.raises(BackendDiedError):
        backend.generate([REQUEST], on_token=lambda index, piece: pieces.append(piece))
    assert pieces == ["a", " b"]
    assert backend.generate([REQUEST])[0].text == "a b c"


def test_a_cancel_ends_a_delay() -> None:
    backend = ScriptedBackend(["a b c"], faults={0: Fault(delay_s=60)})
    cancel = CancelToken()
    from threading import Timer

    timer = Timer(0.05, cancel.cancel)
    timer.start()
    started = time.monotonic()
    with pytest.raises(Cancelled):
        backend.generate([REQUEST], cancel=cancel)
    timer.join()
    assert time.monotonic() - started < 30


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no such signal here")
def test_the_process_can_be_killed() -> None:
    code = (
        "from engine.backends.base import Request, Segment\n"
        "from engine.backends.scripted import Fault, ScriptedBackend\n"
        "backend = ScriptedBackend(['a'], faults={0: Fault(kills_process=True)})\n"
        "backend.generate([Request(prompt=(Segment('x'),), max_tokens=5)])\n"
    )
    root = Path(__file__).parents[2]
    result = subprocess.run([sys.executable, "-c", code], cwd=root, env=os.environ, check=False)
    assert result.returncode == -signal.SIGKILL


def test_info() -> None:
    info = ScriptedBackend(
        [], prompt_set="starter-1", chunk_tokens=9, memory_tokens=8, context_tokens=77
    ).info
    assert (info.prompt_set, info.chunk_tokens, info.memory_tokens, info.context_tokens) == (
        "starter-1",
        9,
        8,
        77,
    )
    assert info.fingerprint != ScriptedBackend([], name="other").info.fingerprint
