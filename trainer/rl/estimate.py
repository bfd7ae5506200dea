"""The memory that a recipe takes, counted before anything is loaded.

The trainer's own code runs once on tensors without contents (`trainer.rl.allocations`): a batch of rollouts as large
as the cache, a full row forth and back, a step of the optimizer. What it would hold at most is the figure; what no
tensor holds (kernels, the allocator's gaps) is a stated reserve. The model's config is enough for it; no weights are
read.

Not run but reckoned, since bitsandbytes computes on a GPU only: bases in 4 bits and 8-bit moments.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from engine.agent.plan import default_sizes
from trainer.rl.allocations import Allocations
from trainer.rl.attention import as_on_gpu
from trainer.rl.data import Conversation
from trainer.rl.decoding import cumulative
from trainer.rl.forward import PREFILL_TOKENS, CachedForward, RowCache
from trainer.rl.logprobs import constrained_logprobs
from trainer.rl.lora import adapters, add_adapters, hold_in_16_bits
from trainer.rl.models import Shape, checkpoint_layers, read_shape
from trainer.rl.optimizer import make_optimizer
from trainer.rl.parts import AUTOCAST
from trainer.rl.recipe import Recipe
from trainer.rl.update import Computing

GIB = 1 << 30
RESERVE_BYTES = GIB
"""CUDA's context and libraries, and gaps between what the allocator gave out."""

