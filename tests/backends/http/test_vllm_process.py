"""Starting and stopping a server of our own; programs stand in vLLM's place that fail as it does.

The real one is started in test_vllm.py.
"""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from engine.backends.http.vllm_process import VllmServer, find_vllm
from engine.cancel import Cancelled, CancelToken
from engine.errors import ModelLoadError, OutOfMemoryError, PalimpsestError, ServerStartError

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="vLLM is not started on Windows")

HEALTHY = """
    import http.server, os, pathlib, subprocess, sys, threading
    port = int(sys.argv[sys.argv.index("--port") + 1])
    worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    pathlib.Path(os.environ["STATE"]).write_text(f"{os.getpid()} {worker.pid}")
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200); self.send_header("Content-Length", "0"); self.end_headers()
    http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""
SILENT = 'import time\nprint("INFO 11-22 14:00:00 [model.py:1] Loading weights", flush=True)\ntime.sleep(600)'


Environment = Callable[[str], Path]


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    """Makes an environment whose vllm is this program."""

    def make(program: str) -> Path:
        folder = tmp_path / "env" / "bin"
        folder.mkdir(parents=True)
        (folder / "python").symlink_to(sys.executable)
        script = folder / "vllm"
        script.write_text(f"#!{sys.executable}\n{textwrap.dedent(program)}\n", "utf-8")
        script.chmod(0o755)
        return folder.parent

    return make


def wait_until(condition: Callable[[], bool], timeout_s: float = 20.0) -> bool:
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return False


def alive(*process_ids: int) -> list[int]:
    return [pid for pid in process_ids if psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie"]


def test_no_vllm_there(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere", Path(sys.executable)):
        with pytest.raises(ServerStartError, match="not installed") as caught:
            VllmServer("model", environment=path).__enter__()
        assert caught.value.hint


def test_an_environment_is_named_in_three_ways(environment: Environment) -> None:
    folder = environment("")
    expected = (folder / "bin" / "python", [str(folder / "bin" / "vllm")])
    assert (
        find_vllm(folder)
        == find_vllm(folder / "bin" / "vllm")
        == find_vllm(folder / "bin" / "python")
        == expected
    )


@pytest.mark.parametrize(
    ("line", "error", "message"),
    [
        (
            "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB",
            OutOfMemoryError,
            "memory",
        ),
        (
            "(EngineCore pid=7) ERROR 11-22 14:00:00 [core.py:9] ValueError: To serve at least one request with the "
            "model's max seq len (4096), 9 GiB KV cache is needed, which is larger than the available KV cache memory",
            OutOfMemoryError,
            "memory",
        ),
        ("ModuleNotFoundError: No module named 'vllm'", ServerStartError, "damaged"),
        (
            "ValueError: Model architectures ['FooForCausalLM'] are not supported for now.",
            ModelLoadError,
            "FooFor",
        ),
        ("OSError: x does not appear to have a file named config.json", ModelLoadError, "config.json"),
        (
            "pydantic_core.ValidationError: 1 validation error for ModelConfig\n"
            "  Value error, Invalid repository ID or local directory specified: 'x'",
            ModelLoadError,
            "Invalid repository ID",
        ),
        ("RuntimeError: something else", ServerStartError, "something else"),
        ("INFO 11-22 14:00:00 [x.py:1] Available KV cache memory: 3 GiB", ServerStartError, "ended"),
    ],
)
def test_why_it_died(environment: Environment, line: str, error: type[PalimpsestError], message: str) -> None:
    folder = environment(
        f"import sys\nprint({line!r})\nprint('RuntimeError: Engine core failed to start.')\nsys.exit(1)"
    )
    if "KV cache memory: 3" in line:
        folder.joinpath("bin", "vllm").write_text(f"#!{sys.executable}\nprint({line!r})\n", "utf-8")
    with pytest.raises(error, match=message) as caught:
        VllmServer("some/model", environment=folder).__enter__()
    assert type(caught.value) is error


def test_it_never_becomes_healthy(environment: Environment) -> None:
    server = VllmServer("m", environment=environment(SILENT), start_timeout_s=0.2)
    with pytest.raises(ServerStartError, match="not ready"):
        server.__enter__()
    assert server.process_id is not None
    assert not alive(server.process_id)


def test_a_cancel_ends_the_wait_and_the_server(environment: Environment) -> None:
    cancel = CancelToken()
    said: list[str] = []

    def note(line: str) -> None:
        said.append(line)
        cancel.cancel()

    server = VllmServer("m", environment=environment(SILENT), progress=note, cancel=cancel)
    with pytest.raises(Cancelled):
        server.__enter__()
    assert said == ["Loading weights"]
    assert server.process_id is not None
    assert not alive(server.process_id)


def test_it_is_gone_after_the_block_with_its_workers(environment: Environment, tmp_path: Path) -> None:
    state = tmp_path / "state"
    with VllmServer("m", environment=environment(HEALTHY), variables={"STATE": str(state)}) as server:
        leader, worker = map(int, state.read_text().split())
        assert server.process_id is not None
        assert len(alive(server.process_id, leader, worker)) == 3
        command = psutil.Process(leader).cmdline()
        assert command[command.index("--host") + 1] == "127.0.0.1"
        assert server.api_key not in " ".join(command)  # other users can read command lines
        assert psutil.Process(leader).environ()["VLLM_API_KEY"] == server.api_key
    assert wait_until(lambda: not alive(leader, worker))
    server.stop()


PARENT = """
    import pathlib, sys
    from engine.backends.http.vllm_process import VllmServer
    server = VllmServer("m", environment=pathlib.Path(sys.argv[1]), variables={"STATE": sys.argv[2]})
    server.__enter__()
    print(server.process_id, flush=True)
    HOW
"""


@pytest.mark.parametrize("how", ["input()", "sys.exit()", "raise SystemError"])
def test_no_orphan_however_the_parent_dies(environment: Environment, tmp_path: Path, how: str) -> None:
    state = tmp_path / "state"
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PARENT).replace("HOW", how), environment(HEALTHY), state],
        cwd=Path(__file__).parents[3],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert parent.stdout is not None
    assert parent.stdin is not None
    guard = int(parent.stdout.readline())
    if how == "input()":
        parent.kill()
    parent.wait()
    parent.stdin.close()
    parent.stdout.close()
    leader, worker = map(int, state.read_text().split())
    assert wait_until(lambda: not alive(guard, leader, worker))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent died")
def test_the_server_ends_when_its_guard_is_killed(environment: Environment, tmp_path: Path) -> None:
    state = tmp_path / "state"
    with VllmServer("m", environment=environment(HEALTHY), variables={"STATE": str(state)}) as server:
        leader, worker = map(int, state.read_text().split())
        assert server.process_id is not None
        os.kill(server.process_id, signal.SIGKILL)
        assert wait_until(lambda: not alive(leader))
    if alive(worker):  # vLLM's workers watch their leader; this one does not
        os.kill(worker, signal.SIGKILL)
