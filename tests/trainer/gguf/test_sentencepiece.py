"""SentencePiece tokenizers: from tokenizer.model, from a tokenizer.json, and what cannot be said in scores."""

import itertools
import json
import random
import struct
from pathlib import Path
from typing import Any

import gguf
import pytest
import torch
import transformers

from benchmarks.random_checkpoint import CHAT_TEMPLATE, enliven
from engine.errors import CheckpointError, ParityError, UnsupportedCheckpointError
from trainer.gguf.checkpoint import open_checkpoint
from trainer.gguf.corpus import TEXTS
from trainer.gguf.importing import import_checkpoint
from trainer.gguf.parity import Reference, compare
from trainer.gguf.sentencepiece import SPACE, read_model_file, scores_of
from trainer.gguf.writer import FileInfo, FloatType, read_source, write_model

FIXTURES = Path(__file__).parents[4] / "shared" / "data" / "fixtures" / "tokenizers"


def field(number: int, value: bytes | int | float) -> bytes:
    """A field of a protocol buffer."""
    if isinstance(value, float):
        return bytes([number << 3 | 5]) + struct.pack("<f", value)
    if isinstance(value, int):
        return bytes([number << 3]) + varint(value)
    return bytes([number << 3 | 2]) + varint(len(value)) + value


def varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def train_pieces(num_merges: int = 250) -> list[tuple[str, float, int]]:
    """Pieces as SentencePiece trains them: control, bytes, then merges by rank, then single characters."""
    words = [list(f"{SPACE}{word}") for text in TEXTS[:9] for word in text.split()]
    made: list[str] = []
    for _ in range(num_merges):
        counts: dict[tuple[str, str], int] = {}
        for word in words:
            for pair in itertools.pairwise(word):
                counts[pair] = counts.get(pair, 0) + 1
        if not counts:
            break
        left, right = max(counts, key=lambda pair: (counts[pair], pair))
        made.append(left + right)
        for word in words:
            at = 0
            while at < len(word) - 1:
                if (word[at], word[at + 1]) == (left, right):
                    word[at : at + 2] = [left + right]
                at += 1
    letters = sorted({letter for text in TEXTS[:9] for letter in text.replace(" ", SPACE)})
    pieces = [("<unk>", 0.0, 2), ("<s>", 0.0, 3), ("</s>", 0.0, 3)]
    pieces += [(f"<0x{byte:02X}>", 0.0, 6) for byte in range(256)]
    pieces += [(text, -float(rank), 1) for rank, text in enumerate(dict.fromkeys(made))]
    return pieces + [(letter, -1000.0 - rank, 1) for rank, letter in enumerate(letters)]


def make_model_file(path: Path, *, kind: int = 2, prefix: int = 1, squeezes: int = 0) -> int:
    """Write a tokenizer.model; returns how many pieces it has."""
    pieces = train_pieces()
    data = b"".join(
        field(1, field(1, text.encode()) + field(2, score) + field(3, which)) for text, score, which in pieces
    )
    data += field(2, field(3, kind)) + field(3, field(1, b"identity") + field(3, prefix) + field(4, squeezes))
    path.write_bytes(data)
    return len(pieces)