_FRAME_TOKENS = 400
"""Of a prompt, besides chunk and memory: the question and the words around them."""
_NF4_BYTES = 1 / 2 + 1 / 64 + 4 / (64 * 256)
"""A weight in nf4: half a byte, one of scale for 64, four for 256 of these (QLoRA, arXiv 2305.14314)."""
_FEWEST_8BIT = 4096
"""Parameters with fewer values have moments of 32 bits all the same (bitsandbytes)."""
_GPU_MULTIPLE = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Bytes, and what they are for.

    Attributes:
        parameters: of the model.
        trained: of these, or of its adapters, those that are trained.
        prompt_tokens: of a conversation, with a full chunk and a full memory.
        reply_tokens: most of its reply.
        row_tokens: of a packed row of the update.
        batch_rows: conversations that are drawn side by side; 0 = nothing is drawn here.
        weights: bytes of the policy, adapters with it.
        reference: of its copy for the KL term.
        moments: of the optimizer.
        gradients: of what is trained.
        cache: of the keys and values of a batch.
        drawing: the most that is held while replies are drawn.
        updating: the most while gradients are computed.
        stepping: the most while the optimizer steps.
        reserve: what no tensor holds.
    """

    parameters: int
    trained: int
    prompt_tokens: int
    reply_tokens: int
    row_tokens: int
    batch_rows: int
    weights: int
    reference: int
    moments: int
    gradients: int
    cache: int
    drawing: int
    updating: int
    stepping: int
    reserve: int = RESERVE_BYTES

    @property
    def peak(self) -> int:
        """What the run takes, the reserve with it."""
        return max(self.drawing, self.updating, self.stepping) + self.reserve

    def as_dict(self) -> dict[str, int]:
        """Plain values, the peak among them."""
        return {**asdict(self), "peak": self.peak}

    def fits(self, gpu_gib: float) -> bool:
        """Whether a GPU of so many GiB is enough."""
        return self.peak <= gpu_gib * GIB


def estimate(recipe: Recipe) -> Estimate:
    """Count what a recipe takes on the device that it names (auto = a GPU).

    Raises:
        PalimpsestError: the model is missing, or is none that can be trained.
    """
    shape = read_shape(Path(recipe.model.path))
    where = nullcontext() if recipe.model.device == "cpu" else as_on_gpu()
    with where, FakeTensorMode(allow_non_fake_inputs=True), Allocations() as allocations:
        return _Counting(recipe, shape, allocations).run()


class _Counting:
    def __init__(self, recipe: Recipe, shape: Shape, allocations: Allocations) -> None:
        self._recipe = recipe
        self._allocations = allocations
        self._is_gpu = recipe.model.device != "cpu"
        self._autocast = AUTOCAST[recipe.model.precision]
        self.model = shape.empty_model()
        self._parameters = sum(p.numel() for p in self.model.parameters())
        if recipe.model.base_bits == 16:
            hold_in_16_bits(self.model)
        if recipe.model.lora_rank:
            add_adapters(self.model, rank=recipe.model.lora_rank, alpha=recipe.model.lora_alpha, seed=0)
        if recipe.model.gradient_checkpointing:
            checkpoint_layers(self.model)
        allocations.add(self.model)
        self._prompt_tokens, self._reply_tokens = _sizes(recipe, shape)
        self._vocabulary_size = int(shape.config.vocab_size)

    def run(self) -> Estimate:
        """Do what a step does."""
        held = self._allocations
        held.from_here()
        weights = held.now
        trained = [p for p in self.model.parameters() if p.requires_grad]
        gradients = sum(p.numel() * p.element_size() for p in trained)
        optimizer = make_optimizer(
            trained, replace(self._recipe.optimizer, is_8bit=False), is_fused=self._is_gpu
        )
        for parameter in trained:
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step()
        optimizer.zero_grad()
        moments = held.now - weights
        with self._peak() as drawing:
            cache, rows = self._draw()
        with self._peak() as updating:
            row_tokens = self._update()
        with self._peak() as stepping:
            optimizer.step()
        reference = weights if self._has_reference() else 0
        saved_weights, saved_moments = self._saved_by_4_bits(), self._saved_by_8_bits(trained)
        constant = reference - saved_weights - saved_moments
        return Estimate(
            parameters=self._parameters,
            trained=sum(p.numel() for p in trained),
            prompt_tokens=self._prompt_tokens,
            reply_tokens=self._reply_tokens,
            row_tokens=row_tokens,
            batch_rows=rows,
            weights=weights - saved_weights,
            reference=reference,
            moments=moments - saved_moments,
            gradients=gradients,
            cache=cache,
            drawing=drawing[0] + constant,
            updating=updating[0] + constant,
            stepping=stepping[0] + constant,
            reserve=RESERVE_BYTES if self._is_gpu else 0,
        )

    @contextmanager
    def _peak(self) -> Iterator[list[int]]:
        """The most that was held inside, once it is left."""
        self._allocations.from_here()
        found: list[int] = []
        yield found
        found.append(self._allocations.peak)

    def _has_reference(self) -> bool:
        return bool(self._recipe.loss.kl) and not self._recipe.model.lora_rank

    def _draw(self) -> tuple[int, int]:
        """Draw the last token of a full batch; bytes of the cache, and rows."""
        rollout = self._recipe.rollout
        if self._recipe.run.stage == "pretrain" or rollout.engine == "vllm":
            return 0, 0
        columns = self._prompt_tokens + self._reply_tokens
        rows = max(1, min(rollout.cache_tokens // columns, rollout.groups * rollout.group_size))
        cache = RowCache([self._prompt_tokens] * rows, columns, torch.device("cpu"))
        forward = CachedForward(self.model, self._autocast)
        with torch.no_grad(), forward.drawing():
            # Equal prompts are computed once. Two rounds of others are enough: the second meets the whole cache.
            kinds = 2 * max(1, PREFILL_TOKENS // self._prompt_tokens)
            forward.prompts([(row % kinds,) * self._prompt_tokens for row in range(rows)], cache)
            cache.advance(self._reply_tokens - 1)
            logits = forward.tokens([0] * rows, cache)
            allowed = torch.ones(rows, self._vocabulary_size, dtype=torch.bool)
            cumulative(constrained_logprobs(logits, allowed, 1.0))
        return cache.num_bytes, rows

    def _update(self) -> int:
        """Forth and back through full rows, beside the gradients of the first; returns the tokens of the last.

        The first is of replies to one prompt, whose keys and values each follow those of the prompt; then come
        different prompts.
        """
        talk = Conversation(
            prompt_ids=(0,),
            response_ids=(0,) * self._reply_tokens,
            rollout_logprobs=(0.0,) * self._reply_tokens,
            allowed=(None,) * self._reply_tokens,
            turn=0,
            finish_reason="length",
            purpose="",
            chunk_index=0,
            max_tokens=self._reply_tokens,
        )
        budget = self._recipe.optimizer.token_budget
        computing = Computing(
            temperature=self._recipe.rollout.temperature,
            head_tokens=self._recipe.optimizer.head_tokens,
            autocast=self._autocast,
            pad_multiple=_GPU_MULTIPLE if self._is_gpu else 1,
        )
        prompt, reply = self._prompt_tokens, self._reply_tokens
        others = [replace(talk, prompt_ids=(n,) * prompt) for n in range(max(1, budget // (prompt + reply)))]
        equal = [others[0]] * max(1, (budget - prompt) // reply)
        tokens = 0
        for talks in (equal, others):
            pack = next(computing.packs(self.model, talks, budget))
            computing.scores(self.model, pack).logprobs.sum().backward()  # type: ignore[no-untyped-call]
            tokens = pack.ids.shape[1]
        return tokens

    def _saved_by_4_bits(self) -> int:
        if self._recipe.model.base_bits != 4:
            return 0
        num = sum(module.base.weight.numel() for module in adapters(self.model).values())
        return round(num * (4 - _NF4_BYTES))

    def _saved_by_8_bits(self, trained: list[nn.Parameter]) -> int:
        if not self._recipe.optimizer.is_8bit:
            return 0
        sizes = [p.numel() for p in trained if p.numel() >= _FEWEST_8BIT]
        return sum(2 * (4 * size - size - 4 * math.ceil(size / 256)) for size in sizes)


def describe(found: Estimate, gpu_gib: float | None) -> str:
    """An estimate for people.

    Args:
        found: what was counted.
        gpu_gib: memory of the GPU that it is held against; None = of none.
    """

    def line(name: str, size: int) -> str:
        return f"{name:<52}{size / GIB:>8.2f} GiB"

    is_drawn = found.batch_rows > 0
    lines = [
        f"{found.parameters:,} parameters, {found.trained:,} values trained; conversations of "
        f"{found.prompt_tokens:,} + {found.reply_tokens:,} tokens",
        line("weights", found.weights),
        *([line("first policy, for the KL term", found.reference)] if found.reference else []),
        line("optimizer", found.moments),
        line("gradients", found.gradients),
        *(
            [line(f"keys and values of {found.batch_rows} readings side by side", found.cache)]
            if is_drawn
            else []
        ),
        *([line("at most, while replies are drawn", found.drawing)] if is_drawn else []),
        line(f"at most, while a row of {found.row_tokens:,} tokens is learnt", found.updating),
        line("at most, while the optimizer steps", found.stepping),
        line("besides, in no tensor", found.reserve),
        line("in all", found.peak),
    ]
    if gpu_gib is not None:
        verdict = f"fits {gpu_gib:g} GiB" if found.fits(gpu_gib) else f"does not fit {gpu_gib:g} GiB"
        lines.append(verdict + ("." if found.fits(gpu_gib) else f": {_advice(found)}"))
    return "\n".join(lines)


def _advice(found: Estimate) -> str:
    """What to change where it is too much."""
    most = max(found.drawing, found.updating, found.stepping)
    if most == found.drawing and found.cache > found.weights:
        return "lower rollout.cache_tokens."
    if most == found.updating and found.updating > 1.2 * found.stepping:
        return "lower optimizer.token_budget, or switch on model.gradient_checkpointing."
    if found.trained == found.parameters:
        return "train adapters (model.lora_rank), or set optimizer.is_8bit."
    return "set model.base_bits to 16 or 4, or choose a smaller model."


def _sizes(recipe: Recipe, shape: Shape) -> tuple[int, int]:
    """Tokens of the longest prompt and of the longest reply."""
    if recipe.text is not None:
        return 1, recipe.text.sequence_tokens
    reading = recipe.reading
    window = min(reading.context_tokens or shape.context_tokens, shape.context_tokens)
    chunk, memory = default_sizes(
        window, reading.chunk_tokens or shape.chunk_tokens, reading.memory_tokens or shape.memory_tokens
    )
    return min(chunk + memory + _FRAME_TOKENS, window - memory), memory
