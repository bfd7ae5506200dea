"""The run of a recipe, whatever its stage."""

from pathlib import Path

from trainer.rl.loop import Run
from trainer.rl.recipe import Recipe
from trainer.rl.stage import DapoStage, MakeStage
from trainer.supervised.pretrain import PretrainStage
from trainer.supervised.replies import ExpertStage, SftStage
from trainer.supervised.texts import find_files

_STAGES: dict[str, MakeStage] = {
    "pretrain": PretrainStage,
    "sft": SftStage,
    "expert-iteration": ExpertStage,
    "dapo": DapoStage,
}


def open_run(recipe: Recipe, folder: Path) -> Run:
    """Start the run of a recipe in a folder, or continue what the folder holds.

    Raises:
        RecipeError: the recipe names a folder without documents.
        PalimpsestError: see `trainer.rl.loop.Run`.
    """
    if recipe.text is not None:
        find_files(Path(recipe.text.folder))  # told before the model is loaded, which can take a minute
    return Run(recipe, folder, _STAGES[recipe.run.stage])
