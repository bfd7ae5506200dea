"""Loading, its errors, the log, and the context's cache, on a tiny model with random weights."""

import logging
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.backends.automatic import RuntimeSettings, choose_settings
from engine.backends.base import Sampling
from engine.backends.llamacpp import LlamaCppBackend
from engine.backends.native import NativeModel
from engine.backends.native_context import ContextSettings, NativeContext, Piece
from engine.backends.native_sampler import GrammarCache, NativeSampler
from engine.backends.wishes import Wishes
from engine.cancel import Cancelled
from engine.errors import GenerationError, ModelLoadError, TemplateError
from tests.backends import tiny_gguf


def test_metadata_and_defaults(tmp_path: Path) -> None:
    metadata: dict[str, str | int] = {
        "palimpsest.prompt_set": "starter-1",
        "palimpsest.chunk_tokens": 384,
        "palimpsest.memory_tokens": "many",
    }
    path = tiny_gguf.write(tmp_path / "t.gguf", metadata=metadata)
    backend = LlamaCppBackend(path, wishes=Wishes(num_threads=1))
    assert backend.info.name == "Tiny"
    assert backend.info.backend == "llama.cpp"
    assert backend.info.prompt_set == "starter-1"
    assert backend.info.chunk_tokens == 384
    assert backend.info.memory_tokens is None
    assert backend.info.context_tokens == tiny_gguf.CONTEXT_TOKENS
    backend.close()


@pytest.mark.parametrize("share", [0.001, 0.05, 0.5, 0.99])
def test_truncated_files(tmp_path: Path, tiny_path: Path, share: float) -> None:
    content = tiny_path.read_bytes()
    path = tmp_path / "cut.gguf"
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ModelLoadError, match="damaged or incomplete"):
        LlamaCppBackend(path)


def test_an_unknown_architecture_is_named(tmp_path: Path) -> None:
    path = tiny_gguf.write(tmp_path / "t.gguf", architecture="strange")
    with pytest.raises(ModelLoadError, match="of the kind strange"):
        LlamaCppBackend(path)


def test_missing_tensors(tmp_path: Path, tiny_path: Path) -> None:
    path = tmp_path / "t.gguf"
    path.write_bytes(tiny_path.read_bytes().replace(b"blk.1.ffn_up", b"blk.1.ffn_xx"))
    with pytest.raises(ModelLoadError, match="cannot load"):
        LlamaCppBackend(path)


def test_a_window_beyond_memory(tiny_path: Path) -> None:
    with pytest.raises(ModelLoadError, match="not enough memory for a context window"):
        LlamaCppBackend(tiny_path, context_tokens=4_000_000_000)


@pytest.mark.parametrize("template", [None, "{% if %}"])
def test_a_model_needs_a_chat_template(tmp_path: Path, template: str | None) -> None:
    path = tiny_gguf.write(tmp_path / "t.gguf", template=template)
    with pytest.raises(TemplateError):
        LlamaCppBackend(path)
    LlamaCppBackend(path, wishes=Wishes(num_threads=1), chat_template=tiny_gguf.TEMPLATE).close()


def test_exactly_one_bos(tmp_path: Path) -> None:
    for number, template in enumerate(
        (
            tiny_gguf.TEMPLATE,
            "{{ bos_token }}" + tiny_gguf.TEMPLATE,
            "{{ bos_token }}" * 2 + tiny_gguf.TEMPLATE,
        )
    ):
        path = tiny_gguf.write(tmp_path / f"{number}.gguf", template=template, add_bos=True)
        backend = LlamaCppBackend(path, wishes=Wishes(num_threads=1))
        ids = backend.encode(())
        backend.close()
        assert ids[0] == 0
        assert ids.count(0) == 1


