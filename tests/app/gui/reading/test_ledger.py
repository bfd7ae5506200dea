"""What the ledger knows step by step is what the engine derives from the whole trace."""

from hypothesis import given
from hypothesis import strategies as st

from app.gui.reading.ledger import Ledger, bare, sentences, tiles, written
from app.gui.reading.values import Item
from engine.agent.memory import Memory, MemoryItem
from engine.agent.provenance import StepMemory, forgotten, lifetimes
from engine.documents.model import Span

_SENTENCES = [f"Fact number {number} holds." for number in range(6)]
_ITEMS = st.lists(st.sampled_from(_SENTENCES), max_size=5, unique=True)


def copied(texts: list[str]) -> tuple[Item, ...]:
    return tuple(
        Item(text=text, document=0, start=_SENTENCES.index(text), end=_SENTENCES.index(text) + 1)
        for text in texts
    )


def memory(texts: list[str]) -> Memory:
    return Memory(
        tuple(
            MemoryItem(text, Span(document=0, start=_SENTENCES.index(text), end=_SENTENCES.index(text) + 1))
            for text in texts
        )
    )


@given(st.lists(_ITEMS, min_size=1, max_size=12))
def test_the_ledger_agrees_with_the_engine(memories: list[list[str]]) -> None:
    ledger = Ledger()
    steps = []
    before: list[str] = []
    for position, after in enumerate(memories):
        ledger.add(position, "\n".join(before), copied(after))
        steps.append(StepMemory(chunk_index=position, before=memory(before), after=memory(after)))
        before = after
        ours = {(lost.text, lost.entered, lost.dropped) for lost in ledger.forgotten(position, 100)}
        theirs = {(life.item.text, life.entered, life.dropped) for life in forgotten(steps)}
        assert ours == theirs
    for position in range(len(memories)):
        for life in lifetimes(steps):
            stands = (life.entered or 0) <= position and (life.dropped is None or position < life.dropped)
            if stands:
                assert ledger.entered(life.item.text, position) == life.entered


@given(st.lists(st.text(max_size=60), max_size=5), st.booleans())
def test_tiles_are_the_memory(texts: list[str], is_copied: bool) -> None:
    items = tuple(Item(text=text, document=0 if is_copied else None) for text in texts)
    assert "".join(tiles(items)) == "\n".join(texts)
    assert all(bare(each) for each in sentences(items))


@given(st.text(max_size=200))
def test_a_memory_of_text_alone_is_itself(text: str) -> None:
    assert "".join(tiles(written(text))) == text


def test_a_sentence_that_comes_and_goes_costs_no_time_squared() -> None:
    ledger = Ledger()
    for position in range(6000):
        ledger.add(position, "", copied(_SENTENCES[: 1 + position % 2]))
    assert ledger.forgotten(5999, 200) == []
    assert [lost.text for lost in ledger.forgotten(5998, 200)] == [_SENTENCES[1]]
