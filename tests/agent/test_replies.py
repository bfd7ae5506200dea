import dataclasses

import pytest

from engine.agent.config import Mode
from engine.agent.events import IncidentKind
from engine.agent.prompts import STANDARD, STARTER
from engine.agent.replies import (
    Labels,
    UnusableReply,
    answer_grammar,
    gate_grammar,
    parse_answer,
    parse_gate,
    parse_labels,
    parse_memory,
    read_grammar,
    strip_thinking,
)
from engine.backends import gbnf


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("none", None),
        ("M1 S3", Labels((0,), (2,))),
        ("S3 M2 S1", Labels((1,), (2, 0))),
        ("S1 S1 M1 M1", Labels((0,), (0,))),
        ("S2 note: two of five so far", Labels((), (1,), "two of five so far")),
        ("<think>hm, S9?</think> S1", Labels((), (0,))),
    ],
)
def test_labels_of_the_standard_set(reply: str, expected: Labels | None) -> None:
    assert parse_labels(reply, STANDARD, num_items=2, num_sentences=3) == expected


@pytest.mark.parametrize("reply", ["S4", "M3", "S1, S2", "the answer is S1", "S"])
def test_labels_that_do_not_exist_are_refused(reply: str) -> None:
    with pytest.raises(UnusableReply) as caught:
        parse_labels(reply, STANDARD, num_items=2, num_sentences=3)
    assert caught.value.kind is IncidentKind.WRONG_FORMAT


def test_labels_of_the_starter_set_follow_each_other_without_separator() -> None:
    assert parse_labels("<|m1|><|s12|>", STARTER, num_items=1, num_sentences=12) == Labels((0,), (11,))
    assert parse_labels("<|none|>", STARTER, num_items=1, num_sentences=12) is None
    with pytest.raises(UnusableReply):
        parse_labels("<|s1|> and <|s2|>", STARTER, num_items=0, num_sentences=2)


@pytest.mark.parametrize("reply", ["", "  \n", "<think>only thoughts</think>", "</think>"])
def test_an_empty_reply_is_unusable(reply: str) -> None:
    with pytest.raises(UnusableReply) as caught:
        strip_thinking(reply)
    assert caught.value.kind is IncidentKind.EMPTY_REPLY


def test_unclosed_thinking_is_unusable() -> None:
    with pytest.raises(UnusableReply) as caught:
        parse_memory("<think>first I should", Mode.FAITHFUL, STANDARD)
    assert caught.value.kind is IncidentKind.UNCLOSED_THINKING


def test_gate_verdicts() -> None:
    assert parse_memory("KEEP", Mode.GATED, STANDARD) is None
    assert (
        parse_memory("UPDATE\nThe quay was built in 1871.", Mode.GATED, STANDARD)
        == "The quay was built in 1871."
    )
    with pytest.raises(UnusableReply):
        parse_memory("The quay was built in 1871.", Mode.GATED, STANDARD)
    with pytest.raises(UnusableReply):
        parse_memory("UPDATE\n  ", Mode.GATED, STANDARD)


def test_the_joint_gate_names_questions() -> None:
    grammar = gbnf.parse(gate_grammar(STANDARD, num_questions=3, num_sentences=9))
    for reply, questions in (("none", set()), ("Q2", {1}), ("Q1 Q3", {0, 2})):
        assert grammar.matches(reply)
        assert parse_gate(reply, STANDARD, num_questions=3, num_sentences=9) == questions
    for reply in ("Q4", "S1", "all"):
        assert not grammar.matches(reply)
        with pytest.raises(UnusableReply):
            parse_gate(reply, STANDARD, num_questions=3, num_sentences=9)


def test_a_joint_gate_that_names_sentences_means_every_question() -> None:
    prompts = dataclasses.replace(STARTER, joint_names_sentences=True)
    grammar = gbnf.parse(gate_grammar(prompts, num_questions=3, num_sentences=9))
    for reply, questions in (("<|none|>", set()), ("<|s9|>", {0, 1, 2})):
        assert grammar.matches(reply)
        assert parse_gate(reply, prompts, num_questions=3, num_sentences=9) == questions
    for reply in ("<|s10|>", "<|m1|>", "Q1"):
        assert not grammar.matches(reply)
        with pytest.raises(UnusableReply):
            parse_gate(reply, prompts, num_questions=3, num_sentences=9)


@pytest.mark.parametrize(
    "reply",
    ["The document does not say.", "the document does not say", "The document does not say who paid for it."],
)
def test_abstaining_is_understood(reply: str) -> None:
    assert parse_answer(reply, STANDARD) is None


def test_an_answer_that_begins_like_the_starter_sets_sign_is_an_answer() -> None:
    assert parse_answer("None of them", STARTER) == "None of them"
    assert parse_answer(" <|none|>", STARTER) is None


@pytest.mark.parametrize(
    ("reply", "fits"),
    [
        (" Marlow & Finch", True),
        (" 412,600 crowns", True),
        (" Finch for 412,600", True),
        (" 3.5", True),
        (" dredging, the basin", True),
        (" dredging the basin", False),
        (" Finch crowns", False),
        (" Marl", False),
        (" Marlow & Finch.", False),
        ("<|none|>", True),
        ("", False),
    ],
)
def test_an_excerpt_is_unbroken_words_of_one_item(reply: str, fits: bool) -> None:
    memory = [
        'The "contract" went to Marlow & Finch for 412,600 crowns.',
        "For dredging, the basin is 3.5 m deep.",
    ]
    grammar = answer_grammar(STARTER, memory)
    assert grammar is not None
    assert gbnf.parse(grammar).matches(reply) is fits


def test_only_sets_that_say_so_hold_answers_to_excerpts() -> None:
    assert answer_grammar(STANDARD, ["The quay is old."]) is None
    assert answer_grammar(STARTER, ["..."]) == 'root ::= "<|none|>"'


def test_a_grammar_names_only_labels_that_exist() -> None:
    grammar = read_grammar(Mode.EXTRACTIVE, STARTER, num_items=1, num_sentences=2)
    assert grammar is not None
    assert '"<|m1|>" | "<|s1|>" | "<|s2|>"' in grammar
    assert "<|s3|>" not in grammar
    assert read_grammar(Mode.FAITHFUL, STANDARD, num_items=1, num_sentences=2) is None
