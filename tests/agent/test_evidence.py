"""What counts as verified: exact words, or all numbers, names and quoted words of a rephrased statement."""

import pytest

from engine.agent.evidence import judge_answer, sentences, support_for, supports
from engine.agent.memory import Memory, MemoryItem
from engine.backends.scripted import ScriptedBackend
from engine.documents.model import Span
from tests.agent.building import plan_of

QUOTE = (
    "The contract for dredging the Inner Basin was awarded to Marlow & Finch for 412,600 crowns in May 1936."
)


@pytest.mark.parametrize(
    ("claim", "expected"),
    [
        ("Marlow & Finch", True),
        ("412,600 crowns", True),
        ("MARLOW & finch", True),
        ("It cost 412,600 crowns.", True),
        ("In May 1936 the firm of Marlow & Finch won it.", True),
        ("the contract for  dredging\nthe Inner Basin", True),
        ("It cost 412,500 crowns.", False),
        ("In May 1937 the firm of Marlow & Finch won it.", False),
        ("It was awarded to Quillan for 412,600 crowns.", False),
        ("The works were cheap.", False),
        ("He called it “awarded to Marlow”.", True),
        ("He called it “a bargain”.", False),
        ("...", False),
        ("41", False),
    ],
)
def test_support(claim: str, expected: bool) -> None:
    assert supports(claim, QUOTE) is expected


def test_words_of_the_question_prove_nothing() -> None:
    question = "Who dredged the Inner Basin in 1936?"
    assert not supports("Someone dredged the Inner Basin in 1936, said Aldous.", QUOTE, question)
    assert not supports("It says that the Inner Basin was dug in 1936.", QUOTE, question)


def test_sentences_of_a_written_text() -> None:
    assert sentences("- The quay is old.\n- It was built by Mr. Finch.\n\n…") == [
        "The quay is old.",
        "It was built by Mr. Finch.",
    ]


def test_an_excerpt_of_another_page_is_found_word_for_word_across_line_ends() -> None:
    pages = ["Nothing is here at all.", "The light of the mole was lit by gas-\nlamps from Oster-\nhaven."]
    backend = ScriptedBackend([])
    plan = plan_of(backend, pages)
    memory = Memory((MemoryItem("a remark"),))
    (claim,) = judge_answer(plan, "The light of the mole was lit by gas-lamps from Osterhaven.", memory, [])
    assert claim.evidence is not None
    assert claim.evidence.page == 2
    assert claim.evidence.quote == plan.documents[0].text[claim.evidence.start : claim.evidence.end]


def test_the_excerpt_that_shares_most_with_the_question_is_shown() -> None:
    pages = ["The north light was built in 1871. The quay of Osterhaven was built in 1871."]
    plan = plan_of(ScriptedBackend([]), pages, question="When was the quay of Osterhaven built?")
    text = plan.documents[0].text
    ends = text.index(". ") + 1
    items = (
        MemoryItem(text[:ends], Span(document=0, start=0, end=ends)),
        MemoryItem(text[ends + 1 :], Span(document=0, start=ends + 1, end=len(text))),
    )
    (claim,) = judge_answer(plan, "1871", Memory(items), [])
    assert claim.evidence is not None
    assert claim.evidence.quote == "The quay of Osterhaven was built in 1871."


def test_new_sentences_of_a_free_memory_point_to_the_chunk() -> None:
    pages = ["The harbour is old. The quay was built by Aldous Finch in 1871. It rained."]
    plan = plan_of(ScriptedBackend([]), pages)
    document, chunk = plan.documents[0], plan.chunks[0]
    (span,) = support_for("Aldous Finch built the quay in 1871.", "", document, chunk)
    assert document.text[span.start : span.end] == "The quay was built by Aldous Finch in 1871."
    assert support_for("The moon is far away from everything.", "", document, chunk) == []
    known = "Aldous Finch built the quay in 1871."
    assert support_for(known, known, document, chunk) == []
