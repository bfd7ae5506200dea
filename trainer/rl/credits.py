"""Credits of single turns, for `AdvantageConfig.credit`.

    recall      answer words in the memory after the turn minus before        ReMemR1
    likelihood  log pi(answer | question, memory after) minus before, a token    InfoMem
    gate        1 if the memory changed exactly where the chunk holds evidence   GRU-Mem (arXiv 2602.10560)
    evidence    recall, less 1 where something was taken from a chunk that holds none    ours

Recall alone pays nothing for leaving other chunks be, and its readers take from more and more of them (docs/log.md).
The last two need to know where the evidence stands: an answered question without it has no credits.
Only calls that read a chunk have a credit; the final conversation is judged by the outcome alone. Where a chunk took
more than one call, the last of them made the memory and gets the credit.
"""

import dataclasses
import functools
import statistics
from collections.abc import Callable, Sequence

from engine.agent.events import Purpose
from engine.agent.memory import Memory
from engine.agent.plan import ReadingPlan
from engine.text import collapse_whitespace
from trainer.rl.advantages import CreditKind
from trainer.rl.backend import TorchBackend
from trainer.rl.data import Conversation, Group, Trajectory, with_credits
from trainer.rl.rewards import recall
from trainer.rl.rollouts import Job, Observed, Rollout
from trainer.rl.tasks import Task

Scorer = Callable[[Sequence[Conversation]], list[float]]
"""Mean log-probability a token of the responses of conversations."""


def give_credits(
    rollouts: Sequence[Rollout], jobs: Sequence[Job], kind: CreditKind, backend: TorchBackend, scorer: Scorer
) -> list[Group]:
    """The groups of the rollouts with a credit for every turn that has one.

    Args:
        rollouts: finished readings.
        jobs: what each was, in the same order.
        kind: which credit.
        backend: tokenizes answers, for `likelihood`.
        scorer: log-likelihoods under the policy, for `likelihood`.
    """
    if kind == "none":
        return [rollout.group for rollout in rollouts]
    groups = []
    for rollout, job in zip(rollouts, jobs, strict=True):
        likelihoods = functools.partial(_likelihoods, job=job, backend=backend, scorer=scorer)
        gains = _gains(rollout.observed, job, kind, likelihoods)
        trajectories = tuple(
            with_credits(each.trajectory, _by_conversation(each.trajectory, gain))
            for each, gain in zip(rollout.observed, gains, strict=True)
        )
        groups.append(dataclasses.replace(rollout.group, trajectories=trajectories))
    return groups


def _gains(
    observed: Sequence[Observed],
    job: Job,
    kind: CreditKind,
    likelihoods: Callable[[Sequence[Memory]], dict[Memory, float]],
) -> list[dict[int, float]]:
    """Credit by chunk index, for each reading."""
    task, plan = job.task, job.plan
    if kind in ("gate", "evidence") and task.golds and not task.evidence:
        return [{} for _ in observed]
    if kind == "gate":
        relevant = _relevant_chunks(plan, task)
        return [{i: float((a != b) == (i in relevant)) for i, b, a in each.memories} for each in observed]
    memories = {memory for each in observed for _, *pair in each.memories for memory in pair}
    if kind == "likelihood":
        value = likelihoods(sorted(memories, key=Memory.to_json))
    else:
        value = {memory: recall(memory.text, task.golds) for memory in memories}
    gains = [{i: value[after] - value[before] for i, before, after in each.memories} for each in observed]
    if kind != "evidence":
        return gains
    relevant = _relevant_chunks(plan, task)
    return [
        {i: gain[i] - float(i not in relevant and _took(b, a)) for i, b, a in each.memories}
        for gain, each in zip(gains, observed, strict=True)
    ]


def _took(before: Memory, after: Memory) -> bool:
    """Whether something is new; what is only dropped takes nothing from the chunk."""
    return not set(after.items) <= set(before.items)


def _relevant_chunks(plan: ReadingPlan, task: Task) -> set[int]:
    """Indexes of the chunks that hold evidence."""
    return {chunk.index for chunk in plan.chunks if _holds_evidence(plan, task, chunk.start, chunk.end)}


def _holds_evidence(plan: ReadingPlan, task: Task, start: int, end: int) -> bool:
    text = collapse_whitespace(plan.documents[0].text[start:end])
    return any(collapse_whitespace(quote).strip() in text for quote in task.evidence)


def _likelihoods(
    memories: Sequence[Memory], job: Job, backend: TorchBackend, scorer: Scorer
) -> dict[Memory, float]:
    """Best log-likelihood over the wordings, mean over the golds; 0 where there is no gold."""
    plan, golds = job.plan, job.task.golds
    if not golds:
        return dict.fromkeys(memories, 0.0)
    answers = [[_answer_ids(wording, plan, backend) for wording in wordings] for wordings in golds]
    talks = []
    for memory in memories:
        prompt = plan.prompts.final(plan.config.mode, question=plan.question, memory=memory.texts)
        ids = tuple(backend.encode(prompt))
        talks += [_answering(ids, answer) for wordings in answers for answer in wordings]
    values = iter(scorer(talks))
    return {
        memory: statistics.fmean(max(next(values) for _ in wordings) for wordings in answers)
        for memory in memories
    }


def _answer_ids(wording: str, plan: ReadingPlan, backend: TorchBackend) -> tuple[int, ...]:
    return (*backend.tokenize(plan.prompts.data(wording).text), min(backend.policy.vocabulary.end_ids))


def _answering(prompt_ids: tuple[int, ...], answer: tuple[int, ...]) -> Conversation:
    """A conversation that nobody drew: only its ids count."""
    return Conversation(
        prompt_ids=prompt_ids,
        response_ids=answer,
        rollout_logprobs=(0.0,) * len(answer),
        allowed=(None,) * len(answer),
        turn=0,
        finish_reason="stop",
        purpose=Purpose.ANSWER.value,
        chunk_index=None,
        max_tokens=len(answer),
    )


def _by_conversation(trajectory: Trajectory, gains: dict[int, float]) -> list[float | None]:
    last = {talk.chunk_index: talk.turn for talk in trajectory.conversations}
    return [
        gains.get(talk.chunk_index)
        if talk.chunk_index is not None and last[talk.chunk_index] == talk.turn
        else None
        for talk in trajectory.conversations
    ]
