"""Makes small checkpoint folders of the three kinds, random but lively, with tokenizers trained on the spot.

No model hub is needed: the code paths are those of a model of any size, and with a hidden size of 256 quantised weights
are really K-quants.
"""

import json
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from trainer.gguf.corpus import PASSAGES, TEXTS

CHAT_TEMPLATE = (
    "{{ bos_token or '' }}{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<s>")
USER_DEFINED = "<tool_call>"

QWEN2 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
LLAMA3 = QWEN2.replace(r"|\p{N}|", r"|\p{N}{1,3}|")


def make_tokenizer(pre: str, vocabulary: int = 900) -> Tokenizer:
    """A byte-level tokenizer with llama.cpp's pre-tokenizer of this name."""
    tokenizer = Tokenizer(models.BPE(ignore_merges=pre == "llama-bpe"))
    steps: list[Any] = []
    if pre in ("qwen2", "llama-bpe", "dbrx"):
        steps.append(pre_tokenizers.Split(Regex(QWEN2 if pre == "qwen2" else LLAMA3), "isolated"))
    if pre == "smollm":
        steps.append(pre_tokenizers.Digits(individual_digits=True))
    steps.append(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=pre in ("gpt-2", "smollm")))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps)
    tokenizer.decoder = decoders.ByteLevel()
    if pre == "qwen2":
        tokenizer.normalizer = normalizers.NFC()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(SPECIAL),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator([*TEXTS, *PASSAGES], trainer)
    tokenizer.add_tokens([USER_DEFINED])
    if pre in ("llama-bpe", "dbrx"):
        bos = tokenizer.token_to_id("<s>")
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", bos)]
        )
    return tokenizer


def save_tokenizer(folder: Path, pre: str) -> int:
    """Write a tokenizer's files; returns how many ids it has."""
    tokenizer = make_tokenizer(pre)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "chat_template": CHAT_TEMPLATE,
        "clean_up_tokenization_spaces": False,
    }
    if pre in ("llama-bpe", "dbrx"):
        settings["bos_token"] = "<s>"
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), "utf-8")
    return int(tokenizer.get_vocab_size())


def make_checkpoint(
    folder: Path,
    family: str,
    *,
    pre: str | None = None,
    dtype: torch.dtype = torch.float32,
    shard: str | None = None,
    seed: int = 0,
    **options: Any,
) -> Path:
    """Write a checkpoint with random weights.

    Args:
        folder: is made.
        family: ``llama``, ``qwen2`` or ``qwen3``.
        pre: pre-tokenizer; None = the family's own.
        dtype: of the weights.
        shard: largest shard as transformers wants it said; None = one file.
        seed: of the weights.
        options: further settings of transformers' configuration.
    """
    folder.mkdir(parents=True, exist_ok=True)
    num_ids = save_tokenizer(folder, pre or ("llama-bpe" if family == "llama" else "qwen2"))
    names = {"llama": "Llama", "qwen2": "Qwen2", "qwen3": "Qwen3"}
    config = getattr(transformers, f"{names[family]}Config")(
        **{
            "vocab_size": num_ids + 7,  # an embedding with more rows than tokens, as Qwen's
            "hidden_size": 256,
            "intermediate_size": 512,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 4096,
            "bos_token_id": 3,
            "eos_token_id": [2, 0],
            **({"head_dim": 64} if family == "qwen3" else {}),
            **options,
        }
    )
    torch.manual_seed(seed)
    model = getattr(transformers, f"{names[family]}ForCausalLM")(config)
    enliven(model, is_tied=bool(config.tie_word_embeddings))
    # save_pretrained of some versions adds files of its own taste; the weights' format is what matters here
    model.to(dtype).save_pretrained(folder, **({"max_shard_size": shard} if shard else {}))
    return folder


@torch.no_grad()
def enliven(model: torch.nn.Module, *, is_tied: bool) -> None:
    """Weights that make every part matter: biases, norms and attention far from neutral, logits far from flat."""
    for name, parameter in model.named_parameters():
        if "norm" in name:
            parameter.copy_(1.0 + 0.2 * torch.randn_like(parameter))
        elif name.endswith("bias"):
            parameter.normal_(std=0.3)
        elif "lm_head" in name:
            parameter.normal_(std=0.15)
        elif "embed_tokens" in name:
            parameter.normal_(std=0.15 if is_tied else 0.7)
        else:
            # What is added to the residual stream is kept small, as in a trained network: else errors explode.
            gain = 0.4 if name.endswith(("o_proj.weight", "down_proj.weight")) else 1.0
            parameter.normal_(std=gain * parameter.shape[1] ** -0.5)
