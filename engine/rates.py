"""How fast a model reads on this machine: what a plan assumes, and rates measured in a few seconds."""

import random
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

from engine.agent.config import ReadingConfig
from engine.agent.memory import EMPTY
from engine.agent.plan import make_plan
from engine.agent.prompts import PromptSet
from engine.agent.steps import read_request
from engine.backends.base import Backend, Request, Sampling, Segment
from engine.cancel import CancelToken
from engine.documents.model import Document, Page

_QUESTION = "What does the register say about the keeper of the northern light?"
_NUM_CHUNKS = 6
_REPLY_TOKENS = 32
_WORDS = (
    "harbour ledger winter barrel lantern keeper granite quarry letter signal morning water timber bridge copper "
    "village market weaver summer orchard chapel river garden mirror carriage window"
).split()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """What was measured; medians.

    Attributes:
        prefill_tokens_per_s: prompt tokens computed a second, one prompt at a time.
        decode_tokens_per_s: reply tokens a second of one reply alone.
        side_by_side: number of replies that were written side by side.
        side_by_side_tokens_per_s: reply tokens a second of all of them together.
        chunk_tokens: tokens of document text in a chunk that was read.
        chunk_s: seconds to read a chunk that holds nothing relevant.
    """

    prefill_tokens_per_s: float
    decode_tokens_per_s: float
    side_by_side: int
    side_by_side_tokens_per_s: float
    chunk_tokens: int
    chunk_s: float

    def seconds_for(self, num_tokens: int) -> float:
        """Time to read so many tokens of a document, if little of it is relevant."""
        return num_tokens / max(1, self.chunk_tokens) * self.chunk_s


def measure_rates(
    backend: Backend,
    prompts: PromptSet,
    config: ReadingConfig,
    *,
    side_by_side: int = 4,
    cancel: CancelToken | None = None,
) -> Rates:
    """Read made-up chunks and write made-up replies; takes about as long as a dozen chunks.

    Args:
        backend: the model.
        prompts: its wording.
        config: the settings of the reading.
        side_by_side: replies to write at once.
        cancel: stops it.

    Raises:
        engine.cancel.Cancelled: after `cancel.cancel()`.
        engine.errors.PalimpsestError: the model failed, or the settings do not fit it.
    """
    rng = random.Random(0)
    sentences = [
        f"The {' '.join(rng.choices(_WORDS, k=9))} was noted."
        for _ in range(_NUM_CHUNKS * config.chunk_tokens // 8)
    ]
    text = " ".join(sentences)
    page = Page(number=1, label="1", heading="", text=text, start=0)
    document = Document(name="made up", path=Path("made up"), format="text", kind="page", pages=(page,))
    plan = make_plan([document], _QUESTION, config=config, prompts=prompts, backend=backend)
    prefill_rates, chunk_times, lengths = [], [], []
    for chunk in plan.chunks[:_NUM_CHUNKS]:
        began = time.perf_counter()
        (completion,) = backend.generate([read_request(plan, chunk, EMPTY)], cancel=cancel)
        chunk_times.append(time.perf_counter() - began)
        computed = len(completion.prompt_token_ids) - completion.cached_tokens
        prefill_rates.append(computed / max(completion.prefill_s, 1e-9))
        lengths.append(sum(len(unit.token_ids) for unit in chunk.units))
    # The first one loads pages of the file and starts threads; the last one is cut short.
    kept = slice(1, -1) if len(lengths) > 2 else slice(None)
    return Rates(
        prefill_tokens_per_s=statistics.median(prefill_rates[kept]),
        decode_tokens_per_s=_decode_rate(backend, 1, rng, cancel),
        side_by_side=side_by_side,
        side_by_side_tokens_per_s=_decode_rate(backend, side_by_side, rng, cancel),
        chunk_tokens=round(statistics.median(lengths[kept])),
        chunk_s=statistics.median(chunk_times[kept]),
    )


def _decode_rate(backend: Backend, count: int, rng: random.Random, cancel: CancelToken | None) -> float:
    """Tokens a second of so many replies; warm enough that they neither end at once nor repeat the prompt."""
    requests = [
        Request(
            prompt=(Segment(" ".join(rng.choices(_WORDS, k=12)), is_data=True),),
            max_tokens=_REPLY_TOKENS,
            sampling=Sampling(temperature=5.0, seed=number),
        )
        for number in range(count)
    ]
    completions = backend.generate(requests, cancel=cancel)
    return sum(len(completion.token_ids) for completion in completions) / max(
        max(completion.decode_s for completion in completions), 1e-9
    )
