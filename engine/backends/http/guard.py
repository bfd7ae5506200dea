"""Runs a command as long as whoever started it lives: ``python guard.py COMMAND ...`` with a pipe as standard input.

A program by itself, with nothing but the standard library, so that any Python runs it. It starts the command in
a process group of its own and waits until the command ends or the pipe closes, as it does however the starter
dies; then it ends the whole group. Its exit code is the command's. On Linux the command is also told to end
when this guard dies.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading

_GRACE_S = 10.0
_PR_SET_PDEATHSIG = 1


def main() -> int:
    """Run the command of the command line."""
    process = subprocess.Popen(
        sys.argv[1:],
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=_die_with_parent if sys.platform == "linux" else None,
    )
    threading.Thread(target=_await_end_of_input, args=(process,), daemon=True).start()
    code = process.wait()
    _end_group(process)
    return code if code >= 0 else 128 - code


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _await_end_of_input(process: "subprocess.Popen[bytes]") -> None:
    while os.read(0, 4096):
        pass
    _signal_group(process, signal.SIGTERM)
    try:
        process.wait(_GRACE_S)
    except subprocess.TimeoutExpired:
        _signal_group(process, signal.SIGKILL)


def _end_group(process: "subprocess.Popen[bytes]") -> None:
    """Workers that outlived their leader."""
    _signal_group(process, signal.SIGKILL)


def _signal_group(process: "subprocess.Popen[bytes]", number: int) -> None:
    try:
        os.killpg(process.pid, number)
    except (ProcessLookupError, PermissionError):
        pass


if __name__ == "__main__":
    sys.exit(main())
