"""Where a run's jobs come from: tasks, and the plans by which they are read."""

from collections.abc import Callable, Sequence
from pathlib import Path

from engine.agent.config import Mode, ReadingConfig
from engine.agent.plan import default_config, make_plan
from engine.agent.prompts import BUILT_IN, STANDARD, PromptSet
from engine.evaluation.facts import FactLists
from engine.evaluation.lists import EVALUATION_LISTS
from trainer.lists import TRAINING_LISTS
from trainer.rl.backend import TorchBackend
from trainer.rl.errors import RecipeError
from trainer.rl.recipe import Recipe
from trainer.rl.rollouts import Job
from trainer.rl.tasks import DataConfig, FileTasks, Needles, Task, TaskSource


class JobSource:
    """Makes jobs by number.

    Args:
        recipe: the run.
        backend: the policy.

    Raises:
        RecipeError: the prompt set is unknown.
        PalimpsestError: settings or data that cannot be used.
    """

    def __init__(self, recipe: Recipe, backend: TorchBackend) -> None:
        self._backend = backend
        self.prompts = _prompts(recipe, backend)
        self.config = _reading(recipe, backend, self.prompts)
        self._training, self._evaluation = task_sources(
            recipe, tokenize=backend.tokenize, chunk_tokens=self.config.chunk_tokens
        )

    def task(self, number: int) -> Task:
        """The task of this number, without a plan."""
        return self._training.task(number)

    def training(self, first: int, count: int) -> list[Job]:
        """Jobs of these numbers."""
        return [self._job(self._training, number) for number in range(first, first + count)]

    def evaluation(self, count: int) -> list[Job]:
        """The held-out jobs, always the same."""
        return [self._job(self._evaluation, number) for number in range(count)]

    def _job(self, source: TaskSource, number: int) -> Job:
        task = source.task(number)
        plan = make_plan(
            [task.document],
            task.question,
            config=self.config,
            prompts=self.prompts,
            backend=self._backend,
        )
        return Job(task=task, plan=plan)


def task_sources(
    recipe: Recipe, *, tokenize: Callable[[str], Sequence[int]], chunk_tokens: int
) -> tuple[TaskSource, TaskSource]:
    """Where a run's tasks come from, and those that it is evaluated on.

    Args:
        recipe: the run.
        tokenize: the model's tokenizer for data.
        chunk_tokens: length of a chunk.

    Raises:
        PlanError: the data cannot be used.
    """

    def source(data: DataConfig, lists: FactLists, prefix: str) -> TaskSource:
        if data.kind == "file":
            return FileTasks(Path(data.file), data.seed)
        return Needles(lists, data, tokenize=tokenize, chunk_tokens=chunk_tokens, prefix=prefix)

    held_out = DataConfig(
        kind="file" if recipe.run.evaluation_file else "needles",
        file=recipe.run.evaluation_file,
        texts=recipe.run.evaluation_texts,
        chunks=recipe.run.evaluation_chunks,
        look_alikes=recipe.data.look_alikes,
        unanswerable=recipe.data.unanswerable,
        seed=recipe.run.seed,
    )
    # Other words and phrasings than those of training, whatever that was on.
    return source(recipe.data, TRAINING_LISTS, "needle"), source(held_out, EVALUATION_LISTS, "held-out")


def _prompts(recipe: Recipe, backend: TorchBackend) -> PromptSet:
    name = recipe.reading.prompt_set or backend.info.prompt_set or STANDARD.name
    if name not in BUILT_IN:
        raise RecipeError(f"There is no prompt set '{name}'.", hint=f"There are: {', '.join(BUILT_IN)}.")
    return BUILT_IN[name]


def _reading(recipe: Recipe, backend: TorchBackend, prompts: PromptSet) -> ReadingConfig:
    wanted = recipe.reading
    return default_config(
        backend,
        prompts,
        mode=None if wanted.mode == "default" else Mode(wanted.mode),
        chunk_tokens=wanted.chunk_tokens or None,
        memory_tokens=wanted.memory_tokens or None,
    )
