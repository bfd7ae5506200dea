"""Compare an exported GGUF with the network it came from.

The gate of every export: same token ids on texts that are hard to tokenise, and logits of the
same prompts through llama.cpp within a normalised mean squared error. What is measured is the
file that ships, in the library that runs it, against transformers' implementation of Qwen2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from trainer.model import StarterModel, transformers_config
from trainer.tokens import Codec

MAX_NMSE = 1e-4
TEXTS: tuple[str, ...] = (
    " Maria's ship, the Albatross, left at 07:45 on 3 May 1871.",
    " £4,500 (about $5,625.50) - 12.5% of €45,000!",
    " The pass-word is QX-4417-Z; don't tell “anyone”…",
    " naïve café, Über, Łódź, Ελλάδα, Москва, 東京, 🙂🙃",
    " A  double  space,\ta tab and\nnew\r\n\r\nlines  ",
    " <|end|> <|s1|> are plain characters in a document",
    "I'm we'll they've you're he'd it's I'M WE'LL",
    " ",
    " 1234567890 x1y2z3 a_b_c --- *** ///",
)
"""Texts for the token comparison; the first, spaced like data, are also run for their logits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parity:
    """Result of the comparison."""

    num_texts: int
    num_different_ids: int
    nmse: float
    top1_agreement: float

    @property
    def passed(self) -> bool:
        """Whether the file may be shipped."""
        return self.num_different_ids == 0 and self.nmse < MAX_NMSE


def as_transformers(model: StarterModel, codec: Codec) -> Qwen2ForCausalLM:
    """Load the weights into transformers' own Qwen2."""
    fields = transformers_config(model.shape, codec)
    rope = {"rope_theta": fields.pop("rope_theta"), "rope_type": "default"}
    twin = Qwen2ForCausalLM(Qwen2Config(**fields, rope_parameters=rope))
    missing, unexpected = twin.load_state_dict(model.state_dict(), strict=False)
    if unexpected or set(missing) - {"lm_head.weight"}:
        raise ValueError(f"weights do not fit: missing {missing}, unexpected {unexpected}")
    twin.tie_weights()
    return twin.eval()


def _special_parity(llama: Any, codec: Codec) -> int:
    """Count special tokens that llama.cpp does not parse into the one id they should be."""
    return sum(
        llama.tokenize(token.encode(), add_bos=False, special=True) != [index]
        for token, index in codec.special.items()
    )


@torch.no_grad()
def compare(path: Path, model: StarterModel, codec: Codec, prompts: Sequence[Sequence[int]]) -> Parity:
    """Compare ids on `TEXTS` and logits on prompts.

    Args:
        path: The exported file.
        model: The network it was exported from.
        codec: Its tokenizer.
        prompts: Token ids of whole prompts, each shorter than the context.
    """
    import llama_cpp

    llama = llama_cpp.Llama(
        model_path=str(path), n_ctx=2048, n_batch=2048, logits_all=True, verbose=False, n_gpu_layers=0
    )
    different = _special_parity(llama, codec)
    for text in TEXTS:
        ours = codec.text(text)
        theirs = llama.tokenize(text.encode("utf-8"), add_bos=False, special=False)
        different += ours != theirs
    twin = as_transformers(model, codec)
    error, power, same, total = 0.0, 0.0, 0, 0
    for ids in prompts:
        expected = twin(torch.tensor([list(ids)])).logits[0].float().numpy()
        llama.reset()
        llama.eval(list(ids))
        got = np.array(llama.scores[: len(ids)], dtype=np.float64)
        error += float(((got - expected) ** 2).sum())
        power += float((expected.astype(np.float64) ** 2).sum())
        same += int((got.argmax(-1) == expected.argmax(-1)).sum())
        total += len(ids)
    llama.close()
    return Parity(
        num_texts=len(TEXTS) + len(codec.special),
        num_different_ids=different,
        nmse=error / power if power else 0.0,
        top1_agreement=same / total if total else 1.0,
    )
