"""Checkpoints: complete, atomic, and no larger than the disk.

A file is written beside its place, flushed to the disk and renamed, so that a kill leaves the old one or the new one.
What a checkpoint holds is enough to go on bit for bit on a CPU: weights, optimizer, random states, the cursor of the
data and the length of the log of metrics, which is cut back to it.
"""

import os
import pickle
import shutil
import zipfile
from pathlib import Path
from typing import Any

import torch

from trainer.rl.errors import DiskError, RunError

_SPARE_BYTES = 256 << 20


def save_checkpoint(state: dict[str, Any], path: Path) -> None:
    """Write, fsync, rename.

    Raises:
        DiskError: the disk is full.
    """
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as out:
            torch.save(state, out)
            out.flush()
            os.fsync(out.fileno())
        partial.replace(path)
    except OSError as exc:
        partial.unlink(missing_ok=True)
        raise DiskError(f"The checkpoint {path} cannot be written: {exc}.", hint="Free some space.") from exc


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read what `save_checkpoint` wrote.

    Raises:
        RunError: it cannot be read.
    """
    try:
        if not zipfile.is_zipfile(path):
            raise ValueError("it is no checkpoint")
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, pickle.UnpicklingError) as exc:
        raise RunError(f"The checkpoint {path} cannot be read: {exc}.") from exc
    return state


def random_states() -> dict[str, Any]:
    """States of torch's global random sources. Rollouts and shuffles have seeds of their own and need none of them."""
    states: dict[str, Any] = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state_all()
    return states


def restore_random_states(states: dict[str, Any]) -> None:
    """Inverse of `random_states`."""
    torch.set_rng_state(states["cpu"])
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(states["cuda"])


def check_disk(folder: Path, num_trained: int, num_weights: int) -> None:
    """Refuse a run whose checkpoints the disk cannot hold.

    Three at a time: the last, the best, and the one being written; each with weights and, of what is trained, two
    moments in float32.

    Raises:
        DiskError: there is too little space.
    """
    needed = 3 * (4 * num_weights + 8 * num_trained) + _SPARE_BYTES
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise DiskError(
            f"The run needs {needed / 2**30:.1f} GiB for its checkpoints, and the disk has {free / 2**30:.1f} GiB.",
            hint="Choose a folder on another disk.",
        )
