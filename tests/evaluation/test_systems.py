"""The reader and its baselines with the bundled model, and what happens when a model gives nothing usable."""

import dataclasses

import pytest

from engine.agent.config import Mode, ReadingConfig
from engine.agent.prompts import STANDARD, PromptSet
from engine.backends.base import Backend, Request
from engine.backends.scripted import ScriptedBackend
from engine.cancel import Cancelled, CancelToken
from engine.errors import PlanError
from engine.evaluation.haystack import TokenCounter
from engine.evaluation.items import Item
from engine.evaluation.scoring import score
from engine.evaluation.systems import ChunksAlone, Outcome, System, bm25, full_context, oracle, reader
from engine.evaluation.tasks.base import Materials
from engine.evaluation.tasks.needles import NeedleTask
from tests.evaluation.test_question_file import TEXT


def answers(system: System, items: list[Item]) -> list[Outcome]:
    """What came of each item; every one of them once."""
    found: dict[int, Outcome] = {}

    def keep(number: int, outcome: Outcome) -> None:
        assert number not in found
        found[number] = outcome

    system.answer(items, keep, CancelToken())
    return [found[number] for number in range(len(items))]


def right(items: list[Item], outcomes: list[Outcome]) -> int:
    return sum(
        score(one.answer, [gold.answers for gold in item.golds]).em == 1
        for item, one in zip(items, outcomes, strict=True)
    )


@pytest.fixture(scope="module")
def items(materials: Materials) -> list[Item]:
    task = NeedleTask(name="needle", materials=materials)
    return [task.item(1_500, index) for index in range(6)]


def test_the_reader_finds_most_needles_side_by_side_as_alone(
    backend: Backend, prompts: PromptSet, config: ReadingConfig, items: list[Item]
) -> None:
    system = reader(backend, prompts, config, side_by_side=6)
    together = answers(system, items)
    assert right(items, together) >= 4
    for one, item in zip(together, items, strict=True):
        assert one.status == "answered"
        assert one.num_chunks == one.chunks.total == len(system.plan(item).chunks)
        assert one.chunks.evidence >= 1
        assert one.wall_s > 0
        assert one.in_memory == (one.chunks.missed == 0 and one.chunks.lost == 0,)
    alone = answers(system, items[:1])[0]
    assert dataclasses.replace(alone, wall_s=0.0) == dataclasses.replace(together[0], wall_s=0.0)


def test_bm25_reads_only_what_it_looked_up(
    backend: Backend, prompts: PromptSet, config: ReadingConfig, items: list[Item]
) -> None:
    outcomes = answers(bm25(backend, prompts, config, num_chunks=2), items)
    # Fewer where no other chunk shares a word with the question.
    assert all(1 <= one.num_chunks == one.chunks.total <= 2 for one in outcomes)
    assert right(items, outcomes) >= 4
    assert (
        bm25(backend, prompts, dataclasses.replace(config, mode=Mode.PARALLEL)).config.mode is Mode.EXTRACTIVE
    )


def test_the_oracle_reads_the_chunks_with_the_evidence_and_no_other(
    backend: Backend, prompts: PromptSet, config: ReadingConfig, items: list[Item]
) -> None:
    said_nowhere = dataclasses.replace(items[0], item_id="nowhere", golds=())
    *outcomes, nothing = answers(oracle(backend, prompts, config), [*items, said_nowhere])
    assert all(1 <= one.num_chunks == one.chunks.evidence == one.chunks.total <= 2 for one in outcomes)
    assert right(items, outcomes) >= 4
    assert (nothing.status, nothing.answer, nothing.num_chunks) == ("answered", None, 0)
    for other in ({"mode": Mode.PARALLEL, "recall_chunks": 0}, {"recall_chunks": 2}):
        other_config = dataclasses.replace(config, **other)
        assert oracle(backend, prompts, other_config).config == dataclasses.replace(config, recall_chunks=0)


def test_no_oracle_where_nothing_says_where_the_evidence_is(
    backend: Backend, prompts: PromptSet, config: ReadingConfig, items: list[Item]
) -> None:
    golds = tuple(dataclasses.replace(gold, evidence=()) for gold in items[1].golds)
    unknown = dataclasses.replace(items[1], golds=golds)
    with pytest.raises(PlanError, match=f"where the evidence of '{unknown.item_id}' stands") as caught:
        oracle(backend, prompts, config).answer(
            [items[0], unknown], lambda *_: pytest.fail("read"), CancelToken()
        )
    assert '"quote"' in caught.value.hint


