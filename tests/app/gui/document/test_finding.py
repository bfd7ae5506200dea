"""What a user types is found, whatever line breaks, hyphens or quotation marks differ."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.gui.document.finding import find, pattern_for
from app.gui.document.values import Span


def hits(query: str, text: str) -> list[str]:
    pattern = pattern_for(query)
    assert pattern is not None
    return [text[span.start : span.end] for spans in find(pattern, text, longest=200) for span in spans]


@pytest.mark.parametrize(
    ("query", "text", "found"),
    [
        ("dredging", "Dredging the DREDGING", ["Dredging", "DREDGING"]),
        ("the inner  basin", "of the\nInner\n\nBasin", ["the\nInner\n\nBasin"]),
        ("information", "the infor-\nmation on", ["infor-\nmation"]),
        ("don't", "they don’t and don't", ["don’t", "don't"]),
        ('"yes"', '“yes” "yes"', ["“yes”", '"yes"']),
        ("1935-36", "in 1935–36.", ["1935–36"]),
        ("a.b", "a.b axb", ["a.b"]),
        ("(", "f(x)", ["("]),
        ("ß", "Straße", ["ß"]),
        ("nothing", "some", []),
    ],
)
def test_found(query: str, text: str, found: list[str]) -> None:
    assert hits(query, text) == found


def test_blank_query() -> None:
    assert pattern_for(" \n ") is None


@pytest.mark.parametrize("offset", [32_760, 32_766, 32_768, 65_530])
def test_a_hit_across_two_slices_is_found_once(offset: int) -> None:
    text = "x" * offset + "needle point" + "y" * 70_000
    pattern = pattern_for("needle point")
    assert pattern is not None
    found = [span for spans in find(pattern, text, longest=100) for span in spans]
    assert found == [Span(offset, offset + 12)]


@given(st.text(alphabet="ab \n", max_size=400), st.text(alphabet="ab", min_size=1, max_size=3))
def test_hits_are_ordered_and_apart(text: str, query: str) -> None:
    pattern = pattern_for(query)
    assert pattern is not None
    spans = [span for spans in find(pattern, text, longest=50) for span in spans]
    assert all(one.end <= two.start for one, two in itertools.pairwise(spans))
    assert all(text[span.start : span.end] == query for span in spans)
    assert len(spans) == text.count(query)
