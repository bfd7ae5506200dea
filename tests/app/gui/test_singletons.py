"""None, True and False outlive whatever the Qt bindings do with references to them."""

import subprocess
import sys

import pytest

PROGRAM = """
import sys
{guard}
from PySide6.QtCore import QCoreApplication, QObject, Signal

class Sender(QObject):
    sent = Signal(int)

app = QCoreApplication([])
sender = Sender()
sender.sent.connect(lambda value: None)
for _ in range(50_000):
    sender.sent.emit(1)
    sender.parent()
print("alive", sys.getrefcount(None) > 0)
"""


def run(guard: str) -> subprocess.CompletedProcess[str]:
    program = PROGRAM.format(guard=guard)
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False
    )


def test_singletons_survive_signals() -> None:
    done = run("import app.gui")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "alive True\n"


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="None is immortal from Python 3.12 on")
def test_bindings_still_need_it() -> None:
    """Once this is skipped on the oldest Python that we support, the guard can go."""
    done = run("")
    if done.returncode == 0:
        pytest.skip("these bindings count their references")
    assert "deallocating" in done.stderr
