"""How fast the trainer draws and learns, and in how much memory, beside TRL's GRPOTrainer on the same work.

    python -m benchmarks.training [--trl PYTHON] [--shape small] [--prompt-tokens 1024] [--reply-tokens 64]
        [--questions 2] [--group-size 8] [--steps 3] [--repeats 3] [--lora-rank 0] [--json] [--output FILE]

TRL cannot train conversations that are independent of each other, so the work is the nearest that it can: questions
with one prompt and one reply each, G replies to a prompt. Both sides take the same random weights, the same prompts,
write replies of exactly the same length (the end of a reply is forbidden), get random rewards, and take one update a
step on all replies; full precision, no KL term, no vLLM, AdamW. Each is a process of its own, in turns; the first step
of each is not counted. PYTHON is the interpreter of an environment with ``pip install trl``; without it only the
trainer's own figures are measured, and the report says so.

Tokens are those of the conversations that were drawn and trained on, prompt and reply, whatever was computed once for
several of them; rates are tokens a second of drawing, of the update, and of both together. Memory is the most that the
process held (resident; on a GPU what torch allocated).
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from benchmarks.environment import describe
from benchmarks.random_checkpoint import make_checkpoint

ROOT = Path(__file__).parents[1]
SHAPES: dict[str, dict[str, int]] = {
    "tiny": {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4},
    "small": {
        "hidden_size": 512,
        "intermediate_size": 2048,
        "num_hidden_layers": 8,
        "num_attention_heads": 8,
    },
    "0.5b": {
        "hidden_size": 896,
        "intermediate_size": 4864,
        "num_hidden_layers": 24,
        "num_attention_heads": 14,
    },
    "1.5b": {
        "hidden_size": 1536,
        "intermediate_size": 8960,
        "num_hidden_layers": 28,
        "num_attention_heads": 12,
    },
    "7b": {
        "hidden_size": 3584,
        "intermediate_size": 18944,
        "num_hidden_layers": 28,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
    },
}
"""The last three are Qwen2.5's (their config.json)."""
VOCABULARY_SIZES = {"tiny": 2_000, "small": 32_768, "0.5b": 151_936, "1.5b": 151_936, "7b": 152_064}


MALLOC = {
    "MALLOC_MMAP_THRESHOLD_": "4000000000",
    "MALLOC_TRIM_THRESHOLD_": "16000000000",
    "MALLOC_TOP_PAD_": "268435456",
    "MALLOC_ARENA_MAX": "4",
}
"""For both sides: else glibc maps and unmaps every large tensor, which takes a quarter of the time on a CPU."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What both sides do; written to a file for them.

    Attributes:
        checkpoint: folder of the weights.
        prompts: one a question.
        prompt_tokens: of each prompt.
        reply_tokens: of each reply.
        group_size: replies to each prompt, G.
        steps: that are counted.
        lora_rank: 0 = all weights are trained.
        gradient_checkpointing: layers are computed again in the backward pass.
        micro_batch: conversations that TRL computes at once; the trainer's row has as many tokens.
        threads: of torch.
    """

    checkpoint: str
    prompts: tuple[str, ...]
    prompt_tokens: int
    reply_tokens: int
    group_size: int
    steps: int
    lora_rank: int
    gradient_checkpointing: bool
    micro_batch: int
    threads: int

    @property
    def tokens(self) -> int:
        """Of a step."""
        return len(self.prompts) * self.group_size * (self.prompt_tokens + self.reply_tokens)


def make_prompts(checkpoint: Path, count: int, num_tokens: int) -> tuple[str, ...]:
    """Different texts of exactly so many tokens: of words that are a token each."""
    tokenizer = Tokenizer.from_file(str(checkpoint / "tokenizer.json"))
    words = [
        word for word in tokenizer.get_vocab() if word[0] == "Ġ" and word[1:].isascii() and word[1:].isalpha()
    ]
    rng = random.Random(0)
    prompts = tuple("".join(" " + rng.choice(words)[1:] for _ in range(num_tokens)) for _ in range(count))
    for prompt in prompts:
        if len(tokenizer.encode(prompt).ids) != num_tokens:
            raise ValueError("a word of the prompt is not one token")
    return prompts


