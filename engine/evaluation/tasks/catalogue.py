"""Which tasks there are, by name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from engine.errors import PlanError
from engine.evaluation.datasets import load_dataset
from engine.evaluation.tasks.base import Materials, Task
from engine.evaluation.tasks.needles import NeedleTask
from engine.evaluation.tasks.passages import PassagesTask
from engine.evaluation.tasks.tracking import TrackingTask
from engine.evaluation.tasks.words import CommonWordsTask, FrequentWordsTask

QUESTIONS = "questions"
"""The task that is not made but read; see `engine.evaluation.tasks.question_file`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskOptions:
    """What a user may want of a task.

    Attributes:
        look_alikes: sentences that resemble each needle; None = the task's own number.
        data: file of questions and passages, for `qa`.
        held_back_only: of that file, only what no training of the bundled model saw.
        is_crowded: passages of the question's own article distract first, for `qa`.
    """

    look_alikes: int | None = None
    data: Path | None = None
    held_back_only: bool = False
    is_crowded: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A task that can be made.

    Attributes:
        summary: one line for people.
        make: makes it.
        takes: fields of `TaskOptions` that mean something to it.
    """

    summary: str
    make: Callable[[Materials, TaskOptions], Task]
    takes: frozenset[str] = frozenset()


def _needles(name: str, summary: str, *, keys: int = 1, values: int = 1, look_alikes: int = 0) -> Kind:
    def make(materials: Materials, options: TaskOptions) -> Task:
        wanted = look_alikes if options.look_alikes is None else options.look_alikes
        return NeedleTask(name=name, materials=materials, keys=keys, values=values, look_alikes=wanted)

    return Kind(summary=summary, make=make, takes=frozenset({"look_alikes"}))


def _qa(materials: Materials, options: TaskOptions) -> Task:
    if options.data is None:
        raise PlanError(
            "The task qa needs a file of questions and passages.",
            hint="Name a file in SQuAD's, HotpotQA's, MuSiQue's or Natural Questions' format with --data.",
        )
    dataset = load_dataset(options.data, held_back_only=options.held_back_only)
    return PassagesTask(materials=materials, dataset=dataset, is_crowded=options.is_crowded)


KINDS: Mapping[str, Kind] = {
    "needle": _needles("needle", "one fact, hidden in a text (RULER: single needle)"),
    "needle-multikey": _needles(
        "needle-multikey", "one fact among four that resemble it (RULER: multi-key)", look_alikes=4
    ),
    "needle-multivalue": _needles(
        "needle-multivalue", "four values of one attribute, all asked for (RULER: multi-value)", values=4
    ),
    "needle-multiquery": _needles(
        "needle-multiquery", "four facts, all asked for at once (RULER: multi-query)", keys=4
    ),
    "variable-tracking": Kind(
        summary="all variables that a chain of five assignments gives one value (RULER: VT)",
        make=lambda materials, _: TrackingTask(materials=materials),
    ),
    "common-words": Kind(
        summary="the ten most common words of a list (RULER: CWE)",
        make=lambda materials, _: CommonWordsTask(materials=materials),
    ),
    "frequent-words": Kind(
        summary="the three most frequent words of a coded text (RULER: FWE)",
        make=lambda materials, _: FrequentWordsTask(materials=materials),
    ),
    "qa": Kind(
        summary="questions that people asked, their passages among others (RULER: QA); needs --data",
        make=_qa,
        takes=frozenset({"data", "is_crowded"}),
    ),
}
"""Every task that is made for a length, by name."""


RULER_NAMES: Mapping[str, str] = {
    "niah_single": "needle",
    "niah_multikey": "needle-multikey",
    "niah_multivalue": "needle-multivalue",
    "niah_multiquery": "needle-multiquery",
    "vt": "variable-tracking",
    "cwe": "common-words",
    "fwe": "frequent-words",
}
"""What RULER calls the tasks; accepted too."""


def known_task(name: str) -> str:
    """Our name of a task.

    Raises:
        PlanError: there is none of that name.
    """
    ours = RULER_NAMES.get(name, name)
    if ours not in KINDS:
        raise PlanError(f"There is no task '{name}'.", hint=f"One of: {', '.join([*KINDS, QUESTIONS])}.")
    return ours


def make_task(name: str, materials: Materials, options: TaskOptions | None = None) -> Task:
    """A task by its name, or by RULER's.

    Raises:
        PlanError: there is none of that name, or it cannot be made.
    """
    return KINDS[known_task(name)].make(materials, options or TaskOptions())
