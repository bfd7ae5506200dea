"""What a step took: seconds, tokens a second, memory of the GPU. It differs from run to run, so no metric holds it."""

import logging
import statistics
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from trainer.rl.metrics import JsonLines

_log = logging.getLogger(__name__)
_RECENT = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """Seconds of a step.

    Attributes:
        rollout_s: to draw, or to make, what is learnt.
        update_s: to score it and to learn it.
    """

    rollout_s: float
    update_s: float


class Pace:
    """Logs the time of steps, and what is left of it.

    Args:
        folder: of the run; written is ``timings.jsonl`` in it.
        num_steps: of the run.
        is_gpu: a GPU's memory is watched, too.
    """

    def __init__(self, folder: Path, num_steps: int, *, is_gpu: bool) -> None:
        self._lines = JsonLines(folder / "timings.jsonl")
        self._num_steps = num_steps
        self._is_gpu = is_gpu
        self._recent: deque[float] = deque(maxlen=_RECENT)

    def add(self, line: dict[str, Any], spent: Spent, headline: str) -> None:
        """Log a step.

        Args:
            line: its metrics.
            spent: its seconds.
            headline: the figure to watch.
        """
        # Supervised stages learn from some of the conversations alone.
        tokens = line.get("learnt_tokens", line["prompt_tokens"] + line["response_tokens"])
        drawn = line["drawn"]["tokens"] if "drawn" in line else 0  # text is not drawn
        self._recent.append(spent.rollout_s + spent.update_s)
        done = line["step"] + 1
        left_s = statistics.fmean(self._recent) * (self._num_steps - done)
        self._lines.append(
            {
                "step": line["step"],
                "rollout_s": round(spent.rollout_s, 3),
                "update_s": round(spent.update_s, 3),
                "rollout_tokens_per_s": round(drawn / max(1e-9, spent.rollout_s)),
                "update_tokens_per_s": round(tokens / max(1e-9, spent.update_s)),
                "peak_gpu_bytes": torch.cuda.max_memory_allocated() if self._is_gpu else None,
            }
        )
        _log.info(
            "step %d of %d: %s, %d conversations, %.1f s + %.1f s, %s left",
            done,
            self._num_steps,
            headline,
            line["conversations"],
            spent.rollout_s,
            spent.update_s,
            f"{left_s / 60:.0f} min" if left_s > 90 else f"{left_s:.0f} s",
        )
