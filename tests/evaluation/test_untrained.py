"""A copy that has learnt nothing is a model like the other, and finds nothing."""

import struct
from pathlib import Path

import numpy as np
import pytest

from benchmarks import models, random_gguf
from engine.agent.config import ReadingConfig
from engine.agent.prompts import PromptSet
from engine.backends.base import Backend
from engine.backends.wishes import Wishes
from engine.cancel import CancelToken
from engine.errors import ModelLoadError
from engine.evaluation.systems import Outcome, reader
from engine.evaluation.tasks.base import Materials
from engine.evaluation.tasks.needles import NeedleTask
from engine.evaluation.untrained import write_untrained
from engine.models.catalogue import BUNDLED
from engine.models.opening import open_model, prompts_for

gguf = pytest.importorskip("gguf", reason="the package gguf is not installed")


@pytest.fixture(scope="module")
def copy(backend: Backend, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_untrained(BUNDLED, tmp_path_factory.mktemp("untrained"))


def test_same_weights_in_another_order(copy: Path) -> None:
    ours, theirs = (gguf.GGUFReader(str(path)).tensors for path in (BUNDLED, copy))
    assert [tensor.name for tensor in ours] == [tensor.name for tensor in theirs]
    shuffled = 0
    for one, other in zip(ours, theirs, strict=True):
        assert np.array_equal(np.sort(one.data, axis=None), np.sort(other.data, axis=None)), one.name
        if one.data.ndim > 1:
            shuffled += not np.array_equal(one.data, other.data)
        else:
            assert np.array_equal(one.data, other.data), one.name
    assert shuffled > 20


def test_same_tokens_template_and_wording_and_nothing_found(
    copy: Path, backend: Backend, prompts: PromptSet, config: ReadingConfig, materials: Materials
) -> None:
    other = open_model(copy, wishes=Wishes(num_threads=1))
    assert other.info.fingerprint != backend.info.fingerprint
    assert other.tokenize("Reading 3,184 pages.") == backend.tokenize("Reading 3,184 pages.")
    assert prompts_for(other, copy) == prompts
    task = NeedleTask(name="needle", materials=materials)
    outcomes: dict[int, Outcome] = {}
    system = reader(other, prompts, config)
    system.answer([task.item(600, n) for n in range(3)], outcomes.__setitem__, CancelToken())
    other.close()
    golds = [task.item(600, n).golds[0].answers[0] for n in range(3)]
    assert sum(outcomes[n].answer == gold for n, gold in enumerate(golds)) == 0


def test_a_copy_is_written_once_for_each_seed(copy: Path) -> None:
    written = copy.stat().st_mtime_ns
    assert write_untrained(BUNDLED, copy.parent) == copy
    assert copy.stat().st_mtime_ns == written
    assert write_untrained(BUNDLED, copy.parent, seed=1) != copy
    assert not list(copy.parent.glob("*.tmp"))


def test_quantised_blocks_are_shuffled_whole(tmp_path: Path) -> None:
    path = tmp_path / "small.gguf"
    writer = gguf.GGUFWriter(str(path), "qwen2")
    writer.add_name("quantised")
    writer.add_array("some.list", ["a", "b"])
    values = np.random.default_rng(0).normal(size=(8, 64)).astype(np.float32)
    kind = gguf.GGMLQuantizationType.Q8_0
    writer.add_tensor("blk.0.attn_q.weight", gguf.quants.quantize(values, kind), raw_dtype=kind)
    writer.add_tensor("blk.0.attn_norm.weight", values[0])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    copy = write_untrained(path, tmp_path / "copies")
    (before, norm), (after, same) = (
        [tensor.data for tensor in gguf.GGUFReader(str(each)).tensors] for each in (path, copy)
    )
    assert np.array_equal(norm, same)
    blocks = [sorted(map(bytes, each.reshape(-1, 34))) for each in (before, after)]
    assert blocks[0] == blocks[1]
    assert not np.array_equal(before, after)


def test_weights_of_an_unknown_type_are_refused_and_nothing_is_left(tmp_path: Path) -> None:
    path = random_gguf.write(
        tmp_path / "m.gguf",
        models.SHAPES["0.5b"].__class__(
            width=32,
            layers=1,
            heads=2,
            kv_heads=1,
            feed_forward=64,
            context_tokens=512,
            rope_base=1e4,
            embedding_std=0.1,
            matrix_std=0.1,
        ),
        models.vocabulary(2_000),
        name="m",
    )
    data = bytearray(path.read_bytes())
    name = b"token_embd.weight"
    at = data.index(name) + len(name) + 4 + 2 * 8
    assert struct.unpack_from("<I", data, at) == (0,)
    struct.pack_into("<I", data, at, 99)
    path.write_bytes(data)
    with pytest.raises(ModelLoadError, match="type that is not known"):
        write_untrained(path, tmp_path / "copies")
    assert list((tmp_path / "copies").iterdir()) == []
