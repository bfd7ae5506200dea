"""transformers' side of the comparison: its tokenizer and its forward pass, in F32, one layer in memory at a time.

The network is built without memory ("meta") and every part loads its weights just before it runs and drops them after.
Weights are read with the safetensors library and under transformers' own names, so that nothing of the writer is used
to check the writer; adapters are computed beside the weights, W x + s B (A x), and not merged.
"""

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from safetensors import safe_open
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast

from engine.errors import CheckpointError
from trainer.gguf.lora import Adapter
from trainer.gguf.safetensors_file import Floats
from trainer.gguf.writer import Source


class ReferenceTokenizer:
    """transformers' tokenizer over the checkpoint's `tokenizer.json`, taken as it stands.

    `AutoTokenizer` is not used: since version 5 it puts its own splitting of words into Qwen2 tokenizers, whatever the
    file says.
    """

    def __init__(self, source: Source) -> None:
        with _tokenizer_folder(source) as folder:
            try:
                self._tokenizer: Any = PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
            except Exception as exc:
                raise CheckpointError(
                    "transformers cannot load the tokenizer.", hint=f"It says: {str(exc)[:200]}"
                ) from exc

    def ids(self, text: str, *, parse_special: bool = False, add_special: bool = False) -> list[int]:
        """Ids of a text; as `trainer.gguf.runtime.ModelFile.ids`."""
        self._tokenizer.backend_tokenizer.encode_special_tokens = not parse_special
        encoded = self._tokenizer.backend_tokenizer.encode(text, add_special_tokens=add_special)
        return list(encoded.ids)

    def render(self, conversation: Sequence[Mapping[str, str]]) -> str | None:
        """A conversation through the chat template; None if there is none or it takes no such conversation."""
        if not self._tokenizer.chat_template:
            return None
        try:
            text: str = self._tokenizer.apply_chat_template(
                list(conversation), tokenize=False, add_generation_prompt=True
            )
        except Exception:  # noqa: BLE001 - a template may raise what it likes, and means: not this conversation
            return None
        return text


@contextmanager
def _tokenizer_folder(source: Source) -> Iterator[Path]:
    folder = source.checkpoint.folder
    if (folder / "tokenizer.json").is_file():
        yield folder
        return
    with tempfile.TemporaryDirectory() as made:
        settings = {**source.vocabulary.settings, "tokenizer_class": "PreTrainedTokenizerFast"}
        (Path(made) / "tokenizer.json").write_text(json.dumps(source.vocabulary.state), "utf-8")
        (Path(made) / "tokenizer_config.json").write_text(json.dumps(settings), "utf-8")
        yield Path(made)


class ReferenceModel:
    """transformers' network for a checkpoint.

    Args:
        source: the checkpoint; its adapter is left aside.
        adapter: is applied, unmerged.
    """

    def __init__(self, source: Source, adapter: Adapter | None = None) -> None:
        self._entries = source.checkpoint.tensors
        self._adapter = adapter
        kind: Any = getattr(transformers, source.shape.family.architecture)
        config = kind.config_class.from_dict(dict(source.checkpoint.config))
        config._attn_implementation = "sdpa"
        with torch.device("meta"):
            self._model: Any = kind(config).eval().float()
        body = self._model.model
        body.rotary_emb = type(body.rotary_emb)(config)
        self._is_tied = source.shape.is_tied
        for name, module in [
            ("model.embed_tokens", body.embed_tokens),
            ("model.norm", body.norm),
            *((f"model.layers.{index}", layer) for index, layer in enumerate(body.layers)),
        ]:
            self._stream(name, module)

    def _stream(self, name: str, module: nn.Module) -> None:
        def load(*_: object) -> None:
            self._load(name, module)

        def drop(*_: object) -> None:
            module.to("meta")

        module.register_forward_pre_hook(load)
        module.register_forward_hook(drop)
        for inner, linear in module.named_modules():
            part = self._adapter and self._adapter.parts.get(f"{name}.{inner}.weight")
            if part:
                _add_low_rank(linear, torch.from_numpy(part.a), torch.from_numpy(part.b), part.scale)

    def _load(self, name: str, module: nn.Module) -> None:
        state = {key: self._weight(f"{name}.{key}") for key, _ in module.named_parameters()}
        module.load_state_dict(state, strict=True, assign=True)

    def _weight(self, name: str) -> Tensor:
        with safe_open(self._entries[name].path, framework="pt") as file:
            return nn.Parameter(file.get_tensor(name).float(), requires_grad=False)

    @torch.no_grad()
    def hidden(self, texts: Sequence[Sequence[int]]) -> Tensor:
        """Hidden states before the head, [N, T, D], T the longest text; what stands behind a shorter one means nothing.

        Args:
            texts: token ids.
        """
        longest = max(map(len, texts))
        # Causal attention never looks to the right, so padding there needs no mask.
        ids = torch.tensor([[*text, *[0] * (longest - len(text))] for text in texts])
        return self._run(ids, torch.arange(longest).expand_as(ids), torch.ones_like(ids))

    @torch.no_grad()
    def far_hidden(self, near: Sequence[int], far: Sequence[int], gap: int) -> Tensor:
        """Hidden states of the tokens of `far`, [T, D], laid out as in `trainer.gguf.runtime.ModelFile.far_logits`."""
        ids = torch.tensor([[*near, *far]])
        at = torch.arange(ids.shape[1])
        at[len(near) :] += gap
        sees = torch.ones(ids.shape[1], ids.shape[1], dtype=torch.bool).tril()
        sees[len(near), : len(near)] = False
        mask = torch.zeros(sees.shape).masked_fill(~sees, torch.finfo(torch.float32).min)
        return self._run(ids, at[None], mask[None, None])[0, len(near) :]

    def _run(self, ids: Tensor, positions: Tensor, mask: Tensor) -> Tensor:
        run = self._model.model(input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=False)
        out: Tensor = run.last_hidden_state
        return out

    def head(self) -> Tensor:
        """The output matrix, [V, D]."""
        return self._weight("model.embed_tokens.weight" if self._is_tied else "lm_head.weight")

    @torch.no_grad()
    def logits(self, hidden: Tensor, head: Tensor) -> Floats:
        """Logits [T, V] of hidden states [T, D], the adapter of the head included."""
        out = hidden @ head.T
        part = self._adapter and self._adapter.parts.get("lm_head.weight")
        if part:
            out = out + part.scale * (hidden @ torch.from_numpy(part.a).T @ torch.from_numpy(part.b).T)
        return np.asarray(out.numpy(), dtype=np.float32)


def _add_low_rank(linear: nn.Module, a: Tensor, b: Tensor, scale: float) -> None:
    def add(_: nn.Module, given: tuple[Tensor, ...], out: Tensor) -> Tensor:
        return out + scale * (given[0] @ a.T @ b.T)

    linear.register_forward_hook(add)
