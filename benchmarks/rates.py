"""The engine's prompt and decode rates on requests of known length, to be held against `benchmarks.floors`."""

import random
import string
import time
from pathlib import Path

from benchmarks.floors import Settings
from benchmarks.replay import ForcedBackend
from engine.backends.base import Completion, Prompt, Request, Segment
from engine.backends.wishes import Wishes


def prompt_of(backend: ForcedBackend, num_tokens: int, rng: random.Random) -> Prompt:
    """A prompt of about as many tokens, chat template included, that no other prompt shares a beginning with."""
    words = ["".join(rng.choices(string.ascii_lowercase, k=rng.randint(2, 6))) for _ in range(num_tokens)]
    fits, over = 1, len(words) + 1
    while over - fits > 1:
        middle = (fits + over) // 2
        if len(backend.encode((Segment(" ".join(words[:middle]), is_data=True),))) <= num_tokens:
            fits = middle
        else:
            over = middle
    return (Segment(" ".join(words[:fits]), is_data=True),)


class EngineBench:
    """The engine on requests of known length, measured through `Backend.generate`: encoding, sampling and
    detokenising included.

    Replies are random tokens, which prompt lookup cannot guess: it is plain decoding that is measured.

    Args:
        model: the GGUF file.
        prompt_tokens: length of each prompt, about.
        decode_tokens: length of each reply.
        num_parallel: requests side by side.
        settings: as the floor is measured with; keys and values are F16.
        seed: of prompts and replies.

    Attributes:
        length: tokens of a prompt, known after the first measurement.
    """

    def __init__(
        self,
        model: Path,
        *,
        prompt_tokens: int,
        decode_tokens: int,
        num_parallel: int,
        settings: Settings,
        seed: int = 0,
    ) -> None:
        self.length = 0
        self._prompt_tokens = prompt_tokens
        self._decode_tokens = decode_tokens
        self._num_parallel = num_parallel
        self._random = random.Random(seed)
        self._backend = ForcedBackend(
            model,
            context_tokens=2 * (prompt_tokens + decode_tokens),
            wishes=Wishes(
                num_threads=settings.num_threads,
                batch_tokens=settings.batch_tokens,
                num_sequences=num_parallel,
                kv_type="f16",
            ),
        )
        plain = self._backend.plain_tokens
        self._backend.force(lambda _: self._random.sample(plain, decode_tokens))

    def measure(self) -> tuple[float, float]:
        """Prompt tokens a second, and reply tokens a second of all replies together."""
        requests = [
            Request(
                prompt=prompt_of(self._backend, self._prompt_tokens, self._random),
                max_tokens=self._decode_tokens,
            )
            for _ in range(self._num_parallel)
        ]
        began = time.perf_counter()
        done = self._backend.generate(requests)
        wall_s = time.perf_counter() - began
        self.length = len(done[0].prompt_token_ids)
        return _rates(done, wall_s)

    def close(self) -> None:
        """Free the model."""
        self._backend.close()


def _rates(done: list[Completion], wall_s: float) -> tuple[float, float]:
    """Prompts come first, then all replies grow together: the last to begin says how long that took.

    The first token of a reply costs no call, so N tokens take N - 1 of them.
    """
    decode_s = min(completion.decode_s for completion in done)
    computed = sum(len(one.prompt_token_ids) - one.cached_tokens for one in done)
    replied = sum(len(one.token_ids) - 1 for one in done)
    return computed / (wall_s - decode_s), replied / decode_s
