"""Many conversations in one context: the same replies as one after the other, with less computed."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.backends.base import Completion, Request, Sampling, Segment
from engine.backends.gbnf import quote
from engine.backends.llamacpp import LlamaCppBackend
from engine.backends.lookup import MAX_DRAFT_TOKENS, PromptLookup
from engine.backends.native_context import NativeContext, Piece, common_prefix

SENTENCES = [
    " The keeper of the light was Tobias Wren.",
    " The harbour froze in the winter of 1881.",
    " Nothing was heard of the second boat.",
    " The ledger was found behind the stove.",
    " Seven barrels of oil were left on the quay.",
]


def reading(question: str, number: int) -> Request:
    """A prompt of the starter model's own kind: question first, then a section."""
    segments = [Segment("<|read|><|q|>"), Segment(" " + question, is_data=True)]
    segments.append(Segment("<|memory|><|section|>"))
    for place in range(8):
        text = SENTENCES[(number * 3 + place * (1 + number % 4)) % len(SENTENCES)]
        segments.append(Segment(text, is_data=True))
        segments.append(Segment(f"<|s{place + 1}|>"))
    return Request(prompt=tuple(segments), max_tokens=12)


GREEDY = Sampling()


def copying(number: int, sampling: Sampling = GREEDY) -> Request:
    """Plain text with much repetition, and a long reply that can only repeat it, whole or in parts."""
    text = f" Entry {number}:" + "".join(SENTENCES * 2)
    grammar = f"root ::= ({' | '.join(map(quote, SENTENCES))})+"
    return Request(prompt=(Segment(text, is_data=True),), max_tokens=48, sampling=sampling, grammar=grammar)


def same(left: Completion, right: Completion) -> bool:
    """Equal replies; where two logits were nearly equal another one may be right as well."""
    if left.num_close_calls or right.num_close_calls:
        return True
    return (left.token_ids, left.finish_reason) == (right.token_ids, right.finish_reason)


@pytest.mark.parametrize("kind", ["parallel", "unified"])
@pytest.mark.parametrize("sampling", [Sampling(), Sampling(temperature=0.8, top_p=0.9, seed=3)])
def test_side_by_side_is_as_one_after_the_other(
    kind: str, sampling: Sampling, starter: LlamaCppBackend, request: pytest.FixtureRequest
) -> None:
    several: LlamaCppBackend = request.getfixturevalue(kind)
    requests = [reading("Who kept the light?", n) for n in range(6)]
    requests += [copying(n, sampling) for n in range(5)]
    apart = [starter.generate([each])[0] for each in requests]
    together = several.generate(requests)
    assert all(map(same, apart, together))
    assert sum(completion.num_close_calls for completion in apart) < 3
    assert [c.prompt_token_ids for c in together] == [c.prompt_token_ids for c in apart]


@pytest.mark.parametrize("kind", ["parallel", "unified"])
def test_a_prefix_is_computed_once_for_all(kind: str, request: pytest.FixtureRequest) -> None:
    backend: LlamaCppBackend = request.getfixturevalue(kind)
    question = "Which one of all the many boats was heard of no more, and what was left of her upon the quay?"
    completions = backend.generate([reading(question, n) for n in range(8)])
    shared = len(backend.tokenize(" " + question))
    assert sum(completion.cached_tokens >= shared for completion in completions) >= 7
    assert all(c.cached_tokens < len(c.prompt_token_ids) for c in completions)


