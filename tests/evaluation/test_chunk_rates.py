"""Chunks are judged by where their memory comes from; predictions against values worked out by hand."""

import pytest

from engine.agent.config import Mode
from engine.agent.events import ChunkFinished, Outcome, Receipt, Record
from engine.agent.memory import EMPTY, Memory, MemoryItem
from engine.backends.scripted import ScriptedBackend
from engine.documents.model import Span
from engine.evaluation.chunk_rates import ChunkCounts, ChunkWatch, predict, total
from engine.evaluation.items import Gold, Item, Place
from tests.agent.building import plan_of

PAGES = [" ".join(f"Sentence {n} of the long text says very little." for n in range(20))]
GOLD, ALIKE = "Sentence 9", "Sentence 15"


def watch_of(mode: Mode = Mode.EXTRACTIVE) -> tuple[ChunkWatch, Item, list[int]]:
    """A watch, its item, and the chunks with evidence, with a look-alike, and one that is plain."""
    plan = plan_of(ScriptedBackend([]), PAGES, mode=mode)
    document = plan.documents[0]
    start, alike = document.text.index(GOLD), document.text.index(ALIKE)
    place = Place(start, start + len(GOLD))
    item = Item(
        item_id="x",
        question="?",
        golds=(Gold(answers=(GOLD,), evidence=(place,)),),
        document=document,
        num_tokens=100,
        look_alikes=(Place(alike, alike + 5),),
    )
    chunks = [
        next(chunk.index for chunk in plan.chunks if chunk.start <= at < chunk.end)
        for at in (start, alike, 0)
    ]
    assert len(set(chunks)) == 3
    return ChunkWatch(plan, item), item, chunks


def finished(chunk: int, before: Memory, after: Memory) -> Record:
    event = ChunkFinished(
        chunk_index=chunk,
        memory_before=before,
        memory_after=after,
        outcome=Outcome.UPDATED,
        receipt=Receipt(planned_tokens=1, accepted_tokens=1),
    )
    return Record(run_id="r", sequence=0, event=event)


def picked(start: int, text: str = "words") -> MemoryItem:
    return MemoryItem(text, Span(document=0, start=start, end=start + 20))


def test_extractive_memories_are_judged_by_the_place_of_their_sentences() -> None:
    watch, item, (evidence, alike, plain) = watch_of()
    truth = Memory((picked(item.evidence[0].start),))
    # Sentence 9's words from another place are not the evidence.
    false = Memory((picked(0, GOLD),))
    watch.observe(finished(evidence, EMPTY, truth))
    watch.observe(finished(evidence, EMPTY, false))
    watch.observe(finished(evidence, EMPTY, EMPTY))
    watch.observe(finished(alike, truth, truth))
    watch.observe(finished(alike, EMPTY, false))
    watch.observe(finished(plain, EMPTY, false))
    watch.observe(finished(plain, truth, false))
    watch.observe(finished(plain, false, false))
    assert watch.counts == ChunkCounts(
        evidence=3, missed=2, look_alikes=2, look_alike_alarms=1, plain=3, plain_alarms=2, lost=1
    )
    assert watch.found() == (False,)
    watch.observe(finished(plain, truth, truth))
    assert watch.found() == (True,)


def test_evidence_may_be_thrown_out_by_other_evidence() -> None:
    watch, item, (evidence, alike, _) = watch_of()
    second = Place(item.look_alikes[0].start, item.look_alikes[0].end)
    watch._evidence = (*item.evidence, second)
    first, both = picked(item.evidence[0].start), picked(second.start)
    watch.observe(finished(evidence, EMPTY, Memory((first,))))
    watch.observe(finished(alike, Memory((first,)), Memory((both,))))
    assert watch.counts == ChunkCounts(evidence=2, lost=1)


def test_free_memories_are_judged_by_what_they_say() -> None:
    watch, _, (evidence, _, plain) = watch_of(Mode.FAITHFUL)
    truth, other = Memory((MemoryItem("It is sentence 9."),)), Memory((MemoryItem("Nothing yet."),))
    watch.observe(finished(evidence, other, truth))
    watch.observe(finished(evidence, other, other))
    # Every chunk rewrites a free memory: only what does harm counts.
    watch.observe(finished(plain, other, truth))
    watch.observe(finished(plain, truth, other))
    assert watch.counts == ChunkCounts(evidence=2, missed=1, plain=2, plain_alarms=1, lost=1)


def test_nothing_is_judged_where_the_evidence_is_not_known() -> None:
    watch, item, (evidence, _, _) = watch_of()
    bare = Item(
        item_id="y", question="?", golds=(Gold(answers=("words",)),), document=item.document, num_tokens=1
    )
    watch._item, watch._evidence = bare, bare.evidence
    watch.observe(finished(evidence, EMPTY, Memory((picked(0),))))
    assert watch.counts.total == 0
    assert watch.found() == (True,)


def test_prediction() -> None:
    rates = ChunkCounts(
        evidence=100, missed=10, look_alikes=50, look_alike_alarms=10, plain=1_000, plain_alarms=1
    )
    # Two readings with 1 evidence chunk, 3 look-alikes and 100 plain chunks each.
    read = ChunkCounts(evidence=2, look_alikes=6, plain=200)
    found = predict(rates, answer=0.95, chunks=read, num_readings=2)
    assert found.upper == pytest.approx(0.9 * 0.95)
    assert found.lower == pytest.approx(0.9 * 0.95 * 0.8**3 * 0.999**100)
    # Eight of ten false alarms are gone, and a long document still falls by its plain chunks alone.
    long = predict(rates, answer=1.0, chunks=ChunkCounts(evidence=1, plain=4_000))
    assert long.lower == pytest.approx(0.9 * 0.999**4_000)


def test_counts_add_up_and_have_intervals() -> None:
    one = ChunkCounts(
        evidence=2, missed=1, look_alikes=3, look_alike_alarms=1, plain=5, plain_alarms=2, lost=1
    )
    both = total([one, one])
    assert both.total == 20
    values = both.as_dict()
    assert (values["missed"]["count"], values["missed"]["total"]) == (2, 4)
    assert (values["false_alarms"]["count"], values["false_alarms"]["total"]) == (6, 16)
    assert (values["evidence_lost"]["count"], values["evidence_lost"]["total"]) == (2, 20)
    assert values["missed"]["low_95"] < 0.5 < values["missed"]["high_95"]
