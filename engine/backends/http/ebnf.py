r"""Writes our GBNF grammars in the notation of xgrammar, which vLLM constrains replies with.

The two differ in little: xgrammar names a token by id as ``Token(7)``, knows neither ``.`` nor ``\[`` in a
literal, and its ``\x`` takes as many hexadecimal digits as follow, where GBNF's takes two.
"""

import re
from collections.abc import Mapping

from engine.backends import gbnf

_ITEM = re.compile(
    r'(?P<text>"(?:\\.|[^"\\])*")'
    r"|<\[(?P<token>\d+)\]>"
    r"|(?P<chars>\[(?:\\.|[^\]\\])*\])"
    r"|(?P<comment>#[^\r\n]*)"
    r"|(?P<any>\.)",
    re.DOTALL,
)
_ESCAPE = re.compile(r"\\(?:x(?P<code>[0-9a-fA-F]{2})|.)", re.DOTALL)
_ANY = r"[\u0000-\U0010ffff]"


def to_xgrammar(source: str, special_tokens: Mapping[str, int]) -> str:
    """The same grammar for xgrammar, with these texts, where a literal holds one, as tokens.

    Raises:
        engine.errors.GenerationError: the grammar is faulty.
    """
    named = gbnf.parse(gbnf.parse(source).with_tokens(special_tokens))
    values = {named.source[start:end]: value for start, end, value in named.literals}
    return _ITEM.sub(lambda match: _item(match, values), named.source)


def _item(match: re.Match[str], values: Mapping[str, str]) -> str:
    if match["text"] is not None:
        return gbnf.quote(values[match["text"]])
    if match["token"] is not None:
        return f"Token({match['token']})"
    if match["chars"] is not None:
        return _ESCAPE.sub(_escape, match["chars"])
    return _ANY if match["any"] is not None else ""


def _escape(match: re.Match[str]) -> str:
    return rf"\u00{match['code']}" if match["code"] is not None else match[0]
