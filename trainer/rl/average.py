"""The mean of several runs' weights ("model soups", Wortsman et al., arXiv 2203.05482; of policies trained by
reinforcement: WARP, arXiv 2406.16768).

Runs that began with the same model and differ in their seeds learn much the same of what is right and each its own of
what is chance; their mean keeps the former.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import save_file

from trainer.gguf.checkpoint import Checkpoint, open_checkpoint, read_json
from trainer.gguf.safetensors_file import Floats
from trainer.rl.errors import RunError


def write_average(policies: Sequence[Path], output: Path) -> None:
    """Write the mean of checkpoints as one more checkpoint, in float32.

    Args:
        policies: checkpoint folders of models of one shape and tokenizer, at least one; everything but the weights is
            taken from the first.
        output: folder to make.

    Raises:
        RunError: one is not a model like the first, or the mean cannot be written.
        CheckpointError: one is damaged.
    """
    first, *others = (open_checkpoint(policy) for policy in policies)
    for other in others:
        _check(other, first)
    mean = {name: _mean([each.tensors[name].read() for each in (first, *others)]) for name in first.tensors}
    try:
        shutil.copytree(first.folder, output, ignore=shutil.ignore_patterns("*.safetensors*"))
        save_file(mean, output / "model.safetensors", metadata={"format": "pt"})
    except (OSError, SafetensorError) as exc:
        raise RunError(
            f"The mean of the runs cannot be written to {output}: {exc}.", hint="Is the disk full?"
        ) from exc


def _check(other: Checkpoint, first: Checkpoint) -> None:
    shapes = [{name: entry.shape for name, entry in each.tensors.items()} for each in (other, first)]
    # Not the files' bytes: the order of keys means nothing.
    tokenizers = [read_json(each.folder / "tokenizer.json") for each in (other, first)]
    if shapes[0] != shapes[1] or tokenizers[0] != tokenizers[1]:
        raise RunError(
            f"{other.folder.parent} trained another model than {first.folder.parent}.",
            hint="Runs that began with the same model can be averaged.",
        )


def _mean(values: Sequence[Floats]) -> Floats:
    total = np.zeros_like(values[0], dtype=np.float64)
    for value in values:
        total += value
    return (total / len(values)).astype(np.float32)
