"""The engine beside llama.cpp's own server: both do the same work."""

import dataclasses
import importlib.util
from pathlib import Path

import pytest

from benchmarks.runtimes import SIDE_BY_SIDE, chunks_of_the_sample, compare
from engine.models.catalogue import BUNDLED


@pytest.mark.skipif(not BUNDLED.exists(), reason="the starter model is not in resources/models")
@pytest.mark.skipif(importlib.util.find_spec("xllamacpp") is None, reason="xllamacpp is not installed")
def test_both_reply_alike(tmp_path: Path) -> None:
    work = chunks_of_the_sample(3)
    short = dataclasses.replace(work, turns=[turn[:SIDE_BY_SIDE] for turn in work.turns])
    compared = compare(short, folder=tmp_path, num_threads=1, num_rounds=1)
    assert compared["requests"] == SIDE_BY_SIDE
    for way in ("one by one", "8 at a time"):
        assert compared[way]["ratio"] > 0
        replied = {name: compared[way][name]["reply_tokens"] for name in ("engine", "xllamacpp")}
        assert replied["engine"] == replied["xllamacpp"] >= SIDE_BY_SIDE
