"""A model of the benchmarks' own make, small enough to be made in a moment."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import models, random_gguf

SMALL = replace(
    models.SHAPES["0.5b"],
    width=64,
    layers=2,
    heads=2,
    kv_heads=1,
    feed_forward=128,
    embedding_std=0.125,
    matrix_std=0.125,
)


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "small.gguf"
    return random_gguf.write(path, SMALL, models.vocabulary(8_000), name="small", matrices="f16")
