"""Random models: their vocabulary, their quantisation, that they compute numbers, that they are made once."""

from dataclasses import replace
from pathlib import Path

import gguf
import pytest

from benchmarks import models, random_gguf
from engine.backends.base import Request, Segment
from engine.backends.llamacpp import LlamaCppBackend
from engine.errors import ModelError

# K-quants want rows of a multiple of 256 weights; other rows fall back to other types, as in the 0.5B shape.
WIDE = replace(
    models.SHAPES["0.5b"],
    width=256,
    layers=4,
    heads=4,
    feed_forward=512,
    embedding_std=1 / 16,
    matrix_std=1 / 16,
)


def test_vocabulary_has_as_many_different_tokens_as_asked_for() -> None:
    tokens = models.vocabulary(8_000).tokens
    assert len(tokens) == len(set(tokens)) == 8_000


def test_every_merge_joins_tokens_that_are_there_before() -> None:
    vocabulary = models.vocabulary(8_000)
    known = set(random_gguf.byte_letters())
    for merge in vocabulary.merges:
        first, second = merge.split(" ")
        assert first in known
        assert second in known
        known.add(first + second)


def test_more_tokens_than_can_be_made_up_are_refused() -> None:
    with pytest.raises(ValueError, match="can be made up"):
        models.vocabulary(400_000)


@pytest.mark.parametrize(("quantisation", "kind"), [("q4_k_m", "Q4_K"), ("q8_0", "Q8_0")])
def test_quantised_models_compute_numbers(
    quantisation: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(models.SHAPES, "wide", WIDE)
    small = models.vocabulary(8_000)
    monkeypatch.setattr(models, "vocabulary", lambda: small)
    path = models.make_model(tmp_path, "wide", quantisation, num_threads=1)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    kinds = {tensor.tensor_type.name for tensor in gguf.GGUFReader(str(path)).tensors}
    assert kind in kinds
    backend = LlamaCppBackend(path, context_tokens=1024)
    prompt = (Segment("The harbour was empty. " * 40, is_data=True),)
    (completion,) = backend.generate([Request(prompt=prompt, max_tokens=8)])  # raises if they are no numbers
    backend.close()
    assert len(completion.prompt_token_ids) > 100
    assert completion.token_ids


def test_a_model_is_made_once_and_depends_on_its_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(models.SHAPES, "wide", WIDE)
    small = models.vocabulary(8_000)
    monkeypatch.setattr(models, "vocabulary", lambda: small)
    made = models.make_model(tmp_path / "a", "wide", "q8_0", num_threads=1)
    before = made.stat().st_mtime_ns
    assert models.make_model(tmp_path / "a", "wide", "q8_0", num_threads=1) == made
    assert made.stat().st_mtime_ns == before
    again = models.make_model(tmp_path / "b", "wide", "q8_0", num_threads=1)
    assert again.read_bytes() == made.read_bytes()
    other = models.make_model(tmp_path / "b", "wide", "q8_0", seed=1, num_threads=1)
    assert other.read_bytes() != made.read_bytes()


def test_a_file_that_is_no_model_is_not_quantised(tmp_path: Path) -> None:
    source = tmp_path / "source.gguf"
    source.write_bytes(b"no model")
    with pytest.raises(ModelError, match="could not quantise"):
        models.quantise(source, tmp_path / "target.gguf", "q8_0", num_threads=1)
    assert not (tmp_path / "target.gguf").exists()