@pytest.mark.parametrize("kind", ["starter", "unified"])
def test_drafts_change_nothing_but_the_number_of_calls(
    kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend: LlamaCppBackend = request.getfixturevalue(kind)
    greedy, drawn = copying(1), copying(2, Sampling(temperature=0.7, seed=5))
    # With caches apart only a reply that is written alone is drafted.
    calls = [[greedy, drawn]] if kind == "unified" else [[greedy], [drawn]]

    def replies() -> list[Completion]:
        return [completion for call in calls for completion in backend.generate(call)]

    with_drafts = replies()
    used: list[int] = []
    learn = PromptLookup.learn

    def note(self: PromptLookup, num_drafted: int, num_right: int) -> None:
        used.append(num_right)
        learn(self, num_drafted, num_right)

    monkeypatch.setattr(PromptLookup, "learn", note)
    again = replies()
    assert sum(used) > 0
    monkeypatch.setattr(PromptLookup, "draft", lambda self, most: [])
    without = replies()
    assert all(map(same, with_drafts, without))
    assert [c.token_ids for c in again] == [c.token_ids for c in with_drafts]


def test_caches_apart_are_computed_in_a_row_a_token_each(
    parallel: LlamaCppBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In another order, or with pieces of several lengths, llama.cpp computes them one after the other."""
    parallel.generate([reading("Who kept the light?", n) for n in range(8)])
    written: list[list[tuple[int, int]]] = []
    compute = NativeContext.compute

    def note(self: NativeContext, pieces: Sequence[Piece], **more: Any) -> None:
        if len(pieces) > 1:
            written.append([(piece.sequence, len(piece.ids)) for piece in pieces])
        compute(self, pieces, **more)

    monkeypatch.setattr(NativeContext, "compute", note)
    # Each goes on best where its beginning was read: in an order of its own.
    parallel.generate([copying(5), *(reading("Who kept the light?", n) for n in reversed(range(7)))])
    assert written
    assert all(pieces == sorted(pieces) for pieces in written)
    assert all(length == 1 for pieces in written for _, length in pieces)


def test_a_closed_reply_ends_the_turn(starter: LlamaCppBackend) -> None:
    grammar = 'root ::= "<|none|>" | "<|s1|>" "<|s2|>"'
    pieces: list[str] = []
    request = Request(
        prompt=reading("Is it so?", 1).prompt,
        max_tokens=4,
        grammar='root ::= "<|none|>"',
        closed=("<|none|>",),
    )
    closed = starter.generate([request], on_token=lambda _, piece: pieces.append(piece))[0]
    assert (closed.text, closed.finish_reason, pieces) == ("<|none|>", "stop", ["<|none|>"])
    longer = Request(prompt=request.prompt, max_tokens=4, grammar=grammar, closed=("<|s1|>",))
    assert starter.generate([longer])[0].finish_reason == "stop"


@given(st.lists(st.integers(0, 3), max_size=40), st.lists(st.integers(0, 3), max_size=12), st.integers(0, 30))
def test_a_draft_is_what_followed_the_same_tokens(prompt: list[int], reply: list[int], most: int) -> None:
    lookup = PromptLookup(prompt)
    for token_id in reply:
        lookup.draft(most)
        lookup.add(token_id)
    ids = prompt + reply
    draft = lookup.draft(most)
    assert len(draft) <= min(most, MAX_DRAFT_TOKENS)
    places = [end for end in range(3, len(ids)) if ids[end - 3 : end] == ids[-3:]]
    if len(ids) < 3 or not places or not most:
        assert draft == []
    else:
        assert draft == ids[places[-1] : places[-1] + len(draft)]
        assert draft


def test_the_length_of_drafts_adapts() -> None:
    lookup = PromptLookup([1, 2, 3, *range(10, 60), 1, 2, 3])
    lengths = []
    for right in (3, 7, 15, 15, 14, 0, 3):
        drafted = len(lookup.draft(100))
        lengths.append(drafted)
        lookup.learn(drafted, right)
    assert lengths == [3, 7, 15, 15, 15, 3, 3]


@given(st.lists(st.integers(0, 2)), st.lists(st.integers(0, 2)))
def test_common_prefix(left: list[int], right: list[int]) -> None:
    length = common_prefix(left, right)
    assert left[:length] == right[:length]
    assert length == min(len(left), len(right)) or left[length] != right[length]
