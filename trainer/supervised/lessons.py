"""Readings with a tutor's replies: the engine's loop, driven as rollouts are.

In an ideal reading what follows is what the tutor's replies lead to. In one that is on policy it is what the policy's
own replies lead to, so that the tutor replies to the memories that the policy will have when nobody helps it (DAgger:
Ross et al., arXiv 1011.0686); what is learnt are the tutor's replies in both.

A reading is a group of one trajectory, in the same form and files as rollouts. Conversations that are
to be learnt have credit 1, those that only prepare what follows have credit 0.
"""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from engine.agent.config import Mode
from engine.agent.plan import make_plan
from engine.backends.base import Prompt
from engine.errors import PlanError
from trainer.rl.backend import TorchBackend
from trainer.rl.data import Conversation, Group, TokenSet, free_of_grammar
from trainer.rl.decoding import Drawn, Row, row_seed
from trainer.rl.recipe import SftConfig
from trainer.rl.rollouts import Job, Reading, gather
from trainer.rl.source import JobSource
from trainer.rl.tasks import Task
from trainer.rl.vocabulary import Vocabulary
from trainer.supervised.tutor import Spans, Tutor, Unteachable, find_evidence

_MOST_TRIES = 8


class Lessons:
    """Makes readings by number.

    Args:
        source: of the tasks.
        backend: the policy; it is asked only where a reading is on policy.
        config: see `SftConfig`.
        seed: of what is chosen at random.
    """

    def __init__(self, source: JobSource, backend: TorchBackend, config: SftConfig, seed: int) -> None:
        self._source = source
        self._backend = backend
        self._config = config
        self._seed = seed

    def draw(self, first: int, count: int) -> tuple[list[Group], int, Counter[str]]:
        """Readings of the tasks from a number on, as many as are wanted.

        Returns:
            the groups, the number of the first task that was not looked at, and why tasks were left out.

        Raises:
            PlanError: of several times as many tasks none can be taught.
        """
        groups: list[Group] = []
        left_out: Counter[str] = Counter()
        number, last = first, first + _MOST_TRIES * count
        while (missing := count - len(groups)) and number < last:
            numbers = range(number, min(number + missing, last))
            for result in self._read(numbers):
                if isinstance(result, Unteachable):
                    left_out[str(result)] += 1
                else:
                    groups.append(result)
            number = numbers.stop
        if not groups:
            reason = left_out.most_common(1)[0][0]
            raise PlanError(
                f"None of {number - first} questions can be taught: {reason}.",
                hint="Questions need evidence that stands in their text word for word, and that holds the answer.",
            )
        return groups, number, left_out

    def _read(self, numbers: Sequence[int]) -> list[Group | Unteachable]:
        """Readings of tasks, all of them in lockstep, or why there is none."""
        found = {number: self._lesson(number) for number in numbers}
        live = {number: lesson for number, lesson in found.items() if isinstance(lesson, _Lesson)}
        results: dict[int, Group | Unteachable] = {
            number: lesson for number, lesson in found.items() if isinstance(lesson, Unteachable)
        }
        while live:
            asking = [row for lesson in live.values() if lesson.is_on_policy for row in lesson.rows]
            drawn = iter(self._backend.decoder.draw(asking) if asking else ())
            for number, lesson in list(live.items()):
                said = [next(drawn) for _ in lesson.rows] if lesson.is_on_policy else None
                try:
                    lesson.go_on(said)
                    if not lesson.rows:
                        results[number] = lesson.group()
                except Unteachable as exc:
                    results[number] = exc
                if number in results:
                    del live[number]
        return [results[number] for number in numbers]

    def _lesson(self, number: int) -> "_Lesson | Unteachable":
        (job,) = self._source.training(number, 1)
        rng = random.Random(row_seed("ideal", self._seed, number))
        job, others = self._with_gate(job, number, rng)
        # A source of its own, so that the other readings stay what they were.
        is_on_policy = (
            random.Random(row_seed("on policy", self._seed, number)).random() < self._config.on_policy
        )
        try:
            tutor = Tutor(job, self._config, rng, evidence_of=others)
        except Unteachable as exc:
            return exc
        return _Lesson(job, tutor, self._backend, self._config, is_on_policy=is_on_policy)

    def _with_gate(self, job: Job, number: int, rng: random.Random) -> tuple[Job, dict[str, Spans]]:
        """The job with the questions of other tasks beside its own, where a joint gate is wanted and known."""
        plan = job.plan
        knows_gate = plan.prompts.joint and plan.config.mode not in (Mode.FAITHFUL, Mode.PARALLEL)
        if not self._config.joint or not knows_gate:
            return job, {}
        others = self._neighbours(plan.question, number)
        questions = [plan.question, *others]
        rng.shuffle(questions)
        gated = make_plan(
            plan.documents,
            plan.question,
            config=plan.config,
            prompts=plan.prompts,
            backend=self._backend,
            companions=questions,
        )
        document = job.task.document
        # A question about another document is taken not to be answered by this one.
        spans = {
            question: find_evidence(document.text, task.evidence)
            for question, task in others.items()
            if task.document.content_hash == document.content_hash
        }
        return replace(job, plan=gated), spans

    def _neighbours(self, question: str, number: int) -> dict[str, Task]:
        """Tasks with other questions, the next ones by number; a file of few questions comes round again."""
        found: dict[str, Task] = {}
        for near in range(number + 1, number + 1 + _MOST_TRIES * self._config.joint):
            if len(found) == self._config.joint - 1:
                break
            task = self._source.task(near)
            if task.question != question:
                found.setdefault(task.question, task)
        return found


