"""Quantises a GGUF file with llama.cpp, in a process of its own.

`llama_model_quantize` cannot be cancelled and aborts the process on some errors; a child can be ended, and its end
is not ours. As a program: ``python -m trainer.gguf.quantise SOURCE TARGET TYPE THREADS``.
"""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import gguf

from engine.errors import QuantisationError

_ROOT = Path(__file__).resolve().parents[2]
_K_BLOCK = 256
_TAIL_CHARS = 300


class QuantType(StrEnum):
    """Types that llama.cpp makes of a file."""

    Q8_0 = "q8_0"
    Q5_K_M = "q5_k_m"
    Q4_K_M = "q4_k_m"


_FILE_TYPES = {
    QuantType.Q8_0: gguf.LlamaFileType.MOSTLY_Q8_0,
    QuantType.Q5_K_M: gguf.LlamaFileType.MOSTLY_Q5_K_M,
    QuantType.Q4_K_M: gguf.LlamaFileType.MOSTLY_Q4_K_M,
}

BITS = {QuantType.Q8_0: 8.5, QuantType.Q5_K_M: 6.0, QuantType.Q4_K_M: 5.2}
"""Bits a weight takes, at most, as a rule; for the estimate of space."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorTypes:
    """What a file's tensors were stored as.

    Attributes:
        counts: number of tensors by type.
        fallbacks: weights whose rows are no multiple of 256 values, for which llama.cpp took a type without blocks
            of that size, with that type.
    """

    counts: Mapping[str, int]
    fallbacks: Mapping[str, str]


def quantise(source: Path, target: Path, kind: QuantType, num_threads: int = 2) -> TensorTypes:
    """Quantise a file; llama.cpp decides the type of each tensor.

    Raises:
        QuantisationError: it did not do it.
    """
    arguments = [str(source), str(target), kind.value, str(num_threads)]
    path = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")]))
    child = subprocess.Popen(
        [sys.executable, "-m", "trainer.gguf.quantise", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path},
        text=True,
        errors="replace",
    )
    try:
        _, said = child.communicate()
    except BaseException:
        child.kill()
        child.wait()
        raise
    if child.returncode != 0:
        raise QuantisationError(
            f"llama.cpp did not quantise the file to {kind.value} (code {child.returncode}).",
            hint=said.strip()[-_TAIL_CHARS:],
        )
    return tensor_types(target, is_k_quant=kind is not QuantType.Q8_0)


def tensor_types(path: Path, *, is_k_quant: bool) -> TensorTypes:
    """What a file's tensors are stored as."""
    tensors = gguf.GGUFReader(str(path)).tensors
    fallbacks = {
        str(tensor.name): tensor.tensor_type.name
        for tensor in tensors
        if is_k_quant and len(tensor.shape) == 2 and int(tensor.shape[0]) % _K_BLOCK
    }
    return TensorTypes(
        counts=dict(sorted(Counter(tensor.tensor_type.name for tensor in tensors).items())),
        fallbacks=fallbacks,
    )


def _main(source: str, target: str, kind: str, num_threads: str) -> int:
    import llama_cpp

    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype = int(_FILE_TYPES[QuantType(kind)])
    params.nthread = int(num_threads)
    return int(llama_cpp.llama_model_quantize(os.fsencode(source), os.fsencode(target), params))


if __name__ == "__main__":
    raise SystemExit(_main(*sys.argv[1:]) and 1)