def run_side(command: list[str], work: Path) -> dict[str, Any]:
    """Have one side do the work; returns what it prints."""
    done = subprocess.run(
        [*command, str(work)],
        cwd=ROOT,
        env={**os.environ, **MALLOC},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed with exit code {done.returncode}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def rates(work: Work, sides: list[dict[str, Any]]) -> dict[str, Any]:
    """Rates of one side over all of its runs, and their spread."""
    steps = [step for side in sides for step in side["steps"]]

    def rate(*names: str) -> dict[str, float]:
        found = sorted(work.tokens / sum(step[name] for name in names) for step in steps)
        return {"median": statistics.median(found), "least": found[0], "most": found[-1]}

    return {
        "rollout_tokens_per_s": rate("rollout_s"),
        "update_tokens_per_s": rate("update_s"),
        "tokens_per_s": rate("rollout_s", "update_s"),
        "peak_bytes": max(side["peak_bytes"] for side in sides),
        "loaded_bytes": max(side["loaded_bytes"] for side in sides),
        "versions": sides[0]["versions"],
        "device": sides[0]["device"],
    }


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Both sides in turns; returns the report."""
    settings: dict[str, Any] = {
        "vocab_size": VOCABULARY_SIZES[options.shape],
        "max_position_embeddings": 32_768,
        "tie_word_embeddings": options.shape != "7b",
        **SHAPES[options.shape],
    }
    checkpoint = make_checkpoint(folder / "checkpoint", "qwen2", **settings)
    work = Work(
        checkpoint=str(checkpoint),
        prompts=make_prompts(checkpoint, options.questions, options.prompt_tokens),
        prompt_tokens=options.prompt_tokens,
        reply_tokens=options.reply_tokens,
        group_size=options.group_size,
        steps=options.steps,
        lora_rank=options.lora_rank,
        gradient_checkpointing=options.gradient_checkpointing,
        micro_batch=options.micro_batch,
        threads=options.threads,
    )
    path = folder / "work.json"
    path.write_text(json.dumps(asdict(work)), "utf-8")
    commands = {"palimpsest": [sys.executable, "-m", "benchmarks.training_own"]}
    if options.trl:
        commands["trl"] = [str(options.trl), "-m", "benchmarks.training_trl"]
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in commands}
    for number in range(options.repeats):
        for name, command in commands.items():
            print(f"{number + 1} of {options.repeats}: {name}", file=sys.stderr, flush=True)
            found[name].append(run_side(command, path))
    sides = {name: rates(work, runs) for name, runs in found.items()}
    report: dict[str, Any] = {
        "benchmark": "training",
        "source": describe(),
        "shape": options.shape,
        "work": {k: v for k, v in asdict(work).items() if k not in ("prompts", "checkpoint")}
        | {"questions": len(work.prompts), "tokens_per_step": work.tokens},
        "repeats": options.repeats,
        "sides": sides,
    }
    if "trl" in sides:
        own, other = sides["palimpsest"], sides["trl"]
        report["ratios"] = {
            name: own[name]["median"] / other[name]["median"]
            for name in ("rollout_tokens_per_s", "update_tokens_per_s", "tokens_per_s")
        } | {"peak_bytes": own["peak_bytes"] / other["peak_bytes"]}
    else:
        report["left_out"] = "TRL: no --trl"
    return report


def table(report: dict[str, Any]) -> str:
    """The report for people."""
    lines = [
        "| | drawing, tokens/s | update, tokens/s | both, tokens/s | memory, MiB |",
        "|---|---|---|---|---|",
    ]
    for name, side in report["sides"].items():
        cells = [
            f"{side[key]['median']:,.0f} ({side[key]['least']:,.0f} to {side[key]['most']:,.0f})"
            for key in ("rollout_tokens_per_s", "update_tokens_per_s", "tokens_per_s")
        ]
        lines.append(f"| {name} | {' | '.join(cells)} | {side['peak_bytes'] / 2**20:,.0f} |")
    if ratios := report.get("ratios"):
        lines.append("| ratio | " + " | ".join(f"{value:.2f}" for value in ratios.values()) + " |")
    return "\n".join(lines)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trl", type=Path, help="python of an environment with TRL")
    parser.add_argument("--shape", choices=SHAPES, default="small")
    parser.add_argument("--prompt-tokens", type=int, default=1024)
    parser.add_argument("--reply-tokens", type=int, default=64)
    parser.add_argument("--questions", type=int, default=2)
    parser.add_argument("--group-size", type=int, default=8)
    parser.add_argument("--micro-batch", type=int, default=8, help="conversations at once")
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--lora-rank", type=int, default=0)
    parser.add_argument("--gradient-checkpointing", action="store_true")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--output", type=Path, help="file for the report")
    options = parser.parse_args()
    if options.questions * options.group_size % options.micro_batch:
        parser.error("questions times replies must be divisible by the micro-batch")
    with tempfile.TemporaryDirectory(prefix="palimpsest-benchmark-") as folder:
        report = measure(options, Path(folder))
    if options.output:
        options.output.write_text(json.dumps(report, indent=1) + "\n", "utf-8")
    print(json.dumps(report, indent=1) if options.json else table(report))


if __name__ == "__main__":
    main()
