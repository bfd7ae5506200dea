"""Runs an evaluation: every system answers every item that it has not answered yet, and every outcome is kept at once.

A run that was stopped or killed is run again: items that were ended are not computed a second time.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from engine.cancel import CancelToken
from engine.errors import PlanError
from engine.evaluation.items import Item
from engine.evaluation.store import EvaluationStore
from engine.evaluation.systems import Outcome, System
from engine.evaluation.tasks.base import Task

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Which items of a task are asked.

    Attributes:
        task: the task.
        lengths: document lengths in tokens, ascending; (0,) = the documents' own.
        num_items: questions a length.
    """

    task: Task
    lengths: tuple[int, ...]
    num_items: int

    def __post_init__(self) -> None:
        if self.num_items < 1:
            raise PlanError(f"At least one question is needed, not {self.num_items}.")
        size = self.task.size
        if size is not None and self.num_items > size:
            raise PlanError(f"There are {size} questions, not {self.num_items}.", hint="Lower --n.")

    @property
    def items(self) -> Iterator[tuple[int, int]]:
        """Length and number of every item."""
        return ((length, index) for length in self.lengths for index in range(self.num_items))


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far an evaluation has come.

    Attributes:
        system: who answers.
        done: items that this system has ended, those of earlier runs included.
        total: items that it has to answer.
        length_tokens: length of the documents that it reads now; 0 = their own.
        fresh: items that were ended in this run.
        left_s: seconds that this system still needs, at the rate of this run; None = not known yet.
    """

    system: str
    done: int
    total: int
    length_tokens: int
    fresh: int
    left_s: float | None


OnProgress = Callable[[Progress], None]


def run(
    scope: Scope,
    system: System,
    store: EvaluationStore,
    *,
    on_progress: OnProgress | None = None,
    cancel: CancelToken | None = None,
) -> None:
    """Let a system answer what it has not answered yet.

    Args:
        scope: what is asked.
        system: who answers.
        store: where outcomes are kept.
        on_progress: told after every item.
        cancel: stops it; what is ended stays ended.

    Raises:
        engine.cancel.Cancelled: after `cancel.cancel()`.
        engine.errors.PalimpsestError: an item cannot be made, the model went away, or the store failed.
    """
    cancel = cancel or CancelToken()
    _Run(scope, system, store, on_progress or (lambda _: None), cancel).go()


class _Run:
    """One call of `run`."""

    def __init__(
        self,
        scope: Scope,
        system: System,
        store: EvaluationStore,
        on_progress: OnProgress,
        cancel: CancelToken,
    ) -> None:
        self._scope = scope
        self._system = system
        self._store = store
        self._on_progress = on_progress
        self._cancel = cancel
        known = store.done(scope.task, system)
        self._todo = [place for place in scope.items if place not in known]
        self._total = len(scope.lengths) * scope.num_items
        self._tokens_left = sum(max(1, length) for length, _ in self._todo)
        self._tokens_done = 0
        self._fresh = 0
        self._began = time.perf_counter()

    def go(self) -> None:
        width = max(1, self._system.side_by_side)
        for start in range(0, len(self._todo), width):
            self._cancel.check()
            places = self._todo[start : start + width]
            items = [self._scope.task.item(length, index) for length, index in places]
            self._system.answer(items, partial(self._keep, places, items), self._cancel)

    def _keep(
        self, places: Sequence[tuple[int, int]], items: Sequence[Item], number: int, outcome: Outcome
    ) -> None:
        length, index = places[number]
        item = items[number]
        self._store.save(
            self._scope.task, self._system, length_tokens=length, index=index, item=item, outcome=outcome
        )
        if outcome.status == "failed":
            _log.info("%s failed on %s: %s", self._system.name, item.item_id, outcome.error)
        self._fresh += 1
        self._tokens_left -= max(1, length)
        self._tokens_done += max(1, length)
        elapsed = time.perf_counter() - self._began
        self._on_progress(
            Progress(
                system=self._system.name,
                done=self._total - len(self._todo) + self._fresh,
                total=self._total,
                length_tokens=length,
                fresh=self._fresh,
                left_s=elapsed * self._tokens_left / self._tokens_done,
            )
        )


def check_lengths(lengths: Sequence[int]) -> tuple[int, ...]:
    """Lengths in order, without doubles.

    Raises:
        PlanError: none, or one that is no length.
    """
    if not lengths or min(lengths) < 1:
        raise PlanError("A length must be at least one token.", hint="For example: --lengths 8k,64k,1M")
    return tuple(sorted(set(lengths)))
