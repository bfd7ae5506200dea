"""Text utilities shared by chunking and evidence: whitespace, sentences, normalised search."""

import re

_SPACES = re.compile(r"\s+")


def collapse_whitespace(text: str) -> str:
    """Every run of whitespace becomes one space; none at the ends."""
    return _SPACES.sub(" ", text).strip()
