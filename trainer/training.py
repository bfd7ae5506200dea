"""The training loop, and checkpoints from which it continues bit for bit."""

from __future__ import annotations

import json
import logging
import os
import random
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from trainer.batching import MIN_TARGETS, Batch, RoundMaker
from trainer.circuits import lay_out
from trainer.model import Shape, StarterModel, build_model
from trainer.optim import build_optimizers, schedule
from trainer.stages import LEVELS, Course, Progress
from trainer.tokens import Codec

logger = logging.getLogger(__name__)

MAX_BAD_STEPS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of a run.

    Attributes:
        shape: Sizes of the network.
        course: Stages.
        muon_lr: Learning rate of the hidden matrices.
        table_lr: Learning rate of the token table.
        vector_lr: Learning rate of norms and biases.
        seed: Of weights and data.
        is_bfloat16: Whether products are computed in bfloat16, weights kept in float32: a quarter faster where the
            processor has matrix units for it (AMX), slower elsewhere, and not the same bit for bit when run again.
        checkpoint_s: Seconds between checkpoints.
        log_s: Seconds between lines of metrics.
    """

    shape: Shape = field(default_factory=Shape)
    course: Course = field(default_factory=Course)
    muon_lr: float = 0.015
    table_lr: float = 0.01
    vector_lr: float = 0.01
    seed: int = 0
    is_bfloat16: bool = False
    checkpoint_s: float = 240.0
    log_s: float = 30.0

    def optimizers(self, model: StarterModel) -> list[torch.optim.Optimizer]:
        """New optimizers of a model's parameters, with these rates."""
        return build_optimizers(model, muon_lr=self.muon_lr, table_lr=self.table_lr, vector_lr=self.vector_lr)


class NonFiniteLoss(RuntimeError):
    """Several steps in a row gave no finite loss."""


def save_atomically(state: dict[str, Any], path: Path) -> None:
    """Write a checkpoint so that a kill leaves the old or the new one, never a part."""
    partial = path.with_suffix(".partial")
    with partial.open("wb") as handle:
        torch.save(state, handle)
        handle.flush()
        os.fsync(handle.fileno())
    partial.replace(path)


def checkpoint_state(
    model: StarterModel, optimizers: list[torch.optim.Optimizer], rng: random.Random, progress: Progress
) -> dict[str, Any]:
    """All that a run needs to go on from between two rounds."""
    return {
        "model": model.state_dict(),
        "shape": asdict(model.shape),
        "optimizers": [optimizer.state_dict() for optimizer in optimizers],
        "rng": rng.getstate(),
        "progress": progress.as_dict(),
    }


def _allowed_tokens(codec: Codec) -> dict[str, Tensor]:
    """Masks [V] of the tokens among which a group of targets chooses."""
    decision = torch.zeros(len(codec), dtype=torch.bool)
    decision[[codec.special["<|yes|>"], codec.special["<|no|>"]]] = True
    names = torch.zeros(len(codec), dtype=torch.bool)
    names[[index for token, index in codec.special.items() if re.fullmatch(r"<\|[ms]\d+\|>", token)]] = True
    return {"flags": decision, "matches": decision, "names": names}


