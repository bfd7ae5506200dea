"""How much `benchmarks.reading` measures."""

from dataclasses import dataclass, replace

from benchmarks.models import QUANTISATIONS, SHAPES


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Sizes and repeats.

    Attributes:
        models: shapes and quantisations of the random models; figures are those of the first, the rest is detail.
        chunk_tokens: size of their chunks.
        memory_tokens: cap of their memory.
        written_tokens: length at which their memory is rewritten.
        num_chunks: chunks of their document.
        num_answered: how many of the eight questions it answers. One fact a question in a document of a hundred
            chunks is one or two in an excerpt of a dozen; with all eight in it every chunk would hold something.
        rewording: share of the memory's words replaced each time that it is rewritten.
        repeats: readings of each kind.
        laps: readings of each document of the comparison by length.
        starter_tokens: tokens of the starter's document, by its own tokenizer.
        linear_tokens: tokens of the short and of the long document of the comparison by length.
        prompt_tokens: prompt of the comparison with llama.cpp's own rates.
        decode_tokens: reply of that comparison.
        parallel: replies side by side in that comparison.
        rate_repeats: repeats of that comparison.
    """

    models: tuple[tuple[str, str], ...]
    chunk_tokens: int
    memory_tokens: int
    written_tokens: int
    num_chunks: int
    num_answered: int
    rewording: float = 0.1
    repeats: int
    laps: int
    starter_tokens: int
    linear_tokens: tuple[int, int]
    prompt_tokens: int = 512
    decode_tokens: int
    parallel: tuple[int, ...] = (1, 8)
    rate_repeats: int

    @property
    def context_tokens(self) -> int:
        """Window that chunk, memory, labels and reply fit into with room to spare."""
        return 256 * -(-(self.chunk_tokens + 3 * self.memory_tokens + 1536) // 256)


_ALL_MODELS = tuple((shape, quantisation) for shape in SHAPES for quantisation in QUANTISATIONS)

QUICK = Scale(
    models=(("0.5b", "q4_k_m"),),
    chunk_tokens=300,
    memory_tokens=62,
    written_tokens=31,
    num_chunks=3,
    num_answered=1,
    repeats=1,
    laps=2,
    starter_tokens=6_000,
    linear_tokens=(6_000, 60_000),
    prompt_tokens=192,
    decode_tokens=16,
    parallel=(1,),
    rate_repeats=3,
)
"""Within five minutes on two cores; chunk and memory in the proportion of the full run."""

QUARTER = Scale(
    models=_ALL_MODELS,
    chunk_tokens=1250,
    memory_tokens=256,
    written_tokens=128,
    num_chunks=4,
    num_answered=1,
    repeats=1,
    laps=2,
    starter_tokens=60_000,
    linear_tokens=(100_000, 1_000_000),
    decode_tokens=32,
    rate_repeats=5,
)
"""The full run's proportions at a quarter of its chunk and memory: an hour on two cores, where the full run takes
most of a day. A gated reading saves the same share of it, since prefill and decode shrink alike."""

FULL = Scale(
    models=_ALL_MODELS,
    chunk_tokens=5000,
    memory_tokens=1024,
    written_tokens=512,
    num_chunks=4,
    num_answered=1,
    repeats=3,
    laps=3,
    starter_tokens=100_000,
    linear_tokens=(100_000, 1_000_000),
    decode_tokens=64,
    rate_repeats=5,
)
"""MemAgent's own sizes of chunk and memory (arXiv 2507.02259), the memory half full."""

LONGEST = replace(QUARTER, models=(), laps=1, linear_tokens=(100_000, 3_500_000))
"""By length alone, to the 3.5 million tokens that MemAgent went to: a quarter of an hour on two cores."""

SCALES = {"quick": QUICK, "quarter": QUARTER, "full": FULL, "longest": LONGEST}
