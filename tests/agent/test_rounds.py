"""The parallel mode, and what is recalled before the answer."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.agent.config import Mode, ReadingConfig
from engine.agent.coverage import PlannedChunk, certify
from engine.agent.events import AnswerFinished, CallFinished, ChunkFinished, Incident, Outcome, Purpose
from engine.agent.loop import Start
from engine.agent.plan import ReadingPlan, make_plans, new_tokens
from engine.agent.prompts import STANDARD
from engine.agent.reader import Reading, run_reading
from engine.agent.recall import best_chunks
from engine.agent.rounds import round_start
from engine.backends.base import Backend, Request
from engine.backends.scripted import ScriptedBackend
from engine.errors import PlanError
from tests.agent.building import Recorder, document_of, plan_of
from tests.agent.test_lookahead import QUESTIONS, essence, pages_with, reply, scripted, text_of


def parallel_plan(backend: Backend, places: dict[int, str], *, memory_tokens: int = 400) -> ReadingPlan:
    return plan_of(
        backend,
        pages_with(places, 12),
        mode=Mode.PARALLEL,
        question=QUESTIONS[0],
        chunk_tokens=16,
        memory_tokens=memory_tokens,
    )


def read(plan: ReadingPlan, backend: Backend, width: int = 4, start: Start | None = None) -> Recorder:
    store = Recorder()
    run_reading(Reading(plan=plan, run_id="r", store=store, start=start), backend, lookahead=width)
    return store


def test_rounds_end_when_one_adds_nothing() -> None:
    backend = scripted()
    plan = parallel_plan(backend, {3: "red", 8: "red"})
    length = sum(not chunk.is_repeat for chunk in plan.chunks)
    assert len(plan.chunks) == 3 * length
    store = read(plan, backend)
    finished = store.of(ChunkFinished)
    assert [event.chunk_index for event in finished] == list(range(2 * length))
    assert finished[-1].memory_after.texts == ("Thing 3 is red.", "Thing 8 is red.")
    assert sum(event.outcome is Outcome.UPDATED for event in finished) == 2
    assert store.of(AnswerFinished)[0].answered
    first = [request for request in backend.requests[:length]]
    assert all("(nothing has been found yet)" in text_of(request) for request in first)


def test_nothing_found_is_one_round() -> None:
    backend = scripted()
    plan = parallel_plan(backend, {})
    assert len(read(plan, backend).of(ChunkFinished)) * 3 == len(plan.chunks)


@settings(deadline=None, max_examples=25)
@given(st.sets(st.integers(0, 11), max_size=5), st.integers(1, 5), st.integers(0, 35))
def test_a_stopped_reading_goes_on_as_if_it_had_not_stopped(places: set[int], width: int, stop: int) -> None:
    backend = scripted()
    plan = parallel_plan(backend, dict.fromkeys(places, "red"))
    whole = read(plan, backend, 1)
    finished = whole.of(ChunkFinished)
    stop = min(stop, len(finished))
    start = Start()
    if stop:
        first = round_start(plan, stop)
        assert first is not None
        start = Start(
            next_chunk=stop,
            memory=finished[stop - 1].memory_after,
            shown=finished[first].memory_before,
        )
    rest = read(plan, backend, width, start)
    memories = [event.memory_after for event in finished[stop:]]
    assert [event.memory_after for event in rest.of(ChunkFinished)] == memories
    assert rest.of(AnswerFinished)[0].text == whole.of(AnswerFinished)[0].text


def test_what_does_not_fit_is_chosen_by_the_model_within_the_window() -> None:
    def keep_the_new(request: Request) -> str:
        text = text_of(request)
        if "M2 " in text and "<section>" in text and "Page" not in text.split("<section>")[1]:
            return "M2 S1"
        return reply(request)

    backend = ScriptedBackend(keep_the_new, context_tokens=730)
    plan = parallel_plan(backend, {2: "red", 5: "red", 9: "red"}, memory_tokens=20)
    store = read(plan, backend)
    merges = [call for call in store.of(CallFinished) if call.purpose is Purpose.MERGE]
    assert merges
    window = backend.info.context_tokens
    assert all(len(call.completion.prompt_token_ids) < window for call in store.of(CallFinished))
    for event in store.of(ChunkFinished):
        assert sum(plan.item_tokens(text) for text in event.memory_after.texts) <= 20
    assert "Thing 9 is red." in store.of(ChunkFinished)[11].memory_after.texts


def test_an_unusable_reply_is_asked_again_and_then_left() -> None:
    def broken(request: Request) -> str:
        return "?" if "Page 4" in text_of(request) else reply(request)

    backend = ScriptedBackend(broken, checks_grammar=False)
    plan = parallel_plan(backend, {3: "red"})
    store = read(plan, backend)
    assert [event.outcome for event in store.of(ChunkFinished)].count(Outcome.KEPT_AFTER_FAILURE) == 2
    assert len(store.of(Incident)) == 4


def test_repeats_prove_nothing_further() -> None:
    backend = scripted()
    plan = parallel_plan(backend, {3: "red"})
    store = read(plan, backend)
    planned = [
        PlannedChunk(
            index=chunk.index,
            document=chunk.document,
            first_page=chunk.first_page,
            last_page=chunk.last_page,
            tokens=new_tokens(chunk),
        )
        for chunk in plan.chunks
    ]
    receipts = {event.chunk_index: event.receipt for event in store.of(ChunkFinished)}
    certificate = certify(plan.documents, planned, receipts)
    assert certificate.is_complete
    assert certificate.chunks * 3 == len(plan.chunks)
    del receipts[3]
    assert not certify(plan.documents, planned, receipts).is_complete


def recall_plans(backend: Backend, pages: list[str], questions: list[str], count: int) -> list[ReadingPlan]:
    config = ReadingConfig(
        mode=Mode.EXTRACTIVE, chunk_tokens=16, memory_tokens=400, answer_tokens=60, recall_chunks=count
    )
    return make_plans([document_of(pages)], questions, config=config, prompts=STANDARD, backend=backend)


def test_recall_finds_what_was_forgotten() -> None:
    """A reader that overlooks the fact at first sight sees it when the chunk is shown again."""
    seen: list[str] = []

    def second_sight(request: Request) -> str:
        text = text_of(request)
        if "Thing 6 is red." in text and "<section>" in text:
            seen.append(text)
            if len(seen) == 1:
                return "none"
        return reply(request)

    pages = pages_with({6: "red"}, 12)
    for count, answered in ((0, False), (2, True)):
        seen.clear()
        backend = ScriptedBackend(second_sight)
        (plan,) = recall_plans(backend, pages, QUESTIONS[:1], count)
        store = read(plan, backend, 1)
        assert len(store.of(ChunkFinished)) == len(plan.chunks)
        assert sum(chunk.is_repeat for chunk in plan.chunks) == bool(count)  # no other chunk is red
        assert store.of(AnswerFinished)[0].answered is answered


def test_each_question_recalls_its_own() -> None:
    backend = scripted()
    questions = ["Where is the walrus?", "Where is the puffin?"]
    pages = ["Nothing.", "A walrus sleeps here.", "Nothing at all.", "Two puffins fly.", "Less."]
    plans = recall_plans(backend, pages, questions, 1)
    recalled = [plan.chunks[-1].units[0].text for plan in plans]
    assert "walrus" in recalled[0]
    assert "puffins" in recalled[1]
    assert plans[0].spec.plan_hash != plans[1].spec.plan_hash
    assert plans[0].spec.companions == tuple(questions)
    (plan, _) = recall_plans(backend, pages_with({6: "red", 9: "red"}, 12), QUESTIONS[:2], 2)
    assert essence(read(plan, backend, 3)) == essence(read(plan, backend, 1))


def test_search_is_by_stems_and_rare_words_and_survives_any_text() -> None:
    backend = scripted()
    rng = random.Random(1)
    pages = [f"The page {rng.choice(['one', 'two'])} of the book." for _ in range(30)]
    pages[7] = "Several \ud800 lanterns were lit."
    plan = plan_of(backend, pages, chunk_tokens=16)
    (place,) = best_chunks(plan.chunks, 'Who lit the "lantern" of the book?', 1)
    assert "lanterns" in plan.chunks[place].units[0].text
    assert best_chunks(plan.chunks, "?!", 3) == []
    assert best_chunks(plan.chunks, "lantern", 0) == []
    assert best_chunks((), "lantern", 3) == []


def test_recall_and_rounds_exclude_each_other() -> None:
    with pytest.raises(PlanError, match="reads everything again"):
        ReadingConfig(mode=Mode.PARALLEL, chunk_tokens=16, memory_tokens=16, recall_chunks=2)
    with pytest.raises(PlanError, match="rounds"):
        ReadingConfig(mode=Mode.PARALLEL, chunk_tokens=16, memory_tokens=16, rounds=0)
