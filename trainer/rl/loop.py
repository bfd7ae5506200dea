"""A run: step, evaluation, checkpoint, again; to be killed at any time and to go on as if nothing had happened.

What a step does follows from the weights, the recipe and the step's number (`trainer.rl.stage`). What varies (times,
memory) is logged apart, so that the metrics of a run that was killed and went on are those of a run that was not, byte
for byte.
"""

import logging
from contextlib import closing
from pathlib import Path
from typing import Any

from trainer.rl.checkpoint import (
    check_disk,
    load_checkpoint,
    random_states,
    restore_random_states,
    save_checkpoint,
)
from trainer.rl.data import write_atomically
from trainer.rl.distributed import gathered, put_weights
from trainer.rl.errors import RunError
from trainer.rl.guard import Guard
from trainer.rl.metrics import Board, JsonLines
from trainer.rl.pace import Pace
from trainer.rl.parts import open_parts
from trainer.rl.policies import write_policy
from trainer.rl.recipe import Recipe
from trainer.rl.stage import DapoStage, MakeStage

_log = logging.getLogger(__name__)


class Run:
    """One run in one folder; continues what the folder holds.

    Args:
        recipe: what to do.
        folder: where everything is written.
        make_stage: what a step does.

    Raises:
        RunError: the folder holds a run of another recipe.
        DiskError: the disk cannot hold the checkpoints.
        PalimpsestError: the model or the data cannot be used.
    """

    def __init__(self, recipe: Recipe, folder: Path, make_stage: MakeStage = DapoStage) -> None:
        self.recipe = recipe
        self.folder = folder
        self.parts = open_parts(recipe, folder)
        self._ranks = self.parts.ranks
        self._guard = Guard(self.parts, self._last)
        self.step = 0
        self._cursor = 0
        self._best: float | None = None
        self.stopping = False
        """Set by whoever wants the run to stop: it ends with the step under way, and saves."""
        (folder / "rollouts").mkdir(parents=True, exist_ok=True)
        self.metrics = JsonLines(folder / "metrics.jsonl")
        self._pace = Pace(folder, recipe.run.steps, is_gpu=self.parts.policy.device.type == "cuda")
        self._board = Board(folder / "tensorboard") if self._ranks.is_first else None
        self._claim_folder()
        self._start_or_resume()
        self.stage = make_stage(self.parts, self._guard, folder, self.step)

    # -- going on ---------------------------------------------------------------------------------------------------

    @property
    def _last(self) -> Path:
        return self.folder / "last.pt"

    def _claim_folder(self) -> None:
        """Write what the run is into its folder, or refuse a folder that is another run's."""
        identity = self.folder / "identity"
        if identity.exists() and identity.read_text("utf-8") != self.recipe.identity:
            raise RunError(
                f"{self.folder} holds a run of another recipe.",
                hint="Give another folder, or the same recipe.",
            )
        self._ranks.wait()
        if self._ranks.is_first:
            write_atomically(self.folder / "recipe.json", self.recipe.to_json().encode())
            write_atomically(identity, self.recipe.identity.encode())

    def _start_or_resume(self) -> None:
        if self._ranks.first(self._last.exists):
            state = load_checkpoint(self._last)
            self.parts.restore(state)
            self.step, self._cursor = state["step"], state["cursor"]
            self._guard.num_bad, self._guard.num_returns = state["num_bad"], state["num_returns"]
            self._best, self.parts.budget.tokens = state["best"], state["token_budget"]
            restore_random_states(state["random"])
            if self._ranks.is_first:
                self.metrics.cut(state["metrics_bytes"])
            _log.info("going on at step %d", self.step)
            return
        if self._ranks.is_first:
            parameters = list(self.parts.policy.model.parameters())
            trained = sum(p.numel() for p in parameters if p.requires_grad)
            check_disk(self.folder, trained, sum(p.numel() for p in parameters))
            self.metrics.cut(0)
        self._save(0)

    def _save(self, metrics_bytes: int, *, is_best: bool = False) -> None:
        model = self.parts.policy.model
        trained = {name for name, p in model.named_parameters() if p.requires_grad}
        state = {
            "model": gathered({n: value for n, value in model.state_dict().items() if n in trained}),
            "stepper": self.parts.stepper.state(),
            "step": self.step,
            "cursor": self._cursor,
            "num_bad": self._guard.num_bad,
            "num_returns": self._guard.num_returns,
            "best": self._best,
            "token_budget": self.parts.budget.tokens,
            "random": random_states(),
            "metrics_bytes": metrics_bytes,
        }
        if self._ranks.is_first:
            if is_best:
                save_checkpoint({"model": state["model"], "step": self.step}, self.folder / "best.pt")
            save_checkpoint(state, self._last)
        self._ranks.wait()  # others may go back to it at once

    # -- the loop ---------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Train to the last step, and write the policy; or stop where one was asked to, and save.

        Raises:
            MismatchError: what drew is not what is trained.
            DivergedError: updates are not finite, again and again.
            DiskError: the disk is full.
        """
        with closing(self.parts.backend.decoder):
            self._run()

    def _run(self) -> None:
        is_new = self.step == 0 and not self._ranks.first(self.metrics.read)
        if is_new and self.recipe.run.evaluation_steps:
            evaluation = self._evaluate()
            # Training that only hurts leaves the policy as it was.
            self._best = self.stage.score(evaluation)
            self._save(self._log_line({"step": 0, "evaluation": evaluation}), is_best=True)
        while self.step < self.recipe.run.steps:
            if any(self._ranks.everyone(self.stopping)):
                self._save(self.metrics.size_bytes)
                return
            self._one_step()
        self._write_policy()

    def _one_step(self) -> None:
        run = self.recipe.run
        line, spent = self.stage.learn(self.step, self._cursor)
        self._cursor = line["cursor"]
        self.step += 1
        is_best = False
        if run.evaluation_steps and self.step % run.evaluation_steps == 0:
            line["evaluation"] = self._evaluate()
            score = self.stage.score(line["evaluation"])
            is_best = self._best is None or score > self._best
            self._best = score if is_best else self._best
        size = self._log_line(line)
        if is_best or self.step % run.checkpoint_steps == 0 or self.step == run.steps:
            self._save(size, is_best=is_best)
        if self._ranks.is_first:
            self._pace.add(line, spent, self.stage.headline(line))

    def _evaluate(self) -> dict[str, Any]:
        with self.parts.whole():
            return self.stage.evaluate()

    def _log_line(self, line: dict[str, Any]) -> int:
        """Write a line of metrics; returns the bytes that they have now."""
        if not self._ranks.is_first:
            return 0
        size = self.metrics.append(line)
        if self._board is not None and line.get("step") == self.step - 1:  # not the figures before training
            self._board.add(line)
        return size

    def _write_policy(self) -> None:
        """The best policy by evaluation, or else the last."""
        best = self.folder / "best.pt"
        if self._ranks.first(best.exists):
            put_weights(self.parts.policy.model, load_checkpoint(best)["model"])
        write_policy(
            self.recipe,
            self.parts.policy,
            self.folder,
            is_sharded=self.parts.sharding is not None,
            is_first=self._ranks.is_first,
        )
