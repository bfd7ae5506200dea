"""The trained policy as GGUF, with the metadata that the engine reads, behind the gate of every import."""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

from trainer.gguf.importing import Report, import_checkpoint
from trainer.gguf.writer import FileInfo, FloatType
from trainer.rl.average import write_average
from trainer.rl.data import conversations_of, load_groups
from trainer.rl.errors import RunError

_NUM_PROMPTS = 24


def export_run(
    folder: Path, output: Path, *, name: str | None = None, average: Sequence[Path] = ()
) -> Report:
    """Write the policy of a finished run as an F16 GGUF file.

    The logits are compared on prompts of the run itself: what the model is for.

    Args:
        folder: of the run.
        output: file to write; replaced only by one that passes.
        name: what the file calls itself; None = the run's name.
        average: other finished runs of the same model, with whose weights its weights are averaged.

    Raises:
        RunError: a run is not finished, or trained another model.
        CheckpointError: a policy is damaged.
        ConversionError: see `trainer.gguf.importing.import_checkpoint`.
    """
    policies = [_policy(each) for each in (folder, *average)]
    policy = policies[0]
    known = json.loads((policy / "palimpsest.json").read_text("utf-8"))
    recipe = json.loads((folder / "recipe.json").read_text("utf-8"))
    license_id = known.pop("license", None)  # runs of older versions did not write it
    fields = {f"palimpsest.{key}": value for key, value in known.items() if value is not None}
    info = FileInfo(name=name or recipe["run"]["name"], license=license_id, fields=fields)
    with tempfile.TemporaryDirectory() as scratch:
        if average:
            policy = Path(scratch) / "policy"
            write_average(policies, policy)
        return import_checkpoint(policy, output, kind=FloatType.F16, info=info, prompts=_prompts(folder))


def _policy(folder: Path) -> Path:
    policy = folder / "policy"
    if not (policy / "palimpsest.json").exists():
        raise RunError(f"{folder} holds no trained policy.", hint="Let the run reach its last step first.")
    return policy


def _prompts(folder: Path) -> list[tuple[int, ...]] | None:
    """Different prompts of the last rollouts; None = there are none."""
    for path in sorted((folder / "rollouts").glob("*.jsonl.gz"), reverse=True):
        loaded = load_groups(path)
        found = dict.fromkeys(talk.prompt_ids for talk in conversations_of(loaded[0])) if loaded else {}
        if found:
            return list(found)[:_NUM_PROMPTS]
    return None
