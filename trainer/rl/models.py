"""Policies: a transformers decoder with its vocabulary, from a local folder or from the bundled GGUF file.

The bundled model needs no other file: its weights, tokenizer and chat template are read out of the GGUF and become
transformers' own Qwen2. Nothing is fetched, and no code out of a checkpoint is run.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    Qwen2ForCausalLM,
)

from engine.errors import CheckpointError, UnsupportedCheckpointError
from trainer.gguf.checkpoint import read_license
from trainer.rl.attention import PACKED
from trainer.rl.errors import RecipeError
from trainer.rl.lora import hold_in_16_bits
from trainer.rl.quantised import check_quantised, is_quantised, quantisation
from trainer.rl.recipe import Attention
from trainer.rl.starter_file import StarterFile
from trainer.rl.vocabulary import Vocabulary

FAMILIES = ("llama", "qwen2", "qwen3")


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A model that can be trained.

    Attributes:
        model: a transformers decoder with submodules `model` and `lm_head`; weights in float32, or a base of fewer
            bits under adapters.
        vocabulary: its tokens.
        name: for people.
        context_tokens: window, prompt and reply.
        prompt_set: name of the prompt set that it was made for; None = the standard one.
        chunk_tokens: chunk size that it was made for, or None.
        memory_tokens: memory size that it was made for, or None.
        license: identifier of the licence that what is made of it comes under too, if it says so.
    """

    model: nn.Module
    vocabulary: Vocabulary
    name: str
    context_tokens: int
    prompt_set: str | None = None
    chunk_tokens: int | None = None
    memory_tokens: int | None = None
    license: str | None = None

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.model.parameters()).device


def load_policy(
    path: Path, *, attention: Attention = "blockwise", device: str = "cpu", base_bits: int = 32
) -> Policy:
    """Load a policy.

    Args:
        path: a folder with a Llama, Qwen2 or Qwen3 checkpoint, or a GGUF file of the starter model.
        attention: implementation of attention; the starter model always uses blockwise.
        device: "cpu", "cuda", ...
        base_bits: 32, or of a base under adapters 16, see `trainer.rl.lora`, or 4, see `trainer.rl.quantised`.

    Raises:
        ModelNotFoundError: there is no such file or folder.
        CheckpointError: it is damaged or incomplete.
        UnsupportedCheckpointError: it is of another family.
        TemplateError: its chat template is not valid.
        RecipeError: 4 bits without a GPU, or of the starter model.
        TrainerMissingError: 4 bits without bitsandbytes.
    """
    if base_bits == 4:
        check_quantised(device)
    if path.is_dir():
        policy = _load_folder(path, attention, device if base_bits == 4 else None)
    elif base_bits == 4:
        raise RecipeError("The bundled model is not trained in 4 bits.", hint="Set model.base_bits to 32.")
    else:
        policy = _load_starter(path)
    _prepare(policy.model)
    if base_bits == 16:  # before it is on the device, which may not hold it otherwise
        hold_in_16_bits(policy.model)
    if base_bits != 4:
        policy.model.to(device)
    return policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A model without its weights.

    Attributes:
        config: transformers' own.
        context_tokens: window, prompt and reply.
        chunk_tokens: chunk size that it was made for, or None.
        memory_tokens: memory size that it was made for, or None.
    """

    config: Any
    context_tokens: int
    chunk_tokens: int | None = None
    memory_tokens: int | None = None

    def empty_model(self) -> nn.Module:
        """The decoder as `load_policy` gives it, with weights that mean nothing."""
        make: Any = AutoModelForCausalLM.from_config
        model: nn.Module = make(self.config, attn_implementation=PACKED, dtype=torch.float32)
        _prepare(model)
        return model


def read_shape(path: Path) -> Shape:
    """What a model is like, from its config alone; a folder needs to hold no weights for it.

    Args:
        path: as for `load_policy`.

    Raises:
        PalimpsestError: as of `load_policy`.
    """
    if path.is_dir():
        config = _read_config(path)
        extra = _read_extra(path)
        return Shape(
            config=config,
            context_tokens=int(config.max_position_embeddings),
            chunk_tokens=extra.get("chunk_tokens"),
            memory_tokens=extra.get("memory_tokens"),
        )
    file = StarterFile(path)
    return Shape(
        config=file.config(),
        context_tokens=int(file.fields["qwen2.context_length"]),
        chunk_tokens=file.fields.get("palimpsest.chunk_tokens"),
        memory_tokens=file.fields.get("palimpsest.memory_tokens"),
    )


def _prepare(model: nn.Module) -> None:
    """Training mode switches on gradient checkpointing, and must switch on nothing else."""
    config: Any = model.config
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if getattr(module, "attention_dropout", 0.0):
            setattr(module, "attention_dropout", 0.0)  # noqa: B010 - no attribute that nn.Module knows
    if "sliding_attention" in (getattr(config, "layer_types", None) or ()):
        raise UnsupportedCheckpointError(
            "The checkpoint uses sliding-window attention, which packing and decoding here do not know.",
            hint="Set use_sliding_window to false in its config.json if the window is longer than a chunk.",
        )
    config.use_cache = False
    if is_quantised(model):
        # Norms, embedding and head; the layers' matrices are bytes, and where they are computed with.
        for parameter in model.parameters():
            if parameter.is_floating_point():
                parameter.data = parameter.data.float()
    elif any(parameter.dtype != torch.float32 for parameter in model.parameters()):
        model.float()
    model.train()


def checkpoint_layers(model: Any) -> None:
    """Compute layers again in the backward pass instead of keeping what they gave."""
    if hasattr(model, "activation_checkpointing_enable"):  # the name since transformers 5.20
        model.activation_checkpointing_enable({"use_reentrant": False})
    else:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})


def _load_folder(path: Path, attention: Attention, quantised_on: str | None) -> Policy:
    config = _read_config(path)
    how: dict[str, Any] = {}
    if quantised_on:
        how = {"quantization_config": quantisation(), "device_map": {"": quantised_on}}
    try:
        model = AutoModelForCausalLM.from_pretrained(
            path,
            config=config,
            attn_implementation=PACKED if attention == "blockwise" else attention,
            dtype=torch.float32,
            local_files_only=True,
            trust_remote_code=False,
            **how,
        )
        tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, ImportError) as exc:
        raise CheckpointError(f"The checkpoint {path.name} cannot be loaded: {exc}.") from exc
    if not getattr(tokenizer, "is_fast", False) or not tokenizer.chat_template:
        raise CheckpointError(
            f"The checkpoint {path.name} lacks a tokenizer.json or a chat template.",
            hint="Choose the instruction edition of the model.",
        )
    ends = _end_ids(model, tokenizer)
    start = tokenizer("x")["input_ids"]
    has_bos = tokenizer.bos_token_id is not None and start[:1] == [tokenizer.bos_token_id]
    extra = _read_extra(path)
    return Policy(
        model=model,
        vocabulary=Vocabulary(
            tokenizer.backend_tokenizer,
            chat_template=str(tokenizer.chat_template),
            end_ids=ends,
            bos_id=tokenizer.bos_token_id if has_bos else None,
            size=int(config.vocab_size),
        ),
        name=path.name,
        context_tokens=int(config.max_position_embeddings),
        prompt_set=extra.get("prompt_set"),
        chunk_tokens=extra.get("chunk_tokens"),
        memory_tokens=extra.get("memory_tokens"),
        license=extra.get("license") or read_license(path / "README.md"),
    )


def _read_config(path: Path) -> Any:
    try:
        config = AutoConfig.from_pretrained(path, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError) as exc:
        raise CheckpointError(f"{path} holds no readable config.json.") from exc
    if config.model_type not in FAMILIES:
        raise UnsupportedCheckpointError(
            f"{path.name} is a {config.model_type} model.", hint=f"Trained are: {', '.join(FAMILIES)}."
        )
    return config


def _end_ids(model: Any, tokenizer: Any) -> set[int]:
    """Tokens that end a turn: those of the generation config, and the tokenizer's own."""
    found = {tokenizer.eos_token_id}
    configured = model.generation_config.eos_token_id if model.generation_config else None
    found |= set(configured) if isinstance(configured, list) else {configured}
    return {int(token_id) for token_id in found if token_id is not None}


