"""The plan of a reading: chunks and budgets, checked against the model's window before anything starts."""

import dataclasses
import hashlib
import math
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from engine.agent.config import Mode, ReadingConfig
from engine.agent.prompts import PromptSet
from engine.agent.recall import best_chunks
from engine.agent.run import RunSpec
from engine.backends.base import Backend, Sampling
from engine.chunking import Chunk, chunk_document
from engine.documents.model import Document
from engine.errors import PlanError, UnsupportedModeError
from engine.text import Hyphenation, readable

DEFAULT_CHUNK_TOKENS = 5000
DEFAULT_MEMORY_TOKENS = 1024
_HEADING_CHARACTERS = 80
_LABEL_REPLY_TOKENS = 6
_NOTE_TOKENS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingPlan:
    """Everything that the reading loop needs, fixed before it starts.

    Attributes:
        documents: what is read, in order.
        question: the user's question.
        prompts: the wording.
        config: the settings.
        chunks: what is shown to the model, in order; indices count over all documents.
        spec: identity of a run of this plan.
        tokenize: the model's tokenizer for data text; a pure function.
    """

    documents: tuple[Document, ...]
    question: str
    prompts: PromptSet
    config: ReadingConfig
    chunks: tuple[Chunk, ...]
    spec: RunSpec
    tokenize: Callable[[str], Sequence[int]] = field(repr=False, compare=False)

    def item_tokens(self, text: str) -> int:
        """Tokens that a memory item costs, its label not counted."""
        return len(self.tokenize(self.prompts.data(text).text))

    @property
    def num_tokens(self) -> int:
        """Tokens of document text that are read, overlaps counted once."""
        return sum(new_tokens(chunk) for chunk in self.chunks)


def shown_tokens(chunk: Chunk) -> int:
    """Tokens of document text that this chunk shows: what reading it costs."""
    return sum(len(unit.token_ids) for unit in chunk.units)


def new_tokens(chunk: Chunk) -> int:
    """Tokens of the document text that this chunk is the first to show."""
    return sum(len(unit.token_ids) for unit in chunk.units[chunk.num_overlap_units :])


def heading_for_prompt(heading: str) -> str:
    """Headings are bounded, so that no document can fill the window with one."""
    return heading[:_HEADING_CHARACTERS]


def reply_tokens(config: ReadingConfig, prompts: PromptSet) -> int:
    """Cap on the reply to one chunk."""
    if config.mode.names_labels:
        labels = min(prompts.max_items, config.memory_tokens)
        return _LABEL_REPLY_TOKENS * (labels + 1) + (_NOTE_TOKENS if prompts.note_prefix else 0)
    return config.memory_tokens + (8 if config.mode is Mode.GATED else 0)


def gate_reply_tokens(prompts: PromptSet, num_questions: int) -> int:
    """Cap on the reply to the joint gate."""
    return _LABEL_REPLY_TOKENS * ((1 if prompts.joint_names_sentences else num_questions) + 1)


