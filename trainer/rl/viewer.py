"""Rollouts for people: what was asked, what each reading did with it, and what it was worth."""

from collections.abc import Iterator
from pathlib import Path

from trainer.rl.data import Conversation, Group, Trajectory, load_groups
from trainer.rl.errors import RunError

_MOST_CHARS = 160


def show_rollouts(folder: Path, *, step: int | None = None, limit: int = 5) -> Iterator[str]:
    """Lines about the rollouts of a step.

    Args:
        folder: of the run.
        step: which one; None = the last.
        limit: most questions.

    Raises:
        RunError: the folder holds no such rollouts.
    """
    files = sorted((folder / "rollouts").glob("*.jsonl.gz"))
    if not files:
        raise RunError(f"{folder} holds no rollouts.", hint="Give the folder of a training run.")
    path = files[-1] if step is None else folder / "rollouts" / f"{step:06d}.jsonl.gz"
    if not path.exists():
        raise RunError(
            f"Step {step} has no rollouts.", hint=f"The last step with some is {int(files[-1].name[:6])}."
        )
    loaded = load_groups(path)
    assert loaded is not None, "no key was asked for"
    groups, facts = loaded
    yield f"step {int(path.name[:6])}: {len(groups)} questions, {facts}"
    for group in groups[:limit]:
        yield from _show_group(group)


def _show_group(group: Group) -> Iterator[str]:
    golds = "; ".join(" / ".join(wordings) for wordings in group.golds) or "(the document does not say)"
    rewards = " ".join(f"{reward:g}" for reward in group.rewards)
    yield ""
    yield f"{group.task_id}  {group.question}"
    yield f"  right: {golds}   chunks: {group.num_chunks}   rewards: {rewards}"
    for number, trajectory in enumerate(group.trajectories):
        yield from _show_trajectory(number, trajectory)


def _show_trajectory(number: int, trajectory: Trajectory) -> Iterator[str]:
    said = trajectory.failure or trajectory.answer or "(the document does not say)"
    notes = f"   {', '.join(trajectory.incidents)}" if trajectory.incidents else ""
    yield f"  reading {number}: {trajectory.reward:g}  {_short(said)}{notes}"
    for talk in trajectory.conversations:
        yield f"    {_place(talk):10} {_short(talk.reply)}{_remark(talk)}"


def _place(talk: Conversation) -> str:
    return talk.purpose if talk.chunk_index is None else f"{talk.purpose} {talk.chunk_index}"


def _remark(talk: Conversation) -> str:
    remark = f"   [{len(talk.response_ids)} tokens, {sum(talk.rollout_logprobs):.2f} nats"
    if talk.credit is not None:
        remark += f", credit {talk.credit:.2f}"
    return remark + (", cut]" if talk.finish_reason == "length" else "]")


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _MOST_CHARS else line[: _MOST_CHARS - 1] + "…"
