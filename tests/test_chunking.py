"""Chunks hold every character, in order, within the budget, with the right pages."""

import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.chunking import Chunk, chunk_document
from engine.documents.model import Document, PageDraft, PageKind, lay_out
from engine.errors import PlanError
from engine.text import collapse_whitespace


def _document(texts: Sequence[str], kind: PageKind = "page") -> Document:
    drafts = [PageDraft(text=text, label=f"p{n}", heading=f"H{n}") for n, text in enumerate(texts, start=1)]
    return Document(name="a", path=Path("a"), format="text", kind=kind, pages=lay_out(drafts))


def _words(text: str) -> list[int]:
    """A tokenizer: one token for each word, space or sign."""
    return [hash(piece) % 50_000 for piece in re.findall(r"\w+|\s|[^\w\s]", text)]


def _identity(text: str) -> str:
    return text


_PAGES = st.lists(
    st.one_of(
        st.just(""),
        st.text(max_size=40),
        st.lists(
            st.sampled_from(
                ["One two three.", " ", "\n\n", "Mr. X said no.", "和平。", "e\u0301", "👩‍👩‍👧", "word", "\n"]
            ),
            max_size=20,
        ).map("".join),
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=100)
@given(
    pages=_PAGES,
    budget=st.integers(4, 60),
    overlap=st.integers(0, 30),
    overhead=st.integers(0, 2),
    max_units=st.one_of(st.none(), st.integers(1, 5)),
    readable=st.booleans(),
    kind=st.sampled_from(["page", "section"]),
    data=st.data(),
)
def test_chunks_restore_the_text(
    pages: list[str],
    budget: int,
    overlap: int,
    overhead: int,
    max_units: int | None,
    readable: bool,
    kind: PageKind,
    data: st.DataObject,
) -> None:
    document = _document(pages, kind)
    start = data.draw(st.integers(0, len(document.text)))

    def chunks() -> tuple[Chunk, ...]:
        return chunk_document(
            document,
            document_index=3,
            tokenize=_words,
            budget_tokens=budget,
            show=collapse_whitespace if readable else _identity,
            unit_overhead_tokens=overhead,
            max_units=max_units,
            overlap_tokens=overlap,
            first_index=7,
            start_offset=start,
        )

    found = chunks()
    assert found == chunks()
    if not document.text[start:].strip():
        assert found == ()
        return
    fresh = [unit for chunk in found for unit in chunk.units[chunk.num_overlap_units :]]
    assert "".join(document.text[unit.start : unit.end] for unit in fresh) == document.text[start:]
    assert [chunk.index for chunk in found] == list(range(7, 7 + len(found)))
    covered: set[int] = set()
    for before, chunk in zip([None, *found], found, strict=False):
        cost = sum(len(unit.token_ids) + overhead for unit in chunk.units)
        assert cost == chunk.num_tokens <= budget
        assert chunk.document == 3
        assert max_units is None or len(chunk.units) <= max_units
        assert all(tuple(_words(unit.text)) == unit.token_ids for unit in chunk.units)
        assert all(left.end == right.start for left, right in zip(chunk.units, chunk.units[1:], strict=False))
        repeated = chunk.units[: chunk.num_overlap_units]
        assert sum(len(unit.token_ids) + overhead for unit in repeated) <= overlap
        if before is None:
            assert not repeated
        elif repeated:
            assert before.units[-len(repeated) :] == repeated
            assert len(repeated) < len(before.units)
        assert len(repeated) < len(chunk.units)
        visible = [
            document.page_at(offset).number
            for offset in range(chunk.start, chunk.end)
            if not document.text[offset].isspace()
        ]
        if visible:
            assert (chunk.first_page, chunk.last_page) == (visible[0], visible[-1])
        covered.update(range(chunk.first_page, chunk.last_page + 1))
        first, last = f"p{chunk.first_page}", f"p{chunk.last_page}"
        assert chunk.labels == (first if first == last else f"{first}-{last}")
        assert chunk.heading == f"H{chunk.first_page}"
    for page in document.pages:
        if page.start >= start and page.text.strip():
            assert page.number in covered


def _chunks(text: str, budget: int, **options: int) -> list[str]:
    document = _document([text])
    found = chunk_document(
        document, document_index=0, tokenize=_words, budget_tokens=budget, show=_identity, **options
    )
    return [document.text[chunk.start : chunk.end] for chunk in found]


def test_cuts_at_sentences_and_rather_at_paragraphs() -> None:
    assert _chunks("One two. Three four. Five six.", 9) == ["One two. Three four.", " Five six."]
    paragraph = "A b c d. " * 8 + "E f g h."
    text = f"{paragraph}\n\n{paragraph}"
    assert _chunks(text, 85) == [paragraph, f"\n\n{paragraph}"]


def test_long_sentences_are_cut_at_spaces() -> None:
    pieces = _chunks("word " * 50, 20)
    assert "".join(pieces) == "word " * 50
    assert all(
        not piece.rstrip()[-1:].isspace() and piece.strip().split(" ")[0] == "word" for piece in pieces
    )


def test_without_spaces_no_combined_character_is_cut() -> None:
    document = _document(["e\u0301" * 300])
    found = chunk_document(
        document,
        document_index=0,
        tokenize=lambda text: list(text.encode()),
        budget_tokens=31,
        show=_identity,
    )
    assert len(found) > 20
    assert all(document.text[chunk.start] == "e" for chunk in found)


def test_overlap_repeats_whole_sentences() -> None:
    pieces = _chunks("One two. Three four. Five six. Seven eight. Nine ten.", 14, overlap_tokens=5)
    assert pieces[0] == "One two. Three four. Five six."
    assert pieces[1] == " Five six. Seven eight."


@pytest.mark.parametrize("budget", [0, 1, 2])
def test_budget_that_cannot_hold_a_character(budget: int) -> None:
    with pytest.raises(PlanError, match="single character"):
        chunk_document(
            _document(["和平"]),
            document_index=0,
            tokenize=lambda text: list(text.encode()),
            budget_tokens=budget,
            show=_identity,
        )


def test_a_file_without_any_stop_or_space() -> None:
    text = "x" * 300_000
    calls: list[int] = []

    def tokenize(piece: str) -> list[int]:
        calls.append(len(piece))
        return [0] * (len(piece) // 3 + 1)

    document = _document([text])
    found = chunk_document(document, document_index=0, tokenize=tokenize, budget_tokens=1000, show=_identity)
    assert sum(chunk.end - chunk.start for chunk in found) == len(text)
    assert sum(calls) < 4 * len(text)


def test_pages_and_labels() -> None:
    document = _document(["First page ends here.", "", "Third page goes on and", "ends on the fourth. More."])
    found = chunk_document(document, document_index=0, tokenize=_words, budget_tokens=26, show=_identity)
    assert [(chunk.first_page, chunk.last_page, chunk.labels, chunk.heading) for chunk in found] == [
        (1, 1, "p1", "H1"),
        (3, 4, "p3-p4", "H3"),
    ]
