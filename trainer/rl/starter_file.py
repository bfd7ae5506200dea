"""The GGUF file of the bundled model, read back: config, weights and tokenizer."""

from pathlib import Path
from typing import Any

import gguf
import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, pre_tokenizers
from tokenizers import models as tokenizer_models
from torch import nn
from transformers import Qwen2Config

from engine.errors import CheckpointError, ModelNotFoundError, UnsupportedCheckpointError
from trainer.tokens import QWEN2_PATTERN

_CONTROL = 3  # gguf.TokenType.CONTROL


class Fields:
    """Metadata of a GGUF file by name."""

    def __init__(self, reader: gguf.GGUFReader, path: Path) -> None:
        self._fields = reader.fields
        self._path = path

    def get(self, name: str) -> Any:
        """A value, or None."""
        return self._fields[name].contents() if name in self._fields else None

    def __getitem__(self, name: str) -> Any:
        value = self.get(name)
        if value is None:
            raise CheckpointError(f"{self._path.name} lacks the metadata {name}.")
        return value


class StarterFile:
    """The file.

    Args:
        path: of the file.

    Raises:
        ModelNotFoundError: there is none.
        CheckpointError: it is damaged.
        UnsupportedCheckpointError: it is another model's.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise ModelNotFoundError(
                f"There is no model {path}.", hint="Give a checkpoint folder or a .gguf file."
            )
        try:
            self._reader = gguf.GGUFReader(str(path))
        except (OSError, ValueError, IndexError) as exc:
            raise CheckpointError(f"{path.name} is no readable GGUF file.") from exc
        self._path = path
        self.fields = Fields(self._reader, path)
        if self.fields["general.architecture"] != "qwen2" or self.fields["tokenizer.ggml.pre"] != "qwen2":
            raise UnsupportedCheckpointError(
                f"{path.name} is not the starter model.",
                hint="Other models are trained from their checkpoint folder, not from a GGUF file.",
            )

    def config(self) -> Qwen2Config:
        """Of transformers' own class."""
        fields = self.fields
        return Qwen2Config(
            vocab_size=len(fields["tokenizer.ggml.tokens"]),
            hidden_size=int(fields["qwen2.embedding_length"]),
            intermediate_size=int(fields["qwen2.feed_forward_length"]),
            num_hidden_layers=int(fields["qwen2.block_count"]),
            num_attention_heads=int(fields["qwen2.attention.head_count"]),
            num_key_value_heads=int(fields["qwen2.attention.head_count_kv"]),
            max_position_embeddings=int(fields["qwen2.context_length"]),
            rms_norm_eps=float(fields["qwen2.attention.layer_norm_rms_epsilon"]),
            rope_parameters={"rope_type": "default", "rope_theta": float(fields["qwen2.rope.freq_base"])},
            tie_word_embeddings=True,
            use_sliding_window=False,
            eos_token_id=int(fields["tokenizer.ggml.eos_token_id"]),
            pad_token_id=fields.get("tokenizer.ggml.padding_token_id"),
            bos_token_id=None,
        )

    def load_tensors(self, model: nn.Module) -> None:
        """Fill a model of `config` with the weights; a head of its own that is tied is left to the caller to tie.

        Raises:
            CheckpointError: a tensor is missing.
            UnsupportedCheckpointError: they are quantised, or others than the model's.
        """
        name_of_file = self._path.name
        stored = {tensor.name: tensor for tensor in self._reader.tensors}
        names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.QWEN2, len(stored))
        state: dict[str, torch.Tensor] = {}
        for name, parameter in model.state_dict().items():
            source = names.get_name(name, try_suffixes=(".weight", ".bias"))
            if name == "lm_head.weight":
                continue  # tied
            if source not in stored:
                raise CheckpointError(f"{name_of_file} lacks the tensor {source}.")
            tensor = stored.pop(source)
            if tensor.tensor_type not in (gguf.GGMLQuantizationType.F16, gguf.GGMLQuantizationType.F32):
                raise UnsupportedCheckpointError(
                    f"{name_of_file} is quantised.", hint="Train from the file with F16 weights."
                )
            # Copied: the reader's arrays are views of a file that is mapped read-only.
            values = torch.from_numpy(tensor.data.astype("float32", copy=True))
            state[name] = values.reshape(parameter.shape)
        if stored:
            raise UnsupportedCheckpointError(f"{name_of_file} holds an unknown tensor: {min(stored)}.")
        model.load_state_dict(state, strict=False)

    def tokenizer(self) -> Tokenizer:
        """The tokenizer that `trainer.tokens.train_tokenizer` made, from what the file holds of it."""
        fields = self.fields
        tokens: list[str] = fields["tokenizer.ggml.tokens"]
        types: list[int] = fields["tokenizer.ggml.token_type"]
        merges = [tuple(merge.split(" ", 1)) for merge in fields["tokenizer.ggml.merges"]]
        vocabulary = {token: token_id for token_id, token in enumerate(tokens)}
        tokenizer = Tokenizer(tokenizer_models.BPE(vocab=vocabulary, merges=merges))
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(QWEN2_PATTERN), behavior="isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
        tokenizer.decoder = decoders.ByteLevel()
        special = [token for token, kind in zip(tokens, types, strict=True) if kind == _CONTROL]
        tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
        return tokenizer