def default_sizes(
    window: int, chunk_tokens: int | None = None, memory_tokens: int | None = None
) -> tuple[int, int]:
    """Tokens of a chunk and of the memory: those given, else MemAgent's, cut to the window."""
    return (
        chunk_tokens or min(DEFAULT_CHUNK_TOKENS, window // 2),
        memory_tokens or min(DEFAULT_MEMORY_TOKENS, window // 8),
    )


def default_config(
    backend: Backend,
    prompts: PromptSet,
    *,
    mode: Mode | None = None,
    chunk_tokens: int | None = None,
    memory_tokens: int | None = None,
    overlap_tokens: int = 0,
    sampling: Sampling | None = None,
    recall_chunks: int = 0,
) -> ReadingConfig:
    """Fill in what the user did not say: the model's own figures first, then MemAgent's, cut to the window.

    Raises:
        UnsupportedModeError: the model's prompt set has no prompt for the mode asked for.
    """
    chosen = mode or (Mode.EXTRACTIVE if Mode.EXTRACTIVE in prompts.modes else prompts.modes[0])
    if chosen not in prompts.modes:
        offered = ", ".join(prompts.modes)
        raise UnsupportedModeError(
            f"The model {backend.info.name} was not made for the mode '{chosen}'.",
            hint=f"It reads in: {offered}. Choose one of these, or another model with --model.",
        )
    info = backend.info
    window = info.context_tokens
    chunk, memory = default_sizes(
        window, chunk_tokens or info.chunk_tokens, memory_tokens or info.memory_tokens
    )
    answer = min(DEFAULT_MEMORY_TOKENS, memory)
    question = min(1024, window // 8)
    return ReadingConfig(
        mode=chosen,
        chunk_tokens=chunk,
        memory_tokens=memory,
        answer_tokens=answer,
        question_tokens=question,
        overlap_tokens=overlap_tokens,
        recall_chunks=recall_chunks,
        sampling=sampling or Sampling(),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """What a run that reads on in a grown document takes over from the run before.

    Attributes:
        plan_hash: of that run.
        next_chunk: index of the first new chunk.
        document: index of the document in which it begins.
        offset: where in that document it begins.
    """

    plan_hash: str = ""
    next_chunk: int = 0
    document: int = 0
    offset: int = 0


def make_plan(
    documents: Sequence[Document],
    question: str,
    *,
    config: ReadingConfig,
    prompts: PromptSet,
    backend: Backend,
    base: Base | None = None,
    companions: Sequence[str] = (),
    read_for: str = "",
) -> ReadingPlan:
    """Cut the documents into chunks by the model's own tokens.

    Args:
        documents: what is read, in order.
        question: the user's question.
        config: the settings.
        prompts: the wording.
        backend: gives tokens and window; nothing is generated.
        base: what was read before; its chunks are not in the plan.
        companions: see `RunSpec`.
        read_for: see `RunSpec`.

    Raises:
        PlanError: no question, a question over its budget, or budgets that do not fit the model's window.
    """
    _check_budgets(question, config, prompts, backend, companions)
    base = base or Base()
    chunks: list[Chunk] = []
    for number in range(base.document, len(documents)):
        chunks += _cut(
            documents[number],
            number,
            config=config,
            prompts=prompts,
            backend=backend,
            first_index=base.next_chunk + len(chunks),
            start_offset=base.offset if number == base.document else 0,
        )
    cut = tuple(chunks)
    chunks += _repeats(cut, question, config)
    return ReadingPlan(
        documents=tuple(documents),
        question=question,
        prompts=prompts,
        config=config,
        chunks=tuple(chunks),
        spec=RunSpec(
            question=question,
            document_hashes=tuple(document.content_hash for document in documents),
            model_name=backend.info.name,
            model_fingerprint=backend.info.fingerprint,
            prompt_set=prompts.name,
            prompt_hash=hashlib.sha256(prompts.digest().encode()).hexdigest(),
            plan_hash=hash_chunks(chunks, base.plan_hash),
            config=config,
            first_chunk=base.next_chunk,
            first_document=base.document,
            first_offset=base.offset,
            base_plan_hash=base.plan_hash,
            companions=tuple(companions),
            is_proven=backend.info.proves_tokens,
            read_for=read_for,
        ),
        tokenize=backend.tokenize,
    )


def _repeats(chunks: Sequence[Chunk], question: str, config: ReadingConfig) -> list[Chunk]:
    """Chunks that are read once more behind the others: the rounds of the parallel mode, or what is recalled.

    They are part of the plan, so that they are recorded, resumed and proven like all others. Rounds that turn out not
    to be needed stay unread.
    """
    if config.mode is Mode.PARALLEL:
        again = list(chunks) * (config.rounds - 1)
    else:
        again = [chunks[place] for place in best_chunks(chunks, question, config.recall_chunks)]
    first = chunks[-1].index + 1 if chunks else 0
    return [chunk.repeated(first + number) for number, chunk in enumerate(again)]


def _cut(
    document: Document,
    number: int,
    *,
    config: ReadingConfig,
    prompts: PromptSet,
    backend: Backend,
    first_index: int,
    start_offset: int,
) -> tuple[Chunk, ...]:
    """Chunks of one document, as the mode wants them."""
    labelled = config.mode.names_labels
    hyphenation = Hyphenation(document.text)
    return chunk_document(
        document,
        document_index=number,
        tokenize=backend.tokenize,
        budget_tokens=config.chunk_tokens,
        show=(lambda text: prompts.data(readable(text, hyphenation)).text)
        if labelled
        else (lambda text: text),
        unit_overhead_tokens=_label_overhead(prompts, backend) if labelled else 0,
        max_units=prompts.max_sentences if labelled else None,
        overlap_tokens=config.overlap_tokens,
        first_index=first_index,
        start_offset=start_offset,
    )


def hash_chunks(chunks: Sequence[Chunk], base_plan_hash: str = "") -> str:
    """sha256 over offsets and token ids of every unit: equal plans show the model the same tokens in the same order."""
    digest = hashlib.sha256(base_plan_hash.encode())
    for chunk in chunks:
        head = array("q", [chunk.index, chunk.document, len(chunk.units), chunk.num_overlap_units])
        digest.update(head.tobytes())
        for unit in chunk.units:
            digest.update(array("q", [unit.start, unit.end, len(unit.token_ids), *unit.token_ids]).tobytes())
    return digest.hexdigest()


def make_plans(
    documents: Sequence[Document],
    questions: Sequence[str],
    *,
    config: ReadingConfig,
    prompts: PromptSet,
    backend: Backend,
    is_joint: bool = True,
) -> list[ReadingPlan]:
    """Plans for several questions in one pass; the chunks, which depend on the documents alone, are cut once.

    Args:
        documents: what is read, in order.
        questions: at least one, no two alike.
        config: the settings.
        prompts: the wording.
        backend: gives tokens and window; nothing is generated.
        is_joint: whether a joint gate is asked, if there is a prompt for one.

    Raises:
        PlanError: see `make_plan`.
    """
    groups = _joint_groups(questions, config, prompts) if is_joint else [()] * len(questions)
    first = make_plan(
        documents,
        questions[0],
        config=config,
        prompts=prompts,
        backend=backend,
        companions=groups[0],
    )
    plans = [first]
    cut = tuple(chunk for chunk in first.chunks if not chunk.is_repeat)
    for question, companions in zip(questions[1:], groups[1:], strict=True):
        _check_budgets(question, config, prompts, backend, companions)
        spec = dataclasses.replace(first.spec, question=question, companions=companions)
        chunks = first.chunks
        if config.recall_chunks:
            chunks = (*cut, *_repeats(cut, question, config))
            spec = dataclasses.replace(spec, plan_hash=hash_chunks(chunks))
        plans.append(dataclasses.replace(first, question=question, chunks=chunks, spec=spec))
    return plans


def _joint_groups(
    questions: Sequence[str], config: ReadingConfig, prompts: PromptSet
) -> list[tuple[str, ...]]:
    """How several questions are spread over joint gates: groups of about equal size; () = there is no joint gate.

    A memory that is freely rewritten at every chunk is not gated, that is what the faithful mode is for; nor are
    chunks that are read side by side anyway.
    """
    if len(questions) < 2 or not prompts.joint or config.mode in (Mode.FAITHFUL, Mode.PARALLEL):
        return [() for _ in questions]
    count = math.ceil(len(questions) / prompts.max_questions)
    groups = [tuple(questions[number::count]) for number in range(count)]
    return [groups[number % count] for number in range(len(questions))]


def _check_budgets(
    question: str,
    config: ReadingConfig,
    prompts: PromptSet,
    backend: Backend,
    companions: Sequence[str] = (),
) -> None:
    if not question.strip():
        raise PlanError("The question is empty.", hint="Give one with -q.")
    asked = len(backend.tokenize(prompts.data(question).text))
    if asked > config.question_tokens:
        raise PlanError(
            f"The question has {asked} tokens, more than the {config.question_tokens} it may have.",
            hint="Shorten it, or put background material into a document.",
        )
    frame = prompts.read(
        config.mode,
        question=question,
        memory=(),
        section=(),
        pages="8888-8888",
        heading="W" * _HEADING_CHARACTERS,
    )
    items = 0
    if config.mode.names_labels:
        items = _label_overhead(prompts, backend) * min(prompts.max_items, config.memory_tokens)
    needed = (
        len(backend.encode(frame))
        + config.chunk_tokens
        + config.memory_tokens
        + items
        + reply_tokens(config, prompts)
    )
    if companions:
        gate = prompts.triage(
            config.mode,
            questions=companions,
            section=(),
            pages="8888-8888",
            heading="W" * _HEADING_CHARACTERS,
        )
        reply = gate_reply_tokens(prompts, len(companions))
        needed = max(needed, len(backend.encode(gate)) + config.chunk_tokens + reply)
    window = backend.info.context_tokens
    if needed > window:
        raise PlanError(
            f"A chunk of {config.chunk_tokens} tokens, a memory of {config.memory_tokens} and the reply need "
            f"{needed} tokens, but the model's window has {window}.",
            hint="Lower --chunk-tokens or --memory-tokens, or open a larger window with --context-tokens.",
        )


def _label_overhead(prompts: PromptSet, backend: Backend) -> int:
    """Tokens that one labelled sentence costs beyond its text: the mean over all labels, rounded up.

    Later labels are never shorter than earlier ones, so the mean over all bounds the mean over the first few.
    """
    count = prompts.max_sentences
    with_items = prompts.read(Mode.EXTRACTIVE, question="x", memory=(), section=["x"] * count)
    without = prompts.read(Mode.EXTRACTIVE, question="x", memory=(), section=())
    text = len(backend.tokenize(prompts.data("x").text)) * count
    return max(0, math.ceil((len(backend.encode(with_items)) - len(backend.encode(without)) - text) / count))
