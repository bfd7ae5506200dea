"""A real vLLM against llama.cpp in this process, on the same weights; needs PALIMPSEST_VLLM."""

import json
import subprocess
from pathlib import Path

import pytest

from engine.agent.config import Mode
from engine.agent.prompts import STANDARD
from engine.agent.replies import read_grammar
from engine.backends import gbnf
from engine.backends.base import Request, Segment
from engine.backends.http.backend import ServerBackend
from engine.backends.http.ebnf import to_xgrammar
from engine.backends.http.opening import open_server
from engine.backends.http.vllm_process import VllmServer
from engine.backends.llamacpp import LlamaCppBackend
from engine.errors import ModelLoadError, OutOfMemoryError, ServerAuthError
from tests.backends.http.test_llama_server import TEXTS

GRAMMARS = (
    r'root ::= "[\x5ea]" [\x5e\x5d] .',
    r'root ::= [^\x00-\x1f"]{2,3} ("x" | "y")? # "c"',
    'root ::= first | second+\nfirst ::= "a.b" .\nsecond ::= \'never\' | "é"'.replace("'never'", '"日本"'),
)
SENTENCES = (
    "[^a]^b",
    "[^a]]\U0001f600",
    "a.bé",
    "a.b",
    "é日本é",
    "abx",
    'a"x',
    "ab",
    "abcd",
    "KEEP",
    "UPDATE\nIt is.",
    "",
)
_MATCH = """
import json, sys, xgrammar
grammars, sentences = json.load(sys.stdin)
info = xgrammar.TokenizerInfo([bytes([byte]) for byte in range(256)] + ["<end>"], stop_token_ids=[256])
compiler = xgrammar.GrammarCompiler(info)
def matches(grammar, sentence):
    matcher = xgrammar.GrammarMatcher(compiler.compile_grammar(grammar))
    return matcher.accept_string(sentence) and matcher.accept_token(256)
print(json.dumps([[matches(grammar, sentence) for sentence in sentences] for grammar in grammars]))
"""


@pytest.mark.parametrize("text", TEXTS)
def test_prompts_are_the_same_tokens(text: str, vllm: ServerBackend, starter: LlamaCppBackend) -> None:
    prompt = (Segment("Read <|s1|>: "), Segment(text, is_data=True), Segment("\nAnswer:"))
    assert vllm.tokenize(text) == starter.tokenize(text)
    assert vllm.encode(prompt) == starter.encode(prompt)


def test_greedy_replies_are_the_same_tokens(vllm: ServerBackend, starter: LlamaCppBackend) -> None:
    grammar = 'root ::= ("<|none|>" | "<|s1|>" | "<|s2|>" | "<|m1|>"){4,6}'
    requests = [
        Request(
            prompt=(Segment("<|read|>"), Segment(f" Item {n}?", is_data=True)), max_tokens=12, grammar=grammar
        )
        for n in range(12)
    ]
    remote, local = vllm.generate(requests), starter.generate(requests)
    assert [one.token_ids for one in remote] == [one.token_ids for one in local]
    assert [one.text for one in remote] == [one.text for one in local]
    assert [one.finish_reason for one in remote] == [one.finish_reason for one in local]


def test_a_shared_prefix_is_computed_once(vllm: ServerBackend) -> None:
    shared = "The quay was built in 1871 and mended in 1873. " * 12
    first, second = (
        vllm.generate([Request(prompt=(Segment(shared + end),), max_tokens=2)])[0] for end in ("One?", "Two?")
    )
    assert second.cached_tokens >= len(second.prompt_token_ids) // 2 > 50
    assert first.prompt_token_ids != second.prompt_token_ids


def test_what_the_server_tells(vllm: ServerBackend, vllm_server: VllmServer, vllm_folder: Path) -> None:
    assert vllm.info.backend == "vllm"
    assert vllm.info.context_tokens == 1024
    assert vllm.info.name == str(vllm_folder)
    assert vllm.info.proves_tokens
    with pytest.raises(ServerAuthError):
        open_server(vllm_server.address)
    with pytest.raises(ServerAuthError):
        open_server(vllm_server.address, api_key="another")


def test_xgrammar_reads_our_grammars_as_we_do(vllm_environment: Path) -> None:
    gate = read_grammar(Mode.GATED, STANDARD, num_items=0, num_sentences=0)
    assert gate is not None
    grammars = (*GRAMMARS, gate)
    done = subprocess.run(
        [vllm_environment / "bin" / "python", "-c", _MATCH],
        input=json.dumps([[to_xgrammar(grammar, {}) for grammar in grammars], SENTENCES]),
        capture_output=True,
        text=True,
        check=True,
    )
    expected = [[gbnf.parse(grammar).matches(sentence) for sentence in SENTENCES] for grammar in grammars]
    assert json.loads(done.stdout.splitlines()[-1]) == expected
    assert all(any(row) and not all(row) for row in expected)


def changed(folder: Path, target: Path, **config: object) -> Path:
    """A copy of a model folder with other settings."""
    for file in folder.iterdir():
        (target / file.name).write_bytes(file.read_bytes())
    values = json.loads((target / "config.json").read_text())
    (target / "config.json").write_text(json.dumps(values | config))
    return target


def start(folder: Path, environment: Path) -> None:
    """Start a server that must not come up."""
    options = ("--enforce-eager", "--dtype", "float32")
    with VllmServer(
        folder, environment=environment, options=options, variables={"VLLM_CPU_KVCACHE_SPACE": "1"}
    ):
        pass


def test_a_folder_without_a_model(vllm_environment: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match=tmp_path.name) as caught:
        start(tmp_path, vllm_environment)
    assert caught.value.hint


def test_a_model_of_an_unknown_kind(vllm_environment: Path, vllm_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError):
        start(
            changed(vllm_folder, tmp_path, architectures=["FooForCausalLM"], model_type="foo"),
            vllm_environment,
        )


def test_too_little_memory_for_the_window(vllm_environment: Path, vllm_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(OutOfMemoryError):
        start(changed(vllm_folder, tmp_path, max_position_embeddings=1_000_000), vllm_environment)
