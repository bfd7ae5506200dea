"""Another process: ``python -m tests.evaluation.child DATABASE ITEMS``; a line for every item that is kept."""

import sys
from pathlib import Path

from engine.agent.plan import default_config
from engine.backends.wishes import Wishes
from engine.evaluation.haystack import TokenCounter
from engine.evaluation.runner import Scope, run
from engine.evaluation.sources import sample_source
from engine.evaluation.store import EvaluationStore
from engine.evaluation.systems import reader
from engine.evaluation.tasks.base import Materials
from engine.evaluation.tasks.needles import NeedleTask
from engine.models.catalogue import BUNDLED
from engine.models.opening import open_model, prompts_for

LENGTHS = (600, 900)


def main() -> None:
    """Read what is not read yet."""
    backend = open_model(BUNDLED, wishes=Wishes(num_threads=1))
    prompts = prompts_for(backend, BUNDLED)
    materials = Materials(text=sample_source(), counter=TokenCounter(backend.tokenize), seed=9)
    task = NeedleTask(name="needle", materials=materials)
    scope = Scope(task=task, lengths=LENGTHS, num_items=int(sys.argv[2]))
    system = reader(backend, prompts, default_config(backend, prompts))
    with EvaluationStore(Path(sys.argv[1])) as store:
        run(scope, system, store, on_progress=lambda progress: say(progress.done, progress.fresh))


def say(*words: object) -> None:
    """One line, at once."""
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
