"""Starts and stops ``vllm serve`` as a child, out of an environment of its own: vLLM pins its own torch.

The child listens on loopback only, wants a key that only this process knows, and asks nobody else's server
about a model that lies on this disk. It runs under `engine.backends.http.guard`, so that it ends when this
process does, however that happens.
"""

import logging
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import httpx2

from engine.backends.http.failures import MEMORY
from engine.cancel import CancelToken
from engine.errors import ModelLoadError, OutOfMemoryError, PalimpsestError, ServerStartError

logger = logging.getLogger(__name__)

DEFAULT_START_TIMEOUT_S = 1800.0
"""Loading and compiling a large model takes many minutes."""

_POLL_S = 0.5
_STOP_TIMEOUT_S = 20.0
_TAIL_BYTES = 262_144
_MODEL_FAULT = re.compile(
    r"not supported for now|are not supported|does not recognize this architecture|Invalid repository ID"
    r"|Repo id must be|is not a local folder|not the path to a directory|does not appear to have"
    r"|No such file or directory|config\.json|Cannot find model|HFValidationError|LocalEntryNotFoundError"
    r"|OfflineModeIsEnabled|Can't load|Unrecognized model"
)
_NO_VLLM = re.compile(r"No module named '?vllm|PackageNotFoundError|cannot import name .* from '?vllm")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_PREFIX = re.compile(r"^(?:\([^)]*\)\s*)?(?:[A-Z]+ \d\d-\d\d \d\d:\d\d:\d\d \S+\s*)?")
_ERROR = re.compile(r"^(?:\w+\.)*\w*(?:Error|Exception)\b")

Progress = Callable[[str], None]
"""Is told what the server does while it starts: the last line of its log."""