def make_llama(folder: Path, num_ids: int, **settings: Any) -> Path:
    """A Llama checkpoint without a tokenizer."""
    folder.mkdir(exist_ok=True)
    config = transformers.LlamaConfig(
        vocab_size=num_ids,
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=2048,
        bos_token_id=1,
        eos_token_id=2,
    )
    torch.manual_seed(0)
    model = transformers.LlamaForCausalLM(config)
    enliven(model, is_tied=False)
    model.save_pretrained(folder)
    given = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    template = CHAT_TEMPLATE.replace("<|im_start|>", "<s>").replace("<|im_end|>", "</s>")
    (folder / "tokenizer_config.json").write_text(
        json.dumps({**given, "chat_template": template, **settings})
    )
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A Llama checkpoint with nothing but a tokenizer.model."""
    (tmp_path / "in").mkdir()
    return make_llama(tmp_path / "in", make_model_file(tmp_path / "in" / "tokenizer.model"))


def test_a_model_file_alone_is_enough(folder: Path, tmp_path: Path) -> None:
    parity = import_checkpoint(folder, tmp_path / "m.gguf").parity
    assert parity.num_different_ids == 0
    assert parity.num_texts > 60
    fields = {name: value.contents() for name, value in gguf.GGUFReader(tmp_path / "m.gguf").fields.items()}
    assert fields["tokenizer.ggml.model"] == "llama"
    assert fields["tokenizer.ggml.add_space_prefix"] is True
    assert fields["tokenizer.ggml.add_bos_token"] is True
    assert fields["tokenizer.ggml.add_eos_token"] is False
    types = fields["tokenizer.ggml.token_type"]
    assert types[:4] == [
        gguf.TokenType.UNKNOWN,
        gguf.TokenType.CONTROL,
        gguf.TokenType.CONTROL,
        gguf.TokenType.BYTE,
    ]


@pytest.mark.parametrize(("scheme", "expected"), [("first", False), ("never", False)])
def test_spaces_only_where_the_tokenizer_puts_them(
    folder: Path, tmp_path: Path, scheme: str, expected: bool
) -> None:
    state = read_model_file(folder / "tokenizer.model")
    state["normalizer"] = None
    state["pre_tokenizer"] = {
        "type": "Metaspace",
        "replacement": SPACE,
        "prepend_scheme": scheme,
        "split": False,
    }
    (folder / "tokenizer.json").write_text(json.dumps(state))
    parity = import_checkpoint(folder, tmp_path / "m.gguf").parity
    assert parity.num_different_ids == 0
    value = gguf.GGUFReader(tmp_path / "m.gguf").fields["tokenizer.ggml.add_space_prefix"].contents()
    assert value is expected


def test_the_settings_decide_about_the_begin(folder: Path, tmp_path: Path) -> None:
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    changed = {**settings, "add_bos_token": False, "add_eos_token": True}
    (folder / "tokenizer_config.json").write_text(json.dumps(changed))
    assert import_checkpoint(folder, tmp_path / "m.gguf").parity.num_different_ids == 0
    fields = gguf.GGUFReader(tmp_path / "m.gguf").fields
    assert fields["tokenizer.ggml.add_bos_token"].contents() is False
    assert fields["tokenizer.ggml.add_eos_token"].contents() is True


def test_a_wrong_prefix_is_refused(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainer.gguf.vocabulary._space_prefix", lambda _: "never")
    with pytest.raises(ParityError, match="other token ids"):
        import_checkpoint(folder, tmp_path / "m.gguf")


def test_swapped_scores_are_refused(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def reverse(*arguments: Any) -> dict[str, float]:
        return {text: -1000.0 - score for text, score in scores_of(*arguments).items()}

    monkeypatch.setattr("trainer.gguf.vocabulary.scores_of", reverse)
    with pytest.raises(ParityError, match="other token ids"):
        import_checkpoint(folder, tmp_path / "m.gguf")


@pytest.mark.parametrize(
    ("options", "word"), [({"kind": 1}, "no BPE model"), ({"squeezes": 1}, "changes text")]
)
def test_other_kinds_are_refused(tmp_path: Path, options: dict[str, int], word: str) -> None:
    make_model_file(tmp_path / "tokenizer.model", **options)
    with pytest.raises(UnsupportedCheckpointError, match=word):
        read_model_file(tmp_path / "tokenizer.model")


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.model"
    make_model_file(path)
    whole = path.read_bytes()
    for size in range(0, len(whole) - 40, 97):
        path.write_bytes(whole[:size])
        # A cut between two fields leaves a whole message, but one that does not say that it is BPE.
        with pytest.raises((CheckpointError, UnsupportedCheckpointError)):
            read_model_file(path)
    path.write_bytes(random.Random(0).randbytes(300))
    with pytest.raises((CheckpointError, UnsupportedCheckpointError)):
        read_model_file(path)


def test_merges_that_no_scores_can_say_are_refused() -> None:
    vocabulary = {"a": 0, "b": 1, "c": 2, "ab": 3, "bc": 4, "abc": 5}
    complete = [("a", "b"), ("b", "c"), ("a", "bc"), ("ab", "c")]
    assert scores_of(complete, vocabulary, frozenset()) == {"ab": 0.0, "bc": -1.0, "abc": -2.0}
    with pytest.raises(UnsupportedCheckpointError, match="abc"):
        scores_of(complete[:-1], vocabulary, frozenset())
    torn = [("a", "bc"), ("a", "b"), ("b", "c"), ("ab", "c")]
    with pytest.raises(UnsupportedCheckpointError, match="abc"):
        scores_of(torn, vocabulary, frozenset())


@pytest.mark.skipif(not FIXTURES.is_dir(), reason="needs the tokenizers of shared/data")
def test_a_real_vocabulary_of_32000_pieces(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    make_llama(folder, 32_000)
    (folder / "tokenizer.model").write_bytes((FIXTURES / "mistral" / "tokenizer.model.v1").read_bytes())
    source = read_source(open_checkpoint(folder))
    write_model(tmp_path / "m.gguf", source, FloatType.F16, FileInfo(name="m"))
    parity = compare(tmp_path / "m.gguf", Reference(source), kind="f16")
    assert (parity.num_different_ids, parity.first_difference) == (0, None)
    assert parity.nmse < 1e-4
