"""The most memory that a process held; for both sides of `benchmarks.training`, so it needs nothing but torch."""

import resource
import sys

import torch


def peak_bytes() -> int:
    """Of this process so far: what torch allocated on a GPU, where there is one, else resident."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
