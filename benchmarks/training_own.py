"""The trainer's side of `benchmarks.training`: its own decoder and update on a work file; prints one JSON object."""

import json
import random
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
import torch

from benchmarks.training import Work
from benchmarks.training_memory import peak_bytes
from engine.cancel import CancelToken
from trainer.rl.data import Conversation
from trainer.rl.decoding import Decoder, Row
from trainer.rl.lora import add_adapters
from trainer.rl.loss import LossConfig
from trainer.rl.models import checkpoint_layers, load_policy
from trainer.rl.optimizer import Stepper
from trainer.rl.recipe import OptimizerConfig
from trainer.rl.update import Budget, Computing, Sample, accumulate
from trainer.rl.vocabulary import Vocabulary


class EndlessVocabulary:
    """A vocabulary without an end of a reply, so that every one has the same length."""

    end_ids = frozenset[int]()

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.size = vocabulary.size

    def piece(self, token_id: int) -> bytes:
        """Nobody reads the replies."""
        return b"."


def main() -> None:
    """Do the work."""
    values = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    work = Work(**(values | {"prompts": tuple(values["prompts"])}))
    torch.set_num_threads(work.threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    policy = load_policy(Path(work.checkpoint), device=device)
    if work.lora_rank:
        add_adapters(policy.model, rank=work.lora_rank, alpha=32.0, seed=0)
    if work.gradient_checkpointing:
        checkpoint_layers(policy.model)
    columns = work.prompt_tokens + work.reply_tokens
    budget = Budget(work.micro_batch * columns)
    vocabulary: Any = EndlessVocabulary(policy.vocabulary)
    decoder = Decoder(policy.model, vocabulary, cache_tokens=len(work.prompts) * work.group_size * columns)
    stepper = Stepper(policy.model, OptimizerConfig(lr=1e-6))
    prompts = [tuple(policy.vocabulary.tokenize(prompt)) for prompt in work.prompts]
    if any(len(prompt) != work.prompt_tokens for prompt in prompts):
        raise SystemExit("the prompts are not of the length that was asked for")
    loaded = psutil.Process().memory_info().rss
    rng = random.Random(0)
    steps = []
    for step in range(work.steps + 1):
        began = time.perf_counter()
        rows = [
            Row(ids=prompt, max_tokens=work.reply_tokens, seed=rng.getrandbits(48))
            for prompt in prompts
            for _ in range(work.group_size)
        ]
        drawn = decoder.draw(rows, CancelToken())
        rolled_out = time.perf_counter()
        samples = [
            Sample(
                conversation=Conversation(
                    prompt_ids=row.ids,
                    response_ids=each.response_ids,
                    rollout_logprobs=each.logprobs,
                    allowed=each.allowed,
                    turn=0,
                    finish_reason=each.finish_reason,
                    purpose="answer",
                    chunk_index=None,
                    max_tokens=row.max_tokens,
                ),
                advantage=rng.uniform(-1, 1),
            )
            for row, each in zip(rows, drawn, strict=True)
        ]
        if {len(sample.conversation.response_ids) for sample in samples} != {work.reply_tokens}:
            raise SystemExit("a reply is not of the length that was asked for")
        accumulate(policy.model, samples, LossConfig(kl=0.0), Computing(), budget)
        stepper.step()
        if device == "cuda":
            torch.cuda.synchronize()
        if step:  # the first one warms up
            steps.append({"rollout_s": rolled_out - began, "update_s": time.perf_counter() - rolled_out})
    found = {
        "steps": steps,
        "peak_bytes": peak_bytes(),
        "loaded_bytes": loaded,
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "versions": {name: version(name) for name in ("torch", "transformers")},
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