class _Lesson:
    """One reading on its way: `go_on` as long as there are rows, then `group`.

    Args:
        job: what is read.
        tutor: replies.
        backend: the policy.
        config: see `SftConfig`.
        is_on_policy: whether the reading goes on with the policy's replies.
    """

    def __init__(
        self, job: Job, tutor: Tutor, backend: TorchBackend, config: SftConfig, *, is_on_policy: bool
    ) -> None:
        self.is_on_policy = is_on_policy
        self._job = job
        self._tutor = tutor
        self._vocabulary = backend.policy.vocabulary
        self._config = config
        # Greedily, as the model will read.
        self._reading = Reading(job, 0, backend, 0.0, lambda *_: 0)
        self._taught: list[Drawn | None] = []
        self._reading.begin()

    @property
    def rows(self) -> Sequence[Row]:
        """What is to be replied to; empty = it is done."""
        return self._reading.rows

    def go_on(self, said: Sequence[Drawn] | None) -> None:
        """Have the tutor reply to all rows.

        Args:
            said: the policy's replies, with which the reading goes on; None = it does with the tutor's.

        Raises:
            Unteachable: there is no ideal reply.
        """
        asked = self._reading.asked
        assert asked is not None, "nothing was asked"
        replies = [
            self._tutor.reply(
                request,
                chunk,
                self._reading.memory,
                is_shared=asked.is_shared,
                said=None if said is None else said[place].text,
            )
            for place, (request, chunk) in enumerate(zip(asked.requests, asked.chunk_indices, strict=True))
        ]
        lessons = [
            # What is not learnt need not be sayable where the policy's reply is what follows.
            speak(self._vocabulary, row, reply.text, under_grammar=self._config.under_grammar)
            if said is None or reply.is_lesson
            else None
            for row, reply in zip(self.rows, replies, strict=True)
        ]
        self._taught += [
            lesson if reply.is_lesson else None for lesson, reply in zip(lessons, replies, strict=True)
        ]
        self._reading.go_on([lesson for lesson in lessons if lesson] if said is None else said)

    def group(self) -> Group:
        """The finished reading, each conversation that is a lesson with the tutor's reply.

        On policy a right answer is a lesson as it is: it keeps what the model knows of answers while it learns to read
        chunks. One that the tutor gave instead of a wrong one would be learnt by heart.

        Raises:
            Unteachable: the tutor's own replies lead to a wrong answer.
        """
        group = gather(self._job, [self._reading]).group
        (trajectory,) = group.trajectories
        if trajectory.reward < 1.0 and not self.is_on_policy:
            raise Unteachable("the answer that follows from the evidence is not judged right")
        talks = [
            _taught(talk, lesson) for talk, lesson in zip(trajectory.conversations, self._taught, strict=True)
        ]
        last = talks[-1]
        # With an empty memory nothing is asked at the end.
        is_answer = last.chunk_index is None and last.finish_reason == "stop"
        if self.is_on_policy and trajectory.reward == 1.0 and is_answer:
            last = last if self._config.under_grammar else free_of_grammar(last)
            talks[-1] = replace(last, credit=1.0)
        return replace(group, trajectories=(replace(trajectory, conversations=tuple(talks)),))


def _taught(talk: Conversation, lesson: Drawn | None) -> Conversation:
    """A conversation with the reply that is to be learnt; as it was if there is none."""
    if lesson is None:
        return replace(talk, credit=0.0)
    return replace(
        talk,
        response_ids=lesson.response_ids,
        rollout_logprobs=lesson.logprobs,
        allowed=lesson.allowed,
        finish_reason=lesson.finish_reason,
        reply=lesson.text,
        credit=1.0,
    )


def speak(vocabulary: Vocabulary, row: Row, text: Prompt, *, under_grammar: bool) -> Drawn:
    """A reply as if it had been drawn for a row, with the token that ends the turn.

    Args:
        vocabulary: of the policy.
        row: what is replied to.
        text: the reply.
        under_grammar: whether the tokens that the grammar allows are recorded.

    Raises:
        Unteachable: it breaks the row's cap or grammar.
    """
    ids = vocabulary.reply_ids(text)
    if not ids or len(ids) > row.max_tokens:
        raise Unteachable("a reply is longer than it may be")
    whole = (*ids, vocabulary.turn_end_id)
    return Drawn(
        response_ids=whole,
        logprobs=(0.0,) * len(whole),
        allowed=_allowed(vocabulary, row.grammar, ids, under_grammar=under_grammar),
        finish_reason="stop",
        text=vocabulary.text(ids),
        num_text_ids=len(ids),
    )


def _allowed(
    vocabulary: Vocabulary, source: str | None, ids: Sequence[int], *, under_grammar: bool
) -> tuple[TokenSet | None, ...]:
    """What the grammar allowed at each token of a reply and behind it; the reply is held against it in any case."""
    if source is None:
        return (None,) * (len(ids) + 1)
    grammar = vocabulary.grammar(source)
    state = grammar.start
    sets: list[TokenSet | None] = []
    for token_id in ids:
        sets.append(grammar.allowed(state) if under_grammar else None)
        state = grammar.advance(state, token_id)
        if not state:
            raise Unteachable("a reply cannot be said under the grammar that holds the model")
    if None not in state:
        raise Unteachable("a reply ends before its grammar does")
    return (*sets, grammar.allowed(state) if under_grammar else None)
