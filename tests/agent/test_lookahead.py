"""Reading ahead on a guess gives what reading one by one gives; several questions in one pass too."""

import dataclasses
import random
import re
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.agent.config import Mode, ReadingConfig
from engine.agent.events import (
    AnswerFinished,
    CallFinished,
    ChunkFinished,
    ChunkStarted,
    GuessFailed,
    Incident,
    Outcome,
    Purpose,
)
from engine.agent.loop import Start
from engine.agent.plan import ReadingPlan, make_plans
from engine.agent.prompts import STANDARD, PromptSet
from engine.agent.reader import Reading, run_reading, run_readings
from engine.backends.base import Backend, Request
from engine.backends.scripted import ScriptedBackend
from engine.errors import GenerationError
from tests.agent.building import Recorder, document_of, plan_of

COLOURS = ["red", "green", "blue", "brown"]
QUESTIONS = [f"What is {colour}?" for colour in COLOURS]
NAMES_SENTENCES = dataclasses.replace(STANDARD, joint_names_sentences=True, joint_item="{label} {text}\n")
"""A set whose joint gate does not tell one question from another."""


def pages_with(places: dict[int, str], count: int = 24) -> list[str]:
    """Pages of one sentence each; those with a colour say what has it."""
    return [
        f"Thing {number} is {places[number]}." if number in places else f"Page {number} says little."
        for number in range(count)
    ]


def text_of(request: Request) -> str:
    return "".join(segment.text for segment in request.prompt)


def reply(request: Request) -> str:
    """A reader that keeps what it has and adds every sentence with the colour asked for."""
    text = text_of(request)
    if "<problems>" in text:
        asked = re.findall(r"Q(\d+) What is (\w+)\?", text)
        section = text.split("<section>")[1]
        if labels := re.findall(r"(S\d+) (.*)", section):
            held = [label for label, sentence in labels if any(f"is {c}." in sentence for _, c in asked)]
            return "".join(held[:1]) or "none"
        return " ".join(f"Q{number}" for number, colour in asked if f"is {colour}." in section) or "none"
    question = re.search(r"What is (\w+)\?", text)
    assert question is not None
    if "<section>" not in text:
        return text.split("<memory>")[1].split("</memory>")[0].strip() or "nothing"
    memory, section = text.split("<memory>")[1].split("<section>")
    new = re.findall(rf"(S\d+) Thing \d+ is {question[1]}\.", section)
    return " ".join([*re.findall(r"M\d+", memory), *new]) if new else "none"


def scripted() -> ScriptedBackend:
    return ScriptedBackend(reply)


def plan_with(backend: Backend, places: dict[int, str]) -> ReadingPlan:
    return plan_of(backend, pages_with(places), question=QUESTIONS[0], chunk_tokens=16, memory_tokens=400)


def read(plan: ReadingPlan, backend: Backend, lookahead: int, start: Start | None = None) -> Recorder:
    store = Recorder()
    run_reading(Reading(plan=plan, run_id="r", store=store, start=start), backend, lookahead=lookahead)
    return store


def essence(store: Recorder) -> list[object]:
    """What a trace keeps, but for times and how much of a prompt was cached."""
    kept: list[object] = []
    for event in store.events:
        if isinstance(event, CallFinished):
            kept.append((event.chunk_index, event.purpose, event.prompt, event.completion.token_ids))
        else:
            kept.append(event)
    return kept


@settings(deadline=None, max_examples=30)
@given(st.sets(st.integers(0, 23), max_size=8), st.integers(2, 9))
def test_reading_ahead_changes_nothing(places: set[int], lookahead: int) -> None:
    backend = scripted()
    plan = plan_with(backend, dict.fromkeys(places, "red"))
    assert len(plan.chunks) > 8
    one_by_one = read(plan, backend, 1)
    ahead = read(plan, backend, lookahead)
    assert essence(ahead) == essence(one_by_one)
    assert [record.sequence for record in ahead.records] == list(range(len(ahead.records)))


