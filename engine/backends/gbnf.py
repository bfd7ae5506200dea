r"""Reads GBNF, the grammar notation of llama.cpp: to check a grammar, to match a text, to name tokens by id.

llama.cpp reports a faulty grammar on standard error and ends the process on a left-recursive one, so grammars
are checked here first. Supported: ``name ::= alternatives``, literals, ``[a-z]``, ``[^x]``, ``.``, groups,
``* + ?``, ``{m}``, ``{m,}``, ``{m,n}``, ``<[id]>``, comments, and the escapes ``\n \r \t \\ \" \[ \] \xHH
\uHHHH \UHHHHHHHH``.
"""

import dataclasses
import re
from collections.abc import Iterator, Mapping

from engine.errors import GenerationError

_MAX_REPETITIONS = 2000  # llama.cpp's own limit
_MAX_DEPTH = 100
_SPACE = re.compile(r"(?:[ \t]|#[^\r\n]*)*")
_SPACE_AND_LINES = re.compile(r"(?:[ \t\r\n]|#[^\r\n]*)*")
_NAME = re.compile(r"[A-Za-z0-9-]+")
_TOKEN = re.compile(r"<\[(\d{1,9})\]>")
_REPEAT = re.compile(r"\{\s*(\d{1,9})\s*(,\s*(\d{1,9})?\s*)?\}")
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([nrt\\\"\[\]]))")
_SIMPLE = {"n": "\n", "r": "\r", "t": "\t"}


@dataclasses.dataclass(frozen=True, slots=True)
class _Text:
    value: str


@dataclasses.dataclass(frozen=True, slots=True)
class _Class:
    ranges: tuple[tuple[str, str], ...]
    is_negated: bool

    def accepts(self, char: str) -> bool:
        return any(low <= char <= high for low, high in self.ranges) != self.is_negated


@dataclasses.dataclass(frozen=True, slots=True)
class _Reference:
    name: str


@dataclasses.dataclass(frozen=True, slots=True)
class _Token:
    token_id: int


@dataclasses.dataclass(frozen=True, slots=True)
class _Sequence:
    items: "tuple[_Node, ...]"


@dataclasses.dataclass(frozen=True, slots=True)
class _Choice:
    options: "tuple[_Node, ...]"


@dataclasses.dataclass(frozen=True, slots=True)
class _Repeat:
    item: "_Node"
    least: int
    most: int | None


_Node = _Text | _Class | _Reference | _Token | _Sequence | _Choice | _Repeat

# For those who walk the rules of a `Grammar`.
Text = _Text
CharClass = _Class
Reference = _Reference
TokenId = _Token
Sequence = _Sequence
Choice = _Choice
Repeat = _Repeat
Node = _Node


@dataclasses.dataclass(frozen=True, slots=True)
class Grammar:
    """A grammar without faults.

    Attributes:
        source: its text.
        rules: what each name stands for.
        literals: (start, end, value) of each quoted literal in `source`, in order.
    """

    source: str
    rules: Mapping[str, _Node]
    literals: tuple[tuple[int, int, str], ...]

    def matches(self, text: str) -> bool:
        """Whether the whole text is one of the grammar's sentences. Tokens by id match nothing."""
        return len(text) in _Matcher(self.rules, text).ends(_Reference("root"), 0)

    def with_tokens(self, tokens: Mapping[str, int]) -> str:
        """The source with each of these texts, where a literal holds one, replaced by the token ``<[id]>``.

        By text alone a special token would also match spelt out in several tokens.
        """
        if not tokens:
            return self.source
        special = re.compile("(" + "|".join(map(re.escape, sorted(tokens, key=len, reverse=True))) + ")")
        pieces: list[str] = []
        position = 0
        for start, end, value in self.literals:
            parts = special.split(value)
            if len(parts) == 1:
                continue
            items = [
                f"<[{tokens[part]}]>" if index % 2 else quote(part)
                for index, part in enumerate(parts)
                if part
            ]
            pieces += [self.source[position:start], "(", " ".join(items), ")"]
            position = end
        return "".join([*pieces, self.source[position:]])


def quote(text: str) -> str:
    """A literal for this text."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + escaped.replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t") + '"'


def parse(source: str) -> Grammar:
    """Read and check a grammar.

    Raises:
        GenerationError: it is faulty, has no rule ``root``, or names a rule that does not exist or begins
        with itself.
    """
    return _Parser(source).grammar()


class _Parser:
    def __init__(self, source: str) -> None:
        self._source = source
        self._at = 0
        self._depth = 0
        self._literals: list[tuple[int, int, str]] = []

    def grammar(self) -> Grammar:
        if "\0" in self._source:
            raise self._fault("holds a zero byte")
        rules: dict[str, _Node] = {}
        self._skip(_SPACE_AND_LINES)
        while self._at < len(self._source):
            name = self._expect(_NAME, "a rule's name")
            self._skip(_SPACE)
            self._expect(re.compile("::="), "::=")
            self._skip(_SPACE_AND_LINES)
            rules[name] = self._choice(is_nested=False)
            if self._at < len(self._source) and self._source[self._at] not in "\r\n":
                raise self._fault("has something unexpected")
            self._skip(_SPACE_AND_LINES)
        grammar = Grammar(self._source, rules, tuple(self._literals))
        _check_rules(rules)
        return grammar

    def _choice(self, *, is_nested: bool) -> _Node:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise self._fault("is nested too deeply")
        options = [self._sequence(is_nested=is_nested)]
        while self._take("|"):
            self._skip(_SPACE_AND_LINES)
            options.append(self._sequence(is_nested=is_nested))
        self._depth -= 1
        return options[0] if len(options) == 1 else _Choice(tuple(options))

    def _sequence(self, *, is_nested: bool) -> _Node:
        space = _SPACE_AND_LINES if is_nested else _SPACE
        items: list[_Node] = []
        while (item := self._item()) is not None:
            self._skip(space)
            while (bounds := self._bounds()) is not None:
                item = _Repeat(item, *bounds)
                self._skip(space)
            items.append(item)
        return _Sequence(tuple(items))

    def _item(self) -> _Node | None:
        if self._take('"'):
            return self._text()
        if self._take("["):
            return self._class()
        if self._take("("):
            self._skip(_SPACE_AND_LINES)
            inner = self._choice(is_nested=True)
            if not self._take(")"):
                raise self._fault("lacks a closing )")
            return inner
        if self._take("."):
            return _Class((), is_negated=True)
        token = _TOKEN.match(self._source, self._at)
        if token:
            self._at = token.end()
            return _Token(int(token[1]))
        name = _NAME.match(self._source, self._at)
        if name:
            self._at = name.end()
            return _Reference(name[0])
        return None

    def _text(self) -> _Text:
        start = self._at - 1
        chars: list[str] = []
        while not self._take('"'):
            chars.append(self._char())
        value = "".join(chars)
        self._literals.append((start, self._at, value))
        return _Text(value)

    def _class(self) -> _Class:
        is_negated = self._take("^")
        ranges: list[tuple[str, str]] = []
        while not self._take("]"):
            low = high = self._char()
            if (
                self._source[self._at : self._at + 1] == "-"
                and self._source[self._at + 1 : self._at + 2] != "]"
            ):
                self._at += 1
                high = self._char()
            ranges.append((low, high))
        return _Class(tuple(ranges), is_negated)

    def _char(self) -> str:
        if self._at >= len(self._source):
            raise self._fault("ends in the middle of a literal")
        char = self._source[self._at]
        if char != "\\":
            self._at += 1
            return char
        escape = _ESCAPE.match(self._source, self._at)
        if escape is None:
            raise self._fault("has an unknown escape")
        self._at = escape.end()
        code = escape[1] or escape[2] or escape[3]
        if code is None:
            return _SIMPLE.get(escape[4], escape[4])
        if int(code, 16) > 0x10FFFF:
            raise self._fault("has a character that does not exist")
        return chr(int(code, 16))

    def _bounds(self) -> tuple[int, int | None] | None:
        for sign, bounds in {"*": (0, None), "+": (1, None), "?": (0, 1)}.items():
            if self._take(sign):
                return bounds
        if self._source[self._at : self._at + 1] != "{":
            return None
        match = _REPEAT.match(self._source, self._at)
        if match is None:
            raise self._fault("has a faulty repetition")
        self._at = match.end()
        least = int(match[1])
        most = (int(match[3]) if match[3] else None) if match[2] else least
        if least > _MAX_REPETITIONS or (most is not None and not least <= most <= _MAX_REPETITIONS):
            raise self._fault("has a repetition out of range")
        return least, most

    def _take(self, text: str) -> bool:
        if self._source.startswith(text, self._at):
            self._at += len(text)
            return True
        return False

    def _skip(self, pattern: re.Pattern[str]) -> None:
        match = pattern.match(self._source, self._at)
        if match:
            self._at = match.end()

    def _expect(self, pattern: re.Pattern[str], what: str) -> str:
        match = pattern.match(self._source, self._at)
        if match is None:
            raise self._fault(f"lacks {what}")
        self._at = match.end()
        return match[0]

    def _fault(self, what: str) -> GenerationError:
        line = self._source.count("\n", 0, self._at) + 1
        return GenerationError(f"The grammar of a reply {what} (line {line}).")


def _check_rules(rules: Mapping[str, _Node]) -> None:
    names = {node.name for rule in rules.values() for node in _walk(rule) if isinstance(node, _Reference)}
    missing = sorted((names | {"root"}) - rules.keys())
    if missing:
        raise GenerationError(f"The grammar of a reply has no rule {missing[0]}.")
    empty: set[str] = set()
    while more := {name for name in rules.keys() - empty if _is_nullable(rules[name], empty)}:
        empty |= more
    first = {name: set(_leading(rule, empty)) for name, rule in rules.items()}
    for _ in rules:
        first = {name: found.union(*(first[other] for other in found)) for name, found in first.items()}
    for name, found in first.items():
        if name in found:
            raise GenerationError(f"The rule {name} of a reply's grammar begins with itself.")


def _walk(node: _Node) -> Iterator[_Node]:
    yield node
    for child in _children(node):
        yield from _walk(child)


def _children(node: _Node) -> tuple[_Node, ...]:
    match node:
        case _Sequence(items):
            return items
        case _Choice(options):
            return options
        case _Repeat(item):
            return (item,)
        case _:
            return ()


def _is_nullable(node: _Node, empty: set[str]) -> bool:
    match node:
        case _Text(value):
            return not value
        case _Reference(name):
            return name in empty
        case _Sequence(items):
            return all(_is_nullable(item, empty) for item in items)
        case _Choice(options):
            return any(_is_nullable(option, empty) for option in options)
        case _Repeat(item, least):
            return least == 0 or _is_nullable(item, empty)
        case _:
            return False


def _leading(node: _Node, empty: set[str]) -> Iterator[str]:
    """Names of rules that may stand at the very beginning."""
    match node:
        case _Reference(name):
            yield name
        case _Sequence(items):
            for item in items:
                yield from _leading(item, empty)
                if not _is_nullable(item, empty):
                    return
        case _Choice(options):
            for option in options:
                yield from _leading(option, empty)
        case _Repeat(item):
            yield from _leading(item, empty)
        case _:
            return


class _Matcher:
    """Finds where matches can end, by sets of positions; repetitions are loops, so long texts do not
    recurse."""

    def __init__(self, rules: Mapping[str, _Node], text: str) -> None:
        self._rules = rules
        self._text = text
        self._known: dict[tuple[str, int], frozenset[int]] = {}

    def ends(self, node: _Node, start: int) -> frozenset[int]:
        match node:
            case _Text(value):
                hit = self._text.startswith(value, start)
                return frozenset({start + len(value)} if hit else ())
            case _Class():
                hit = start < len(self._text) and node.accepts(self._text[start])
                return frozenset({start + 1} if hit else ())
            case _Reference(name):
                if (name, start) not in self._known:
                    self._known[name, start] = self.ends(self._rules[name], start)
                return self._known[name, start]
            case _Sequence(items):
                positions = frozenset({start})
                for item in items:
                    positions = self._step(item, positions)
                return positions
            case _Choice(options):
                return frozenset[int]().union(*(self.ends(option, start) for option in options))
            case _Repeat(item, least, most):
                return self._repeat(item, least, most, start)
            case _Token():
                return frozenset()

    def _step(self, node: _Node, positions: frozenset[int]) -> frozenset[int]:
        return frozenset[int]().union(*(self.ends(node, position) for position in positions))

    def _repeat(self, item: _Node, least: int, most: int | None, start: int) -> frozenset[int]:
        positions = frozenset({start})
        for _ in range(least):
            positions = self._step(item, positions)
        found, frontier, rounds = positions, positions, least
        while frontier and (most is None or rounds < most):
            frontier = self._step(item, frontier) - found
            found |= frontier
            rounds += 1
        return found
