"""What a user may want of the runtime; nothing is imported for it."""

from dataclasses import dataclass
from typing import Literal

KvType = Literal["f16", "q8_0"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What the user wants of the runtime; None = what suits model and machine.

    Attributes:
        num_threads: threads that compute.
        batch_tokens: tokens computed in one call.
        num_sequences: conversations computed side by side.
        is_unified: see `engine.backends.native_context.ContextSettings`.
        kv_type: type of keys and values in the cache.
        writes_long: whether replies are long, as where every chunk's memory is written anew.
    """

    num_threads: int | None = None
    batch_tokens: int | None = None
    num_sequences: int | None = None
    is_unified: bool | None = None
    kv_type: KvType | None = None
    writes_long: bool = False
