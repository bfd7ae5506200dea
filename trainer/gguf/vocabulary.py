"""A checkpoint's tokenizer in llama.cpp's terms: tokens, types, merges or scores, special ids, chat templates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import gguf

from engine.errors import CheckpointError, UnsupportedCheckpointError
from trainer.gguf.checkpoint import Checkpoint, Json, read_json, read_text
from trainer.gguf.pretokenizers import find_pre_tokenizer
from trainer.gguf.sentencepiece import SPACE, read_model_file, scores_of

_COPY = "Copy all files of the tokenizer into the folder."


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecialIds:
    """Ids of tokens with a task; None where there is none.

    Attributes:
        bos: begins a text.
        ends: any of them ends a reply; the first is the tokenizer's own.
        unknown: stands for what has no token.
        padding: fills batches.
    """

    bos: int | None = None
    ends: tuple[int, ...] = ()
    unknown: int | None = None
    padding: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """A tokenizer.

    Attributes:
        model: ``gpt2`` is byte-level BPE, ``llama`` SentencePiece.
        pre: llama.cpp's name of the pre-tokenizer.
        tokens: their texts, by id; as many as the embedding has rows.
        types: their types, by id.
        merges: for ``gpt2``.
        scores: for ``llama``, by id.
        prefix: whether ``llama`` puts a space before text: ``always`` also behind special tokens, ``first`` only
            at the very start, which llama.cpp cannot do: such a file adds none.
        special: ids with a task.
        adds_bos: whether a text begins with `special.bos`.
        adds_eos: whether it ends with the first of `special.ends`.
        templates: chat templates by name; ``default`` is the one that is used.
        state: the `tokenizer.json`.
        settings: the `tokenizer_config.json`.
        is_normalised: whether transformers brings text into the form NFC first; llama.cpp does not.
    """

    model: Literal["gpt2", "llama"]
    pre: str
    tokens: tuple[str, ...]
    types: tuple[gguf.TokenType, ...]
    merges: tuple[str, ...] = ()
    scores: tuple[float, ...] = ()
    prefix: Literal["always", "first", "never"] = "never"
    special: SpecialIds
    adds_bos: bool
    adds_eos: bool
    templates: Mapping[str, str] = field(default_factory=dict)
    state: Json = field(repr=False)
    settings: Json = field(repr=False)
    is_normalised: bool = False


def read_vocabulary(checkpoint: Checkpoint, num_tokens: int) -> Vocabulary:
    """The tokenizer of a checkpoint.

    Args:
        checkpoint: where it lies.
        num_tokens: rows of the embedding; ids beyond the tokenizer's own are marked as unused.

    Raises:
        CheckpointError: a file is missing or damaged, or the tokenizer does not belong to the weights.
        UnsupportedCheckpointError: llama.cpp has no tokenizer of this kind.
    """
    folder = checkpoint.folder
    settings = read_json(folder / "tokenizer_config.json", is_optional=True)
    state = _read_state(folder, settings)
    try:
        return _assemble(checkpoint, state, settings, num_tokens)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as exc:
        # The file has a fixed schema; what breaks it in whatever place is damage.
        raise CheckpointError("tokenizer.json or tokenizer_config.json is damaged.", hint=_COPY) from exc


def _read_state(folder: Path, settings: Json) -> Json:
    if (folder / "tokenizer.json").is_file():
        return read_json(folder / "tokenizer.json")
    if (folder / "tokenizer.model").is_file():
        state = read_model_file(folder / "tokenizer.model")
        return {**state, "post_processor": _default_additions(settings, state["model"]["vocab"])}
    raise CheckpointError(f"{folder.name} holds neither tokenizer.json nor tokenizer.model.", hint=_COPY)


def _default_additions(settings: Json, ids: Mapping[str, int]) -> Json | None:
    """What transformers puts around a text where only the settings say it: a begin and no end, if they are silent."""

    def piece(key: str, default: str, *, is_wanted: bool) -> list[str]:
        value = settings.get(f"{key}_token", default)
        text = value.get("content") if isinstance(value, dict) else value
        return [str(text)] if is_wanted and text in ids else []

    before = piece("bos", "<s>", is_wanted=settings.get("add_bos_token") is not False)
    after = piece("eos", "</s>", is_wanted=settings.get("add_eos_token") is True)
    if not before and not after:
        return None

    def template(*sequences: str) -> list[Json]:
        parts: list[Json] = []
        for number, name in enumerate(sequences):
            parts += [{"SpecialToken": {"id": text, "type_id": number}} for text in before]
            parts.append({"Sequence": {"id": name, "type_id": number}})
            parts += [{"SpecialToken": {"id": text, "type_id": number}} for text in after]
        return parts

    special = {text: {"id": text, "ids": [ids[text]], "tokens": [text]} for text in (*before, *after)}
    return {
        "type": "TemplateProcessing",
        "single": template("A"),
        "pair": template("A", "B"),
        "special_tokens": special,
    }


def _assemble(checkpoint: Checkpoint, state: Json, settings: Json, num_tokens: int) -> Vocabulary:
    model = state["model"]
    if (
        model.get("type") != "BPE"
        or model.get("continuing_subword_prefix")
        or model.get("end_of_word_suffix")
    ):
        raise UnsupportedCheckpointError(
            f"The tokenizer is of the type {str(model.get('type'))[:40]}.",
            hint="Byte-level BPE and SentencePiece BPE can be written.",
        )
    added = {token["content"]: token for token in state.get("added_tokens") or []}
    ids = {**model["vocab"], **{text: token["id"] for text, token in added.items()}}
    tokens = _by_id(ids, num_tokens)
    special = _special_ids(checkpoint, settings, ids, model.get("unk_token"))
    merges = [_pair(one) for one in model["merges"]]
    is_byte_fallback = bool(model.get("byte_fallback"))
    types = tuple(_type(text, added, special, ids, is_byte_fallback) for text in tokens)
    adds_bos, adds_eos = _additions(state, special, ids)
    names = [text if text is not None else f"[PAD{index}]" for index, text in enumerate(tokens)]
    if len(set(names)) != len(names):
        raise CheckpointError("Two ids of the tokenizer have the same text.", hint=_COPY)
    common: dict[str, Any] = {
        "tokens": tuple(names),
        "types": types,
        "special": special,
        "adds_bos": adds_bos,
        "adds_eos": adds_eos,
        "templates": _templates(checkpoint.folder, settings),
        "state": state,
        "settings": settings,
    }
    if is_byte_fallback:
        scores = scores_of(merges, model["vocab"], frozenset(added))
        prefix = _space_prefix(state)
        return Vocabulary(
            model="llama",
            pre="default",
            scores=tuple(scores.get(name, -1e6) for name in names),
            prefix=prefix,
            **common,
        )
    return Vocabulary(
        model="gpt2",
        pre=find_pre_tokenizer(state),
        merges=tuple(" ".join(pair) for pair in merges),
        is_normalised=_is_nfc(state.get("normalizer")),
        **common,
    )


def _pair(merge: Any) -> tuple[str, str]:
    """A merge: a pair in newer files, one string with a space in older ones."""
    left, right = merge.split(" ", 1) if isinstance(merge, str) else merge
    return str(left), str(right)


def _by_id(ids: Mapping[str, int], num_tokens: int) -> list[str | None]:
    if not ids or max(ids.values()) >= num_tokens:
        raise CheckpointError(
            f"The tokenizer has ids up to {max(ids.values(), default=-1)}, the embedding {num_tokens} rows.",
            hint="Tokenizer and weights belong to different models.",
        )
    tokens: list[str | None] = [None] * num_tokens
    for text, index in ids.items():
        if index < 0 or tokens[index] is not None:
            raise CheckpointError(f"Two tokens have the id {index}.", hint=_COPY)
        tokens[index] = text
    return tokens


def _type(
    text: str | None,
    added: Mapping[str, Json],
    special: SpecialIds,
    ids: Mapping[str, int],
    is_byte_fallback: bool,
) -> gguf.TokenType:
    if text is None:
        return gguf.TokenType.UNUSED
    if is_byte_fallback and ids[text] == special.unknown:
        return gguf.TokenType.UNKNOWN
    if text in added:
        return gguf.TokenType.CONTROL if added[text].get("special") else gguf.TokenType.USER_DEFINED
    is_byte = is_byte_fallback and len(text) == 6 and text.startswith("<0x") and text.endswith(">")
    return gguf.TokenType.BYTE if is_byte else gguf.TokenType.NORMAL


def _special_ids(
    checkpoint: Checkpoint, settings: Json, ids: Mapping[str, int], unknown: str | None
) -> SpecialIds:
    def named(key: str) -> int | None:
        value = settings.get(f"{key}_token")
        text = value.get("content") if isinstance(value, dict) else value
        if text is None:
            return None
        if text not in ids:
            raise CheckpointError(f"The {key} token {str(text)[:40]!r} is not in the vocabulary.", hint=_COPY)
        return ids[text]

    known = set(ids.values())
    bos = named("bos")
    ends = [named("eos")]
    for source in (checkpoint.generation, checkpoint.config):
        given = source.get("eos_token_id")
        ends += given if isinstance(given, list) else [given]
    if bos is None and "bos_token" not in settings:
        bos = checkpoint.config.get("bos_token_id")
    padding = named("pad")
    chosen = tuple(dict.fromkeys(one for one in ends if one is not None))
    for index in (*chosen, *(() if bos is None else (bos,))):
        if type(index) is not int or index not in known:
            raise CheckpointError(f"The special id {str(index)[:20]} has no token.", hint=_COPY)
    return SpecialIds(
        bos=bos,
        ends=chosen,
        unknown=ids.get(unknown) if unknown is not None else named("unk"),
        padding=padding,
    )


def _additions(state: Json, special: SpecialIds, ids: Mapping[str, int]) -> tuple[bool, bool]:
    """Whether a text gets a begin and an end."""
    processor = state.get("post_processor") or {}
    parts = processor.get("processors", [processor]) if processor else []
    template = next((part for part in parts if part.get("type") == "TemplateProcessing"), None)
    before: list[int] = []
    after: list[int] = []
    here = before
    for piece in template["single"] if template else []:
        if "Sequence" in piece:
            here = after
        else:
            here.append(ids[piece["SpecialToken"]["id"]])
    expected_bos = [] if special.bos is None else [special.bos]
    if before not in ([], expected_bos) or after not in ([], list(special.ends[:1])):
        raise UnsupportedCheckpointError(
            "The tokenizer puts other tokens around a text than one begin and one end.",
            hint="llama.cpp cannot do that.",
        )
    return bool(before), bool(after)


def _space_prefix(state: Json) -> Literal["always", "first", "never"]:
    normalizer, splitter = state.get("normalizer"), state.get("pre_tokenizer")
    if splitter is not None:
        if normalizer is None and splitter.get("type") == "Metaspace" and not splitter.get("split", True):
            scheme = splitter.get("prepend_scheme", "always")
            if scheme in ("always", "first", "never") and splitter.get("replacement") == SPACE:
                found: Literal["always", "first", "never"] = scheme
                return found
        raise _unknown_spaces()
    steps = (normalizer or {}).get("normalizers", [normalizer])
    kinds = [step and step.get("type") for step in steps]
    if kinds[-1:] != ["Replace"] or steps[-1].get("content") != SPACE or kinds[:-1] not in ([], ["Prepend"]):
        raise _unknown_spaces()
    return "always" if len(kinds) == 2 else "never"


def _unknown_spaces() -> UnsupportedCheckpointError:
    return UnsupportedCheckpointError(
        "The tokenizer changes text in a way that is not known here before it is split.",
        hint="Known are the ways of Llama's SentencePiece tokenizers.",
    )


def _is_nfc(normalizer: Json | None) -> bool:
    if normalizer is None:
        return False
    parts = normalizer.get("normalizers", [normalizer])
    if any(part.get("type") != "NFC" for part in parts):
        raise UnsupportedCheckpointError(
            "The tokenizer changes text before it is split.", hint="llama.cpp would not do that."
        )
    return bool(parts)


def _templates(folder: Path, settings: Json) -> dict[str, str]:
    found: dict[str, str] = {}
    given = settings.get("chat_template")
    if isinstance(given, str):
        found["default"] = given
    elif given is not None:
        found = {str(one["name"]): str(one["template"]) for one in given}
    file = read_text(folder / "chat_template.jinja")
    return found if file is None else {**found, "default": file}


def add_vocabulary(writer: gguf.GGUFWriter, vocabulary: Vocabulary) -> None:
    """Write a tokenizer into a file's metadata."""
    writer.add_tokenizer_model(vocabulary.model)
    writer.add_tokenizer_pre(vocabulary.pre)
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_types(vocabulary.types)
    if vocabulary.model == "gpt2":
        writer.add_token_merges(vocabulary.merges)
    else:
        writer.add_token_scores(vocabulary.scores)
        writer.add_add_space_prefix(vocabulary.prefix == "always")
    _add_special(writer, vocabulary.special)
    writer.add_add_bos_token(vocabulary.adds_bos)
    writer.add_add_eos_token(vocabulary.adds_eos)
    named: Sequence[dict[str, str]] = [
        {"name": name, "template": text} for name, text in vocabulary.templates.items()
    ]
    if named:
        writer.add_chat_template(named)


def _add_special(writer: gguf.GGUFWriter, special: SpecialIds) -> None:
    if special.bos is not None:
        writer.add_bos_token_id(special.bos)
    if special.unknown is not None:
        writer.add_unk_token_id(special.unknown)
    if special.padding is not None:
        writer.add_pad_token_id(special.padding)
    ends = special.ends
    if ends:
        writer.add_eos_token_id(ends[0])
        writer.add_eot_token_id(ends[1] if len(ends) > 1 else ends[0])
    if len(ends) > 2:
        writer.add_eom_token_id(ends[2])
