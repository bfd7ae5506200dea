"""What a report must say about where its figures come from."""

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path


def describe() -> dict[str, object]:
    """Versions, machine and commit; "-dirty" = with changes that were not committed."""
    git = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=12"]
    commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    return {
        "commit": commit or "unknown",
        "python": platform.python_version(),
        "llama_cpp_python": version("llama-cpp-python"),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
    }
