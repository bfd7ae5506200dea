"""The joint gate: one look at a chunk for all questions of a pass, which tells those that it is to be read for.

Eight questions cost little more than one that way: most chunks help with none of them. The gate sees no memory, so its
verdicts hold for every reading of the pass, whatever each has found so far.
"""

from collections import deque
from collections.abc import Generator, Sequence

from engine.agent.coverage import take_receipt
from engine.agent.events import ChunkFinished, Event, Incident, Outcome, Purpose
from engine.agent.memory import Memory
from engine.agent.plan import ReadingPlan, gate_reply_tokens, heading_for_prompt
from engine.agent.replies import UnusableReply, gate_grammar, parse_gate
from engine.agent.steps import Ask, call_finished, exchange
from engine.backends.base import Completion, Request
from engine.chunking import Chunk


class JointGate:
    """The gate as one reading of the pass sees it; the others ask the same and share the completions.

    Args:
        plan: the reading.
        width: chunks that are put to the gate at once.
    """

    def __init__(self, plan: ReadingPlan, width: int) -> None:
        self._plan = plan
        self._width = max(1, width)
        self._ahead: deque[tuple[Request, Completion]] = deque()

    def admits(
        self, chunks: Sequence[Chunk], memory: Memory
    ) -> Generator[Ask | Event, Sequence[Completion] | None, bool]:
        """Whether the first of these chunks is to be read for this reading's question; if not, it is done.

        Args:
            chunks: what is still to be read.
            memory: the memory, which a chunk that is not read leaves as it is.
        """
        if not self._ahead:
            # Looks end at fixed places, so that readings which begin at different chunks meet.
            ahead = chunks[: self._width - chunks[0].index % self._width]
            requests = [gate_request(self._plan, chunk) for chunk in ahead]
            self._ahead.extend((yield from exchange(requests, [c.index for c in ahead], is_shared=True)))
        chunk, (request, completion) = chunks[0], self._ahead.popleft()
        yield call_finished(request, completion, chunk.index, Purpose.GATE, 0)
        if (yield from self._verdict(chunk, completion)):
            return True
        yield ChunkFinished(
            chunk_index=chunk.index,
            memory_before=memory,
            memory_after=memory,
            outcome=Outcome.UNCHANGED,
            receipt=take_receipt(chunk, completion.prompt_token_ids),
        )
        return False

    def _verdict(
        self, chunk: Chunk, completion: Completion
    ) -> Generator[Ask | Event, Sequence[Completion] | None, bool]:
        questions = self._plan.spec.companions
        try:
            named = parse_gate(
                completion.text,
                self._plan.prompts,
                num_questions=len(questions),
                num_sentences=len(chunk.units),
            )
        except UnusableReply as exc:
            yield Incident(
                chunk_index=chunk.index,
                kind=exc.kind,
                detail="The reply of the joint gate could not be used; the chunk was read for every question.",
            )
            return True
        return questions.index(self._plan.question) in named


def gate_request(plan: ReadingPlan, chunk: Chunk) -> Request:
    """The conversation that asks which questions a chunk helps with."""
    questions, prompts = plan.spec.companions, plan.prompts
    return Request(
        prompt=prompts.triage(
            plan.config.mode,
            questions=questions,
            section=[unit.segment for unit in chunk.units],
            pages=chunk.labels,
            heading=heading_for_prompt(chunk.heading),
        ),
        max_tokens=gate_reply_tokens(prompts, len(questions)),
        sampling=plan.config.sampling,
        grammar=gate_grammar(prompts, num_questions=len(questions), num_sentences=len(chunk.units)),
        closed=(prompts.unchanged,),
    )
