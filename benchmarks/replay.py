"""Recorded readings, and replies made from them for models that cannot read.

A model with random weights computes as fast as a trained one but says nothing of use. So what a trained model did is
recorded once (`record`: which sentences entered the memory, and where), bound to the chunks of the other model
(`write_script`), and put into the mouths of both sides of a benchmark, token by token, while everything is still
computed (`ForcedBackend`, `benchmarks.baseline`). Nothing but rates is compared then.

What is synthetic: in free-text modes the memory is padded to a stated length with sentences of the document, and a
stated share of its words is replaced each time that it is rewritten, since a real model does not copy perfectly.
"""

import dataclasses
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.agent.config import Mode
from engine.agent.events import Outcome
from engine.agent.memory import EMPTY
from engine.agent.plan import ReadingPlan
from engine.agent.steps import read_request
from engine.backends.base import Prompt, Request, Sampling
from engine.backends.batching import Sampler
from engine.backends.llamacpp import LlamaCppBackend
from engine.backends.native_context import Logits
from engine.chunking import Chunk
from engine.traces.store import TraceStore

MAX_ITEMS = 8
"""Most items that a replayed extractive memory holds; the oldest is given up for a new one."""


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A sentence that entered the memory: its place in the document's text, and its words."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """What a trained model did when it read a document.

    Attributes:
        question: what was asked.
        answer: what was answered.
        document_hash: content hash of the document; the places below belong to its text.
        model: name of the model.
        chunks: chunks that it read.
        chunks_that_changed: how many of them changed the memory.
        excerpts: what entered the memory, in reading order.
    """

    question: str
    answer: str
    document_hash: str
    model: str
    chunks: int
    chunks_that_changed: int
    excerpts: tuple[Excerpt, ...]

    def save(self, path: Path) -> None:
        """Write it as JSON."""
        path.write_text(json.dumps(dataclasses.asdict(self), ensure_ascii=False, indent=2) + "\n", "utf-8")

    @classmethod
    def load(cls, path: Path) -> "Recording":
        """Inverse of `save`."""
        values: dict[str, Any] = json.loads(path.read_text("utf-8"))
        excerpts = tuple(Excerpt(**excerpt) for excerpt in values.pop("excerpts"))
        return cls(**values, excerpts=excerpts)


def record(store: TraceStore, run_id: str) -> Recording:
    """Take a recording out of the trace of a finished run over one document.

    Raises:
        ValueError: the run is not finished, or read several documents.
    """
    run = store.get_run(run_id)
    if run.answer is None or len(run.documents) != 1:
        raise ValueError(f"the run {run_id} is no finished reading of one document")
    evidence = [row.evidence for row in store.evidence(run_id)]
    steps = list(store.steps(run_id))
    return Recording(
        question=run.question,
        answer=run.answer.text,
        document_hash=run.documents[0].content_hash,
        model=run.model,
        chunks=len(steps),
        chunks_that_changed=sum(step.outcome is Outcome.UPDATED for step in steps),
        excerpts=tuple(Excerpt(one.start, one.end, one.quote) for one in evidence),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What is replied to one chunk.

    Attributes:
        picked: indices of the chunk's units that enter the memory; () = the gate stays shut.
        memory: the memory after the chunk, rewritten in full, for the free-text modes.
    """

    picked: tuple[int, ...]
    memory: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """Replies for a plan.

    Attributes:
        plan: the plan.
        turns: one a chunk.
        answer: the final reply.
        memory_tokens: tokens of the rewritten memories, the mean.
        rewording: share of a memory's words replaced each time that it is rewritten.
        shown: what a prompt shows of each chunk, as its last data.
    """

    plan: ReadingPlan
    turns: tuple[Turn, ...]
    answer: str
    memory_tokens: float
    rewording: float
    shown: tuple[tuple[str, ...], ...]

    @property
    def density(self) -> float:
        """Share of the chunks that hold evidence."""
        return sum(bool(turn.picked) for turn in self.turns) / len(self.turns)

    @property
    def asked(self) -> str:
        """The question, as prompts show it."""
        return self.plan.prompts.data(self.plan.question).text

    def turn(self, prompt: Prompt) -> Turn:
        """What is replied to a prompt that shows a chunk.

        Raises:
            ValueError: it shows none of the plan's.
        """
        data = _data(prompt)
        for turn, shown in zip(self.turns, self.shown, strict=True):
            if data[-1] == shown[-1] and data[-len(shown) :] == shown:
                return turn
        raise ValueError("a prompt that shows no chunk of the plan")

    def read(self, prompt: Prompt) -> str:
        """The reply to a chunk, in the plan's own mode."""
        prompts, mode, turn = self.plan.prompts, self.plan.config.mode, self.turn(prompt)
        if mode is Mode.FAITHFUL:
            return turn.memory
        if mode is Mode.GATED:
            return f"{prompts.update}\n{turn.memory}" if turn.picked else prompts.keep
        if not turn.picked:
            return prompts.unchanged
        chunk = self.plan.chunks[self.turns.index(turn)]
        num_items = len(_data(prompt)) - len(_data(read_request(self.plan, chunk, EMPTY).prompt))
        kept = range(max(0, num_items + len(turn.picked) - MAX_ITEMS), num_items)
        labels = [prompts.memory_label.format(n=index + 1) for index in kept]
        labels += [prompts.sentence_label.format(n=index + 1) for index in turn.picked]
        return prompts.label_separator.join(labels)


