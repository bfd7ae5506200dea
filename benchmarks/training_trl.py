"""TRL's side of `benchmarks.training`: GRPOTrainer on a work file; prints one JSON object.

Runs in an environment of its own, with TRL and without this project.
"""

import json
import random
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import GRPOConfig, GRPOTrainer

from benchmarks.training_memory import peak_bytes


class Timed(GRPOTrainer):  # type: ignore[misc]  # another environment has its types
    """Counts the seconds of drawing and of whole steps."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.rollout_s = 0.0
        self.steps: list[dict[str, float]] = []
        self.began = time.perf_counter()

    def _generate(self, prompts: list[Any]) -> Any:
        began = time.perf_counter()
        found = super()._generate(prompts)
        self.rollout_s += time.perf_counter() - began
        self.num_replies = [len(ids) for ids in found[1]]
        return found

    def log(self, *args: Any, **kwargs: Any) -> None:
        """Called at the end of every step."""
        now = time.perf_counter()
        whole = now - self.began
        self.steps.append({"rollout_s": self.rollout_s, "update_s": whole - self.rollout_s})
        self.rollout_s, self.began = 0.0, now
        super().log(*args, **kwargs)


def _lora(rank: int) -> Any:
    from peft import LoraConfig  # needed for this alone

    return LoraConfig(r=rank, lora_alpha=32, target_modules="all-linear")


def main() -> None:
    """Do the work."""
    work = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    torch.set_num_threads(work["threads"])
    tokenizer = AutoTokenizer.from_pretrained(work["checkpoint"])
    model = AutoModelForCausalLM.from_pretrained(work["checkpoint"], dtype=torch.float32)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    total = len(work["prompts"]) * work["group_size"]
    rng = random.Random(0)

    def reward(completions: list[Any], **_: Any) -> list[float]:
        return [rng.uniform(-1, 1) for _ in completions]

    with tempfile.TemporaryDirectory() as folder:
        settings = GRPOConfig(
            output_dir=folder,
            max_steps=work["steps"] + 1,
            per_device_train_batch_size=work["micro_batch"],
            gradient_accumulation_steps=total // work["micro_batch"],
            num_generations=work["group_size"],
            max_completion_length=work["reply_tokens"],
            generation_kwargs={"min_new_tokens": work["reply_tokens"]},
            gradient_checkpointing=work["gradient_checkpointing"],
            learning_rate=1e-6,
            beta=0.0,
            temperature=1.0,
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            shuffle_dataset=False,
            bf16=False,
            use_cpu=not torch.cuda.is_available(),
        )
        trainer = Timed(
            model=model,
            reward_funcs=reward,
            args=settings,
            train_dataset=Dataset.from_list([{"prompt": prompt} for prompt in work["prompts"]]),
            processing_class=tokenizer,
            peft_config=_lora(work["lora_rank"]) if work["lora_rank"] else None,
        )
        loaded = psutil.Process().memory_info().rss
        trainer.began = time.perf_counter()
        trainer.train()
    if set(trainer.num_replies) != {work["reply_tokens"]} or len(trainer.num_replies) != total:
        raise SystemExit(f"replies of {set(trainer.num_replies)} tokens, {len(trainer.num_replies)} of them")
    found = {
        "steps": trainer.steps[1 : work["steps"] + 1],
        "peak_bytes": peak_bytes(),
        "loaded_bytes": loaded,
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "versions": {name: version(name) for name in ("torch", "transformers", "trl")},
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
