"""Which of Qwen2.5's sizes can be trained on a GPU of so many GiB, and how: counted, not run.

    python -m benchmarks.training_fits [--gpu-gib 24] [--json]

The recipe is ``resources/recipes/workstation-dapo.toml`` (chunks of 5,000 tokens, memory of 1,024) with rows and cache
as it has them, and as small as they can be: one conversation a row, eight side by side. See `trainer.rl.estimate`.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from transformers import Qwen2Config

from benchmarks.training import SHAPES, VOCABULARY_SIZES
from trainer.rl.estimate import GIB, Estimate, estimate
from trainer.rl.recipe import load_recipe

RECIPE = Path(__file__).parents[1] / "resources" / "recipes" / "workstation-dapo.toml"
_ALL = ("model.lora_rank=0", "model.base_bits=32")
WAYS: dict[str, tuple[str, ...]] = {
    "all weights": (*_ALL, "loss.kl=0"),
    "all weights, 8-bit moments": (*_ALL, "loss.kl=0", "optimizer.is_8bit=true"),
    "adapters": ("model.base_bits=32",),
    "adapters, base in bfloat16": (),
    "adapters, base in 4 bits": ("model.base_bits=4",),
}
CONVERSATION_TOKENS = 7_448
SIZES: dict[str, tuple[str, ...]] = {
    "as in the recipe": (),
    "smallest": (
        f"optimizer.token_budget={CONVERSATION_TOKENS}",
        f"rollout.cache_tokens={8 * CONVERSATION_TOKENS}",
    ),
}


def count(shape: str, settings: tuple[str, ...], folder: Path) -> Estimate:
    """The estimate for a shape."""
    config = Qwen2Config(
        vocab_size=VOCABULARY_SIZES[shape],
        max_position_embeddings=32_768,
        tie_word_embeddings=shape != "7b",
        **({"num_key_value_heads": 2} | SHAPES[shape]),
    )
    config.architectures = ["Qwen2ForCausalLM"]
    config.save_pretrained(folder / shape)
    return estimate(load_recipe(RECIPE, [f"model.path={folder / shape}", *settings]))


def main() -> None:
    """Count everything."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--gpu-gib", type=float, default=24.0)
    parser.add_argument("--shapes", nargs="*", choices=SHAPES, default=["0.5b", "1.5b", "7b"])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as temporary:
        for shape in options.shapes:
            for way, settings in WAYS.items():
                counted = {
                    size: count(shape, (*settings, *more), Path(temporary)) for size, more in SIZES.items()
                }
                rows.append({"shape": shape, "way": way, **counted})
    if options.json:
        plain = [
            {name: value.as_dict() if isinstance(value, Estimate) else value for name, value in row.items()}
            for row in rows
        ]
        print(json.dumps({"gpu_gib": options.gpu_gib, "counted": plain}, indent=1))
        return
    print("| Qwen2.5 | trained | weights | moments | " + " | ".join(SIZES) + " |")
    print("|---|---|---|---|" + "---|" * len(SIZES))
    for row in rows:
        first: Estimate = row["as in the recipe"]
        cells = []
        for size in SIZES:
            found: Estimate = row[size]
            told = f"{found.peak / GIB:.1f}"
            cells.append(f"**{told}**" if found.fits(options.gpu_gib) else told)
        print(
            f"| {row['shape']} | {row['way']} | {first.weights / GIB:.1f} | {first.moments / GIB:.1f} | "
            + " | ".join(cells)
            + " |"
        )


if __name__ == "__main__":
    main()
