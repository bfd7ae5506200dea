"""Settings that suit model and machine, where the user names none."""

from dataclasses import dataclass

import psutil

from engine.backends.native import NativeModel
from engine.backends.wishes import KvType, Wishes

_MAX_SEQUENCES = 8
_CPU_BATCH_TOKENS = 512
_GPU_BATCH_TOKENS = 2048
_SHARE_FOR_SEQUENCES = 0.1
_SHARE_FOR_ONE_WINDOW = 0.25
_SMALL_BYTES = 48 * 1024 * 1024
_MAX_COPIES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeSettings:
    """What was chosen; fields as in `Wishes`."""

    num_threads: int
    batch_tokens: int
    num_sequences: int
    is_unified: bool
    kv_type: KvType
    flash_attention: bool


def choose_copies(size_bytes: int, wishes: Wishes, *, uses_gpu: bool) -> int:
    """How many contexts of one thread each are better than one context of as many threads.

    A layer of a small model is computed sooner than threads can agree that it is, and threads that wait for each other
    collapse when the machine has other work. So a small model gets a context a core, and chunks are read side by
    side: 15-25 % faster on two cores (docs/log.md). The weights are mapped once whatever the number.

    Args:
        size_bytes: of the model's file.
        wishes: what the user wants; threads are shared out among the copies.
        uses_gpu: whether layers run on a GPU.
    """
    if uses_gpu or size_bytes > _SMALL_BYTES:
        return 1
    return min(_num_threads(wishes), _MAX_COPIES)


def _num_threads(wishes: Wishes) -> int:
    return wishes.num_threads or psutil.cpu_count(logical=False) or 1


def choose_settings(
    model: NativeModel, window_tokens: int, wishes: Wishes, *, uses_gpu: bool, free_bytes: int | None = None
) -> RuntimeSettings:
    """Fill in what the user left open.

    * Threads: one a physical core; two threads of one core share the units that multiply.
    * Sequences share each reading of the weights while replies are written, and keep the prefixes of several questions.
      Each costs a window of cache, so on a CPU they get a tenth of the free memory.
    * One pool of cells on a GPU, where prompts of any length fill a batch; caches apart on a CPU, where a pool costs
      attention over everybody's cells: 30-40 % of the prefill rate of small models (docs/log.md).
    * Keys and values stay F16 as long as a window takes less than a quarter of the free memory: Q8_0 halves the prefill
      rate of models with small heads on a CPU.
    * Flash attention, except for long replies on a CPU: without it prompts are computed at two thirds of the rate and
      replies at two to three times the rate (docs/log.md).

    Args:
        model: the model.
        window_tokens: size of one window.
        wishes: what the user wants.
        uses_gpu: whether layers run on a GPU.
        free_bytes: free memory; None = what the system says.
    """
    free = psutil.virtual_memory().available if free_bytes is None else free_bytes
    window_bytes = window_tokens * model.kv_bytes_per_token
    kv_type: KvType = "f16" if window_bytes <= _SHARE_FOR_ONE_WINDOW * free else "q8_0"
    if uses_gpu:
        num_sequences = _MAX_SEQUENCES
    else:
        num_sequences = int(_SHARE_FOR_SEQUENCES * free / max(1, window_bytes))
    kv_type = wishes.kv_type or kv_type
    return RuntimeSettings(
        num_threads=_num_threads(wishes),
        batch_tokens=wishes.batch_tokens or (_GPU_BATCH_TOKENS if uses_gpu else _CPU_BATCH_TOKENS),
        num_sequences=wishes.num_sequences or max(1, min(_MAX_SEQUENCES, num_sequences)),
        is_unified=uses_gpu if wishes.is_unified is None else wishes.is_unified,
        kv_type=kv_type,
        flash_attention=uses_gpu or kv_type != "f16" or not wishes.writes_long,
    )
