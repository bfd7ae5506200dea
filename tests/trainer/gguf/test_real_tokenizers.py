"""Vocabularies of published models, taken from llama.cpp's own test files, go through tokenizer.json and back.

llama.cpp publishes, beside each vocabulary, texts and the ids that the model's own tokenizer gives for them.
"""

import json
from pathlib import Path
from typing import Any

import gguf
import pytest

from tests.trainer.gguf.test_sentencepiece import make_llama
from trainer.gguf.checkpoint import open_checkpoint
from trainer.gguf.parity import Reference, compare
from trainer.gguf.runtime import ModelFile
from trainer.gguf.sentencepiece import _Piece, _state
from trainer.gguf.writer import FileInfo, FloatType, read_source, write_model

FOLDER = Path(__file__).parents[4] / "shared" / "data" / "fixtures" / "tokenizers" / "llama.cpp"

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="needs the vocabularies of shared/data")


def read_vocabulary(name: str) -> dict[str, Any]:
    fields = gguf.GGUFReader(FOLDER / f"ggml-vocab-{name}.gguf").fields
    return {key: field.contents() for key, field in fields.items() if key.startswith("tokenizer.")}


def byte_level_state(known: dict[str, Any]) -> dict[str, Any]:
    """A tokenizer.json with GPT-2's splitting."""
    tokens = known["tokenizer.ggml.tokens"]
    end = len(tokens) - 1
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    step = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {
        "version": "1.0",
        "added_tokens": [{"id": end, "content": tokens[end], "special": True, **flags}],
        "normalizer": None,
        "pre_tokenizer": step,
        "post_processor": None,
        "decoder": step,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "",
            "fuse_unk": False,
            "byte_fallback": False,
            "vocab": {token: index for index, token in enumerate(tokens)},
            "merges": [merge.split(" ", 1) for merge in known["tokenizer.ggml.merges"]],
        },
    }


def score_state(known: dict[str, Any]) -> dict[str, Any]:
    """A tokenizer.json made of scores, as transformers makes it of Llama's tokenizer.model."""
    rows = zip(
        known["tokenizer.ggml.tokens"],
        known["tokenizer.ggml.scores"],
        known["tokenizer.ggml.token_type"],
        strict=True,
    )
    return _state([_Piece(text=text, score=score, kind=kind) for text, score, kind in rows], has_prefix=True)


@pytest.mark.parametrize("name", ["gpt-2", "llama-spm"])
def test_ids_are_those_that_the_models_own_tokenizers_give(name: str, tmp_path: Path) -> None:
    known = read_vocabulary(name)
    is_scored = name == "llama-spm"
    folder = tmp_path / "in"
    end = "</s>" if is_scored else "<|endoftext|>"
    settings: dict[str, Any] = {"eos_token": end, "chat_template": None}
    if not is_scored:
        settings.update(bos_token=end, unk_token=end)
    make_llama(folder, len(known["tokenizer.ggml.tokens"]), **settings)
    (folder / "tokenizer.json").write_text(
        json.dumps(score_state(known) if is_scored else byte_level_state(known))
    )
    source = read_source(open_checkpoint(folder))
    output = tmp_path / "m.gguf"
    write_model(output, source, FloatType.F16, FileInfo(name=name))
    parity = compare(output, Reference(source), kind="f16")
    assert (parity.num_different_ids, parity.first_difference) == (0, None)
    texts = (FOLDER / f"ggml-vocab-{name}.gguf.inp").read_text("utf-8").split("\n__ggml_vocab_test__\n")
    lines = (FOLDER / f"ggml-vocab-{name}.gguf.out").read_text("utf-8").splitlines()
    pairs = list(zip(texts, lines, strict=False))
    assert len(pairs) > 40
    with ModelFile(output, window_tokens=64) as file:
        for text, line in pairs:
            assert file.ids(text) == [int(one) for one in line.split()], text
