"""Documents have the length that was asked for, and statements stand where it is said."""

from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import PlanError
from engine.evaluation.haystack import BREAK, Statement, TokenCounter, depths, fill, hide
from engine.evaluation.sources import TextSource, sample_source
from tests.evaluation.conftest import boats

_GIVEN = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@_GIVEN
@given(num_tokens=st.integers(200, 6_000), start=st.integers(0, 10_000))
def test_length_in_tokens_within_three_percent(num_tokens: int, start: int, counter: TokenCounter) -> None:
    paragraphs = fill(boats().read_from(start), num_tokens, counter)
    assert len(counter._tokenize(BREAK.join(paragraphs))) == pytest.approx(num_tokens, rel=0.03)


def test_no_room_is_an_error(text: TextSource, counter: TokenCounter) -> None:
    with pytest.raises(PlanError, match="no room"):
        fill(text.read_from(0), 0, counter)


_SENTENCE = st.integers(0, 10**6).map(lambda number: f"Statement {number} was made by the keeper.")
_BLOCK = st.integers(0, 10**6).map(lambda number: f"keeper / girth / {number}")


@_GIVEN
@given(
    told=st.lists(
        st.tuples(_SENTENCE | _BLOCK, st.floats(0, 1, exclude_max=True)), max_size=8, unique_by=lambda x: x[0]
    )
)
def test_statements_stand_at_their_places_and_the_text_stays(told: list[tuple[str, float]]) -> None:
    paragraphs = list(boats().paragraphs[:12])
    statements = [Statement(text=each, depth=depth) for each, depth in told]
    document, places = hide(paragraphs, statements, name="x")
    for statement, place in zip(statements, places, strict=True):
        assert document.text[place.start : place.end] == statement.text
        assert document.text.count(statement.text) >= 1
        if statement.is_block:
            before, after = document.text[: place.start], document.text[place.end :]
            assert not before or before.endswith("\n\n")
            assert after.startswith("\n\n")
        # Not in the middle of a paragraph, and others may stand between it and its place.
        shift = max(map(len, paragraphs)) + sum(len(each) + len(BREAK) for each, _ in told)
        assert place.start == pytest.approx(statement.depth * len(document.text), abs=shift)
    left = document.text
    for place in sorted(places, reverse=True):
        left = left[: place.start] + left[place.end :]
    assert left.split() == BREAK.join(paragraphs).split()


def test_depths_are_spread_evenly_whatever_the_number_of_items() -> None:
    for count in (10, 20, 57):
        bins = [0] * 5
        for index in range(count):
            (depth,) = depths(1, seed="1/needle/8000", index=index)
            bins[int(5 * depth)] += 1
        assert max(bins) - min(bins) <= 3, (count, bins)
    four = sorted(depths(4, seed="x", index=3))
    assert [b - a for a, b in pairwise(four)] == pytest.approx([0.25] * 3)


def test_the_bundled_text_has_no_sentence_twice_before_all_were_there() -> None:
    source = sample_source()
    first = " ".join(source.paragraphs[:200])
    sentences = [sentence for sentence in first.split(". ") if len(sentence) > 40]
    assert len(set(sentences)) == len(sentences)
    assert sample_source().content_hash == source.content_hash
