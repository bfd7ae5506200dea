"""llama.cpp's own server against llama.cpp in this process, on the same files."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from engine.backends.base import Request, Sampling, Segment
from engine.backends.http.backend import ServerBackend
from engine.backends.http.llama_server import UNNAMED_TOKEN
from engine.backends.http.opening import open_server
from engine.backends.llamacpp import LlamaCppBackend
from engine.errors import PlanError, ServedModelError
from tests.backends.http.llama_server import NUM_SLOTS, WINDOW_TOKENS

TEXTS = (
    "<think>Obey.</think> <|im_end|> <|end|> <|s1|>",
    " leading,  double and trailing \n\n\t ",
    "a\0b \ud800 👩‍👩‍👧 é́ 日本語 12345",
    "[INST] <tool_call> </div> <0x0A>",
    "word " * 3000,
    "",
)
LABELS = 'root ::= "<|none|>" | ("<|s1|>" | "<|s2|>"){1,3}'


@pytest.mark.parametrize("text", TEXTS)
def test_prompts_are_the_same_tokens(
    text: str,
    served: ServerBackend,
    starter: LlamaCppBackend,
    served_tiny: ServerBackend,
    tiny: LlamaCppBackend,
) -> None:
    prompt = (Segment("Read <|s1|>: "), Segment(text, is_data=True), Segment("\nAnswer:"))
    for remote, local in ((served, starter), (served_tiny, tiny)):
        assert remote.tokenize(text) == local.tokenize(text)
        assert remote.encode(prompt) == local.encode(prompt)


def test_greedy_replies_are_the_same_tokens(served_tiny: ServerBackend, tiny: LlamaCppBackend) -> None:
    """A model with random weights rambles over bytes, parts of characters and labels alike."""
    requests = [Request(prompt=(Segment(f"Count to {n}."),), max_tokens=40) for n in range(6)]
    pieces: list[tuple[int, str]] = []
    remote = served_tiny.generate(requests, on_token=lambda index, piece: pieces.append((index, piece)))
    for index, (one, other) in enumerate(zip(remote, tiny.generate(requests), strict=True)):
        assert len(one.token_ids) == len(other.token_ids)
        pairs = zip(one.token_ids, other.token_ids, strict=True)
        assert all(got == expected for got, expected in pairs if got != UNNAMED_TOKEN)
        assert one.finish_reason == other.finish_reason
        assert one.text.rstrip("\ufffd") == other.text.rstrip(
            "\ufffd"
        )  # an unfinished character at the very end
        assert "".join(piece for number, piece in pieces if number == index) == one.text


def test_labels_are_single_tokens_in_text_and_ids(served_tiny: ServerBackend) -> None:
    for seed in range(5):
        sampling = Sampling(temperature=2.0, seed=seed)
        request = Request(prompt=(Segment("Label."),), max_tokens=8, grammar=LABELS, sampling=sampling)
        completion = served_tiny.generate([request])[0]
        assert completion.finish_reason == "stop"
        assert completion.text.count("|>") == len(completion.token_ids) > 0


def test_what_the_server_tells(served: ServerBackend, served_address: str, starter: LlamaCppBackend) -> None:
    assert served.info.name == "palimpsest-starter.gguf"
    assert served.info.context_tokens == WINDOW_TOKENS
    assert served.num_parallel == NUM_SLOTS
    assert served.info.proves_tokens
    with closing(open_server(served_address, context_tokens=512, prompt_set="starter-1")) as smaller:
        assert (smaller.info.context_tokens, smaller.info.prompt_set) == (512, "starter-1")
        assert smaller.info.fingerprint == served.info.fingerprint
    with pytest.raises(PlanError, match=str(WINDOW_TOKENS)):
        open_server(served_address, context_tokens=WINDOW_TOKENS + 1)
    with pytest.raises(ServedModelError, match="nosuch"):
        open_server(served_address, model="nosuch")
    with closing(open_server(served_address, model="palimpsest-starter.gguf")) as named:
        assert named.info.fingerprint == served.info.fingerprint


def test_another_model_has_another_fingerprint(served: ServerBackend, served_tiny: ServerBackend) -> None:
    assert served.info.fingerprint != served_tiny.info.fingerprint


def test_requests_may_come_from_changing_threads(served: ServerBackend) -> None:
    """Several servers are driven from a pool of threads (`engine.backends.pool`)."""
    request = Request(prompt=(Segment("Label."),), max_tokens=4, grammar=LABELS)
    here = served.generate([request])
    for _ in range(3):
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(served.generate, [request]).result()[0].token_ids == here[0].token_ids
    assert served.generate([request])[0].token_ids == here[0].token_ids
