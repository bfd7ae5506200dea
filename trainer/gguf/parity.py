"""The gate: a file must give the token ids and the logits that transformers gives, or it does not get its name.

What is measured, on the fixed texts of `trainer.gguf.corpus`:

* ids of every text, with special tokens as text and as tokens, chat-templated, and with what is added around a text;
* the normalised mean squared error of logits: sum (q - p)^2 / sum p^2, both with their mean over the vocabulary taken
  away, since a constant changes no probability. It does not depend on the scale of the logits, so it also sees
  a broken file of a model whose probabilities are almost flat. The worst of all texts counts, at the last token;
* the same over a gap of thousands of positions, where a wrong or forgotten rope scaling shows;
* Kullback-Leibler divergence in nats and top-1 agreement, at every position. Agreement is judged where the model is
  sure of itself: between tokens that are almost equally likely, a rounding error decides.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from engine.errors import ParityError
from trainer.gguf.corpus import CHATS, PASSAGES, normalised, texts_for
from trainer.gguf.lora import Adapter
from trainer.gguf.reference import ReferenceModel, ReferenceTokenizer
from trainer.gguf.runtime import ModelFile
from trainer.gguf.safetensors_file import Floats
from trainer.gguf.vocabulary import Vocabulary
from trainer.gguf.writer import Source

MAX_PROMPT_TOKENS = 192
FAR_TOKENS = 64
MAX_DISTANCE = 8_192
"""Longest gap: beyond it the angles themselves are too coarse in F32 for a comparison."""

SURE_NATS = 1.0
"""A position counts for the agreement if the best token is e times as likely as the second, or more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a file may differ by; docs/gguf.md says where the figures come from.

    Attributes:
        nmse: at the last token of the worst text, and over a gap.
        mean_kl_nats: mean divergence over all positions.
        top1: least agreement where the model is sure; a share.
        eval_drop: most that an evaluation may lose; a share.
    """

    nmse: float
    mean_kl_nats: float
    top1: float
    eval_drop: float = 0.05


LIMITS: dict[str, Limits] = {
    "f32": Limits(nmse=1e-4, mean_kl_nats=1e-3, top1=0.995),
    "f16": Limits(nmse=1e-4, mean_kl_nats=1e-3, top1=0.995),
    "bf16": Limits(nmse=2e-3, mean_kl_nats=5e-3, top1=0.98),
    "q8_0": Limits(nmse=5e-3, mean_kl_nats=1e-2, top1=0.98),
    "q5_k_m": Limits(nmse=5e-2, mean_kl_nats=1e-1, top1=0.95),
    "q4_k_m": Limits(nmse=1.2e-1, mean_kl_nats=2e-1, top1=0.90),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalChange:
    """An evaluation of a file beside the same one of the file that it was made from.

    Attributes:
        name: of the evaluation.
        num_items: questions.
        before: share that was right with the unquantised file.
        after: with the quantised one.
    """

    name: str
    num_items: int
    before: float
    after: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Parity:
    """What the comparison found.

    Attributes:
        kind: type of the file.
        num_texts: texts whose ids were compared, each in every way.
        num_different_ids: comparisons of ids that differ.
        first_difference: a text whose ids differ.
        num_missing_ends: tokens that end a reply in the checkpoint, and do not in the file.
        num_prompts: texts whose logits were compared.
        num_positions: their tokens.
        nmse: see the module; of the last token of the worst text.
        mean_nmse: over all positions together.
        far_nmse: over a gap.
        far_distance: that gap, in positions.
        mean_kl_nats: of the file's probabilities from transformers'.
        max_kl_nats: at the worst position.
        top1_agreement: share of all positions with the same best token.
        num_sure: positions where the model is sure.
        sure_agreement: the share among these; 1 if there are none.
        evaluations: what the caller measured.
    """

    kind: str
    num_texts: int
    num_different_ids: int
    first_difference: str | None
    num_missing_ends: int
    num_prompts: int
    num_positions: int
    nmse: float
    mean_nmse: float
    far_nmse: float
    far_distance: int
    mean_kl_nats: float
    max_kl_nats: float
    top1_agreement: float
    num_sure: int
    sure_agreement: float
    evaluations: tuple[EvalChange, ...] = ()

    def failures(self, limits: Limits) -> list[str]:
        """What is beyond the limits, each with its figure; empty = the file may be used."""
        found = []
        if self.num_different_ids:
            found.append(
                f"{self.num_different_ids} of {self.num_texts} texts have other token ids"
                f" (first: {self.first_difference!r})"
            )
        if self.num_missing_ends:
            found.append(f"{self.num_missing_ends} end tokens would not end a reply")
        measured = (
            ("NMSE of the logits", self.nmse, limits.nmse),
            (f"NMSE over {self.far_distance} positions", self.far_nmse, limits.nmse),
            ("mean KL", self.mean_kl_nats, limits.mean_kl_nats),
        )
        # "not below": a NaN fails.
        found += [
            f"{name} {value:.3g}, allowed {most:g}" for name, value, most in measured if not value < most
        ]
        if not self.sure_agreement >= limits.top1:
            found.append(f"top-1 agreement {self.sure_agreement:.3f}, wanted {limits.top1:g}")
        for one in self.evaluations:
            if not one.before - one.after <= limits.eval_drop:
                found.append(
                    f"{one.name} fell from {one.before:.3f} to {one.after:.3f}, allowed {limits.eval_drop:g}"
                )
        return found

    def check(self, limits: Limits) -> None:
        """Refuse a file beyond the limits.

        Raises:
            FailedParityError: with these figures.
        """
        failures = self.failures(limits)
        if failures:
            raise FailedParityError(self, failures)

    def to_dict(self) -> dict[str, Any]:
        """The figures for a report."""
        return asdict(self)


class FailedParityError(ParityError):
    """A refusal, with its figures.

    Attributes:
        parity: what was measured.
    """

    def __init__(self, parity: Parity, failures: Sequence[str]) -> None:
        super().__init__(
            f"The {parity.kind} file does not compute what the checkpoint computes: {'; '.join(failures)}.",
            hint="Nothing was written. If the checkpoint is sound, the writer does not know something about it.",
        )
        self.parity = parity


Evaluate = Callable[[Path, Path], Sequence[EvalChange]]
"""Measures what a file can do, given the unquantised file and the file in question."""


@dataclass(slots=True)
class _Sums:
    """Running sums over positions."""

    error: float = 0.0
    power: float = 0.0
    kl: float = 0.0
    max_kl: float = 0.0
    positions: int = 0
    same: int = 0
    sure: int = 0
    sure_same: int = 0

    def add(self, expected: Floats, got: Floats) -> Floats:
        """Take up a block of positions, both [T, V]; returns the NMSE of each, [T]."""
        p = expected.astype(np.float64)
        q = got.astype(np.float64)
        p -= p.mean(-1, keepdims=True)
        q -= q.mean(-1, keepdims=True)
        error, power = ((q - p) ** 2).sum(-1), (p**2).sum(-1)
        log_p, log_q = p - _log_sum_exp(p), q - _log_sum_exp(q)
        kl = (np.exp(log_p) * (log_p - log_q)).sum(-1)
        best_two = np.partition(log_p, -2, axis=-1)[:, -2:]
        is_same = p.argmax(-1) == q.argmax(-1)
        is_sure = best_two[:, 1] - best_two[:, 0] >= SURE_NATS
        self.error += float(error.sum())
        self.power += float(power.sum())
        self.kl += float(kl.sum())
        self.max_kl = max(self.max_kl, float(kl.max()))
        self.positions += len(p)
        self.same += int(is_same.sum())
        self.sure += int(is_sure.sum())
        self.sure_same += int((is_same & is_sure).sum())
        nmse: Floats = (error / np.maximum(power, 1e-30)).astype(np.float32)
        return nmse


def _log_sum_exp(values: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    top = values.max(-1, keepdims=True)
    total: np.ndarray[Any, np.dtype[np.float64]] = top + np.log(np.exp(values - top).sum(-1, keepdims=True))
    return total


class Reference:
    """transformers' answers to the questions of the gate, worked out once for all files of a checkpoint.

    Args:
        source: the checkpoint.
        adapter: belongs to what the files hold.
        prompts: token ids to compare logits on; None = the fixed passages and conversations.
    """

    def __init__(
        self, source: Source, adapter: Adapter | None = None, prompts: Sequence[Sequence[int]] | None = None
    ) -> None:
        self.vocabulary = source.vocabulary
        self.tokenizer = ReferenceTokenizer(source)
        self.chats = [text for chat in CHATS if (text := self.tokenizer.render(chat)) is not None]
        self.texts = texts_for(is_normalised=source.vocabulary.is_normalised)
        if source.vocabulary.is_normalised:
            self.chats = list(normalised(self.chats))
        limit = min(source.shape.context_tokens, MAX_PROMPT_TOKENS)
        self.prompts = [list(ids) for ids in prompts] if prompts else list(self._own_prompts(limit))
        self.network = ReferenceModel(source, adapter)
        self.hidden = self.network.hidden(self.prompts)
        longest = max(self.prompts, key=len)[:FAR_TOKENS]
        self.near, self.far = longest[: len(longest) // 2], longest[len(longest) // 2 :]
        self.distance = max(0, min(MAX_DISTANCE, source.shape.context_tokens - len(longest)))
        self.far_hidden = self.network.far_hidden(self.near, self.far, self.distance)

    def _own_prompts(self, limit: int) -> Iterator[list[int]]:
        for text in self.texts[-len(PASSAGES) :]:
            yield self.tokenizer.ids(text, add_special=True)[:limit]
        for text in self.chats:
            yield self.tokenizer.ids(text, parse_special=True)[:limit]


def compare(
    path: Path,
    reference: Reference,
    *,
    kind: str,
    adapter: Path | None = None,
    evaluations: Sequence[EvalChange] = (),
    num_threads: int | None = None,
) -> Parity:
    """Compare a file with transformers.

    Args:
        path: the file.
        reference: what it should compute.
        kind: its type, for the report.
        adapter: a GGUF adapter to apply to it.
        evaluations: what else was measured.
        num_threads: threads that compute; None = one a core, and one core is left to others.

    Raises:
        ModelLoadError: llama.cpp refuses the file.
    """
    window = max(len(ids) for ids in reference.prompts)
    with ModelFile(path, window_tokens=window, adapter=adapter, num_threads=num_threads) as file:
        num_texts, different = _compare_ids(file, reference)
        missing = [one for one in reference.vocabulary.special.ends if not file.ends_turn(one)]
        head = reference.network.head()
        sums, worst = _Sums(), 0.0
        for ids, hidden in zip(reference.prompts, reference.hidden, strict=True):
            for rows, got in file.logits(ids):
                nmse = sums.add(reference.network.logits(hidden[rows], head), got)
            worst = _worse(worst, float(nmse[-1]))
        far = _far_nmse(file, reference, head)
    return Parity(
        kind=kind,
        num_texts=num_texts,
        num_different_ids=len(different),
        first_difference=different[0][:80] if different else None,
        num_missing_ends=len(missing),
        num_prompts=len(reference.prompts),
        num_positions=sums.positions,
        nmse=worst,
        mean_nmse=sums.error / sums.power if sums.power else 0.0,
        far_nmse=far,
        far_distance=reference.distance,
        mean_kl_nats=sums.kl / sums.positions,
        max_kl_nats=sums.max_kl,
        top1_agreement=sums.same / sums.positions,
        num_sure=sums.sure,
        sure_agreement=sums.sure_same / sums.sure if sums.sure else 1.0,
        evaluations=tuple(evaluations),
    )


def _worse(one: float, other: float) -> float:
    """The larger of two errors; a NaN is the worst of all, where `max` would hide it."""
    return other if np.isnan(other) or other > one else one


def _far_nmse(file: ModelFile, reference: Reference, head: Tensor) -> float:
    sums = _Sums()
    for rows, got in file.far_logits(reference.near, reference.far, reference.distance):
        sums.add(reference.network.logits(reference.far_hidden[rows], head), got)
    return sums.error / sums.power if sums.power else 0.0


def _compare_ids(file: ModelFile, reference: Reference) -> tuple[int, list[str]]:
    """How many texts were compared, and those whose ids differ."""
    different: list[str] = []
    cases = [(text, False) for text in reference.texts]
    cases += [(text, True) for text in _with_special(reference.vocabulary)]
    cases += [(text, True) for text in (*reference.chats, *reference.texts[:9])]
    for text, parse_special in cases:
        expected = reference.tokenizer.ids(text, parse_special=parse_special)
        if file.ids(_as_llama(text, reference.vocabulary), parse_special=parse_special) != expected:
            different.append(text)
    for text in reference.texts[:9]:
        expected = reference.tokenizer.ids(text, add_special=True)
        if file.ids(_as_llama(text, reference.vocabulary), add_special=True) != expected:
            different.append(text)
    return len(cases) + 9, different


def _with_special(vocabulary: Vocabulary) -> Iterator[str]:
    """Each special token alone and inside of text."""
    added: Sequence[Mapping[str, Any]] = vocabulary.state.get("added_tokens") or []
    for token in added:
        if token["id"] != vocabulary.special.unknown:
            yield token["content"]
            yield f"one{token['content']}two {token['content']} three"


def _as_llama(text: str, vocabulary: Vocabulary) -> str:
    """The text with the space that transformers puts before it at the very start, where the file cannot say so."""
    added = [token["content"] for token in vocabulary.state.get("added_tokens") or []]
    is_plain = not text.startswith((" ", "▁", *added))
    return f" {text}" if vocabulary.prefix == "first" and text and is_plain else text
