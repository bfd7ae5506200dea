"""Trainers as processes that can be killed, without the seconds that loading torch takes each time.

They are forked from a server process that has imported the trainer and computed nothing. How an interpreter begins is
not tested by them: `tests.trainer.test_command` starts whole ones.
"""

import multiprocessing
import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["trainer.__main__", "trainer.supervised.stages"])
_LIMIT_S = 240


class Trainer:
    """The trainer's command line in a process of its own.

    Args:
        arguments: of the command line.
        log: file for what it writes to standard error.
        environment: variables for it alone.
        prepare: done in the process before; a function of a module.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        log: Path,
        environment: Mapping[str, str] | None = None,
        prepare: Callable[[], None] | None = None,
    ) -> None:
        self._log = log
        self._process: BaseProcess = _CONTEXT.Process(
            target=_main, args=(list(arguments), log, dict(environment or {}), prepare)
        )
        self._process.start()

    @property
    def errors(self) -> str:
        """What it wrote to standard error."""
        return self._log.read_text("utf-8") if self._log.exists() else ""

    def wait(self) -> int:
        """Its exit code; minus the number of the signal that ended it."""
        self._process.join(_LIMIT_S)
        code = self._process.exitcode
        assert code is not None, f"still running after {_LIMIT_S} s: {self.errors}"
        return code

    def signal_when(self, number: int, is_time: Callable[[], bool]) -> None:
        """Send a signal as soon as something is so, which must be before it ends."""
        while not is_time():
            assert self._process.exitcode is None, self.errors
            time.sleep(0.0005)
        self.signal(number)

    def signal(self, number: int) -> None:
        """Send a signal."""
        assert self._process.pid is not None
        os.kill(self._process.pid, number)


def ranks(arguments: Sequence[str], log: Path, count: int) -> list[Trainer]:
    """Processes that train one policy, with what torchrun tells each of them.

    Args:
        arguments: of the command line.
        log: file for standard error, with the number of the process behind it.
        count: how many.
    """
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(count)}
    return [
        Trainer(
            arguments,
            log.with_name(f"{log.name}.{rank}"),
            {**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
        )
        for rank in range(count)
    ]


def _main(
    arguments: list[str], log: Path, environment: dict[str, str], prepare: Callable[[], None] | None
) -> None:
    """What the process does."""
    with log.open("w") as out:
        os.dup2(out.fileno(), 2)
        os.dup2(out.fileno(), 1)
    os.environ.update(environment)
    if prepare is not None:
        prepare()
    from trainer.__main__ import main

    raise SystemExit(main(arguments))
