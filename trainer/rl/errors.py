"""What can go wrong in a training run, beside what the engine's errors tell."""

from engine.errors import PalimpsestError


class TrainingError(PalimpsestError):
    """A run that cannot go on."""


class RecipeError(TrainingError):
    """A recipe that says something impossible."""


class DivergedError(TrainingError):
    """Losses or gradients are not finite any more, and going back did not help."""


class MismatchError(TrainingError):
    """What draws the rollouts does not compute what the trainer computes."""


class TrainingMemoryError(TrainingError):
    """A model, or one conversation with it, does not fit the memory."""


class DiskError(TrainingError):
    """The disk cannot hold the run."""


class RunError(TrainingError):
    """A run folder that is not what it should be."""
