"""The starter model as GGUF: saved as a checkpoint of transformers' Qwen2, then imported like any other.

So there is one writer and one gate; what the starter adds is metadata that the engine reads.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import save_file
from transformers import Qwen2Config, Qwen2ForCausalLM

from engine.agent.prompts import STARTER
from trainer.gguf.importing import import_checkpoint
from trainer.gguf.parity import Parity
from trainer.gguf.writer import FileInfo, FloatType
from trainer.model import CONTEXT_TOKENS, StarterModel, transformers_config
from trainer.tokens import CHAT_TEMPLATE, END, PAD, Codec


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportInfo:
    """What the file says of itself beyond shape and tokenizer."""

    name: str = "Palimpsest Starter"
    version: str = "2"
    description: str = (
        "Finds the sentences of a document that answer a question, and copies the answer out of "
        "them. Trained from scratch for Palimpsest; not a general assistant."
    )
    license: str = "cc-by-sa-4.0"
    prompt_set: str = STARTER.name
    modes: tuple[str, ...] = ("extractive",)
    chunk_tokens: int = 256
    memory_tokens: int = 224

    def to_file_info(self) -> FileInfo:
        """The same in the writer's terms."""
        return FileInfo(
            name=self.name,
            version=self.version,
            description=self.description,
            license=self.license,
            languages=("en",),
            fields={
                "palimpsest.prompt_set": self.prompt_set,
                "palimpsest.modes": self.modes,
                "palimpsest.chunk_tokens": self.chunk_tokens,
                "palimpsest.memory_tokens": self.memory_tokens,
            },
        )


def save_checkpoint(model: StarterModel, codec: Codec, folder: Path) -> None:
    """Write the network as a checkpoint folder of transformers' Qwen2."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        **transformers_config(model.shape, codec),
        "model_type": "qwen2",
        "architectures": ["Qwen2ForCausalLM"],
        "hidden_act": "silu",
    }
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": END,
        "pad_token": PAD,
        "chat_template": CHAT_TEMPLATE,
        "clean_up_tokenization_spaces": False,
        "model_max_length": CONTEXT_TOKENS,
    }
    (folder / "config.json").write_text(json.dumps(config, indent=1), "utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=1), "utf-8")
    codec.tokenizer.save(str(folder / "tokenizer.json"))
    tensors = {name: tensor.detach().float().contiguous() for name, tensor in model.state_dict().items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def export(
    model: StarterModel,
    codec: Codec,
    path: Path,
    info: ExportInfo,
    prompts: Sequence[Sequence[int]],
) -> Parity:
    """Write the model, hold the file against transformers, then put it in place.

    Args:
        model: The network.
        codec: Its tokenizer.
        path: Where the file is to stand; replaced only by a complete one that agrees.
        info: What the file says of itself.
        prompts: Token ids of prompts for the comparison of logits.

    Raises:
        ParityError: Token ids or logits differ; nothing was replaced.
    """
    with tempfile.TemporaryDirectory() as folder:
        save_checkpoint(model, codec, Path(folder))
        report = import_checkpoint(
            Path(folder), path, kind=FloatType.F16, info=info.to_file_info(), prompts=prompts
        )
    return report.parity


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
