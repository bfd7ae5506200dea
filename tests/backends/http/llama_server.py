"""llama.cpp's own HTTP server as a child process, out of the package xllamacpp: the real thing for the tests.

As a program: ``python -m tests.backends.http.llama_server MODEL`` serves until its standard input closes.
"""

import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

WINDOW_TOKENS = 1024
NUM_SLOTS = 2


@contextmanager
def serve(model: Path) -> Iterator[str]:
    """The address of a fresh server; stopped at the end."""
    if importlib.util.find_spec("xllamacpp") is None:
        pytest.skip("xllamacpp, which holds llama.cpp's server, is not installed (pip install xllamacpp)")
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.backends.http.llama_server", str(model)],
        cwd=Path(__file__).parents[3],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        lines = iter(process.stdout.readline, "")
        address = next((line for line in lines if line.startswith("http")), "")
        assert address, "the server did not start"
        yield address.strip()
    finally:
        process.stdin.close()
        process.kill()
        process.wait()
        process.stdout.close()


def main() -> None:
    """Serve the model named on the command line on a free port."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = sys.argv[1]
    params.n_ctx = WINDOW_TOKENS * NUM_SLOTS
    params.n_parallel = NUM_SLOTS
    params.cpuparams.n_threads = 1
    params.cpuparams_batch.n_threads = 1
    params.port = 0
    server = xllamacpp.Server(params)
    sys.stdout.write(f"{server.listening_address}\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main()
