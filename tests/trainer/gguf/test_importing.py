"""Every shape and type that is promised passes the gate, and what the files say of themselves is right."""

import json
import random
from pathlib import Path
from typing import Any

import gguf
import pytest
import torch

from benchmarks.random_checkpoint import CHAT_TEMPLATE, make_checkpoint
from engine.errors import NoSpaceError, ParityError
from engine.evaluation.facts import FactGenerator
from engine.evaluation.lists import EVALUATION_LISTS
from engine.front import ModelChoice
from engine.session import Session
from tests.backends.http.hf_folder import convert
from trainer.gguf.corpus import PASSAGES
from trainer.gguf.importing import KINDS, Step, import_checkpoint
from trainer.gguf.parity import LIMITS, EvalChange, Limits
from trainer.gguf.quantise import QuantType
from trainer.gguf.writer import FileInfo
from trainer.gguf_export import ExportInfo

STARTER = Path(__file__).parents[3] / "resources" / "models" / "palimpsest-starter.gguf"


def read_fields(path: Path) -> dict[str, Any]:
    return {name: field.contents() for name, field in gguf.GGUFReader(path).fields.items()}


@pytest.mark.parametrize("kind", ["f16", "q8_0", "q4_k_m"])
@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3"])
def test_each_shape_passes_at_each_type(
    checkpoints: dict[str, Path], family: str, kind: str, tmp_path: Path
) -> None:
    output = tmp_path / "model.gguf"
    report = import_checkpoint(checkpoints[family], output, kind=KINDS[kind])
    assert report.parity.failures(LIMITS[kind]) == []
    base = report.base or report.parity
    assert base.nmse < 1e-4
    assert base.far_nmse < 1e-4
    assert base.num_different_ids == 0
    assert base.num_texts > 80
    assert base.num_sure > 100
    assert [path.name for path in tmp_path.iterdir()] == ["model.gguf"]
    if kind == "q4_k_m":
        assert report.types is not None
        assert report.types.counts["Q4_K"] > 10
        assert report.types.fallbacks == {}


@pytest.mark.parametrize("kind", ["f32", "bf16", "q5_k_m"])
def test_the_other_types_pass_too(checkpoints: dict[str, Path], kind: str, tmp_path: Path) -> None:
    report = import_checkpoint(checkpoints["qwen2"], tmp_path / "model.gguf", kind=KINDS[kind])
    assert report.parity.failures(LIMITS[kind]) == []
    if kind == "f32":
        assert report.parity.nmse < 1e-9


ROPES: dict[str, tuple[str, dict[str, Any]]] = {
    "linear": ("llama", {"rope_type": "linear", "rope_theta": 10_000.0, "factor": 2.0}),
    "llama3": (
        "llama",
        {
            "rope_type": "llama3",
            "rope_theta": 500_000.0,
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 1024,
        },
    ),
    "yarn": (
        "qwen2",
        {"rope_type": "yarn", "rope_theta": 1e6, "factor": 4.0, "original_max_position_embeddings": 1024},
    ),
    "yarn-attention": (
        "qwen3",
        {
            "rope_type": "yarn",
            "rope_theta": 10_000.0,
            "factor": 4.0,
            "original_max_position_embeddings": 1024,
            "attention_factor": 1.4,
        },
    ),
}


@pytest.mark.parametrize("name", list(ROPES))
def test_rope_scalings_agree_over_thousands_of_positions(name: str, tmp_path: Path) -> None:
    family, rope = ROPES[name]
    folder = make_checkpoint(tmp_path / "in", family, rope_parameters=rope, max_position_embeddings=8192)
    parity = import_checkpoint(folder, tmp_path / "model.gguf").parity
    assert parity.far_distance > 8000
    assert parity.far_nmse < 1e-4


