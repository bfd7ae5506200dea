"""What a user interface brings to a reading, chooses for it, and is told of it before it begins."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from engine.agent.config import Mode
from engine.agent.loop import Start
from engine.agent.plan import ReadingPlan
from engine.agent.probe import Estimate
from engine.agent.reader import Observer
from engine.backends.base import ModelInfo, Sampling
from engine.backends.wishes import KvType
from engine.traces.rows import RunRow


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """Which model to read with, and how to run it.

    Attributes:
        model: name or path of a GGUF file, or a server's id of the model; None = the bundled model, the only one that
            the server has, or the run's own when it is resumed.
        context_tokens: window to open; None = the model's own, at most 8,192.
        num_threads: None = one a physical core.
        num_gpu_layers: None = as many as the build of llama.cpp and the card take.
        num_sequences: conversations computed side by side; None = what suits model and memory.
        kv_type: type of keys and values in the cache; None = what suits model and memory.
        lookahead: most chunks read at once on the guess that the memory stays; None = what the model gains from.
        servers: addresses of servers that run the model; () = it is a file that is loaded here.
        prompts: name of a built-in prompt set or path of one as JSON; None = the model's own, else the standard set.
        vllm: environment that holds vLLM, which serves the model, a folder, for the time of the reading.
    """

    model: str | None = None
    context_tokens: int | None = None
    num_threads: int | None = None
    num_gpu_layers: int | None = None
    num_sequences: int | None = None
    kv_type: KvType | None = None
    lookahead: int | None = None
    servers: tuple[str, ...] = ()
    prompts: str | None = None
    vllm: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingOptions:
    """Settings of a new reading; None = what suits the model.

    Attributes:
        mode: reading mode.
        chunk_tokens: most tokens of a chunk.
        memory_tokens: most tokens of the memory.
        overlap_tokens: tokens repeated between chunks.
        sampling: how replies are drawn.
        recall_chunks: chunks that are looked up and read once more before the answer.
        joint: whether several questions share a joint gate, where the model knows one; else each is read for as if
            it were alone, side by side.
    """

    mode: Mode | None = None
    chunk_tokens: int | None = None
    memory_tokens: int | None = None
    overlap_tokens: int = 0
    sampling: Sampling | None = None
    recall_chunks: int = 0
    joint: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What is planned, before anything of it is written.

    Attributes:
        plans: a plan for each question, over the same chunks.
        model: what they are read with.
        next_chunk: index of the first chunk that will be read.
        estimate: how long it will take; None = not measured.
        run_id: the run that goes on; None = new runs begin.
        parent: the run that the chunks before those of the plan are taken over from.
    """

    plans: tuple[ReadingPlan, ...]
    model: ModelInfo
    next_chunk: int = 0
    estimate: Estimate | None = None
    run_id: str | None = None
    parent: RunRow | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Prospect:
    """A reading that is about to begin or to go on.

    Attributes:
        run_id: its run.
        plan: what will be read and how.
        start: where it begins.
    """

    run_id: str
    plan: ReadingPlan
    start: Start


class Front:
    """What a user interface brings to a reading. Every method may be left as it is.

    Several questions are read for in one pass; there is a prospect for each, over the same chunks.
    """

    def waiting(self, line: str) -> None:
        """A model takes long to start; the last that was heard of it."""

    def propose(self, proposal: Proposal) -> None:
        """The plan is made, the model is loaded, nothing is written: reading begins when this returns.

        Raises:
            engine.cancel.Cancelled: the user does not want it; it leaves nothing behind.
        """

    def announce(self, prospects: Sequence[Prospect], estimate: Estimate | None) -> None:
        """The runs stand in the trace; reading begins next."""

    def display(self, prospects: Sequence[Prospect]) -> AbstractContextManager[Observer | None]:
        """The display for the time of the reading; it is told the events of all runs."""
        return nullcontext()

    def stopped(self, run_ids: Sequence[str]) -> None:
        """The reading was cancelled; what is finished is saved under these ids."""
