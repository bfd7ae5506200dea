"""Readings in lockstep with the engine's own loop, and what is recorded of them."""

import dataclasses
import math
import random
from collections.abc import Sequence

import pytest

from engine.agent.events import AnswerFinished, CallFinished, Purpose, Record
from engine.agent.memory import EMPTY, Memory, MemoryItem
from engine.agent.plan import default_config, make_plan
from engine.agent.prompts import STARTER
from engine.agent.reader import Reading, run_reading
from engine.evaluation.lists import EVALUATION_LISTS
from trainer.lists import TRAINING_LISTS
from trainer.rl.advantages import CreditKind
from trainer.rl.backend import TorchBackend
from trainer.rl.credits import give_credits
from trainer.rl.data import Conversation
from trainer.rl.decoding import Decoder
from trainer.rl.models import Policy
from trainer.rl.rewards import holds, outcome_reward, recall
from trainer.rl.rollouts import Job, Rollout, roll_out, run_seed
from trainer.rl.tasks import DataConfig, Needles, Task, make_document
from trainer.rl.update import Budget, Computing, score_all

HOT = 4.0


@pytest.fixture(scope="module")
def backend(starter: Policy) -> TorchBackend:
    return TorchBackend(starter, Decoder(starter.model, starter.vocabulary, cache_tokens=60_000))


def _job(backend: TorchBackend, task: Task) -> Job:
    config = default_config(backend, STARTER, chunk_tokens=100)
    plan = make_plan([task.document], task.question, config=config, prompts=STARTER, backend=backend)
    return Job(task=task, plan=plan)


def _jobs(backend: TorchBackend, count: int = 3) -> list[Job]:
    data = DataConfig(chunks=(1, 3), look_alikes=1, seed=4)
    source = Needles(TRAINING_LISTS, data, tokenize=backend.tokenize, chunk_tokens=100)
    return [_job(backend, source.task(number)) for number in range(count)]


@pytest.fixture(scope="module")
def jobs(backend: TorchBackend) -> list[Job]:
    return _jobs(backend)


@pytest.fixture(scope="module")
def rollouts(backend: TorchBackend, jobs: list[Job]) -> list[Rollout]:
    return roll_out(jobs, backend, group_size=3, temperature=HOT, seed_of=run_seed("test", 0))


class _Notes:
    def __init__(self) -> None:
        self.calls: list[CallFinished] = []

    def observe(self, record: Record) -> None:
        if isinstance(record.event, CallFinished):
            self.calls.append(record.event)


def test_a_greedy_rollout_is_what_the_engines_own_driver_reads(
    backend: TorchBackend, jobs: list[Job]
) -> None:
    found = roll_out(jobs, backend, group_size=1, temperature=0.0, seed_of=lambda *_: 0)
    for job, rollout in zip(jobs, found, strict=True):
        notes = _Notes()
        answer = run_reading(Reading(plan=job.plan, run_id="r", store=notes), backend)
        assert isinstance(answer, AnswerFinished)
        (trajectory,) = rollout.group.trajectories
        assert trajectory.answer == (answer.text if answer.answered else None)
        assert [talk.prompt_ids for talk in trajectory.conversations] == [
            call.completion.prompt_token_ids for call in notes.calls
        ]
        assert [(talk.purpose, talk.chunk_index) for talk in trajectory.conversations] == [
            (call.purpose, call.chunk_index) for call in notes.calls
        ]


def test_every_call_of_every_reading_is_recorded(jobs: list[Job], rollouts: list[Rollout]) -> None:
    for job, rollout in zip(jobs, rollouts, strict=True):
        assert len(rollout.group.trajectories) == 3
        for trajectory in rollout.group.trajectories:
            talks = trajectory.conversations
            assert [talk.turn for talk in talks] == list(range(len(talks)))
            chunks = [talk.chunk_index for talk in talks if talk.purpose == Purpose.READ]
            assert sorted({c for c in chunks if c is not None}) == list(range(len(job.plan.chunks)))
            assert len(trajectory.memory_tokens) == len(job.plan.chunks)
            assert trajectory.reward == outcome_reward(trajectory.answer, job.task.golds)
            assert all(talk.allowed[0] is not None for talk in talks), "every reply was held to a grammar"


