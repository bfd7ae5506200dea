"""What a reader would reply who knows where the evidence stands.

The tutor is asked what the model would be asked, in the engine's own loop, and its replies are in the engine's own
form: labels, verdicts, memories, answers. It names evidence and nothing else, and keeps what was found.
"""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from engine.agent.config import Mode
from engine.agent.memory import Memory, MemoryItem
from engine.agent.steps import read_request
from engine.backends.base import Prompt, Request, Segment
from engine.chunking import Chunk, Unit
from engine.text import collapse_whitespace, strip_span
from trainer.rl.recipe import SftConfig
from trainer.rl.rewards import holds
from trainer.rl.rollouts import Job

Spans = tuple[tuple[int, int], ...]
"""Places in the document's text, [start, end)."""


class Unteachable(Exception):  # handled by `lessons`, which counts it; never shown as an error
    """There is no ideal reply; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IdealReply:
    """A reply to one request.

    Attributes:
        text: wording and data; the token that ends the turn is not in it.
        is_lesson: whether it is to be learnt; a slip is not, what follows from it is.
    """

    text: Prompt
    is_lesson: bool


class Tutor:
    """Replies in one reading.

    Args:
        job: the task and its plan.
        config: how many turns are lessons and how many are slips.
        rng: chooses them.
        evidence_of: evidence of the questions of a joint gate in this document, by question.

    Raises:
        Unteachable: the evidence of an answerable question is not known.
    """

    def __init__(
        self, job: Job, config: SftConfig, rng: random.Random, *, evidence_of: dict[str, Spans] | None = None
    ) -> None:
        self._plan = job.plan
        self._golds = job.task.golds
        self._config = config
        self._rng = rng
        self._evidence = find_evidence(job.task.document.text, job.task.evidence)
        if job.task.golds and not self._evidence:
            raise Unteachable("its evidence is not known")
        self._others = evidence_of or {}
        self._chunks = {chunk.index: chunk for chunk in job.plan.chunks}
        self._round = sum(not chunk.is_repeat for chunk in job.plan.chunks)
        self._shown = Memory()

    def reply(
        self,
        request: Request,
        chunk_index: int | None,
        memory: Memory,
        *,
        is_shared: bool,
        said: str | None = None,
    ) -> IdealReply:
        """The ideal reply.

        Args:
            request: what is asked.
            chunk_index: the chunk that it is about; None for the answer.
            memory: the memory as the chunk before left it.
            is_shared: whether it is the joint gate.
            said: what the policy replied, where the reading goes on with that: then nothing slips in, a chunk that it
                should have left be is a lesson in any case, and the answer is none.

        Raises:
            Unteachable: there is none, as for a memory that outgrew its budget.
        """
        if chunk_index is None:
            return IdealReply(text=self._answer(memory), is_lesson=said is None)
        chunk = self._chunks[chunk_index]
        if is_shared:
            return IdealReply(text=self._gate(chunk), is_lesson=True)
        if self._plan.config.mode is not Mode.PARALLEL or chunk_index % self._round == 0:
            self._shown = memory
        if request.prompt != read_request(self._plan, chunk, self._shown).prompt:
            raise Unteachable("the evidence does not fit the memory")
        return self._read(request, chunk, self._shown, said)

    # -- one chunk --------------------------------------------------------------------------------------------------

    def _read(self, request: Request, chunk: Chunk, memory: Memory, said: str | None) -> IdealReply:
        known = {_plain(line) for item in memory.items for line in item.text.split("\n")}
        fresh = [
            place
            for place, unit in enumerate(chunk.units)
            if self._helps(unit, chunk) and _plain(unit.text) not in known
        ]
        if fresh:
            return IdealReply(text=self._say(request, chunk, memory, fresh), is_lesson=True)
        slip = self._slip(chunk, known) if said is None else None
        if slip is not None:
            return IdealReply(text=self._say(request, chunk, memory, [slip]), is_lesson=False)
        unchanged = self._say(request, chunk, memory, [])
        is_wrong = said is not None and said.strip() != "".join(segment.text for segment in unchanged).strip()
        is_lesson = is_wrong or self._rng.random() < self._config.unchanged
        return IdealReply(text=unchanged, is_lesson=is_lesson)

    def _slip(self, chunk: Chunk, known: set[str]) -> int | None:
        """A sentence that does not help and slips in all the same; None = none does."""
        if self._rng.random() >= self._config.noise:
            return None
        places = [
            place
            for place, unit in enumerate(chunk.units)
            if _plain(unit.text) and not self._helps(unit, chunk) and _plain(unit.text) not in known
        ]
        return self._rng.choice(places) if places else None

    def _say(self, request: Request, chunk: Chunk, memory: Memory, fresh: Sequence[int]) -> Prompt:
        mode, prompts = self._plan.config.mode, self._plan.prompts
        if mode.names_labels:
            if not fresh:
                return (Segment(prompts.unchanged),)
            kept = [place for place, item in enumerate(memory.items) if self._is_evidence(item)]
            labels = [prompts.memory_label.format(n=place + 1) for place in kept]
            labels += [prompts.sentence_label.format(n=place + 1) for place in fresh]
            return (Segment(prompts.label_separator.join(labels)),)
        if mode is Mode.GATED and not fresh:
            return (Segment(prompts.keep),)
        lines = [line for item in memory.items for line in item.text.split("\n") if self._stands_in(line)]
        lines += [_plain(chunk.units[place].text) for place in fresh]
        # What is said of an empty memory is also what an empty memory is written as.
        text = self._within(lines, request.max_tokens) if lines else prompts.empty_memory
        data = Segment(text, is_data=bool(lines))
        return (Segment(f"{prompts.update}\n"), data) if mode is Mode.GATED else (data,)

    def _within(self, lines: Sequence[str], max_tokens: int) -> str:
        text = "\n".join(lines)
        # Some room for the verdict before it and the end of the turn.
        if len(self._plan.tokenize(text)) > max_tokens - 8:
            raise Unteachable("the evidence does not fit the memory")
        return text

    def _helps(self, unit: Unit, chunk: Chunk) -> bool:
        return _touches(self._visible(unit, chunk), self._evidence)

    def _visible(self, unit: Unit, chunk: Chunk) -> tuple[int, int]:
        return strip_span(self._plan.documents[chunk.document].text, unit.start, unit.end)

    def _is_evidence(self, item: MemoryItem) -> bool:
        if item.source is None:
            return self._stands_in(item.text)
        return _touches((item.source.start, item.source.end), self._evidence)

    def _stands_in(self, line: str) -> bool:
        """Whether a line of a free-text memory is evidence."""
        text = self._plan.documents[0].text
        quotes = [_plain(text[start:end]) for start, end in self._evidence]
        return bool(line) and any(line in quote or quote in line for quote in quotes)

    # -- gate and answer --------------------------------------------------------------------------------------------

    def _gate(self, chunk: Chunk) -> Prompt:
        """Labels of the questions that the chunk helps with; of its first such sentence where sentences are named."""
        prompts = self._plan.prompts
        spans = {**self._others, self._plan.question: self._evidence}
        wanted = [spans.get(question, ()) for question in self._plan.spec.companions]
        if prompts.joint_names_sentences:
            every = tuple(span for each in wanted for span in each)
            places = [n for n, u in enumerate(chunk.units) if _touches(self._visible(u, chunk), every)]
            labels = [prompts.sentence_label.format(n=place + 1) for place in places[:1]]
        else:
            whole = [
                any(_touches(self._visible(unit, chunk), each) for unit in chunk.units) for each in wanted
            ]
            labels = [prompts.question_label.format(n=n + 1) for n, helps in enumerate(whole) if helps]
        return (Segment(prompts.label_separator.join(labels) if labels else prompts.unchanged),)

    def _answer(self, memory: Memory) -> Prompt:
        prompts = self._plan.prompts
        if not self._golds:
            return (Segment(prompts.not_stated),)
        chosen = [next((w for w in gold if holds(memory.text, [[w]])), gold[0]) for gold in self._golds]
        return (prompts.data(", ".join(chosen)),)


def find_evidence(text: str, quotes: Iterable[str]) -> Spans:
    """Where quotes stand in a text for the first time; those that do not are left out."""
    found = ((text.find(quote), len(quote)) for quote in quotes)
    return tuple((start, start + length) for start, length in found if start >= 0 and length)


def _touches(span: tuple[int, int], spans: Spans) -> bool:
    start, end = span
    return any(max(start, low) < min(end, high) for low, high in spans)


def _plain(text: str) -> str:
    return collapse_whitespace(text).strip()