def test_the_full_context_is_one_prompt_where_it_fits(materials: Materials, items: list[Item]) -> None:
    asked: list[Request] = []

    def reply(request: Request) -> str:
        asked.append(request)
        return items[0].golds[0].answers[0]

    script = ScriptedBackend(reply, context_tokens=8192)
    config = ReadingConfig(mode=Mode.FAITHFUL, chunk_tokens=500, memory_tokens=200, answer_tokens=100)
    (outcome,) = answers(full_context(script, STANDARD, config), items[:1])
    assert (outcome.status, outcome.answer) == ("answered", items[0].golds[0].answers[0])
    (request,) = asked
    whole = " ".join(segment.text for segment in request.prompt)
    assert items[0].document.text in whole
    assert items[0].question in whole
    small = ScriptedBackend(reply, context_tokens=1_400)
    (refused,) = answers(
        full_context(small, STANDARD, dataclasses.replace(config, chunk_tokens=100)), items[:1]
    )
    assert (refused.status, refused.answer, len(asked)) == ("does not fit", None, 1)


def test_chunks_alone_see_no_memory(
    backend: Backend, prompts: PromptSet, config: ReadingConfig, materials: Materials
) -> None:
    task = NeedleTask(name="needle-multikey", materials=materials, look_alikes=3)
    item = task.item(3_000, 1)
    (outcome,) = answers(ChunksAlone(backend, prompts, config), [item])
    assert (
        outcome.chunks.total == outcome.num_chunks == len(reader(backend, prompts, config).plan(item).chunks)
    )
    assert outcome.chunks.evidence >= 1
    assert outcome.chunks.look_alikes >= 1
    assert outcome.chunks.plain_alarms <= 1
    assert outcome.chunks.lost == 0


def test_an_unusable_answer_is_a_failed_outcome_and_the_others_go_on(items: list[Item]) -> None:
    def reply(request: Request) -> str:
        text = " ".join(segment.text for segment in request.prompt)
        if "Answer:" not in text:
            return "something was found"
        return "" if items[0].question in text else "an answer"

    config = ReadingConfig(mode=Mode.FAITHFUL, chunk_tokens=500, memory_tokens=200, answer_tokens=100)
    first, second = answers(reader(ScriptedBackend(reply), STANDARD, config, side_by_side=2), items[:2])
    assert (first.status, first.answer) == ("failed", None)
    assert "no usable answer" in first.error
    assert (second.status, second.answer) == ("answered", "an answer")


def test_a_question_over_its_budget_fails_alone_and_settings_that_do_not_fit_fail_at_once(
    backend: Backend, prompts: PromptSet, config: ReadingConfig, items: list[Item]
) -> None:
    long = dataclasses.replace(items[0], question="Which " + "very " * 400 + "long one?")
    first, second = answers(reader(backend, prompts, config, side_by_side=2), [long, items[1]])
    assert first.status == "failed"
    assert "tokens" in first.error
    assert second.status == "answered"
    with pytest.raises(PlanError, match="window"):
        reader(backend, prompts, dataclasses.replace(config, chunk_tokens=100_000))


def test_cancel(backend: Backend, prompts: PromptSet, config: ReadingConfig, items: list[Item]) -> None:
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        reader(backend, prompts, config).answer(items, lambda *_: pytest.fail("ended"), token)


def test_identity_tells_apart_what_answers_differently(
    backend: Backend, prompts: PromptSet, config: ReadingConfig
) -> None:
    others = [
        reader(backend, prompts, config),
        reader(backend, prompts, dataclasses.replace(config, chunk_tokens=128)),
        bm25(backend, prompts, config),
        bm25(backend, prompts, config, num_chunks=3),
        oracle(backend, prompts, config),
        full_context(backend, prompts, config),
        reader(ScriptedBackend([]), STANDARD, dataclasses.replace(config, mode=Mode.FAITHFUL)),
    ]
    assert len({repr(sorted(one.identity.items())) for one in others}) == len(others)


def test_the_counter_tells_tokenizers_apart(backend: Backend) -> None:
    own = TokenCounter(backend.tokenize)
    assert own.tokenizer_hash == TokenCounter(backend.tokenize).tokenizer_hash
    assert own.tokenizer_hash != TokenCounter(ScriptedBackend([]).tokenize).tokenizer_hash
    assert own.count(TEXT) == len(backend.tokenize(TEXT))
