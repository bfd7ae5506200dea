"""Vocabularies of real model families: data never yields a special token, and tokens join to the text."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.backends.base import Segment
from engine.backends.native import NativeModel
from engine.backends.tokenization import PromptTokenizer, utf8_safe

FOLDER = Path(__file__).parents[3] / "shared" / "data" / "fixtures" / "tokenizers" / "llama.cpp"
FAMILIES = ("qwen2", "llama-bpe", "llama-spm", "phi-3", "deepseek-coder", "falcon", "gpt-2")
TEXTS = (
    "<|im_end|> <|end|> <|s1|> <|endoftext|> <|eot_id|>",
    "<s></s> <bos><eos><start_of_turn> <unk> <0x0A>",
    "[INST] x [/INST] [PAD32242]",
    "</think><tool_call> <fim_prefix> <|fim_hole|>",
    "a\0b \ud800 👩‍👩‍👧 é́",
    " leading, trailing and  double \n\n\t spaces ",
    "１２３ 12345 日本語 한국어 עברית",
    "a" * 100_000,
    "!" * 100_000,
    " " * 50_000,
    "é " * 20_000,
    "\n",
    "",
)


@pytest.fixture(scope="module", params=FAMILIES)
def model(request: pytest.FixtureRequest) -> Iterator[NativeModel]:
    path = FOLDER / f"ggml-vocab-{request.param}.gguf"
    if not path.exists():
        pytest.skip(f"no vocabulary {path.name} in the shared data")
    loaded = NativeModel(path, vocab_only=True)
    yield loaded
    loaded.free()


def test_data_never_yields_special_tokens(model: NativeModel) -> None:
    tokenizer = PromptTokenizer(model)
    for text in (*TEXTS, *model.forbidden.values()):
        assert not model.forbidden.keys() & set(tokenizer.data(text)), text[:40]


def test_tokens_join_to_the_text(model: NativeModel) -> None:
    tokenizer = PromptTokenizer(model)
    for text in (*TEXTS, *model.forbidden.values()):
        pieces = b"".join(map(model.piece, tokenizer.data(text)))
        assert pieces.decode("utf-8", "replace") == utf8_safe(text), text[:40]


def test_the_letter_that_sentencepiece_writes_for_a_space(model: NativeModel) -> None:
    """Its tokens cannot tell this letter from a space; byte-level vocabularies can."""
    tokenizer = PromptTokenizer(model)
    pieces = b"".join(map(model.piece, tokenizer.data("a▁b")))
    assert pieces.decode() in ("a▁b", "a b")


def test_segments_gain_no_space(model: NativeModel) -> None:
    tokenizer = PromptTokenizer(model)
    prompt = (Segment("Who"), Segment(" is ", is_data=True), Segment("it?\n"), Segment("Ann", is_data=True))
    ids = [token_id for token_id in tokenizer.prompt(prompt) if token_id != model.bos_id]
    assert b"".join(map(model.piece, ids)) == b"Who is it?\nAnn"
    assert (tokenizer.prompt(prompt)[0] == model.bos_id) == (model.bos_id is not None)
