from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from engine.agent.memory import EMPTY, Memory, MemoryItem
from engine.agent.provenance import StepMemory, diff_words, forgotten, lifetimes
from engine.documents.model import Span

A = MemoryItem("The quay is old.", Span(document=0, start=0, end=16))
B = MemoryItem("The light is new.", Span(document=0, start=20, end=37))


def steps(*memories: Memory) -> list[StepMemory]:
    return [
        StepMemory(chunk_index=index, before=before, after=after)
        for index, (before, after) in enumerate(pairwise(memories))
    ]


def test_origin_and_forgetting_follow_from_the_trace() -> None:
    lives = lifetimes(steps(EMPTY, Memory((A,)), Memory((A, B)), Memory((B,))))
    assert [(life.item, life.entered, life.dropped) for life in lives] == [(A, 0, 2), (B, 1, None)]
    assert [life.item for life in forgotten(steps(EMPTY, Memory((A,)), Memory((B,))))] == [A]


def test_a_sentence_that_came_back_is_not_forgotten() -> None:
    trace = steps(EMPTY, Memory((A,)), EMPTY, Memory((A,)))
    assert forgotten(trace) == []
    assert [(life.entered, life.dropped) for life in lifetimes(trace)] == [(0, 1), (2, None)]


def test_free_text_is_followed_sentence_by_sentence() -> None:
    first = Memory((MemoryItem("The quay is old. It was built by Finch."),))
    second = Memory((MemoryItem("It was built by Finch. The light is new."),))
    lives = lifetimes(steps(EMPTY, first, second))
    assert [(life.item.text, life.entered, life.dropped) for life in lives] == [
        ("The quay is old.", 0, 1),
        ("It was built by Finch.", 0, None),
        ("The light is new.", 1, None),
    ]


@given(st.text(alphabet="ab \n", max_size=60), st.text(alphabet="ab \n", max_size=60))
def test_a_diff_holds_both_texts(before: str, after: str) -> None:
    pieces = diff_words(before, after)
    assert "".join(text for change, text in pieces if change != "removed") == after
    assert "".join(text for change, text in pieces if change != "added") == before


def test_memory_json_round_trips() -> None:
    memory = Memory((A, MemoryItem("a note \ud800 with a lone surrogate"), B))
    assert Memory.from_json(memory.to_json()) == memory
    assert len(memory.content_hash) == 64
