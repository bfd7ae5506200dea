"""The formulas behind the writer and the gate, each against something written down apart from it."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import transformers
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from engine.errors import UnsupportedCheckpointError
from trainer.gguf.corpus import TEXTS, texts_for
from trainer.gguf.parity import LIMITS, EvalChange, Parity, _Sums, _worse
from trainer.gguf.pretokenizers import find_pre_tokenizer
from trainer.gguf.rope import frequency_factors, read_rope, yarn_scale
from trainer.gguf.tensors import permute_rows

GOOD = Parity(
    kind="f16",
    num_texts=9,
    num_different_ids=0,
    first_difference=None,
    num_missing_ends=0,
    num_prompts=1,
    num_positions=4,
    nmse=1e-6,
    mean_nmse=1e-6,
    far_nmse=1e-6,
    far_distance=100,
    mean_kl_nats=1e-6,
    max_kl_nats=1e-6,
    top1_agreement=1.0,
    num_sure=4,
    sure_agreement=1.0,
)


def test_the_permutation_puts_halves_beside_each_other() -> None:
    rows = np.array([[f"h{head}r{row}"] for head in range(2) for row in range(6)])
    expected = [f"h{head}r{row}" for head in range(2) for row in (0, 3, 1, 4, 2, 5)]
    assert permute_rows(rows, 2)[:, 0].tolist() == expected
    assert permute_rows(rows[:, 0], 2).tolist() == expected, "a bias is permuted the same way"


def test_the_factors_of_llama3_are_those_of_transformers() -> None:
    rope = {
        "rope_type": "llama3",
        "rope_theta": 500_000.0,
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    }
    config = transformers.LlamaConfig(
        hidden_size=512, num_attention_heads=4, rope_parameters=rope, max_position_embeddings=131_072
    )
    scaled, _ = ROPE_INIT_FUNCTIONS["llama3"](config)
    plain = 500_000.0 ** -(np.arange(0, 128, 2) / 128)
    factors = frequency_factors(read_rope({"rope_parameters": rope}, 131_072), 128)
    assert factors is not None
    assert factors.min() == 1.0
    assert factors.max() == pytest.approx(8.0)
    assert np.allclose(plain / factors, scaled.numpy(), rtol=1e-5)


def test_the_scale_of_yarn_cancels_llama_cpps_own() -> None:
    given = {"rope_type": "yarn", "factor": 4.0, "attention_factor": 1.3}
    yarn = read_rope({"rope_parameters": given}, 4096).yarn
    assert yarn is not None
    assert yarn.original_tokens == 4096
    assert yarn_scale(yarn) * (0.1 * math.log(4.0) + 1.0) == pytest.approx(1.3)
    assert yarn_scale(replace(yarn, attention_factor=None)) == 1.0


def split(regex: str, **options: Any) -> dict[str, Any]:
    return {"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": False, **options}


BYTES = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False}
GPT2 = {**BYTES, "use_regex": True}


@pytest.mark.parametrize(
    ("steps", "ignores_merges"),
    [
        ([], False),
        ([BYTES], False),
        ([{**GPT2, "add_prefix_space": True}], False),
        ([GPT2], True),
        ([{"type": "Digits", "individual_digits": False}, GPT2], False),
        ([split(r"\s+"), BYTES], False),
        ([split(r"\s+", behavior="MergedWithNext"), BYTES], False),
        ([{"type": "Whitespace"}, GPT2], False),
        ([{"type": "Split", "behavior": "Isolated"}, BYTES], False),
        ([GPT2, {"type": "Digits", "individual_digits": True}], False),
    ],
)
def test_unknown_ways_of_splitting_are_refused(steps: list[dict[str, Any]], ignores_merges: bool) -> None:
    state = {
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": steps},
        "model": {"ignore_merges": ignores_merges},
    }
    with pytest.raises(UnsupportedCheckpointError, match="not known here"):
        find_pre_tokenizer(state)


def test_sums_are_those_of_the_definition() -> None:
    rng = np.random.default_rng(3)
    p, q = rng.normal(size=(5, 7)).astype(np.float32), rng.normal(size=(5, 7)).astype(np.float32)
    sums = _Sums()
    nmse = sums.add(p, q + 100.0)
    kl = error = power = 0.0
    for row in range(5):
        a, b = p[row].astype(float) - p[row].mean(), q[row].astype(float) - q[row].mean()
        pa, pb = np.exp(a) / np.exp(a).sum(), np.exp(b) / np.exp(b).sum()
        kl += float(sum(x * math.log(x / y) for x, y in zip(pa, pb, strict=True)))
        error, power = error + float(((a - b) ** 2).sum()), power + float((a**2).sum())
        assert nmse[row] == pytest.approx(((a - b) ** 2).sum() / (a**2).sum(), rel=1e-4)
    assert sums.kl == pytest.approx(kl, rel=1e-4)
    assert sums.error / sums.power == pytest.approx(error / power, rel=1e-4)
    assert sums.same == int((p.argmax(-1) == q.argmax(-1)).sum())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"num_different_ids": 1, "first_difference": "x"}, "other token ids"),
        ({"num_missing_ends": 1}, "end tokens"),
        ({"nmse": 1e-3}, "NMSE of the logits"),
        ({"nmse": math.nan}, "NMSE of the logits nan"),
        ({"far_nmse": math.nan}, "NMSE over 100 positions"),
        ({"mean_kl_nats": 0.1}, "mean KL"),
        ({"sure_agreement": 0.9}, "top-1"),
        ({"evaluations": (EvalChange(name="e", num_items=1, before=1.0, after=math.nan),)}, "e fell"),
    ],
)
def test_every_figure_can_refuse_and_a_nan_does(change: dict[str, Any], words: str) -> None:
    assert GOOD.failures(LIMITS["f16"]) == []
    (failure,) = replace(GOOD, **change).failures(LIMITS["f16"])
    assert words in failure


def test_a_nan_is_the_worst_error() -> None:
    assert _worse(1.0, 2.0) == 2.0
    assert math.isnan(_worse(1.0, math.nan))
    assert math.isnan(_worse(math.nan, 1.0))


def test_texts_are_given_in_the_form_that_both_sides_know() -> None:
    assert texts_for(is_normalised=False)[: len(TEXTS)] == TEXTS
    assert len(set(texts_for(is_normalised=True)) - set(texts_for(is_normalised=False))) >= 1