@dataclass(frozen=True, slots=True)
class Cast:
    """The scripts of all questions of a pass."""

    scripts: tuple[Script, ...]

    def reply(self, request: Request) -> str:
        """What is replied to a request of the pass.

        Raises:
            ValueError: it belongs to none of the readings.
        """
        prompt, prompts = request.prompt, self.scripts[0].plan.prompts
        data = _data(prompt)
        if prompts.joint and _begins(prompt, prompts.joint):
            asked = {script.asked: script for script in self.scripts}
            labels = [
                prompts.question_label.format(n=number)
                for number, text in enumerate(data, start=1)
                if text in asked and asked[text].turn(prompt).picked
            ]
            return prompts.label_separator.join(labels) or prompts.unchanged
        for script in self.scripts:
            if data[0] == script.asked:
                return script.answer if _begins(prompt, prompts.answer) else script.read(prompt)
        raise ValueError("a request for a question that is not in the cast")


def _data(prompt: Prompt) -> tuple[str, ...]:
    return tuple(segment.text for segment in prompt if segment.is_data)


def _begins(prompt: Prompt, template: str) -> bool:
    return prompt[0].text.startswith(template.partition("{")[0])


def write_script(
    plan: ReadingPlan,
    recording: Recording,
    *,
    memory_tokens: int,
    rewording: float = 0.1,
    seed: int = 0,
) -> Script:
    """Replies that make another model do in its own chunks what the recorded one did in the same document.

    Args:
        plan: over the recorded document alone.
        recording: what was done.
        memory_tokens: length of the rewritten memories, at most, in tokens of the plan's model; must be below the
            plan's own cap, or every reply would count as cut off.
        rewording: share of the padding's words that are replaced at each chunk.
        seed: of the replacements.

    Raises:
        ValueError: another document, several, or a memory that does not fit.
    """
    hashes = [document.content_hash for document in plan.documents]
    if hashes != [recording.document_hash]:
        raise ValueError("the plan is not over the recorded document")
    if not 0 < memory_tokens < plan.config.memory_tokens:
        raise ValueError(f"a memory of {memory_tokens} tokens is not below the cap")
    writer = _MemoryWriter(plan, memory_tokens, rewording, random.Random(seed))
    turns = []
    for chunk in plan.chunks:
        found = [one for one in recording.excerpts if chunk.start <= one.start < chunk.end]
        picked = tuple(
            index
            for index, unit in enumerate(chunk.units)
            if any(unit.start < one.end and one.start < unit.end for one in found)
        )
        turns.append(Turn(picked=picked, memory=writer.rewrite(chunk, [one.text for one in found])))
    return Script(
        plan=plan,
        turns=tuple(turns),
        shown=tuple(
            _data(read_request(plan, chunk, EMPTY).prompt)[-len(chunk.units) :] for chunk in plan.chunks
        ),
        answer=recording.answer,
        memory_tokens=sum(len(plan.tokenize(turn.memory)) for turn in turns) / len(turns),
        rewording=rewording,
    )


