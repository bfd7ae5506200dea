"""llama.cpp's own rates: what its benchmark program measures, by the same calls from here.

    python -m benchmarks.floors MODEL [--prompt 512] [--decode 64] [--depth 0] [--parallel 1] [--json]

Prompt rate: a prompt computed in calls of `batch` tokens into an empty cache, logits of the last token asked for.
Decode rate: replies that grow side by side, one token of each in a call, behind `depth` tokens that are in the cache
already. Random tokens; no sampling, so what an engine reaches can only be less. One untimed round first.
"""

import argparse
import itertools
import json
import random
import statistics
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks.environment import describe
from engine.backends.native import NativeModel, library

KV_TYPES = {"f32": 0, "f16": 1, "q8_0": 8}
"""Numbers of enum ggml_type."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Repeated measurements of one thing.

    Attributes:
        median: the middle one; what ratios are made of.
        lowest: the least.
        highest: the most.
        repeats: how many there were.
    """

    median: float
    lowest: float
    highest: float
    repeats: int

    @classmethod
    def of(cls, values: Iterable[float]) -> "Spread":
        """Sum up at least one value."""
        values = list(values)
        return cls(
            median=statistics.median(values), lowest=min(values), highest=max(values), repeats=len(values)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How llama.cpp is run; the same as the engine is, when both are compared.

    Attributes:
        num_threads: threads that compute.
        batch_tokens: most tokens in a call.
        kv_type: one of `KV_TYPES`.
        flash_attention: on or off.
        num_gpu_layers: layers on the GPU; None = as the engine chooses.
    """

    num_threads: int
    batch_tokens: int = 512
    kv_type: str = "f16"
    flash_attention: bool = True
    num_gpu_layers: int | None = None


class Bench:
    """A model whose rates are measured.

    Args:
        path: the GGUF file.
        settings: see `Settings`.
        seed: of the tokens.

    Raises:
        engine.errors.ModelLoadError: it cannot be loaded.
    """

    def __init__(self, path: Path, settings: Settings, *, seed: int = 0) -> None:
        self._lib = library()
        self._model = NativeModel(path, num_gpu_layers=settings.num_gpu_layers)
        self._settings = settings
        self._random = random.Random(seed)

    def prompt_rates(self, num_tokens: int) -> Generator[float]:
        """Tokens a second at which a prompt is computed, measured anew for each value; close it when done."""

        def measure(context: "_Context") -> float:
            began = time.perf_counter()
            for start in range(0, num_tokens, self._settings.batch_tokens):
                places = range(start, min(num_tokens, start + self._settings.batch_tokens))
                context.compute([(0, place) for place in places], num_outputs=1)
            return num_tokens / (time.perf_counter() - began)

        return self._repeat(measure, window=num_tokens, num_sequences=1)

    def decode_rates(self, num_tokens: int, *, depth: int = 0, num_parallel: int = 1) -> Generator[float]:
        """Tokens a second of all replies together, each `num_tokens` long, behind `depth` tokens each; as above."""

        def measure(context: "_Context") -> float:
            batch = self._settings.batch_tokens
            for sequence in range(num_parallel):
                for start in range(0, depth, batch):
                    context.compute(
                        [(sequence, place) for place in range(start, min(depth, start + batch))],
                        num_outputs=1,
                    )
            began = time.perf_counter()
            for place in range(depth, depth + num_tokens):
                rows = [(sequence, place) for sequence in range(num_parallel)]
                context.compute(rows, num_outputs=num_parallel)
            return num_tokens * num_parallel / (time.perf_counter() - began)

        return self._repeat(measure, window=depth + num_tokens, num_sequences=num_parallel)

    def _repeat(
        self, measure: Callable[["_Context"], float], *, window: int, num_sequences: int
    ) -> Generator[float]:
        context = _Context(self._lib, self._model, self._settings, window, num_sequences, self._random)
        try:
            measure(context)
            while True:
                context.clear()
                yield measure(context)
        finally:
            context.free()

    def close(self) -> None:
        """Free the model."""
        self._model.free()


class _Context:
    """A context with caches apart for each sequence."""

    def __init__(
        self,
        lib: Any,
        model: NativeModel,
        settings: Settings,
        window: int,
        num_sequences: int,
        rng: random.Random,
    ) -> None:
        self._lib = lib
        self._random = rng
        self._num_tokens = model.num_tokens
        params = lib.llama_context_default_params()
        # llama.cpp rounds the cells of a sequence up to a multiple of 256 itself.
        params.n_ctx = window * num_sequences
        params.n_batch = params.n_ubatch = settings.batch_tokens
        params.n_seq_max = num_sequences
        params.kv_unified = False
        params.n_threads = params.n_threads_batch = settings.num_threads
        params.type_k = params.type_v = KV_TYPES[settings.kv_type]
        params.flash_attn_type = int(settings.flash_attention)
        params.no_perf = True
        self._pointer = lib.llama_init_from_model(model.pointer, params)
        if not self._pointer:
            raise SystemExit("llama.cpp could not make a context with these settings")
        self._memory = lib.llama_get_memory(self._pointer)
        self._batch = lib.llama_batch_init(settings.batch_tokens, 0, 1)

    def clear(self) -> None:
        self._lib.llama_memory_clear(self._memory, False)

    def compute(self, rows: list[tuple[int, int]], *, num_outputs: int) -> None:
        """Compute random tokens at (sequence, position), logits for the last ones, and wait for the result."""
        batch = self._batch
        batch.n_tokens = len(rows)
        for index, (sequence, position) in enumerate(rows):
            batch.token[index] = self._random.randrange(self._num_tokens)
            batch.pos[index] = position
            batch.n_seq_id[index] = 1
            batch.seq_id[index][0] = sequence
            batch.logits[index] = index >= len(rows) - num_outputs
        if self._lib.llama_decode(self._pointer, batch):
            raise SystemExit("llama.cpp could not compute a batch")
        self._lib.llama_synchronize(self._pointer)

    def free(self) -> None:
        self._lib.llama_batch_free(self._batch)
        self._lib.llama_free(self._pointer)


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("--threads", type=int, default=psutil.cpu_count(logical=False) or 1)
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--kv-type", choices=sorted(KV_TYPES), default="f16")
    parser.add_argument("--no-flash-attention", action="store_true")
    parser.add_argument("--gpu-layers", type=int)
    parser.add_argument("--prompt", type=int, default=512, help="tokens of the prompt")
    parser.add_argument("--decode", type=int, default=64, help="tokens of each reply")
    parser.add_argument("--depth", type=int, default=0, help="tokens before the reply")
    parser.add_argument("--parallel", type=int, nargs="+", default=[1], help="replies side by side")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    settings = Settings(
        num_threads=options.threads,
        batch_tokens=options.batch,
        kv_type=options.kv_type,
        flash_attention=not options.no_flash_attention,
        num_gpu_layers=options.gpu_layers,
    )
    bench = Bench(options.model, settings)
    with closing(bench.prompt_rates(options.prompt)) as rates:
        prompt = Spread.of(itertools.islice(rates, options.repeats))
    decode = {}
    for count in options.parallel:
        with closing(bench.decode_rates(options.decode, depth=options.depth, num_parallel=count)) as rates:
            decode[str(count)] = asdict(Spread.of(itertools.islice(rates, options.repeats)))
    bench.close()
    report = {
        "benchmark": "llama.cpp's own rates",
        "environment": describe(),
        "model": options.model.name,
        "settings": asdict(settings),
        "prompt_tokens": options.prompt,
        "prompt_tokens_per_s": asdict(prompt),
        "depth": options.depth,
        "decode_tokens_per_s": decode,
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
