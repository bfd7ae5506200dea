"""Measures how far GGUF files of each shape and type are from transformers, and what the gate says of broken ones.

Three checkpoints with random weights (Llama, Qwen2, Qwen3; hidden size 256, so that K-quants are K-quants) and one
that is trained, the bundled starter model as a checkpoint folder (hidden size 192: most of its rows fall back). Each is
imported as every type. Then exports are broken on purpose, one way at a time.

Usage: python -m benchmarks.gguf_parity --output benchmarks/reports/gguf-parity.json
"""

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

from benchmarks.environment import describe
from benchmarks.random_checkpoint import make_checkpoint
from engine.models.catalogue import BUNDLED
from tests.backends.http.hf_folder import convert
from trainer.gguf import tensors, writer
from trainer.gguf.importing import KINDS, import_checkpoint
from trainer.gguf.parity import LIMITS, FailedParityError
from trainer.gguf.rope import Rope
from trainer.gguf.tensors import Target

_DIGITS = 3


def make_folders(root: Path) -> dict[str, Path]:
    """The checkpoints that are measured."""
    return {
        "llama": make_checkpoint(root / "llama", "llama"),
        "qwen2": make_checkpoint(root / "qwen2", "qwen2", tie_word_embeddings=True),
        "qwen3": make_checkpoint(root / "qwen3", "qwen3", head_dim=128, dtype=torch.bfloat16),
        "starter": convert(BUNDLED, root / "starter"),
    }


def measure(name: str, folder: Path, kind: str, output: Path) -> dict[str, Any]:
    """Import a checkpoint; the figures of the gate, and whether it let the file pass."""
    row: dict[str, Any] = {"model": name, "type": kind}
    try:
        report = import_checkpoint(folder, output, kind=KINDS[kind])
    except FailedParityError as exc:
        return {**row, "passed": False, "why": exc.message, **_rounded(exc.parity.to_dict())}
    row.update(passed=True, size_bytes=report.size_bytes, **_rounded(report.parity.to_dict()))
    if report.types is not None:
        row.update(types=dict(report.types.counts), num_fallbacks=len(report.types.fallbacks))
    return row


def _rounded(figures: dict[str, Any]) -> dict[str, Any]:
    return {
        key: float(f"{value:.{_DIGITS}g}") if isinstance(value, float) else value
        for key, value in figures.items()
        if key != "kind"
    }


def _swapped(shape: Any) -> list[Target]:
    swap = {"0": "1", "1": "0"}
    found = []
    for target in tensors.list_targets(shape):
        parts = target.source.split(".")
        if parts[1] == "layers":
            parts[2] = swap.get(parts[2], parts[2])
        found.append(replace(target, source=".".join(parts)))
    return found


def _without_bias() -> Callable[..., Any]:
    real = writer._convert

    def zeroed(entry: Any, target: Target, kind: Any, part: Any) -> Any:
        values = real(entry, target, kind, part)
        return np.zeros_like(values) if target.name == "blk.1.attn_q.bias" else values

    return zeroed


def broken_ways() -> Iterator[tuple[str, str, AbstractContextManager[Any]]]:
    """Ways to break an export: what it is, the model, and the patch that does it."""
    yield "no permutation of q and k", "llama", patch.object(writer, "permute_rows", lambda values, _: values)
    theta = Rope(theta=9_000.0)
    yield (
        "rope theta 9,000 for 10,000",
        "qwen3",
        patch("trainer.gguf.architecture.read_rope", lambda *_: theta),
    )
    wrong = patch("trainer.gguf.vocabulary.find_pre_tokenizer", lambda _: "gpt-2")
    yield "pre-tokenizer gpt-2 for qwen2", "qwen2", wrong
    wrong = patch("trainer.gguf.vocabulary.find_pre_tokenizer", lambda _: "qwen2")
    yield "pre-tokenizer qwen2 for llama-bpe", "llama", wrong
    yield "one bias of q lost", "qwen2", patch.object(writer, "_convert", _without_bias())
    yield "layers 0 and 1 swapped", "qwen3", patch.object(writer, "list_targets", _swapped)
    yield "norm epsilon 0.05", "llama", patch("trainer.gguf.architecture._epsilon", lambda _: 0.05)
    yield (
        "begin of text not added",
        "llama",
        patch("trainer.gguf.vocabulary._additions", lambda *_: (False, False)),
    )


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as Markdown."""
    lines = [
        "| model | type | ids differ | NMSE, last token | NMSE, far | KL, nats | top-1 | top-1 where sure | passed |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['model']} | {row['type']} | {row['num_different_ids']} of {row['num_texts']} | {row['nmse']:.1e} "
        f"| {row['far_nmse']:.1e} | {row['mean_kl_nats']:.1e} | {row['top1_agreement']:.1%} "
        f"| {row['sure_agreement']:.1%} of {row['num_sure']} | {'yes' if row['passed'] else 'no'} |"
        for row in rows
    ]
    return "\n".join(lines)


def main() -> int:
    """Measure, print the tables, write the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True, help="report to write")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        folders = make_folders(root)
        rows = [
            measure(name, folder, kind, root / "m.gguf") for name, folder in folders.items() for kind in KINDS
        ]
        broken = []
        for what, name, fault in broken_ways():
            with fault:
                broken.append({"fault": what, **measure(name, folders[name], "f16", root / "broken.gguf")})
        assert not (root / "broken.gguf").exists()
    limits = {kind: asdict(limit) for kind, limit in LIMITS.items()}
    report = {"environment": describe(), "limits": limits, "parity": rows, "broken": broken}
    options.output.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", "utf-8")
    print(table(rows))
    print()
    print(table([{**row, "model": f"{row['model']}: {row['fault']}"} for row in broken]))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