def test_ahead_reads_in_batches_and_says_what_was_in_vain() -> None:
    batches: list[int] = []

    class Counting(ScriptedBackend):
        def generate(self, requests: Sequence[Request], **options: object):  # type: ignore[no-untyped-def]
            batches.append(len(requests))
            return super().generate(requests, **options)  # type: ignore[arg-type]

    backend = Counting(reply)
    plan = plan_with(backend, {9: "red"})
    seen = Recorder()
    reading = Reading(plan=plan, run_id="r", store=Recorder(), displays=[seen])
    run_reading(reading, backend, lookahead=8)
    assert batches[:4] == [1, 2, 4, 8]
    (failed,) = seen.of(GuessFailed)
    assert failed.num_chunks > 0
    assert failed.prompt_tokens > 0
    changed = next(e for e in seen.of(ChunkFinished) if e.outcome is Outcome.UPDATED)
    assert failed.chunk_index == changed.chunk_index
    assert sum(batches) == len(plan.chunks) + failed.num_chunks + 1
    assert [e.chunk_index for e in seen.of(ChunkStarted)] == [chunk.index for chunk in plan.chunks]


def test_the_faithful_mode_never_guesses() -> None:
    backend = ScriptedBackend(lambda request: "A memory.")
    plan = plan_of(backend, pages_with({}), mode=Mode.FAITHFUL, chunk_tokens=16)
    seen = Recorder()
    run_reading(Reading(plan=plan, run_id="r", store=Recorder(), displays=[seen]), backend, lookahead=8)
    assert not seen.of(GuessFailed)


def test_an_unusable_reply_does_not_end_the_guess() -> None:
    calls: list[Request] = []

    def sometimes(request: Request) -> str:
        calls.append(request)
        return (
            "what?" if request.sampling.temperature == 0 and "Page 5" in text_of(request) else reply(request)
        )

    backend = ScriptedBackend(sometimes, checks_grammar=False)
    plan = plan_with(backend, {20: "red"})
    ahead, one_by_one = read(plan, backend, 6), read(plan, backend, 1)
    assert essence(ahead) == essence(one_by_one)
    assert len(ahead.of(Incident)) == 1


def plans_of(
    backend: Backend,
    places: dict[int, str],
    *,
    is_joint: bool = True,
    count: int = 24,
    prompts: PromptSet = STANDARD,
) -> list[ReadingPlan]:
    config = ReadingConfig(mode=Mode.EXTRACTIVE, chunk_tokens=16, memory_tokens=400, answer_tokens=60)
    return make_plans(
        [document_of(pages_with(places, count))],
        QUESTIONS,
        config=config,
        prompts=prompts,
        backend=backend,
        is_joint=is_joint,
    )


def read_all(
    plans: Sequence[ReadingPlan], backend: Backend, lookahead: int = 1, starts: Sequence[int] = ()
) -> tuple[list[AnswerFinished | GenerationError], list[Recorder]]:
    stores = [Recorder() for _ in plans]
    readings = [
        Reading(
            plan=plan,
            run_id=f"r{number}",
            store=store,
            start=Start(next_chunk=starts[number]) if starts else None,
        )
        for number, (plan, store) in enumerate(zip(plans, stores, strict=True))
    ]
    return run_readings(readings, backend, lookahead=lookahead), stores


@pytest.mark.parametrize("lookahead", [1, 4])
@pytest.mark.parametrize("is_joint", [True, False])
@pytest.mark.parametrize("prompts", [STANDARD, NAMES_SENTENCES])
def test_questions_in_one_pass_are_answered_as_if_alone(
    lookahead: int, is_joint: bool, prompts: PromptSet
) -> None:
    rng = random.Random(3)
    places = {number: rng.choice(COLOURS) for number in rng.sample(range(24), 12)}
    backend = scripted()
    alone = [read(plan, backend, 1) for plan in plans_of(backend, places, is_joint=False)]
    backend = scripted()
    plans = plans_of(backend, places, is_joint=is_joint, prompts=prompts)
    outcomes, stores = read_all(plans, backend, lookahead)
    for outcome, store, single in zip(outcomes, stores, alone, strict=True):
        assert outcome == single.of(AnswerFinished)[0]
        memories = [event.memory_after for event in store.of(ChunkFinished)]
        assert memories == [event.memory_after for event in single.of(ChunkFinished)]
        receipts = [event.receipt for event in store.of(ChunkFinished)]
        assert all(r.accepted_tokens == r.planned_tokens for r in receipts)
        assert all(record.run_id == store.records[0].run_id for record in store.records)


