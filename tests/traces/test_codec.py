import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.backends.base import Segment
from engine.traces.codec import deflate, frame, inflate, pack, to_bytes, to_column, to_text, unframe, unpack

any_text = st.text(st.characters(exclude_categories=()))
"""Lone surrogates and NULs too."""


@given(any_text)
def test_any_text_survives(text: str) -> None:
    assert to_text(to_bytes(text)) == text
    column = to_column(text)
    assert (to_text(column) if isinstance(column, bytes) else column) == text


@given(st.binary() | st.text().map(lambda text: (text * 50).encode()))
def test_pack(data: bytes) -> None:
    body, is_compressed = pack(data)
    assert unpack(body, is_compressed) == data
    assert len(body) <= len(data)


@given(st.lists(st.builds(Segment, any_text, st.booleans())))
def test_frame_keeps_segments(segments: list[Segment]) -> None:
    assert unframe(frame(tuple(segments))) == tuple(segments)


@given(st.binary(), st.binary(max_size=100_000))
def test_deflate(data: bytes, dictionary: bytes) -> None:
    assert inflate(deflate(data, dictionary), dictionary) == data


def test_text_that_is_in_the_dictionary_costs_almost_nothing() -> None:
    section = "".join(f"Sentence {number * number} of the section. " for number in range(500)).encode()
    assert len(deflate(b"Read this:\n" + section, section)) < 0.02 * len(section)


def test_another_dictionary_is_refused() -> None:
    with pytest.raises(zlib.error):
        inflate(deflate(b"text", b"one dictionary"), b"another one")


def test_bytes_behind_the_end_are_refused() -> None:
    with pytest.raises(zlib.error):
        inflate(deflate(b"text", b"") + b"x", b"")
