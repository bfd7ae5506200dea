"""Recipes: everything that a run is made of, as typed values out of a TOML file.

``stage = "dapo"`` says what is done, and with it which sections there are (`SECTIONS`); ``--set loss.clip_high=0.28``
changes one value. Every value is checked before anything is loaded.
"""

import dataclasses
import hashlib
import json
import tomllib
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from trainer.rl.advantages import AdvantageConfig
from trainer.rl.errors import RecipeError
from trainer.rl.loss import LossConfig
from trainer.rl.recipe_values import fill, nearest, override_value
from trainer.rl.tasks import DataConfig

Attention = Literal["blockwise", "flash_attention_2"]
Precision = Literal["float32", "bfloat16", "float16"]
Engine = Literal["own", "vllm"]
ModeName = Literal["default", "faithful", "gated", "extractive", "parallel"]
Stage = Literal["pretrain", "sft", "expert-iteration", "dapo"]

SUPERVISED_LOSS = LossConfig(variant="cispo", kl=0.0)
"""Of all stages but dapo: at advantage 1 and on-policy ratios this objective is the log-likelihood, one token mean."""


def _require(holds: bool, sentence: str) -> None:
    if not holds:
        raise RecipeError(sentence)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """The run as a whole.

    Attributes:
        name: of the run; part of every seed.
        stage: what is done; in a file it stands above all sections.
        steps: batches of questions, or of pieces of text.
        seed: of everything.
        threads: CPU threads; 0 = torch's own choice. Bitwise equal runs need equal numbers.
        checkpoint_steps: steps between checkpoints.
        evaluation_steps: steps between evaluations; 0 = none.
        evaluation_tasks: held-out questions of an evaluation; of pretrain: most held-out pieces of text.
        evaluation_chunks: lengths of their documents in chunks.
        evaluation_texts: text files that they stand in; none = sentences of other facts.
        evaluation_file: questions to evaluate on instead, as `data.file`; "" = generated ones.
    """

    name: str = "dapo"
    stage: Stage = "dapo"
    steps: int = 100
    seed: int = 0
    threads: int = 0
    checkpoint_steps: int = 1
    evaluation_steps: int = 0
    evaluation_tasks: int = 48
    evaluation_chunks: tuple[int, ...] = (2, 4, 8, 16)
    evaluation_texts: tuple[str, ...] = ()
    evaluation_file: str = ""

    def __post_init__(self) -> None:
        _require(
            self.steps >= 1 and self.checkpoint_steps >= 1, "run.steps and run.checkpoint_steps start at 1."
        )
        _require(
            min(self.evaluation_chunks, default=0) >= 1, "run.evaluation_chunks needs lengths from 1 on."
        )
        _require(
            self.threads >= 0 and self.evaluation_steps >= 0,
            "run.threads and run.evaluation_steps must not be negative.",
        )
        _require(
            self.evaluation_tasks >= 1,
            "run.evaluation_tasks starts at 1; without evaluations is run.evaluation_steps = 0.",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """The policy.

    Attributes:
        path: checkpoint folder (Llama, Qwen2, Qwen3) or GGUF file of the starter model.
        device: cpu, cuda, ...; auto = cuda where there is one.
        precision: of the computation; weights are float32 in any case. float16 scales the loss.
        attention: blockwise (sdpa, one call a conversation), or flash_attention_2 where it is installed.
        gradient_checkpointing: compute layers again in the backward pass instead of keeping what they gave.
        lora_rank: r of low-rank adapters on all linear layers; 0 = all weights are trained.
        lora_alpha: their scale is alpha / r.
        base_bits: of the weights under the adapters: 32; 16 = bfloat16, which half the memory holds, and which is the
            same where the checkpoint is bfloat16; or 4 = nf4 by bitsandbytes, on a GPU (QLoRA).
    """

    path: str = "resources/models/palimpsest-starter.gguf"
    device: str = "auto"
    precision: Precision = "float32"
    attention: Attention = "blockwise"
    gradient_checkpointing: bool = False
    lora_rank: int = 0
    lora_alpha: float = 32.0
    base_bits: int = 32

    def __post_init__(self) -> None:
        _require(
            self.lora_rank >= 0 and self.lora_alpha > 0,
            "model.lora_rank must not be negative, and model.lora_alpha must be above 0.",
        )
        _require(self.base_bits in (4, 16, 32), "model.base_bits must be 32, 16, or 4 for QLoRA.")
        _require(
            self.base_bits == 32 or self.lora_rank > 0,
            f"model.base_bits = {self.base_bits} needs model.lora_rank.",
        )
        _require(
            self.base_bits != 16 or self.precision == "bfloat16",
            "model.base_bits = 16 needs model.precision = bfloat16.",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingSettings:
    """How documents are read; 0 = the model's own figure.

    Attributes:
        mode: reading mode; default = the model's own.
        prompt_set: prompts; "" = the model's own, else the standard ones.
        chunk_tokens: most tokens of a chunk.
        memory_tokens: most tokens of the memory.
        context_tokens: window.
    """

    mode: ModeName = "default"
    prompt_set: str = ""
    chunk_tokens: int = 0
    memory_tokens: int = 0
    context_tokens: int = 0

    def __post_init__(self) -> None:
        _require(
            min(self.chunk_tokens, self.memory_tokens, self.context_tokens) >= 0,
            "reading.chunk_tokens, memory_tokens and context_tokens must not be negative.",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutConfig:
    """How rollouts are drawn. Top-p is 1 and top-k off, always.

    Attributes:
        groups: questions of a step.
        group_size: readings of each, G.
        temperature: of every reply, > 0.
        cache_tokens: most rows times columns of one KV cache; more = larger batches.
        most_draws: with dynamic sampling, most batches of questions that are drawn to fill one step.
        canary_gap: most mean difference in nats between the log-probability that was recorded and the trainer's own.
        engine: what draws: own (batched decoding in this process) or vllm (a server, see docs/training-vllm.md).
        server: address of a vLLM that is running, with vllm; "" = one is started out of `vllm`.
        vllm: environment that vLLM is installed in, with vllm; "" = there is a `server`.
        vllm_options: further arguments of ``vllm serve``.
    """

    groups: int = 16
    group_size: int = 8
    temperature: float = 1.0
    cache_tokens: int = 65_536
    most_draws: int = 3
    canary_gap: float = 0.02
    engine: Engine = "own"
    server: str = ""
    vllm: str = ""
    vllm_options: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _require(
            (self.engine == "vllm") == (bool(self.server) != bool(self.vllm))
            and not (self.server and self.vllm),
            "rollout.engine 'vllm' needs either rollout.server or rollout.vllm, and 'own' neither.",
        )
        _require(
            self.groups >= 1 and self.group_size >= 2, "rollout.groups starts at 1, rollout.group_size at 2."
        )
        _require(
            self.temperature > 0, "rollout.temperature must be above 0: greedy readings are all the same."
        )
        _require(
            self.cache_tokens >= 1 and self.most_draws >= 1, "rollout.cache_tokens and most_draws start at 1."
        )
        _require(self.canary_gap > 0, "rollout.canary_gap must be above 0.")


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizerConfig:
    """AdamW, and how a step is cut up.

    Attributes:
        lr: learning rate; 1e-6 for all weights of a large model, 1e-5 to 5e-5 for adapters.
        warmup: updates until the full rate.
        decay_from: updates after which the rate begins to fall.
        decay: updates over which it falls, linearly, to a hundredth, where it stays; 0 = it does not fall.
        weight_decay: decoupled, on matrices.
        beta1: decay of the first moment.
        beta2: decay of the second moment.
        clip_norm: most norm of the gradient.
        updates: updates of a step; more than one makes later ones off-policy, which is what clipping is for.
        is_8bit: bitsandbytes' 8-bit AdamW.
        most_bad: updates in a row without finite loss and gradient until the last checkpoint returns at half the rate.
        token_budget: most tokens of one packed row; halves when memory runs out.
        head_tokens: positions whose logits exist at one time.
    """

    lr: float = 1e-6
    warmup: int = 20
    decay_from: int = 0
    decay: int = 0
    weight_decay: float = 0.01
    beta1: float = 0.9
    beta2: float = 0.999
    clip_norm: float = 1.0
    updates: int = 1
    is_8bit: bool = False
    most_bad: int = 3
    token_budget: int = 8_192
    head_tokens: int = 512

    def __post_init__(self) -> None:
        _require(self.lr > 0 and self.clip_norm > 0, "optimizer.lr and optimizer.clip_norm must be above 0.")
        _require(0 <= self.beta1 < 1 and 0 <= self.beta2 < 1, "optimizer.beta1 and beta2 lie in [0, 1).")
        _require(self.updates >= 1 and self.most_bad >= 1, "optimizer.updates and most_bad start at 1.")
        _require(
            self.token_budget >= 1 and self.head_tokens >= 1,
            "optimizer.token_budget and head_tokens start at 1.",
        )
        _require(
            self.warmup >= 0 and self.weight_decay >= 0,
            "optimizer.warmup and weight_decay must not be negative.",
        )
        _require(
            self.decay_from >= 0 and self.decay >= 0, "optimizer.decay_from and decay must not be negative."
        )
        _require(
            self.decay > 0 or self.decay_from == 0,
            "optimizer.decay_from says nothing without optimizer.decay.",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TextConfig:
    """What is learnt in pretrain: the text of documents.

    Attributes:
        folder: all documents in it and below, in every format that the program reads.
        sequence_tokens: most tokens of a piece; pieces end at sentence ends.
        sequences: pieces of a step.
        held_out: share of the pieces that are not trained on but measured, in [0, 1).
    """

    folder: str = ""
    sequence_tokens: int = 1024
    sequences: int = 32
    held_out: float = 0.05

    def __post_init__(self) -> None:
        _require(bool(self.folder), "text.folder names no folder with documents.")
        _require(
            self.sequence_tokens >= 8 and self.sequences >= 1,
            "text.sequence_tokens starts at 8, text.sequences at 1.",
        )
        _require(0 <= self.held_out < 1, "text.held_out must lie in [0, 1).")


@dataclass(frozen=True, slots=True, kw_only=True)
class SftConfig:
    """What is learnt in sft: the replies of a reader who knows where the evidence stands.

    Attributes:
        questions: readings of a step.
        unchanged: share of the turns with nothing to find that are learnt from, in [0, 1]; most turns are such.
        noise: share of such turns at which a sentence that does not help slips into the memory, so that what follows
            is learnt with a memory that is not ideal; the turn itself is not learnt.
        on_policy: share of the readings that go on with the policy's own replies, drawn greedily, while the tutor's are
            learnt: what he says to the memories that the policy itself makes. Nothing slips in there, chunks that
            the policy should have left be are learnt in any case, and of answers those that the policy gave rightly.
        joint: questions of one joint gate; 0 = none is asked. Only for prompt sets that know it.
        under_grammar: learn the distribution restricted to what the grammar allows instead of the whole one. The
            whole one also teaches the form of replies, which matters where no grammar holds the model.
    """

    questions: int = 32
    unchanged: float = 0.5
    noise: float = 0.15
    on_policy: float = 0.0
    joint: int = 0
    under_grammar: bool = False

    def __post_init__(self) -> None:
        _require(self.questions >= 1, "sft.questions starts at 1.")
        _require(0 <= self.unchanged <= 1 and 0 <= self.noise < 1, "sft.unchanged and sft.noise are shares.")
        _require(0 <= self.on_policy <= 1, "sft.on_policy is a share.")
        _require(self.joint == 0 or self.joint >= 2, "sft.joint must be 0, or at least 2 questions.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpertConfig:
    """What is learnt in expert-iteration: of each group of readings the best one.

    Attributes:
        least_reward: what a reading must be worth, in (0, 1].
        under_grammar: see `SftConfig`.
    """

    least_reward: float = 1.0
    under_grammar: bool = False

    def __post_init__(self) -> None:
        _require(0 < self.least_reward <= 1, "expert.least_reward must lie in (0, 1].")


SECTIONS: Mapping[str, tuple[str, ...]] = {
    "pretrain": ("run", "model", "text", "optimizer"),
    "sft": ("run", "model", "reading", "data", "sft", "optimizer"),
    "expert-iteration": ("run", "model", "reading", "data", "rollout", "expert", "optimizer"),
    "dapo": ("run", "model", "reading", "data", "rollout", "advantage", "loss", "optimizer"),
}
"""Sections of each stage's recipe."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A whole run. Sections that its stage does not have stand at their defaults and count for nothing."""

    run: RunConfig = field(default_factory=RunConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    reading: ReadingSettings = field(default_factory=ReadingSettings)
    data: DataConfig = field(default_factory=DataConfig)
    rollout: RolloutConfig = field(default_factory=RolloutConfig)
    advantage: AdvantageConfig = field(default_factory=AdvantageConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    text: TextConfig | None = None
    sft: SftConfig = field(default_factory=SftConfig)
    expert: ExpertConfig = field(default_factory=ExpertConfig)

    def to_json(self) -> str:
        """Canonical JSON of the stage's sections; `make_recipe` reads it."""
        every = dataclasses.asdict(self)
        return json.dumps({n: every[n] for n in SECTIONS[self.run.stage]}, sort_keys=True, indent=1)

    @property
    def identity(self) -> str:
        """Hash of all that changes what is computed; a run may go on with more steps.

        Values at their defaults do not count: a later version has more of them, and runs that do not use them go on.
        """
        run = dataclasses.replace(self.run, steps=1, checkpoint_steps=1)
        values = json.loads(dataclasses.replace(self, run=run).to_json())
        plain = json.loads(Recipe(run=RunConfig(stage=run.stage, steps=1)).to_json())
        for name in ("server", "vllm", "vllm_options"):  # where a server is says nothing of what is computed
            values.get("rollout", {}).pop(name, None)
        told = {
            section: {n: value for n, value in fields.items() if value != (plain[section] or {}).get(n)}
            for section, fields in values.items()
        }
        stated = json.dumps({"stage": run.stage, **told}, sort_keys=True)
        return hashlib.sha256(stated.encode()).hexdigest()


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe and apply ``section.name=value`` overrides.

    Raises:
        RecipeError: the file cannot be read, or says something unknown or impossible.
    """
    try:
        values = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as exc:
        raise RecipeError(f"The recipe {path} cannot be read: {exc}.") from exc
    for override in overrides:
        override_value(values, override)
    return make_recipe(values)


def make_recipe(values: dict[str, Any]) -> Recipe:
    """A recipe out of plain values by section, with ``stage`` beside them or in ``run``.

    Raises:
        RecipeError: a section or name is unknown, or a value is of the wrong kind or out of range.
    """
    values = dict(values)
    stage = _take_stage(values)
    kinds = {name: _section_type(name) for name in SECTIONS[stage]}
    made: dict[str, Any] = {}
    for section, entries in values.items():
        if section not in kinds:
            is_other = any(section in names for names in SECTIONS.values())
            where = f"A recipe of the stage {stage}" if is_other else "A recipe"
            raise RecipeError(f"{where} has no section '{section}'.", hint=nearest(section, kinds))
        if not isinstance(entries, dict):
            raise RecipeError(f"The section '{section}' of the recipe must be a table.")
        made[section] = fill(section, kinds[section], entries)
    if stage == "pretrain" and "text" not in made:
        raise RecipeError(
            "A recipe of the stage pretrain needs the section 'text'.", hint="text.folder = ..."
        )
    if stage != "dapo":
        made["loss"] = SUPERVISED_LOSS
    elif (
        "rollout" in made
        and made["rollout"].engine == "vllm"
        and "importance_cap" not in values.get("loss", {})
    ):
        # Another program's kernels draw: what it drew is weighted as the trainer's own (truncated importance sampling).
        made["loss"] = dataclasses.replace(made.get("loss", LossConfig()), importance_cap=2.0)
    return Recipe(**made)


def _take_stage(values: dict[str, Any]) -> str:
    """The stage, which is put into the section `run`."""
    run = values.get("run", {})
    if not isinstance(run, dict):
        raise RecipeError("The section 'run' of the recipe must be a table.")
    stage = values.pop("stage", run.get("stage", "dapo"))
    if run.get("stage", stage) != stage:
        raise RecipeError(
            f"The recipe's stage is {stage}, and run.stage says {run['stage']}.",
            hint="Each stage has a recipe of its own: leave run.stage out, and begin with another file.",
        )
    if stage not in SECTIONS:
        raise RecipeError(
            f"stage must be one of {', '.join(SECTIONS)}, not {stage!r}.", hint=nearest(str(stage), SECTIONS)
        )
    values["run"] = {"name": stage, **run, "stage": stage}
    return str(stage)


def _section_type(name: str) -> type:
    if name == "text":
        return TextConfig
    return typing.cast(type, next(f.type for f in dataclasses.fields(Recipe) if f.name == name))