def test_the_old_names_of_rope_settings_are_read(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    rope = dict(ROPES["linear"][1])
    folder = make_checkpoint(tmp_path / "in", "llama", rope_parameters=rope)
    config = json.loads((folder / "config.json").read_text())
    config["rope_theta"] = config.pop("rope_parameters")["rope_theta"]
    config["rope_scaling"] = {"type": "linear", "factor": 2.0}
    (folder / "config.json").write_text(json.dumps(config))
    assert import_checkpoint(folder, tmp_path / "model.gguf").parity.far_nmse < 1e-4
    assert read_fields(tmp_path / "model.gguf")["llama.rope.scaling.factor"] == 2.0


ODD: dict[str, tuple[str, dict[str, Any]]] = {
    "tied": ("llama", {"tie_word_embeddings": True}),
    "untied": ("qwen2", {"tie_word_embeddings": False}),
    "narrow heads": ("llama", {"head_dim": 48}),
    "one key head": ("qwen3", {"num_key_value_heads": 1, "head_dim": 80}),
    "biases": ("llama", {"attention_bias": True, "mlp_bias": True}),
    "no groups": ("llama", {"num_key_value_heads": 4}),
    "half": ("qwen2", {"dtype": torch.float16}),
    "bfloat": ("llama", {"dtype": torch.bfloat16}),
    "sharded": ("qwen3", {"shard": "1MB"}),
    "gpt-2": ("llama", {"pre": "gpt-2"}),
    "smollm": ("llama", {"pre": "smollm"}),
    "dbrx": ("llama", {"pre": "dbrx"}),
}


@pytest.mark.parametrize("name", list(ODD))
def test_odd_shapes_and_other_tokenizers_pass(name: str, tmp_path: Path) -> None:
    family, options = ODD[name]
    folder = make_checkpoint(tmp_path / "in", family, **options)
    assert (name == "sharded") == (len(list(folder.glob("*.safetensors"))) > 1)
    report = import_checkpoint(folder, tmp_path / "model.gguf")
    assert report.parity.nmse < 1e-4
    tensors = {tensor.name for tensor in gguf.GGUFReader(tmp_path / "model.gguf").tensors}
    assert ("output.weight" in tensors) == (not options.get("tie_word_embeddings", False))
    if "pre" in options:
        assert read_fields(tmp_path / "model.gguf")["tokenizer.ggml.pre"] == options["pre"]


def test_rows_that_are_no_multiple_of_256_fall_back_and_are_reported(tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path / "in", "qwen2", hidden_size=192, intermediate_size=512)
    report = import_checkpoint(folder, tmp_path / "model.gguf", kind=QuantType.Q4_K_M)
    assert report.types is not None
    assert report.types.fallbacks["blk.0.attn_q.weight"] in ("Q5_0", "Q5_1", "Q8_0")
    assert "blk.0.ffn_down.weight" not in report.types.fallbacks


@pytest.mark.slow
def test_a_trained_model_survives_every_quantisation(tmp_path: Path) -> None:
    folder = convert(STARTER, tmp_path / "starter")
    for kind in QuantType:
        parity = import_checkpoint(folder, tmp_path / "model.gguf", kind=kind).parity
        assert parity.mean_kl_nats < 0.15 * LIMITS[kind.value].mean_kl_nats + 1e-3
        assert parity.sure_agreement > 0.99


def test_metadata_says_what_the_checkpoint_says(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    (checkpoints["llama"] / "README.md").write_text(
        "---\nlicense: apache-2.0\n---\n# A model\nlicense: none\n"
    )
    import_checkpoint(checkpoints["llama"], tmp_path / "model.gguf")
    fields = read_fields(tmp_path / "model.gguf")
    tokens, types = fields["tokenizer.ggml.tokens"], fields["tokenizer.ggml.token_type"]
    assert fields["general.name"] == "llama"
    assert fields["general.license"] == "apache-2.0"
    assert fields["tokenizer.ggml.pre"] == "llama-bpe"
    assert fields["tokenizer.chat_template"] == CHAT_TEMPLATE
    assert fields["tokenizer.ggml.add_bos_token"] is True
    assert tokens[fields["tokenizer.ggml.bos_token_id"]] == "<s>"
    assert tokens[fields["tokenizer.ggml.eos_token_id"]] == "<|im_end|>"
    assert tokens[fields["tokenizer.ggml.eot_token_id"]] == "<|endoftext|>"
    assert types[tokens.index("<|im_start|>")] == gguf.TokenType.CONTROL
    assert types[tokens.index("<tool_call>")] == gguf.TokenType.USER_DEFINED
    assert types[-7:] == [gguf.TokenType.UNUSED] * 7
    assert len(tokens) == json.loads((checkpoints["llama"] / "config.json").read_text())["vocab_size"]


def test_a_template_in_a_file_of_its_own_comes_first(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path / "in", "qwen2")
    template = CHAT_TEMPLATE.replace("<|im_end|>\n", "<|im_end|>")
    (folder / "chat_template.jinja").write_text(template)
    import_checkpoint(folder, tmp_path / "model.gguf")
    assert read_fields(tmp_path / "model.gguf")["tokenizer.chat_template"] == template


def test_further_metadata_is_written(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    info = FileInfo(
        name="x", version="2", languages=("en",), fields={"a.text": "b", "a.number": 3, "a.list": ("c",)}
    )
    import_checkpoint(checkpoints["qwen3"], tmp_path / "model.gguf", info=info)
    fields = read_fields(tmp_path / "model.gguf")
    assert (fields["a.text"], fields["a.number"], fields["a.list"]) == ("b", 3, ["c"])
    assert (fields["general.version"], fields["general.languages"]) == ("2", ["en"])


def test_progress_is_told_step_by_step(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    steps: list[Step] = []
    import_checkpoint(checkpoints["qwen2"], tmp_path / "m.gguf", kind=QuantType.Q8_0, progress=steps.append)
    names = list(dict.fromkeys(step.name for step in steps))
    assert names == ["checking", "writing", "reference", "comparing", "quantising"]
    written = [step for step in steps if step.name == "writing"]
    assert written[-1].done == written[-1].total > 1e6


def test_a_full_disk_is_noticed_before_anything_is_written(
    checkpoints: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("Usage", (), {"free": 5_000_000})
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    with pytest.raises(NoSpaceError, match="GB are needed"):
        import_checkpoint(checkpoints["qwen2"], tmp_path / "new" / "m.gguf")
    assert not (tmp_path / "new").exists()


def needle_accuracy(path: Path, folder: Path, *, num_items: int) -> float:
    """How often a model finds one fact in a page, through the program's own reading."""
    facts = FactGenerator(EVALUATION_LISTS, random.Random(5))
    session = Session(
        folder / path.stem, choice=ModelChoice(model=str(path), num_threads=1, num_gpu_layers=0)
    )
    right = 0
    for index in range(num_items):
        fact = facts.fact()
        document = folder / f"{index}.txt"
        document.write_text(" ".join([*PASSAGES[:2], fact.statement, PASSAGES[1]]), "utf-8")
        right += fact.value in session.ask([document], facts.question(fact), estimate=False).answer.text
    return right / num_items


@pytest.mark.slow
def test_a_needle_evaluation_is_part_of_the_gate(tmp_path: Path) -> None:
    folder = convert(STARTER, tmp_path / "starter")
    (tmp_path / "eval").mkdir()

    def evaluate(before: Path, after: Path) -> list[EvalChange]:
        shares = [needle_accuracy(path, tmp_path / "eval", num_items=8) for path in (before, after)]
        return [EvalChange(name="needle", num_items=8, before=shares[0], after=shares[1])]

    report = import_checkpoint(
        folder,
        tmp_path / "model.gguf",
        kind=QuantType.Q8_0,
        info=ExportInfo().to_file_info(),
        evaluate=evaluate,
    )
    (change,) = report.parity.evaluations
    assert change.before >= 0.5
    assert change.before - change.after <= 0.05


def test_an_evaluation_that_falls_too_far_refuses_a_quantised_file(
    checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    seen: list[tuple[str, str]] = []

    def evaluate(before: Path, after: Path) -> list[EvalChange]:
        seen.append((before.name, after.name))
        assert before.is_file()
        assert after.is_file()
        return [EvalChange(name="needle", num_items=10, before=0.9, after=0.8)]

    output = tmp_path / "model.gguf"
    with pytest.raises(ParityError, match=r"needle fell from 0\.900 to 0\.800"):
        import_checkpoint(checkpoints["qwen2"], output, kind=QuantType.Q8_0, evaluate=evaluate)
    assert seen == [("f16.gguf", "q8_0.gguf")]
    assert list(tmp_path.iterdir()) == []
    loose = Limits(nmse=1e-2, mean_kl_nats=0.1, top1=0.9, eval_drop=0.2)
    report = import_checkpoint(
        checkpoints["qwen2"], output, kind=QuantType.Q8_0, evaluate=evaluate, limits={"q8_0": loose}
    )
    assert report.parity.evaluations[0].after == 0.8