class Training:
    """Weights, optimizers, data cursor and progress of one run in one folder."""

    def __init__(
        self,
        settings: Settings,
        folder: Path,
        codec: Codec,
        make_rounds: Callable[[random.Random], RoundMaker],
    ) -> None:
        """Start a run, or continue the one that the folder holds.

        Args:
            settings: Settings; on continuing, those of the course and the rates may differ.
            folder: Where ``checkpoint.pt`` and ``metrics.jsonl`` lie.
            codec: The tokenizer.
            make_rounds: Builds the data on a random source whose state is saved and restored.
        """
        self.settings = settings
        self.folder = folder
        self.codec = codec
        self.rng = random.Random(settings.seed)
        self.rounds = make_rounds(self.rng)
        self.model: StarterModel = build_model(settings.shape, codec, settings.seed)
        lay_out(self.model, codec)
        self.optimizers = settings.optimizers(self.model)
        self.parameters = list(self.model.parameters())
        # The number of threads within an operation is a setting of the calling thread.
        self.pool = ThreadPoolExecutor(
            torch.get_num_threads(), initializer=torch.set_num_threads, initargs=(1,)
        )
        self.progress = Progress()
        self.losses: dict[str, float] = {}
        self.bad_steps = 0
        self.allowed = _allowed_tokens(codec)
        self.stopping = False
        """Set to end the run with a checkpoint after the current round."""
        folder.mkdir(parents=True, exist_ok=True)
        self.checkpoint = folder / "checkpoint.pt"
        if self.checkpoint.exists():
            self._load()

    def save(self) -> None:
        """Write a checkpoint; call between rounds only, where no drawn batch is pending."""
        save_atomically(
            checkpoint_state(self.model, self.optimizers, self.rng, self.progress), self.checkpoint
        )

    def _load(self) -> None:
        state = torch.load(self.checkpoint, weights_only=False)
        self.model.load_state_dict(state["model"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            rates = [group["base_lr"] for group in optimizer.param_groups]
            optimizer.load_state_dict(saved)
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["base_lr"] = rate
        self.rng.setstate(state["rng"])
        self.progress = Progress(**state["progress"])
        logger.info("continuing at step %d, level %d", self.progress.step, self.progress.level)

    def run(self, *, minutes: float = float("inf"), steps: int | None = None) -> None:
        """Train to the end of the course, or for so many minutes or steps, then checkpoint."""
        course, progress = self.settings.course, self.progress
        last = min(course.total_steps, steps or course.total_steps)
        start = saved = logged = time.monotonic()
        while progress.step < last and time.monotonic() - start < 60 * minutes and not self.stopping:
            begun = time.monotonic()
            batches = self.rounds.round(progress.plan(course))
            for first in range(0, len(batches), course.batches_per_step):
                self._step(batches[first : first + course.batches_per_step])
            progress.seconds += time.monotonic() - begun
            if progress.promote(course):
                logger.info("step %d: sections of up to %d", progress.step, LEVELS[progress.level])
            now = time.monotonic()
            if now - logged > self.settings.log_s:
                self._log()
                logged = now
            if now - saved > self.settings.checkpoint_s:
                self.save()
                saved = now
        self._log()
        self.save()

    def _step(self, batches: list[Batch]) -> None:
        """Take one optimizer step over batches of different lengths, hence different tasks."""
        progress = self.progress
        factor = schedule(progress.step, self.settings.course.total_steps)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["base_lr"] * factor
        # One core a batch, not all cores for one batch after the other: matrices this small do not
        # split well (5,280 instead of 4,280 tokens/s on two cores).
        results = list(self.pool.map(self._gradients, batches))
        if not all(loss_is_finite for *_, loss_is_finite in results):
            self._skip()
            return
        for index, parameter in enumerate(self.parameters):
            parameter.grad = torch.stack([gradients[index] for gradients, *_ in results]).sum(0)
        for batch, (_, logits, losses, _) in zip(batches, results, strict=True):
            progress.tokens += int(batch.ids.ne(self.codec.pad_id).sum())
            progress.examples += batch.ids.shape[0]
            self._observe(batch, logits, losses)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.bad_steps = 0
        progress.step += 1

    def _gradients(self, batch: Batch) -> tuple[tuple[Tensor, ...], Tensor, Tensor, bool]:
        """Gradients of every parameter, logits and losses of the targets, whether the loss is finite."""
        layers = self.settings.shape.layers
        # Replies can only point at what labels know a layer earlier, so labels are taught there:
        # what they lean to, and not to forget their own name, which the reply is to repeat.
        with torch.autocast("cpu", torch.bfloat16, enabled=self.settings.is_bfloat16):
            *early, last = self.model.model.taps(batch.ids, (layers - 2, layers - 1))
            sources = {"matches": early[0], "flags": early[1], "names": early[1]}
            logits = torch.cat(
                [
                    self._choices(group, sources.get(group, last).flatten(0, 1)[batch.rows[where]])
                    for group, where in batch.group_slices.items()
                ]
            ).float()
        losses = F.cross_entropy(logits, batch.targets, reduction="none")
        loss = losses @ batch.weights
        gradients = torch.autograd.grad(loss, self.parameters)
        return gradients, logits.detach(), losses.detach(), bool(torch.isfinite(loss))

    def _choices(self, group: str, hidden: Tensor) -> Tensor:
        """Logits [N, V] of hidden states [N, D], impossible choices shut out.

        A label's yes or no and its name are separate questions to one hidden state; with all
        tokens to choose from, one answer would push the other away.
        """
        logits = self.model.logits(hidden)
        allowed = self.allowed.get(group)
        return logits if allowed is None else logits.masked_fill(~allowed, -1e9)

    def _skip(self) -> None:
        self.bad_steps += 1
        logger.warning("step %d: the loss is not finite; skipped", self.progress.step)
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        if self.bad_steps >= MAX_BAD_STEPS:
            raise NonFiniteLoss(f"{MAX_BAD_STEPS} steps in a row at step {self.progress.step}")

    def _observe(self, batch: Batch, logits: Tensor, losses: Tensor) -> None:
        for group, where in batch.group_slices.items():
            if where.stop > where.start:
                if where.stop - where.start < MIN_TARGETS[group] // 4:
                    continue  # a few stray targets would only add noise to the average
                mean = float(losses[where].mean())
                self.losses[group] = 0.9 * self.losses.get(group, mean) + 0.1 * mean
        replies = batch.group_slices["reply"]
        right = (logits[replies].argmax(-1) == batch.targets[replies]).tolist()
        for kind, size, rows in batch.examples:
            self.progress.observe(kind, size, all(right[row] for row in rows))
        flags = batch.group_slices["flags"]
        yes = self.codec.special["<|yes|>"]
        if flags.stop > flags.start:
            said = logits[flags].argmax(-1) == batch.targets[flags]
            truly = batch.targets[flags] == yes
            for name, chosen in (("flag-yes", said[truly]), ("flag-no", said[~truly])):
                for value in chosen.tolist():
                    self.progress.observe(name, 0, value, 0.999)

    def _log(self) -> None:
        progress = self.progress
        line = {
            "step": progress.step,
            "level": LEVELS[progress.level],
            "seconds": round(progress.seconds, 1),
            "tokens": progress.tokens,
            "examples": progress.examples,
            "tokens_per_s": round(progress.tokens / max(1e-9, progress.seconds)),
            "loss": {name: round(value, 3) for name, value in self.losses.items()},
            "exact": {k: round(v, 3) for k, v in sorted(progress.averages.items())},
        }
        with (self.folder / "metrics.jsonl").open("a", encoding="utf-8") as out:
            out.write(json.dumps(line) + "\n")
        logger.info("%s", json.dumps(line))