class _MemoryWriter:
    """Writes a free-text memory that is carried from chunk to chunk."""

    def __init__(self, plan: ReadingPlan, memory_tokens: int, rewording: float, rng: random.Random) -> None:
        self._plan = plan
        self._memory_tokens = memory_tokens
        self._rewording = rewording
        self._rng = rng
        self._evidence: list[str] = []
        self._padding: list[str] = []

    def rewrite(self, chunk: Chunk, found: Sequence[str]) -> str:
        """The memory after a chunk: what was found so far, then padding, up to the length."""
        self._evidence += found
        words = [word for unit in chunk.units for word in unit.text.split()]
        if not self._padding:
            self._padding = list(words)
        for place in range(len(self._padding)):
            if self._rng.random() < self._rewording:
                self._padding[place] = self._rng.choice(words)
        return self._cut([word for text in self._evidence for word in text.split()] + self._padding)

    def _cut(self, words: list[str]) -> str:
        """As many of the words as fit: bisection, since tokens are not words."""
        fits, over = 0, len(words) + 1
        while over - fits > 1:
            middle = (fits + over) // 2
            if len(self._plan.tokenize(" ".join(words[:middle]))) <= self._memory_tokens:
                fits = middle
            else:
                over = middle
        return " ".join(words[:fits])


class ForcedBackend(LlamaCppBackend):
    """llama.cpp as ever, but the tokens that are drawn are those of given replies.

    Logits, sampling and grammar are computed and paid for all the same.
    """

    _replies: Callable[[Request], Sequence[int]] | None = None

    def force(self, replies: Callable[[Request], Sequence[int]]) -> None:
        """Reply so from now on: token ids for a request, without the end of the turn."""
        self._replies = replies

    def follow(self, cast: Cast) -> None:
        """Reply as scripts say."""
        self.force(lambda request: self.tokenize(cast.reply(request)))

    @property
    def plain_tokens(self) -> list[int]:
        """Ids of tokens that stand for some text and for nothing else."""
        model = self._model
        return [
            token_id
            for token_id in range(model.num_tokens)
            if token_id not in model.control and token_id not in model.forbidden and model.piece(token_id)
        ]

    def _sampler(self, request: Request) -> Sampler:
        assert self._replies is not None, "a forced backend needs replies before its first request"
        real = super()._sampler(dataclasses.replace(request, sampling=Sampling()))
        end = next(token_id for token_id in self._model.control if self._model.ends_turn(token_id))
        return ForcedSampler(real, [*self._replies(request), end])


class ForcedSampler:
    """Makes a greedy sampler draw given tokens, by raising the logit of each above all others.

    Args:
        real: the sampler; freed with this one.
        token_ids: what is drawn, the end of the turn included.

    Attributes:
        num_close_calls: none of the draws is close.
    """

    def __init__(self, real: Sampler, token_ids: Sequence[int]) -> None:
        self.num_close_calls = 0
        self._real = real
        self._token_ids = iter(token_ids)

    def draw(self, logits: Logits) -> int:
        """The next given token.

        Raises:
            ValueError: the request's grammar does not allow it.
        """
        token_id = next(self._token_ids)
        raised = logits.copy()
        raised[token_id] = logits.max() + 1
        drawn = self._real.draw(raised)
        if drawn != token_id:
            raise ValueError("the grammar of a request refuses its scripted reply")
        return drawn

    def free(self) -> None:
        """Give the memory back."""
        self._real.free()