def test_log_probabilities_come_back_from_what_is_recorded(starter: Policy, rollouts: list[Rollout]) -> None:
    talks = [talk for r in rollouts for t in r.group.trajectories for talk in t.conversations]
    scores = score_all(starter.model, talks, Computing(temperature=HOT), Budget(1024))
    for talk, values in zip(talks, scores, strict=True):
        assert values == pytest.approx(talk.rollout_logprobs, abs=1e-4)
    assert min(value for values in scores for value in values) < -0.5


def test_the_same_seeds_give_the_same_readings_alone_or_together(
    backend: TorchBackend, jobs: list[Job], rollouts: list[Rollout]
) -> None:
    (again,) = roll_out(jobs[1:2], backend, group_size=3, temperature=HOT, seed_of=run_seed("test", 0))
    replies = [[talk.reply for talk in t.conversations] for t in again.group.trajectories]
    assert replies == [[talk.reply for talk in t.conversations] for t in rollouts[1].group.trajectories]
    (other,) = roll_out(jobs[1:2], backend, group_size=3, temperature=HOT, seed_of=run_seed("test", 1))
    assert replies != [[talk.reply for talk in t.conversations] for t in other.group.trajectories]
    assert len({tuple(each) for each in replies}) > 1


def test_a_reading_that_fails_is_worth_nothing(backend: TorchBackend, jobs: list[Job]) -> None:
    # The window shrinks after planning, so that the loop's requests do not fit it any more.
    small = TorchBackend(backend.policy, backend.decoder, context_tokens=60)
    (rollout,) = roll_out(jobs[:1], small, group_size=2, temperature=1.0, seed_of=run_seed("t", 0))
    for trajectory in rollout.group.trajectories:
        assert "window" in trajectory.failure
        assert (trajectory.reward, trajectory.answer, trajectory.conversations) == (0.0, None, ())
    job = dataclasses.replace(jobs[0], task=dataclasses.replace(jobs[0].task, golds=()))
    (rollout,) = roll_out([job], small, group_size=2, temperature=1.0, seed_of=run_seed("t", 0))
    assert rollout.group.rewards == (0.0, 0.0), "to fail is not to say that the document does not say"


@pytest.mark.parametrize(
    ("answer", "golds", "reward"),
    [
        ("the Red Gate", [["red gate"]], 1.0),
        ("It is the red gate", [["red gate"]], 0.0),
        (r"so \boxed{blue}, no: \boxed{red gate}", [["red gate", "gate"]], 1.0),
        ("gate", [["red gate", "gate"]], 1.0),
        ("4417 and 19", [["4417"], ["19"], ["23"]], 2 / 3),
        ("441719", [["4417"], ["19"]], 0.0),
        (None, [["x"]], 0.0),
        (None, [], 1.0),
        ("x", [], 0.0),
    ],
)
def test_rewards(answer: str | None, golds: Sequence[Sequence[str]], reward: float) -> None:
    assert outcome_reward(answer, golds) == pytest.approx(reward)


def test_recall_counts_words_and_holding_counts_answers() -> None:
    assert recall("the gate of Harlow is blue", [["red gate"]]) == 0.5
    assert recall("gate", [["red gate", "gate"]]) == 1.0
    assert holds("codes: 4417, 19", [["4417"], ["23"]]) == 0.5


def _needle(backend: TorchBackend, num_sentences: int = 12) -> Job:
    sentences = ["The weather was fine on that day."] * num_sentences
    gold = "The access code of the Harlow gate is 4417."
    sentences[6] = gold
    task = Task(
        task_id="t",
        document=make_document("d", sentences),
        question="What is the access code of the Harlow gate?",
        golds=(("4417",),),
        evidence=(gold,),
    )
    return _job(backend, task)


def _chunk_of_the_code(job: Job) -> int:
    (index,) = [chunk.index for chunk in job.plan.chunks if "4417" in "".join(u.text for u in chunk.units)]
    return index


