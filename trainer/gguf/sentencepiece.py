"""SentencePiece vocabularies of BPE type, from `tokenizer.model` or from the `tokenizer.json` made of one.

Llama's first tokenizers join the two neighbours whose joined piece has the best score; a `tokenizer.json` says the
same as a list of merges. llama.cpp wants scores, so merges are turned back into them, and it is checked that nothing
is lost on the way. The file is a protocol buffer; of it, only pieces and a few settings are read.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import CheckpointError, UnsupportedCheckpointError

SPACE = "▁"
_NORMAL, _UNKNOWN, _CONTROL, _USER_DEFINED, _UNUSED, _BYTE = range(1, 7)
_BPE = 2
_MAX_FILE_BYTES = 64 << 20
_DAMAGED = "tokenizer.model is damaged."
_AGAIN = "Download or copy it again."


@dataclass(frozen=True, slots=True, kw_only=True)
class _Piece:
    text: str
    score: float
    kind: int


def read_model_file(path: Path) -> dict[str, Any]:
    """The content of a `tokenizer.model`, as a `tokenizer.json` would say it.

    Raises:
        CheckpointError: the file is damaged.
        UnsupportedCheckpointError: it holds no BPE model, or one that changes the text first.
    """
    try:
        if path.stat().st_size > _MAX_FILE_BYTES:
            raise CheckpointError(f"{path.name} is too long.", hint="It should hold less than 64 MB.")
        data = path.read_bytes()
    except OSError as exc:
        raise CheckpointError(f"{path.name} cannot be read.", hint="Check the path.") from exc
    try:
        return _to_state(data)
    except (UnicodeDecodeError, IndexError, TypeError) as exc:
        raise CheckpointError(_DAMAGED, hint=_AGAIN) from exc


def _to_state(data: bytes) -> dict[str, Any]:
    pieces: list[_Piece] = []
    settings: dict[int, Any] = {}
    normalizer: dict[int, Any] = {}
    for number, value in _fields(data):
        if number == 1:
            pieces.append(_piece(value))
        elif number == 2:
            settings = dict(_fields(value))
        elif number == 3:
            normalizer = dict(_fields(value))
    if not pieces:
        raise CheckpointError(_DAMAGED, hint=_AGAIN)
    if settings.get(3, 1) != _BPE:
        raise UnsupportedCheckpointError(
            "tokenizer.model holds no BPE model.",
            hint="Llama's tokenizers are BPE; llama.cpp reads no other here.",
        )
    if normalizer.get(2) or normalizer.get(4, 1):
        raise UnsupportedCheckpointError(
            "tokenizer.model changes text before it is split.", hint="llama.cpp would not do that."
        )
    return _state(pieces, has_prefix=bool(normalizer.get(3, 1)))


def _piece(data: bytes) -> _Piece:
    fields = dict(_fields(data))
    return _Piece(text=fields[1].decode(), score=_float(fields.get(2, bytes(4))), kind=fields.get(3, _NORMAL))


def _state(pieces: Sequence[_Piece], *, has_prefix: bool) -> dict[str, Any]:
    vocabulary = {piece.text: index for index, piece in enumerate(pieces)}
    added = [
        {"id": index, "content": piece.text, "special": piece.kind != _USER_DEFINED, **_PLAIN}
        for index, piece in enumerate(pieces)
        if piece.kind in (_UNKNOWN, _CONTROL, _USER_DEFINED)
    ]
    unknown = next((piece.text for piece in pieces if piece.kind == _UNKNOWN), None)
    scores = {piece.text: piece.score for piece in pieces if piece.kind == _NORMAL}
    normalizers = [{"type": "Replace", "pattern": {"String": " "}, "content": SPACE}]
    if has_prefix:
        normalizers.insert(0, {"type": "Prepend", "prepend": SPACE})
    decoders: list[dict[str, Any]] = [
        {"type": "Replace", "pattern": {"String": SPACE}, "content": " "},
        {"type": "ByteFallback"},
        {"type": "Fuse"},
    ]
    if has_prefix:
        decoders.append({"type": "Strip", "content": " ", "start": 1, "stop": 0})
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": {"type": "Sequence", "normalizers": normalizers},
        "pre_tokenizer": None,
        "post_processor": None,
        "decoder": {"type": "Sequence", "decoders": decoders},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": unknown,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": True,
            "byte_fallback": True,
            "vocab": vocabulary,
            "merges": _merges(scores, vocabulary),
        },
    }


_PLAIN = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}


def _merges(scores: Mapping[str, float], vocabulary: Mapping[str, int]) -> list[list[str]]:
    """Every way to join two pieces into a third, the best score first."""
    ranked = sorted((text for text in scores if len(text) > 1), key=lambda text: -scores[text])
    return [list(pair) for text in ranked for pair in _splits(text, vocabulary)]


def _splits(text: str, vocabulary: Mapping[str, int]) -> list[tuple[str, str]]:
    pairs = [(text[:cut], text[cut:]) for cut in range(1, len(text))]
    known = [(left, right) for left, right in pairs if left in vocabulary and right in vocabulary]
    return sorted(known, key=lambda pair: (vocabulary[pair[0]], vocabulary[pair[1]]))


def scores_of(
    merges: Sequence[tuple[str, str]], vocabulary: Mapping[str, int], added: frozenset[str]
) -> dict[str, float]:
    """Scores of the pieces that merges make; the earlier a merge, the better.

    llama.cpp joins any two neighbours whose joined text is a token, in the order of the scores. So the merges must hold
    every way to make a token, and those for one token must stand together.

    Raises:
        UnsupportedCheckpointError: they do not: scores could not say the same.
    """
    ranks: dict[str, int] = {}
    previous = ""
    for left, right in merges:
        text = left + right
        if text in ranks and text != previous:
            raise _no_scores(text)
        ranks.setdefault(text, len(ranks))
        previous = text
    known = set(merges)
    for text in vocabulary:
        if len(text) > 1 and text not in added and not _is_byte(text):
            missing = [pair for pair in _splits(text, vocabulary) if pair not in known]
            if missing:
                raise _no_scores(text)
    return {text: -float(rank) for text, rank in ranks.items()}


def _no_scores(text: str) -> UnsupportedCheckpointError:
    return UnsupportedCheckpointError(
        f"The merges of the tokenizer do not follow from scores of its pieces (see {text[:40]!r}).",
        hint="llama.cpp needs scores for a tokenizer of this kind; it should come from a SentencePiece model.",
    )


def _is_byte(text: str) -> bool:
    return len(text) == 6 and text.startswith("<0x") and text.endswith(">")


def _float(data: bytes) -> float:
    return float(struct.unpack("<f", data)[0])


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """Fields of a protocol buffer message: numbers as int, everything else as bytes.

    Raises:
        CheckpointError: the message ends too early.
    """
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield number, value
            continue
        if wire == 2:
            length, at = _varint(data, at)
        elif wire in (1, 5):
            length = 8 if wire == 1 else 4
        else:
            raise CheckpointError(_DAMAGED, hint=_AGAIN)
        if at + length > len(data):
            raise CheckpointError(_DAMAGED, hint=_AGAIN)
        yield number, data[at : at + length]
        at += length


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise CheckpointError(_DAMAGED, hint=_AGAIN)
