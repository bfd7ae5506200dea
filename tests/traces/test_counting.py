import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.documents.model import PageDraft
from engine.traces.store import TraceStore
from tests.traces.synthetic import make_document
from tests.traces.test_library import document_of


def pages_of(store: TraceStore, needle: str, *, whole_words: bool = True) -> dict[int, int]:
    found = store.count(needle, whole_words=whole_words)
    return {page.page: page.count for document in found for page in document.pages}


@pytest.mark.parametrize(
    ("needle", "expected"),
    [
        ("act", {1: 2, 2: 1}),
        ("the act", {1: 1, 2: 1}),
        ("international law", {2: 1}),
        ("runs over", {3: 1}),
        ("absent", {}),
        ("  ", {}),
        ("law.", {2: 1}),
    ],
)
def test_whole_words(store: TraceStore, needle: str, expected: dict[int, int]) -> None:
    pages = ["The  Act, an ACT in action.", "the\nact of inter-\nnational law.", "This runs", "over the end."]
    store.add_document(document_of([PageDraft(text=text) for text in pages]))
    assert pages_of(store, needle) == expected


def test_parts_of_words(store: TraceStore) -> None:
    store.add_document(document_of([PageDraft(text="act action react")]))
    assert pages_of(store, "act", whole_words=False) == {1: 3}


def test_documents(store: TraceStore) -> None:
    first, second = make_document(4), make_document(5, name="b.pdf", seed=1)
    store.add_document(first)
    store.add_document(second)
    counts = {found.document: found.count for found in store.count("lantern")}
    for document in (first, second):
        assert counts[document.name] == len(re.findall(r"\blantern\b", document.text, re.IGNORECASE))
    (only,) = store.count("lantern", content_hash=second.content_hash)
    assert only.document == "b.pdf"


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.text("ab ", max_size=12), min_size=1, max_size=5), st.sampled_from(["a", "ab", "b a"]))
def test_against_a_plain_count(store: TraceStore, pages: list[str], needle: str) -> None:
    document = document_of([PageDraft(text=text) for text in pages])
    store.add_document(document)
    text = " ".join(document.text.split())
    expected = len(re.findall(rf"\b{needle}\b", text))
    found = store.count(needle, content_hash=document.content_hash)
    assert sum(item.count for item in found) == expected