def _read_extra(path: Path) -> dict[str, Any]:
    """What `save_policy` wrote beside a checkpoint."""
    file = path / "palimpsest.json"
    return dict(json.loads(file.read_text("utf-8"))) if file.exists() else {}


def save_policy(policy: Policy, folder: Path) -> None:
    """Write weights, config, tokenizer and chat template as a checkpoint folder that `load_policy` reads."""
    folder.mkdir(parents=True, exist_ok=True)
    model: Any = policy.model
    model.save_pretrained(folder)
    save_vocabulary(policy, folder)


def save_vocabulary(policy: Policy, folder: Path) -> None:
    """Write all of a checkpoint folder but weights and config."""
    vocabulary = policy.vocabulary
    vocabulary.tokenizer.save(str(folder / "tokenizer.json"))
    end = vocabulary.text([vocabulary.turn_end_id])
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "chat_template": vocabulary.chat_template,
        "eos_token": end,
        "model_max_length": policy.context_tokens,
    }
    if vocabulary.bos_id is not None:
        settings["bos_token"] = vocabulary.text([vocabulary.bos_id])
    model: Any = policy.model
    pad_id = model.config.pad_token_id
    if pad_id is not None and 0 <= pad_id < vocabulary.size:  # some configs say -1
        settings["pad_token"] = vocabulary.text([pad_id])
    extra = {
        "prompt_set": policy.prompt_set,
        "chunk_tokens": policy.chunk_tokens,
        "memory_tokens": policy.memory_tokens,
        "license": policy.license,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2), "utf-8")
    (folder / "palimpsest.json").write_text(json.dumps(extra, indent=2), "utf-8")


def _load_starter(path: Path) -> Policy:
    file = StarterFile(path)
    model = Qwen2ForCausalLM(file.config())
    model.set_attn_implementation(PACKED)
    file.load_tensors(model)
    model.tie_weights()
    fields = file.fields
    end_id = int(fields["tokenizer.ggml.eos_token_id"])
    return Policy(
        model=model,
        vocabulary=Vocabulary(
            file.tokenizer(),
            chat_template=fields["tokenizer.chat_template"],
            end_ids={end_id, int(fields.get("tokenizer.ggml.eot_token_id") or end_id)},
            bos_id=None,
            size=len(fields["tokenizer.ggml.tokens"]),
        ),
        name=fields["general.name"],
        license=fields.get("general.license"),
        context_tokens=int(fields["qwen2.context_length"]),
        prompt_set=fields.get("palimpsest.prompt_set"),
        chunk_tokens=fields.get("palimpsest.chunk_tokens"),
        memory_tokens=fields.get("palimpsest.memory_tokens"),
    )