def test_the_log_goes_to_logging_only(
    tiny_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.DEBUG, logger="engine.backends.native"):
        LlamaCppBackend(tiny_path, wishes=Wishes(num_threads=1)).close()
    assert any("Tiny" in record.message for record in caplog.records)
    assert {record.levelno for record in caplog.records if record.name.endswith("native")} == {logging.DEBUG}
    captured = capfd.readouterr()
    assert captured.out == captured.err == ""


def test_importing_the_adapter_does_not_load_llama_cpp() -> None:
    import subprocess

    code = "import sys, engine.backends.llamacpp; sys.exit('llama_cpp' in sys.modules)"
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0


@pytest.fixture
def model(tiny_path: Path) -> NativeModel:
    return NativeModel(tiny_path, num_gpu_layers=0)


def _context(model: NativeModel, **changes: Any) -> NativeContext:
    return NativeContext(model, ContextSettings(window_tokens=256, batch_tokens=256, **changes))


def test_a_decode_is_aborted_midway(model: NativeModel) -> None:
    context = _context(model)
    context.compute([Piece(0, [20, 21, 22])])
    asked: list[int] = []

    def abort() -> bool:
        asked.append(1)
        return len(asked) >= 5

    with pytest.raises(Cancelled):
        context.compute([Piece(0, [30, 31, 32, 33])], should_abort=abort)
    assert len(asked) == 5
    assert context.cached == [[20, 21, 22]]
    context.compute([Piece(0, [30, 31, 32, 33])], should_abort=lambda: False)
    interrupted = context.logits(0).copy()
    fresh = _context(model)
    fresh.compute([Piece(0, [20, 21, 22])])
    fresh.compute([Piece(0, [30, 31, 32, 33])])
    assert (interrupted == fresh.logits(0)).all()
    for each in (context, fresh, model):
        each.free()
        each.free()


def test_a_full_cache_is_a_typed_error(model: NativeModel) -> None:
    context = _context(model)
    context.compute([Piece(0, [20] * 256)])
    with pytest.raises(GenerationError, match="no room"):
        context.compute([Piece(0, [20])])
    assert len(context.cached[0]) == 256
    assert context.keep_prefix(0, [20, 20, 30]) == 2
    context.compute([Piece(0, [30])])
    context.free()
    model.free()


@pytest.mark.parametrize("is_unified", [False, True])
def test_sequences_side_by_side_are_as_if_alone(model: NativeModel, is_unified: bool) -> None:
    texts = [[20, 21, 22, 23, 24, 25], [20, 21, 22, 33, 34], [40, 41, 42, 43]]
    alone = []
    for ids in texts:
        context = _context(model)
        context.compute([Piece(0, ids)])
        alone.append(context.logits(0).copy())
        context.free()
    together = _context(model, num_sequences=3, is_unified=is_unified, max_outputs=8)
    together.compute([Piece(0, texts[0], num_outputs=2), Piece(2, texts[2])])
    rows = [together.logits(row).copy() for row in range(3)]
    together.share_prefix(0, 1, 3)
    assert together.cached[1] == [20, 21, 22]
    assert together.cached[0] == texts[0]
    together.compute([Piece(1, texts[1][3:])])
    assert np.abs(rows[1] - alone[0]).max() < 1e-3
    assert np.abs(together.logits(0) - alone[1]).max() < 1e-3
    assert np.abs(rows[2] - alone[2]).max() < 1e-3
    assert np.abs(rows[0] - rows[1]).max() > 1e-3
    together.free()
    model.free()


def test_a_cancelled_batch_leaves_every_sequence_as_it_was(model: NativeModel) -> None:
    context = _context(model, num_sequences=2, max_outputs=2)
    context.compute([Piece(0, [20, 21])])
    with pytest.raises(Cancelled):
        context.compute([Piece(0, [30, 31]), Piece(1, [40])], should_abort=lambda: True)
    assert context.cached == [[20, 21], []]
    context.compute([Piece(1, [40])])
    assert context.cached == [[20, 21], [40]]
    context.free()
    model.free()


