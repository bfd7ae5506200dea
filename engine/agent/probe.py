"""How long a reading will take: a few chunks are read for measure and forgotten again."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from engine.agent.joint import gate_request
from engine.agent.memory import EMPTY
from engine.agent.plan import ReadingPlan
from engine.agent.steps import read_request
from engine.backends.base import Backend, Request
from engine.cancel import CancelToken
from engine.chunking import Chunk

_NUM_SAMPLES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a short probe says about the whole reading.

    Attributes:
        wall_s: seconds that the reading will take.
        tokens_per_s: document tokens read a second.
        num_samples: chunks that the probe read.
    """

    wall_s: float
    tokens_per_s: float
    num_samples: int


def probe(plans: Sequence[ReadingPlan], backend: Backend, *, cancel: CancelToken | None = None) -> Estimate:
    """Read a few chunks spread over the plan, against an empty memory, and take the time.

    The first call of a fresh model is slower than the rest (pages of the file are read in, threads start) and is not
    counted. Chunks differ in length, so time goes by tokens.

    Args:
        plans: the readings of one pass, of the same chunks.
        backend: the model.
        cancel: stops it.

    Raises:
        engine.cancel.Cancelled: after `cancel.cancel()`.
    """
    cancel = cancel or CancelToken()
    chunks = plans[0].chunks
    others = chunks[1:] or chunks
    count = min(_NUM_SAMPLES, len(others))
    if not count:
        return Estimate(wall_s=0.0, tokens_per_s=0.0, num_samples=0)
    chosen = [others[(2 * i + 1) * len(others) // (2 * count)] for i in range(count)]
    if len(chunks) > 1:  # never a chunk that is measured afterwards: its prompt would still be in the cache
        backend.generate(_first_look(plans, chunks[0]), cancel=cancel)
    tokens, seconds = 0, 0.0
    for chunk in chosen:
        began, held_s = time.perf_counter(), cancel.held_s
        backend.generate(_first_look(plans, chunk), cancel=cancel)
        seconds += time.perf_counter() - began - (cancel.held_s - held_s)
        tokens += sum(len(unit.token_ids) for unit in chunk.units)
    total = sum(len(unit.token_ids) for chunk in chunks for unit in chunk.units)
    rate = max(tokens, 1) / seconds
    return Estimate(wall_s=total / rate, tokens_per_s=rate, num_samples=count)


def _first_look(plans: Sequence[ReadingPlan], chunk: Chunk) -> list[Request]:
    """What a chunk costs in any case: the joint gate, else one reading for each question."""
    requests = [
        gate_request(plan, chunk) if plan.spec.companions else read_request(plan, chunk, EMPTY)
        for plan in plans
    ]
    return list(dict.fromkeys(requests))
