"""Makes GGUF files of the shape of real models with random weights: their rates are those of the real ones.

    python -m benchmarks.models FOLDER [--shape 0.5b] [--quantisation q4_k_m]

The vocabulary is made up: as many tokens as Qwen2.5 has, so that sampling meets as many logits, put together from
letters as syllables are; English prose costs a token for every 2.6 characters. Quantised by llama.cpp itself. Files
are kept and found again by name.
"""

import argparse
import ctypes
import functools
import itertools
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import psutil

from benchmarks import random_gguf
from benchmarks.random_gguf import Shape, Vocabulary
from engine.backends.native import library
from engine.errors import ModelError

VOCABULARY_SIZE = 151_936
NUM_UNUSED = 271
"""Rows of the embedding that Qwen2.5 has no token for."""

CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_COMMON_FIRST = "etaoinshrdlucmwfgypbvkjxqz"
_VERSION = 1  # part of the file names; raise it when what is written changes


def _shape(width: int, layers: int, heads: int, feed_forward: int) -> Shape:
    return Shape(
        width=width,
        layers=layers,
        heads=heads,
        kv_heads=2,
        feed_forward=feed_forward,
        context_tokens=32_768,
        rope_base=1_000_000.0,
        embedding_std=width**-0.5,
        matrix_std=width**-0.5,
    )


SHAPES = {
    "0.5b": _shape(896, 24, 14, 4864),
    "1.5b": _shape(1536, 28, 12, 8960),
}
"""Qwen2.5-0.5B and -1.5B (their config.json): tied embedding, 2 key-value heads."""

QUANTISATIONS = ("q4_k_m", "q8_0")


@functools.cache
def vocabulary(size: int = VOCABULARY_SIZE) -> Vocabulary:
    """A byte-level BPE vocabulary of as many tokens; the fewer, the longer is text in it."""
    control = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
    num_unused = NUM_UNUSED if size > 2_000 else 0
    count = size - len(control) - 256 - num_unused
    merges = tuple(itertools.islice(_merges(), count))
    if len(merges) < count:
        raise ValueError(f"no more than {size - count + len(merges)} tokens can be made up, not {size}")
    return Vocabulary(
        control=control,
        merges=merges,
        num_unused=num_unused,
        end="<|im_end|>",
        bos="<|endoftext|>",
        template=CHAT_TEMPLATE,
    )


def _merges() -> Iterator[str]:
    """Syllables, put together step by step, then the same behind a space (Ġ).

    A consonant takes its vowel first, since pairs of any letters would leave words cut where nothing longer fits.
    """
    rank = {letter: place for place, letter in enumerate(_COMMON_FIRST)}
    vowels = "aeiouy"
    consonants = [letter for letter in rank if letter not in vowels]
    known: set[str] = set()
    pairs: list[tuple[str, str]] = []

    def commonness(pair: tuple[str, str]) -> tuple[int, tuple[str, str]]:
        return sum(rank[letter] for letter in "".join(pair)), pair

    def cross(firsts: Iterable[str], seconds: Iterable[str], most: int) -> list[str]:
        """Join each with each, those of common letters first; as many as asked for that are new."""
        made: dict[str, tuple[str, str]] = {}
        for first, second in sorted(itertools.product(firsts, seconds), key=commonness):
            if first + second not in known:
                made.setdefault(first + second, (first, second))
        kept = list(itertools.islice(made, most))
        known.update(kept)
        pairs.extend(made[text] for text in kept)
        return kept

    open_syllables = cross(consonants, vowels, 120)
    closed_vowels = cross(vowels, consonants, 120)
    syllables = cross(open_syllables, rank, 3_120)
    onsets = cross(consonants, open_syllables, 2_400)
    ends = cross(closed_vowels, rank, 3_120)
    long_syllables = cross(syllables, rank, 31_000)
    long_onsets = cross(onsets, rank, 18_000)
    middles = cross(closed_vowels, open_syllables, 10_000)
    doubles = cross(syllables[:300], syllables[:300], 8_000)
    words = (
        rank,
        open_syllables,
        closed_vowels,
        syllables,
        onsets,
        ends,
        long_syllables,
        long_onsets,
        middles,
        doubles,
    )
    yield from (f"{first} {second}" for first, second in pairs)
    yield from (f"Ġ {word}" for word in itertools.chain(*words))


def make_model(
    folder: Path,
    shape: str,
    quantisation: str,
    *,
    seed: int = 0,
    num_threads: int | None = None,
) -> Path:
    """The file of a random model; made if it is not in the folder yet.

    Args:
        folder: where the files are kept.
        shape: one of `SHAPES`.
        quantisation: one of `QUANTISATIONS`.
        seed: of the weights.
        num_threads: threads that quantise; None = physical cores.

    Raises:
        engine.errors.ModelError: llama.cpp did not quantise it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"random-{shape}-{quantisation}-seed{seed}-v{_VERSION}.gguf"
    if path.is_file():
        return path
    whole = folder / f"{path.stem}.f16.partial"
    try:
        random_gguf.write(
            whole, SHAPES[shape], vocabulary(), name=f"random-{shape}", matrices="f16", seed=seed
        )
        quantise(whole, path, quantisation, num_threads=num_threads)
    finally:
        whole.unlink(missing_ok=True)
    return path


def quantise(source: Path, target: Path, quantisation: str, *, num_threads: int | None = None) -> None:
    """Quantise a file with llama.cpp; the target appears only when it is complete.

    Raises:
        engine.errors.ModelError: llama.cpp refuses.
    """
    lib = library()
    params = lib.llama_model_quantize_default_params()
    params.ftype = getattr(lib, f"LLAMA_FTYPE_MOSTLY_{quantisation.upper()}")
    params.nthread = num_threads or psutil.cpu_count(logical=False) or 1
    partial = target.with_name(f"{target.name}.partial")
    try:
        if lib.llama_model_quantize(os.fsencode(source), os.fsencode(partial), ctypes.byref(params)):
            raise ModelError(
                f"llama.cpp could not quantise {source.name}.",
                hint="The log at level DEBUG holds its reasons.",
            )
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def main() -> None:
    """Make the models that the command line names, all by default."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--shape", choices=sorted(SHAPES))
    parser.add_argument("--quantisation", choices=QUANTISATIONS)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    for shape in [options.shape] if options.shape else SHAPES:
        for quantisation in [options.quantisation] if options.quantisation else QUANTISATIONS:
            print(make_model(options.folder, shape, quantisation, seed=options.seed))


if __name__ == "__main__":
    main()