def test_a_grammar_that_no_token_fits(model: NativeModel) -> None:
    context, grammars = _context(model), GrammarCache(model)
    context.compute([Piece(0, [20])])
    sampler = NativeSampler(Sampling(), grammars.new("root ::= <[99999]>"))
    with pytest.raises(GenerationError, match="fits the grammar"):
        sampler.draw(context.logits(0))
    with pytest.raises(GenerationError, match="refuses the grammar"):
        grammars.new('root ::= "')
    for each in (sampler, grammars, context, model):
        each.free()


def test_constrained_draws_follow_the_logits(model: NativeModel) -> None:
    """Drawing first and asking the grammar later must not favour or forbid any allowed token."""
    context, grammars = _context(model), GrammarCache(model)
    context.compute([Piece(0, [20])])
    logits = context.logits(0).copy()
    allowed = (4, 5, 6)
    grammar = "root ::= " + " | ".join(f"<[{token_id}]>" for token_id in allowed)
    drawn: list[int] = []
    for seed in range(300):
        sampler = NativeSampler(Sampling(temperature=5.0, seed=seed), grammars.new(grammar))
        drawn.append(sampler.draw(logits))
        sampler.free()
    weights = [float(2.718281828 ** (logits[token_id] / 5.0)) for token_id in allowed]
    for token_id, weight in zip(allowed, weights, strict=True):
        assert abs(drawn.count(token_id) / 300 - weight / sum(weights)) < 0.1
    greedy = NativeSampler(Sampling(), grammars.new(grammar))
    assert greedy.draw(logits) == max(allowed, key=lambda token_id: logits[token_id])
    for each in (greedy, grammars, context, model):
        each.free()


def test_draws_that_nearly_went_the_other_way_are_counted() -> None:
    sampler = NativeSampler(Sampling())
    logits = np.array([1.0, 3.0, 2.9995, -1.0], np.float32)
    assert sampler.draw(logits) == 1
    assert sampler.draw(np.array([1.0, 3.0, 2.9, -1.0], np.float32)) == 1
    assert sampler.num_close_calls == 1
    sampler.free()


def test_settings_suit_model_and_memory(model: NativeModel) -> None:
    def choose(free_windows: float, **options: Any) -> RuntimeSettings:
        free = int(free_windows * 1000 * model.kv_bytes_per_token)
        wishes = options.pop("wishes", Wishes())
        return choose_settings(model, 1000, wishes, uses_gpu=False, free_bytes=free, **options)

    assert model.kv_bytes_per_token > 0
    assert choose(1000).num_sequences == 8
    assert choose(35).num_sequences == 3
    assert choose(2).num_sequences == 1
    assert (choose(35).kv_type, choose(2).kv_type) == ("f16", "q8_0")
    assert not choose(35).is_unified
    assert choose(35).flash_attention
    # Quantised values cannot be read without flash attention.
    assert [choose(size, wishes=Wishes(writes_long=True)).flash_attention for size in (35, 2)] == [
        False,
        True,
    ]
    gpu = choose_settings(model, 1000, Wishes(), uses_gpu=True)
    assert gpu.is_unified
    assert choose_settings(model, 1000, Wishes(writes_long=True), uses_gpu=True).flash_attention
    assert gpu.batch_tokens > choose(35).batch_tokens
    wishes = Wishes(num_threads=3, batch_tokens=64, num_sequences=5, is_unified=True, kv_type="q8_0")
    assert choose(1000, wishes=wishes) == RuntimeSettings(
        num_threads=3, batch_tokens=64, num_sequences=5, is_unified=True, kv_type="q8_0", flash_attention=True
    )
    model.free()


def test_windows_beyond_what_can_be_counted(tiny_path: Path) -> None:
    with pytest.raises(ModelLoadError, match="not enough memory"):
        LlamaCppBackend(tiny_path, context_tokens=2**30, wishes=Wishes(num_sequences=8))
