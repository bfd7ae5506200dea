"""Stand-ins for tokens, where a server gives none: for budgets, and for receipts of what was sent.

Their number is meant never to fall short of the model's own count, whatever its vocabulary: budgets are kept by
it. A character beyond ASCII costs as many as it has bytes in UTF-8, which no tokenizer exceeds. Three small
letters with a vowel among them count as one, with the space before them; every other letter, digit, sign and
space counts by itself. On prose that is about twice the true number, on the texts of the tests at least 1.2
times (1.02 for a vocabulary of 4,096). Text without vowels or words (keys, DNA) can still have more tokens than
this says; the server's own count is held against it after every request.

The stand-ins join to the text again, so a text has one list of them and a receipt means what it means elsewhere.
"""

import re
from collections.abc import Sequence

from engine.backends.tokenization import utf8_safe

_PIECE = re.compile(rb" ?(?:[a-z]{0,2}[aeiouy]|[aeiouy][a-z]{0,2}|[a-z][aeiouy][a-z]|[A-Za-z])|.", re.DOTALL)
_WORD = re.compile(r"\w+")
_MOST_PER_TOKEN = 4


def stand_ins(text: str) -> list[int]:
    """The stand-ins of a text, [T]: number of bytes times 2**24, plus the last three; a fourth is a space."""
    return [
        len(piece) << 24 | int.from_bytes(piece[-3:], "big")
        for piece in _PIECE.findall(utf8_safe(text).encode())
    ]


def join(ids: Sequence[int]) -> str:
    """The text of stand-ins; what is not UTF-8 becomes U+FFFD."""
    return b"".join(map(_bytes, ids)).decode("utf-8", "replace")


def _bytes(stand_in: int) -> bytes:
    length, tail = stand_in >> 24, stand_in & 0xFFFFFF
    return b" " * (length - 3) + tail.to_bytes(min(length, 3), "big")


def fewest_tokens(text: str) -> int:
    """A number of tokens that this text surely has: a quarter of its stand-ins, and one for each word.

    Less than that cannot have been the whole text. On the texts of the tests no vocabulary has more than 0.87 words a
    token, or more than 3.5 stand-ins.
    """
    return max(len(stand_ins(text)) // _MOST_PER_TOKEN, sum(1 for _ in _WORD.finditer(text)) * 4 // 5)
