"""Our grammars in xgrammar's notation."""

import pytest

from engine.agent.config import Mode
from engine.agent.prompts import STANDARD, STARTER
from engine.agent.replies import read_grammar
from engine.backends.http.ebnf import to_xgrammar
from engine.errors import GenerationError


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('root ::= "a" | "b"', 'root ::= "a" | "b"'),
        ("root ::= .+", r"root ::= [\u0000-\U0010ffff]+"),
        (r'root ::= "\[x\]."', 'root ::= "[x]."'),
        (r"root ::= [\x5ea] [^\x00\n]*", r"root ::= [\u005ea] [^\u0000\n]*"),
        (r"root ::= [\]\\x41]", r"root ::= [\]\\x41]"),
        (r'root ::= "\x5ea"', 'root ::= "^a"'),
        ('root ::= "." # any. "<|s1|>"', 'root ::= "." '),
        ("root ::= <[7]>{2,3}", "root ::= Token(7){2,3}"),
        ('root ::= "<|s1|>," "x"', 'root ::= (Token(20) ",") "x"'),
    ],
)
def test_translations(source: str, expected: str) -> None:
    assert to_xgrammar(source, {"<|s1|>": 20}) == expected


def test_a_faulty_grammar_is_found_before_it_is_sent() -> None:
    with pytest.raises(GenerationError):
        to_xgrammar('root ::= "a', {})


def test_the_grammars_of_the_prompts_name_labels_by_id() -> None:
    labels = read_grammar(Mode.EXTRACTIVE, STARTER, num_items=1, num_sentences=2)
    assert labels is not None
    translated = to_xgrammar(labels, {"<|none|>": 9, "<|m1|>": 12, "<|s1|>": 20, "<|s2|>": 21})
    assert "<|" not in translated
    assert translated.count("Token(") == 4
    gate = read_grammar(Mode.GATED, STANDARD, num_items=0, num_sentences=0)
    assert gate is not None
    assert to_xgrammar(gate, {}) == gate.replace(r"\x00", r"\u0000")
