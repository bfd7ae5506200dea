import pytest

from engine.backends import gbnf
from engine.errors import GenerationError


@pytest.mark.parametrize(
    ("grammar", "accepted", "refused"),
    [
        ('root ::= "a" | "b"', ["a", "b"], ["", "ab", "c"]),
        ('root ::= ("M" [0-9]{1,2} " "?)+', ["M1", "M12 M3"], ["", "M", "M123"]),
        ('root ::= "KEEP" | "UPDATE\\n" .+', ["KEEP", "UPDATE\nx\ny"], ["UPDATE\n", "KEEP "]),
        ("root ::= [^\\n]*", ["", "abc"], ["a\nb"]),
        ('root ::= x+\n# a comment\nx ::= "(" x* ")"', ["()", "(()())()"], ["(", "())"]),
        ('root ::= "x"{3}', ["xxx"], ["xx", "xxxx"]),
        ('root ::= "x"{2,}', ["xx", "xxxx"], ["x"]),
        ('root ::= "\\x41\\u00e9\\U0001F600\\"\\\\"', ['Aé😀"\\'], ["A"]),
        ('root ::= ("a"\n  | "b")\n\nother ::= "c"', ["a", "b"], ["c"]),
        ("root ::= [-a\\]]+", ["-a]"], ["b"]),
        ('root ::= ("" | "a")*', ["", "aaa"], ["b"]),
    ],
)
def test_matching(grammar: str, accepted: list[str], refused: list[str]) -> None:
    parsed = gbnf.parse(grammar)
    assert all(parsed.matches(text) for text in accepted)
    assert not any(parsed.matches(text) for text in refused)


def test_a_long_text_does_not_recurse() -> None:
    assert gbnf.parse("root ::= [a-z]*").matches("a" * 20_000)


@pytest.mark.parametrize(
    "grammar",
    [
        "",
        "root",
        "root ::=",
        'root ::= "a',
        'root ::= "a" )',
        'root ::= ("a"',
        "root ::= [a",
        'root ::= "a"{3,2}',
        'root ::= "a"{9999}',
        'root ::= "a"{',
        'root ::= "\\q"',
        'root ::= "\\UFFFFFFFF"',
        "root ::= other",
        'other ::= "a"',
        'root ::= root "a" | "b"',
        'root ::= ""? a\na ::= root "x"',
        'root ::= "a\0"',
        "root ::= " + "(" * 500 + '"a"' + ")" * 500,
    ],
)
def test_faults_are_found(grammar: str) -> None:
    if grammar == "root ::=":  # an empty rule is allowed
        assert gbnf.parse(grammar).matches("")
        return
    with pytest.raises(GenerationError):
        gbnf.parse(grammar)


def test_special_tokens_are_named_by_id() -> None:
    parsed = gbnf.parse('root ::= "<|s1|>"+ | "a<|s1|><|s12|>\\n" | "b" # "<|s1|>"')
    tokens = {"<|s1|>": 20, "<|s12|>": 31}
    assert parsed.with_tokens(tokens) == 'root ::= (<[20]>)+ | ("a" <[20]> <[31]> "\\n") | "b" # "<|s1|>"'
    assert parsed.with_tokens({}) == parsed.source
    gbnf.parse(parsed.with_tokens(tokens))


def test_quoting() -> None:
    text = 'a"b\\c\nd\te\r'
    assert gbnf.parse(f"root ::= {gbnf.quote(text)}").matches(text)