@pytest.mark.parametrize("kind", ["recall", "likelihood", "gate", "evidence"])
def test_credits_go_to_the_turn_that_found_the_evidence(backend: TorchBackend, kind: CreditKind) -> None:
    job = _needle(backend)
    rollouts = roll_out([job], backend, group_size=2, temperature=0.0, seed_of=lambda *_: 0)

    def scorer(talks: Sequence[Conversation]) -> list[float]:
        scores = score_all(backend.policy.model, talks, Computing(), Budget(1024))
        return [sum(values) / len(values) for values in scores]

    (group,) = give_credits(rollouts, [job], kind, backend, scorer)
    index = _chunk_of_the_code(job)
    assert len(job.plan.chunks) > 1
    for trajectory in group.trajectories:
        assert trajectory.reward == 1.0
        credits = {talk.chunk_index: talk.credit for talk in trajectory.conversations}
        assert credits.pop(None) is None, "the answer is judged by the outcome"
        assert all(value is not None and math.isfinite(value) for value in credits.values())
        if kind == "gate":
            assert set(credits.values()) == {1.0}
        else:
            best = credits[index]
            assert best == max(value for value in credits.values() if value is not None)
            assert best is not None
            assert best > 0.5
    (plain,) = give_credits(rollouts, [job], "none", backend, scorer)
    assert all(talk.credit is None for t in plain.trajectories for talk in t.conversations)


def test_the_credit_for_evidence_charges_what_was_taken_elsewhere(backend: TorchBackend) -> None:
    job = _needle(backend, num_sentences=24)
    assert len(job.plan.chunks) >= 3
    found = _chunk_of_the_code(job)
    plain, other = [chunk.index for chunk in job.plan.chunks if chunk.index != found][:2]
    noise, truth = MemoryItem("The weather was fine."), MemoryItem("The access code is 4417.")
    memories = (
        (plain, EMPTY, Memory((noise,))),
        (found, Memory((noise,)), Memory((noise, truth))),
        (other, Memory((noise, truth)), Memory((truth,))),
    )
    (rollout,) = roll_out([job], backend, group_size=1, temperature=0.0, seed_of=lambda *_: 0)
    seen = dataclasses.replace(rollout.observed[0], memories=memories)
    judged = dataclasses.replace(rollout, observed=(seen,))

    (group,) = give_credits([judged], [job], "evidence", backend, lambda _: [])
    credits = {talk.chunk_index: talk.credit for talk in group.trajectories[0].conversations}
    assert [credits[index] for index in (plain, found, other)] == [-1.0, 1.0, 0.0]


@pytest.mark.parametrize("kind", ["gate", "evidence"])
def test_without_known_evidence_nothing_is_charged(backend: TorchBackend, kind: CreditKind) -> None:
    job = _needle(backend)
    unknown = dataclasses.replace(job, task=dataclasses.replace(job.task, evidence=()))
    rollouts = roll_out([unknown], backend, group_size=1, temperature=0.0, seed_of=lambda *_: 0)
    (group,) = give_credits(rollouts, [unknown], kind, backend, lambda _: [])
    assert all(talk.credit is None for talk in group.trajectories[0].conversations)


def test_needles_are_functions_of_their_number(backend: TorchBackend) -> None:
    data = DataConfig(chunks=(1, 2, 4), unanswerable=0.3, seed=1)
    source = Needles(EVALUATION_LISTS, data, tokenize=backend.tokenize, chunk_tokens=128)
    tasks = [source.task(number) for number in range(30)]
    again = Needles(EVALUATION_LISTS, data, tokenize=backend.tokenize, chunk_tokens=128)
    order = list(range(30))
    random.Random(0).shuffle(order)
    assert all(again.task(number) == tasks[number] for number in order)
    for task in tasks:
        text = task.document.text
        for gold in task.golds:
            assert gold[0] in task.evidence[0]
            assert abs(text.index(task.evidence[0]) / len(text) - (task.position or 0)) < 0.35
        length = len(backend.tokenize(text)) / 128
        assert task.num_chunks - 1 < length < task.num_chunks + 0.3
    assert 3 <= sum(not task.golds for task in tasks) <= 16
    thirds = [int(3 * task.position) for task in tasks if task.position is not None]
    assert all(thirds.count(third) >= 4 for third in range(3))
