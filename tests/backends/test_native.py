"""Loading, its errors, the log, and the context's cache, on a tiny model with random weights."""

import logging
import sys
from pathlib import Path

import pytest

from engine.backends.base import Sampling
from engine.backends.llamacpp import LlamaCppBackend
from engine.backends.native import NativeModel
from engine.backends.native_context import NativeContext, NativeSampler
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
    backend = LlamaCppBackend(path, num_threads=1)
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
    LlamaCppBackend(path, num_threads=1, chat_template=tiny_gguf.TEMPLATE).close()


def test_exactly_one_bos(tmp_path: Path) -> None:
    for number, template in enumerate(
        (
            tiny_gguf.TEMPLATE,
            "{{ bos_token }}" + tiny_gguf.TEMPLATE,
            "{{ bos_token }}" * 2 + tiny_gguf.TEMPLATE,
        )
    ):
        path = tiny_gguf.write(tmp_path / f"{number}.gguf", template=template, add_bos=True)
        backend = LlamaCppBackend(path, num_threads=1)
        ids = backend.encode(())
        backend.close()
        assert ids[0] == 0
        assert ids.count(0) == 1


def test_the_log_goes_to_logging_only(
    tiny_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.DEBUG, logger="engine.backends.native"):
        LlamaCppBackend(tiny_path, num_threads=1).close()
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


def test_a_decode_is_aborted_midway(model: NativeModel) -> None:
    context = NativeContext(model, context_tokens=256, num_threads=1)
    context.decode([20, 21, 22])
    asked: list[int] = []

    def abort() -> bool:
        asked.append(1)
        return len(asked) >= 5

    with pytest.raises(Cancelled):
        context.decode([30, 31, 32, 33], should_abort=abort)
    assert len(asked) == 5
    assert context.cached == [20, 21, 22]
    context.decode([30, 31, 32, 33], should_abort=lambda: False)
    interrupted = context.logits().copy()
    fresh = NativeContext(model, context_tokens=256, num_threads=1)
    fresh.decode([20, 21, 22])
    fresh.decode([30, 31, 32, 33])
    assert (interrupted == fresh.logits()).all()
    for each in (context, fresh, model):
        each.free()
        each.free()


def test_a_full_cache_is_a_typed_error(model: NativeModel) -> None:
    context = NativeContext(model, context_tokens=256, num_threads=1)
    context.decode([20] * 256)
    with pytest.raises(GenerationError, match="no room"):
        context.decode([20])
    assert len(context.cached) == 256
    assert context.keep_prefix([20, 20, 30]) == 2
    context.decode([30])
    context.free()
    model.free()


def test_a_grammar_that_no_token_fits(model: NativeModel) -> None:
    context = NativeContext(model, context_tokens=256, num_threads=1)
    context.decode([20])
    sampler = NativeSampler(model, Sampling(), "root ::= <[99999]>")
    with pytest.raises(GenerationError, match="fits the grammar"):
        sampler.draw(context)
    sampler.free()
    context.free()
    model.free()


def test_constrained_draws_follow_the_logits(model: NativeModel) -> None:
    """Drawing first and asking the grammar later must not favour or forbid any allowed token."""
    context = NativeContext(model, context_tokens=256, num_threads=1)
    context.decode([20])
    allowed = (4, 5, 6)
    grammar = "root ::= " + " | ".join(f"<[{token_id}]>" for token_id in allowed)
    drawn: list[int] = []
    for seed in range(300):
        sampler = NativeSampler(model, Sampling(temperature=5.0, seed=seed), grammar)
        drawn.append(sampler.draw(context))
        sampler.free()
    weights = [float(2.718281828 ** (context.logits()[token_id] / 5.0)) for token_id in allowed]
    for token_id, weight in zip(allowed, weights, strict=True):
        assert abs(drawn.count(token_id) / 300 - weight / sum(weights)) < 0.1
    context.free()
    model.free()