def test_the_joint_gate_is_asked_once_for_all() -> None:
    backend = scripted()
    plans = plans_of(backend, {7: "red", 15: "blue"})
    _, stores = read_all(plans, backend, lookahead=3)
    gates = [request for request in backend.requests if "<problems>" in text_of(request)]
    assert len(gates) == len(plans[0].chunks)
    reads = [request for request in backend.requests if "<section>" in text_of(request)]
    assert len(reads) == len(gates) + 2
    for store in stores:
        calls = store.of(CallFinished)
        assert sum(call.purpose is Purpose.GATE for call in calls) == len(gates)


def test_a_gate_that_names_a_sentence_admits_the_chunk_for_every_question() -> None:
    backend = scripted()
    plans = plans_of(backend, {7: "red", 15: "blue"}, prompts=NAMES_SENTENCES)
    read_all(plans, backend, lookahead=3)
    gates = [request for request in backend.requests if "<problems>" in text_of(request)]
    reads = [request for request in backend.requests if "<section>" in text_of(request)]
    assert len(reads) == len(gates) + 2 * len(QUESTIONS)


def test_readings_that_begin_at_different_chunks_meet() -> None:
    backend = scripted()
    plans = plans_of(backend, {3: "red", 20: "brown"})
    outcomes, stores = read_all(plans, backend, lookahead=4, starts=[0, 5, 9, 0])
    assert [isinstance(outcome, AnswerFinished) and outcome.answered for outcome in outcomes] == [
        True,
        False,
        False,
        True,
    ]
    gates = [request for request in backend.requests if "<problems>" in text_of(request)]
    assert len(gates) == len(plans[0].chunks)
    assert len(stores[2].of(ChunkFinished)) == len(plans[0].chunks) - 9


def test_an_unusable_gate_lets_everybody_read() -> None:
    def silent_gate(request: Request) -> str:
        return "maybe" if "<problems>" in text_of(request) else reply(request)

    backend = ScriptedBackend(silent_gate, checks_grammar=False)
    plans = plans_of(backend, {2: "red"}, count=6)
    outcomes, stores = read_all(plans, backend)
    assert isinstance(outcomes[0], AnswerFinished)
    assert outcomes[0].answered
    assert all(len(store.of(Incident)) == len(plans[0].chunks) for store in stores)


def test_one_failing_answer_leaves_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def mute_for_red(request: Request) -> str:
        text = text_of(request)
        return "" if "<section>" not in text and "What is red?" in text else reply(request)

    backend = ScriptedBackend(mute_for_red, checks_grammar=False)
    outcomes, _ = read_all(plans_of(backend, dict.fromkeys(range(4), "red") | {9: "blue"}), backend)
    assert isinstance(outcomes[0], GenerationError)
    assert isinstance(outcomes[2], AnswerFinished)
    assert outcomes[2].answered


def test_many_questions_are_spread_over_gates() -> None:
    backend = scripted()
    questions = [f"What is {number}?" for number in range(40)]
    config = ReadingConfig(mode=Mode.EXTRACTIVE, chunk_tokens=60, memory_tokens=60, answer_tokens=60)
    plans = make_plans(
        [document_of(pages_with({}))], questions, config=config, prompts=STANDARD, backend=backend
    )
    groups = {plan.spec.companions for plan in plans}
    assert sorted(map(len, groups)) == [13, 13, 14]
    assert all(plan.question in plan.spec.companions for plan in plans)
    assert all(plan.chunks is plans[0].chunks for plan in plans)
