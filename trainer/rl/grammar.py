"""Which tokens a GBNF grammar allows next: the engine's reply grammars, for a decoder in torch.

llama.cpp holds a set of stacks of what is still to be matched, and so does this: a nondeterministic pushdown automaton
over UTF-8 bytes. States, and the tokens that each allows, are kept per grammar, so that a grammar is worked out once
however many replies are drawn under it. The rules for tokens are llama.cpp's: a token matches by its text, or by id
where the grammar names it by id; a token that ends the turn is allowed where the grammar can end, and nowhere else.
One deviation: llama.cpp lets some bytes through that no UTF-8 text holds (F5 to FF), and these are refused here.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from engine.backends import gbnf
from engine.backends.gbnf import CharClass, Choice, Node, Reference, Repeat, Text, TokenId
from engine.backends.gbnf import Sequence as Series
from engine.errors import GenerationError
from trainer.rl.data import TokenSet


class Trie:
    """All tokens of a vocabulary by their bytes.

    Args:
        pieces: bytes of each token, by id.
        end_ids: tokens that end the turn, which match no text.
    """

    def __init__(self, pieces: Sequence[bytes], end_ids: Iterable[int]) -> None:
        self.pieces = pieces
        self.end_ids = frozenset(end_ids)
        self.root = TrieNode()
        for token_id, piece in enumerate(pieces):
            if piece and piece[0] and token_id not in self.end_ids:
                node = self.root
                for byte in piece:
                    node = node.children.setdefault(byte, TrieNode())
                node.token_ids.append(token_id)


@dataclass(slots=True)
class TrieNode:
    """What can follow some bytes."""

    children: dict[int, "TrieNode"] = field(default_factory=dict)
    token_ids: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True, eq=False)
class _Char:
    """One character of a class, of which some bytes are there already."""

    node: CharClass
    prefix: bytes = b""


_Item = bytes | _Char | int | Node
"""bytes: still to be matched; int: a token by id; a node: still to be taken apart."""


@dataclass(frozen=True, slots=True, eq=False)
class Stack:
    """What is to be matched next, and what after it. Equal stacks are one object."""

    item: _Item
    rest: "Stack | None"


State = frozenset["Stack | None"]
"""All ways in which what was said so far can go on; None = it can end."""


class TokenGrammar:
    """One grammar over one vocabulary.

    Args:
        source: GBNF; control tokens are meant by their text.
        trie: the vocabulary.
        control: texts of control tokens with their ids, which the grammar then takes as one token each.

    Raises:
        GenerationError: the grammar is faulty.
    """

    def __init__(self, source: str, trie: Trie, control: Mapping[str, int]) -> None:
        parsed = gbnf.parse(source)
        self._rules = gbnf.parse(parsed.with_tokens(control)).rules
        self._trie = trie
        self._stacks: dict[tuple[object, int], Stack] = {}
        self._repeats: dict[tuple[int, int, int | None], Repeat] = {}
        self._chars: dict[tuple[int, bytes], _Char] = {}
        self._allowed: dict[State, TokenSet] = {}
        self._after: dict[tuple[State, int], State] = {}
        self._bytes: dict[tuple[State, int], State] = {}
        self.start: State = self._expand(Reference("root"), None)

    def allowed(self, state: State) -> TokenSet:
        """Tokens that may come next.

        Raises:
            GenerationError: there is none.
        """
        known = self._allowed.get(state)
        if known is None:
            known = self._allowed[state] = self._find_allowed(state)
        return known

    def advance(self, state: State, token_id: int) -> State:
        """The state after an allowed token."""
        key = (state, token_id)
        if key not in self._after:
            after: set[Stack | None] = set()
            for stack in state:
                if stack is not None and stack.item == token_id and isinstance(stack.item, int):
                    after |= self._resume(stack.rest)
            by_text = state
            for byte in self._trie.pieces[token_id]:
                by_text = self._step(by_text, byte)
            self._after[key] = frozenset(after) | (by_text if self._trie.pieces[token_id] else frozenset())
        return self._after[key]

    def _find_allowed(self, state: State) -> TokenSet:
        found = {stack.item for stack in state if stack is not None and isinstance(stack.item, int)}
        if None in state:
            found |= self._trie.end_ids
        pending = [(self._trie.root, state)]
        while pending:
            node, reached = pending.pop()
            found.update(node.token_ids)
            for byte, child in node.children.items():
                after = self._step(reached, byte)
                if after:
                    pending.append((child, after))
        if not found:
            raise GenerationError("No token of the model fits the grammar of its reply.")
        size = len(self._trie.pieces)
        if len(found) <= size // 2:
            return TokenSet(tuple(sorted(found)))
        return TokenSet(tuple(i for i in range(size) if i not in found), is_complement=True)

    def _step(self, state: State, byte: int) -> State:
        key = (state, byte)
        known = self._bytes.get(key)
        if known is None:
            after: set[Stack | None] = set()
            for stack in state:
                if stack is not None:
                    after |= self._step_one(stack, byte)
            known = self._bytes[key] = frozenset(after)
        return known

    def _step_one(self, stack: Stack, byte: int) -> State:
        item = stack.item
        if isinstance(item, bytes):
            if item[0] != byte:
                return frozenset()
            return frozenset({self._push(item[1:], stack.rest)}) if item[1:] else self._resume(stack.rest)
        if isinstance(item, _Char):
            encoded = item.prefix + bytes([byte])
            bounds = _code_points(encoded)
            if bounds is None or not _accepts_any(item.node, *bounds):
                return frozenset()
            if bounds[0] == bounds[1] and _is_complete(encoded):
                return self._resume(stack.rest)
            return frozenset({self._push(self._char(item.node, encoded), stack.rest)})
        return frozenset()

    def _resume(self, rest: Stack | None) -> State:
        """Take apart what comes after something that was matched."""
        if rest is None:
            return frozenset({None})
        item = rest.item
        assert not isinstance(item, (bytes, int, _Char)), "only nodes wait"
        return self._expand(item, rest.rest)

    def _expand(self, node: Node, rest: Stack | None) -> State:
        """All stacks with a terminal on top that a node comes to."""
        found: set[Stack | None] = set()
        seen: set[tuple[int, int]] = set()
        pending: list[tuple[Node, Stack | None]] = [(node, rest)]
        while pending:
            node, rest = pending.pop()
            if (id(node), id(rest)) in seen:
                continue
            seen.add((id(node), id(rest)))
            match node:
                case Text(value) if value:
                    found.add(self._push(value.encode(), rest))
                case CharClass():
                    found.add(self._push(self._char(node, b""), rest))
                case TokenId(token_id):
                    found.add(self._push(token_id, rest))
                case Choice(options):
                    pending += [(option, rest) for option in options]
                case Reference(name):
                    pending.append((self._rules[name], rest))
                case Series(items) if items:
                    behind = rest
                    for item in reversed(items[1:]):
                        behind = self._push(item, behind)
                    pending.append((items[0], behind))
                case Repeat(item, least, most) if most != 0:
                    left = None if most is None else most - 1
                    again = self._repeat(item, max(0, least - 1), left)
                    pending.append((item, rest if left == 0 else self._push(again, rest)))
                    if least == 0:
                        self._go_on(rest, found, pending)
                case _:  # an empty text or series, or nothing left to repeat
                    self._go_on(rest, found, pending)
        return frozenset(found)

    @staticmethod
    def _go_on(
        rest: Stack | None, found: set[Stack | None], pending: list[tuple[Node, Stack | None]]
    ) -> None:
        if rest is None:
            found.add(None)
        else:
            assert not isinstance(rest.item, (bytes, int, _Char)), "only nodes wait"
            pending.append((rest.item, rest.rest))

    def _push(self, item: _Item, rest: Stack | None) -> Stack:
        key = (item if isinstance(item, (bytes, int)) else id(item), id(rest))
        typed = (type(item), key[0])
        return self._stacks.setdefault((typed, key[1]), Stack(item, rest))

    def _char(self, node: CharClass, prefix: bytes) -> _Char:
        return self._chars.setdefault((id(node), prefix), _Char(node, prefix))

    def _repeat(self, item: Node, least: int, most: int | None) -> Repeat:
        # The key must outlive this call, hence objects that the grammar itself holds.
        return self._repeats.setdefault((id(item), least, most), Repeat(item, least, most))


def _is_complete(encoded: bytes) -> bool:
    return len(encoded) == _sequence_length(encoded[0])


def _sequence_length(first: int) -> int:
    if first < 0x80:
        return 1
    if 0xC2 <= first < 0xE0:
        return 2
    if 0xE0 <= first < 0xF0:
        return 3
    return 4 if 0xF0 <= first < 0xF5 else 0


def _code_points(encoded: bytes) -> tuple[int, int] | None:
    """First and last character that begins with these bytes; None = there is none."""
    length = _sequence_length(encoded[0])
    if not length or len(encoded) > length or any(byte & 0xC0 != 0x80 for byte in encoded[1:]):
        return None
    if length == 1:
        return encoded[0], encoded[0]
    value = encoded[0] & (0x7F >> length)
    for byte in encoded[1:]:
        value = value << 6 | byte & 0x3F
    open_bits = 6 * (length - len(encoded))
    low, high = value << open_bits, ((value + 1) << open_bits) - 1
    low = max(low, (0x80, 0x800, 0x10000)[length - 2])
    high = min(high, 0x10FFFF)
    return (low, high) if low <= high else None


def _accepts_any(node: CharClass, low: int, high: int) -> bool:
    """Whether the class accepts a character of the range: one of its ends, or one beside a border of the class."""
    borders = {low, high}
    for first, last in node.ranges:
        borders |= {ord(first) - 1, ord(first), ord(last), ord(last) + 1}
    return any(low <= point <= high and node.accepts(chr(point)) for point in borders)