class VllmServer:
    """A ``vllm serve`` of our own, as a context manager: up and healthy inside of the block, gone after it.

    Args:
        model: folder of the model, or a name that vLLM can resolve.
        environment: where vLLM is installed: the folder of a virtual environment, its Python, or the ``vllm``
            executable.
        context_tokens: window; None = the model's own.
        options: further arguments of ``vllm serve``, such as ``--tensor-parallel-size 2``.
        variables: further environment variables, such as ``VLLM_CPU_KVCACHE_SPACE``.
        start_timeout_s: seconds until the server must be healthy.
        progress: see `Progress`.
        cancel: stops the wait for the server, and the server.
    """

    def __init__(
        self,
        model: str | Path,
        *,
        environment: Path,
        context_tokens: int | None = None,
        options: Sequence[str] = (),
        variables: Mapping[str, str] | None = None,
        start_timeout_s: float = DEFAULT_START_TIMEOUT_S,
        progress: Progress | None = None,
        cancel: CancelToken | None = None,
    ) -> None:
        self.api_key = secrets.token_urlsafe(24)
        """The key that the server wants."""
        self._model = str(model)
        self._environment = environment
        self._context_tokens = context_tokens
        self._options = tuple(options)
        self._variables = dict(variables or {})
        self._start_timeout_s = start_timeout_s
        self._progress = progress or (lambda line: None)
        self._cancel = cancel or CancelToken()
        self._port = 0
        self._log: IO[bytes] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._stop: Callable[[], None] = lambda: None

    @property
    def address(self) -> str:
        """Where the server listens; give it to `engine.backends.http.opening.open_server` with `api_key`."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def process_id(self) -> int | None:
        """Of the guard that the server runs under; None before the start."""
        return self._process.pid if self._process else None

    def __enter__(self) -> Self:
        """Start the server and wait until it is healthy.

        Raises:
            ServerStartError: vLLM is not installed there, died, or did not become healthy in time.
            ModelLoadError: vLLM cannot use the model.
            OutOfMemoryError: memory ran out.
            engine.cancel.Cancelled: after `cancel.cancel()`.
        """
        self._start()
        try:
            self._await_health()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the server."""
        self.stop()

    def stop(self) -> None:
        """Stop the server and all its workers. A second call does nothing."""
        self._stop()
        if self._log is not None:
            self._log.close()
            self._log = None

    def log_tail(self) -> str:
        """The last lines of the server's log."""
        if self._log is None:
            return ""
        size_bytes = os.fstat(self._log.fileno()).st_size
        # pread leaves the position alone, which the server shares.
        tail = os.pread(self._log.fileno(), _TAIL_BYTES, max(0, size_bytes - _TAIL_BYTES)).decode(
            "utf-8", "replace"
        )
        return tail

    def _start(self) -> None:
        if sys.platform == "win32":
            raise ServerStartError(
                "vLLM cannot be started on Windows.", hint="Start it in WSL, and name its address instead."
            )
        python, command = find_vllm(self._environment)
        self._port = _free_port()
        self._log = tempfile.TemporaryFile(prefix="palimpsest-vllm-")
        arguments = [*command, *self._arguments()]
        logger.info("starting %s", " ".join(arguments))
        try:
            self._process = subprocess.Popen(
                [str(python), str(Path(__file__).with_name("guard.py")), *arguments],
                stdin=subprocess.PIPE,
                stdout=self._log,
                stderr=subprocess.STDOUT,
                env=self._environment_variables(),
                start_new_session=True,  # an interrupt from the terminal is for us to handle
            )
        except OSError as exc:
            raise ServerStartError(
                f"vLLM cannot be started from {self._environment}.", hint="Check that its Python can be run."
            ) from exc
        self._stop = weakref.finalize(self, _end, self._process)

    def _arguments(self) -> list[str]:
        arguments = ["serve", self._model, "--host", "127.0.0.1", "--port", str(self._port)]
        arguments += ["--enable-prefix-caching", "--enable-prompt-tokens-details"]
        if self._context_tokens is not None:
            arguments += ["--max-model-len", str(self._context_tokens)]
        return [*arguments, *self._options]

    def _environment_variables(self) -> dict[str, str]:
        variables = {
            **os.environ,
            "VLLM_API_KEY": self.api_key,
            "VLLM_NO_USAGE_STATS": "1",
            "DO_NOT_TRACK": "1",
        }
        if Path(self._model).is_dir():
            variables |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
        return variables | self._variables

    def _await_health(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + self._start_timeout_s
        said = ""
        with httpx2.Client(trust_env=False, timeout=5.0) as client:
            while True:
                self._cancel.check()
                if self._process.poll() is not None:
                    raise explain(self.log_tail(), self._model, self._environment)
                if _is_healthy(client, f"{self.address}/health"):
                    return
                if time.monotonic() > deadline:
                    raise ServerStartError(
                        f"vLLM was not ready after {self._start_timeout_s:.0f} s.",
                        hint="Allow it more time, or start it by hand to see what it waits for.",
                    )
                line = next((line for line in reversed(_lines(self.log_tail())) if line), said)
                if line != said:
                    said = line
                    self._progress(line)
                time.sleep(_POLL_S)


def find_vllm(environment: Path) -> tuple[Path, list[str]]:
    """The Python of an environment, and the command that runs vLLM in it.

    Raises:
        ServerStartError: there is no vLLM.
    """
    absent = ServerStartError(
        f"vLLM is not installed in {environment}.",
        hint="Name a virtual environment that has it: its folder, its Python, or its vllm executable.",
    )
    path = (
        environment.expanduser().absolute()
    )  # not resolved: the Python of an environment is a link out of it
    if path.is_dir():
        path = path / "bin" / "vllm"
    if path.name.startswith("python"):
        path = path.with_name("vllm")
    if not path.is_file():
        raise absent
    python = path.with_name("python")
    return (python if python.is_file() else Path(sys.executable)), [str(path)]


def explain(log: str, model: str, environment: Path) -> PalimpsestError:
    """The error for a server that died while it started, from its log."""
    errors = _errors(log)
    logger.debug("vLLM's errors:\n%s", "\n".join(errors))
    said = "\n".join(errors)
    if MEMORY.search(said):
        return OutOfMemoryError(
            f"vLLM ran out of memory while it loaded {model}.",
            hint="Choose a smaller window or model, or another share of memory (--gpu-memory-utilization).",
        )
    if _NO_VLLM.search(said):
        return ServerStartError(
            f"The vLLM in {environment} is damaged or incomplete.",
            hint="Install it again, in an environment of its own.",
        )
    # The first error is the cause; the later ones say that the engine did not start.
    reason = f": {errors[0][:300]}".rstrip(".") if errors else ""
    if _MODEL_FAULT.search(said):
        return ModelLoadError(
            f"vLLM cannot use the model {model}{reason}.",
            hint="It wants a folder with config.json and safetensors, of an architecture that it supports.",
        )
    return ServerStartError(
        f"vLLM ended while it was starting{reason}.", hint="Start it by hand to see its whole log."
    )


def _errors(log: str) -> list[str]:
    """What exceptions say; of a failed validation the line below, which says what was wrong."""
    lines = _lines(log)
    return [
        below if "validation error" in line else line
        for line, below in zip(lines, [*lines[1:], ""], strict=True)
        if _ERROR.match(line)
    ]


def _lines(log: str) -> list[str]:
    """The lines of a log without colour, process, level and time."""
    return [_PREFIX.sub("", line).strip() for line in _COLOUR.sub("", log).splitlines()]


def _is_healthy(client: httpx2.Client, url: str) -> bool:
    try:
        return client.get(url).is_success
    except httpx2.TransportError:
        return False


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Close the guard's pipe, at which it ends the server; if that takes too long, end the guard."""
    assert process.stdin is not None
    process.stdin.close()
    try:
        process.wait(_STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
