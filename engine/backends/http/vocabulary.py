"""A server's tokenizer behind the same rules as a local one: data never yields a special token.

llama-server can be told not to parse special tokens in data; vLLM cannot, and llama-server still matches markup
that a model's makers added (``<think>``). Neither gives out its vocabulary. So the text of every token that
data yields is looked at: one that looks like markup is remembered as forbidden, and `PromptTokenizer` cuts the
data inside of it. That may cut an ordinary token such as ``</div>``, which costs a token and changes no
character. A special token that does not look like markup (``|||IP_ADDRESS|||``) goes unnoticed where the server
parses it.
"""

import functools
import re
from collections.abc import Callable, Iterable, Sequence

from engine.backends.base import Prompt
from engine.backends.tokenization import PromptTokenizer

_MARKUP = re.compile(r"(?!<0x[0-9A-F]{2}>)(?:<.+>|\[.+\])", re.DOTALL)  # <0x0A> is how a byte is written
_IN_LITERAL = re.compile(r"<[^<>\s]+>|\[[^\[\]\s]+\]")
_SPACE_LETTERS = str.maketrans("▁Ġ", "  ")
_CACHED_TEXTS = 16_384

AskServer = Callable[[str, bool], Sequence[tuple[int, str]]]
"""Tokenises: (text, whether special tokens are parsed) -> (id, text of the token) of each token, nothing added."""


class ServerVocabulary:
    """The vocabulary as far as it has been seen; fulfils `engine.backends.tokenization.RawVocabulary`.

    Args:
        ask: asks the server. The answers are remembered: planning and reading tokenise the same sentences.
        bos_id: id of the begin-of-sequence token, if the model wants one and the template may leave it out.
    """

    def __init__(self, ask: AskServer, *, bos_id: int | None) -> None:
        self.forbidden: dict[int, str] = {}
        self.bos_id = bos_id
        self._ask = ask
        self._pieces: dict[int, str] = {}
        self._ids = functools.lru_cache(_CACHED_TEXTS)(self._look)

    def raw_tokenize(self, text: bytes, *, parse_special: bool) -> list[int]:
        """Ids of UTF-8 text, nothing added."""
        return list(self._ids(text.decode(), parse_special))

    def _look(self, text: str, parse_special: bool) -> tuple[int, ...]:
        tokens = self._ask(text, parse_special)
        for token_id, piece in tokens:
            if len(text) == 1:
                self._pieces[token_id] = piece
            if not parse_special and len(piece) > 2 and _MARKUP.fullmatch(piece):
                self.forbidden[token_id] = piece
        return tuple(token_id for token_id, _ in tokens)

    def piece(self, token_id: int) -> bytes:
        """Text of a token that a single character gave: shows whether a space is put before texts."""
        return self._pieces[token_id].translate(_SPACE_LETTERS).encode()


class ServerTokenizer:
    """Tokenises data and prompts by a server. Safe in several threads.

    Args:
        ask: see `ServerVocabulary`.
        bos_id: see `ServerVocabulary`.
    """

    def __init__(self, ask: AskServer, *, bos_id: int | None = None) -> None:
        self._ask = ask
        self._vocabulary = ServerVocabulary(ask, bos_id=bos_id)
        self._tokenizer = PromptTokenizer(self._vocabulary)
        self._special_id = functools.cache(self._find_special)

    def data(self, text: str) -> list[int]:
        """Ids of data text: never a special token, and their pieces join to this text."""
        return self._settle(lambda tokenizer: tokenizer.data(text))

    def prompt(self, rendered: Prompt) -> list[int]:
        """Ids of a rendered prompt."""
        return self._settle(lambda tokenizer: tokenizer.prompt(rendered))

    def special_tokens(self, texts: Iterable[str]) -> dict[str, int]:
        """Pieces of these texts that are one token each where special tokens are parsed, with their ids."""
        pieces = {piece for text in texts for piece in _IN_LITERAL.findall(text)}
        ids = {piece: self._special_id(piece) for piece in sorted(pieces)}
        return {piece: token_id for piece, token_id in ids.items() if token_id is not None}

    def _settle(self, work: Callable[[PromptTokenizer], list[int]]) -> list[int]:
        """Repeat the work as long as it turns up tokens that are forbidden from now on."""
        while True:
            num_known = len(self._vocabulary.forbidden)
            ids = work(self._tokenizer)
            if len(self._vocabulary.forbidden) == num_known:
                return ids
            self._tokenizer = PromptTokenizer(self._vocabulary)

    def _find_special(self, text: str) -> int | None:
        tokens = self._ask(text, True)
        return tokens[0][0] if len(tokens) == 1 and tokens[0][1] == text else None
