"""Updates that are not finite change nothing; several in a row send the run back to its last checkpoint."""

import logging
from pathlib import Path

from trainer.rl.checkpoint import load_checkpoint
from trainer.rl.errors import DivergedError
from trainer.rl.parts import Parts

_log = logging.getLogger(__name__)
_MOST_RETURNS = 5


class Guard:
    """Counts the updates that were not finite.

    Args:
        parts: of the run.
        last: its last checkpoint.
    """

    def __init__(self, parts: Parts, last: Path) -> None:
        self._parts = parts
        self._last = last
        self.num_bad = 0
        """Updates in a row that were not finite."""
        self.num_returns = 0
        """Times that the run went back."""

    def passed(self) -> None:
        """An update was finite."""
        self.num_bad = 0

    def failed(self, step: int) -> None:
        """An update was not finite, and was skipped.

        Raises:
            DivergedError: the run went back too often.
        """
        self.num_bad += 1
        _log.warning("step %d: loss or gradient is not finite; skipped", step)
        if self.num_bad < self._parts.recipe.optimizer.most_bad:
            return
        self.num_returns += 1
        if self.num_returns > _MOST_RETURNS:
            raise DivergedError(
                f"The run diverged: it went back {_MOST_RETURNS} times and is not finite again.",
                hint="Lower optimizer.lr, or use float32.",
            )
        scale = self._parts.stepper.rate_scale / 2
        self._parts.restore(load_checkpoint(self._last))
        self._parts.stepper.rate_scale = scale
        self.num_bad = 0
        _log.warning("back to the last checkpoint at %g of the rate", scale)
