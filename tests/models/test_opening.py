"""Opening a model file: a small one is opened once a core."""

from contextlib import closing
from pathlib import Path

import pytest

from engine.backends.automatic import choose_copies
from engine.backends.wishes import Wishes
from engine.errors import ModelNotFoundError
from engine.front import ModelChoice
from engine.models.catalogue import BUNDLED
from engine.models.opening import open_model
from engine.session import Session
from engine.traces.store import TraceStore

QUESTION = "Who built the granite quay of Osterhaven?"
TEXT = " ".join(
    [
        *(
            f"On day {day} the wind came from the north and the boats stayed in the harbour."
            for day in range(90)
        ),
        "The granite quay of Osterhaven was built by Ansel Brodersen.",
        *(f"On day {day} the sea was calm and two ships came in." for day in range(90)),
    ]
)
needs_model = pytest.mark.skipif(not BUNDLED.is_file(), reason="the bundled model is not in this checkout")


def test_small_models_get_a_context_a_thread() -> None:
    assert choose_copies(6_000_000, Wishes(num_threads=4), uses_gpu=False) == 4
    assert choose_copies(6_000_000, Wishes(num_threads=64), uses_gpu=False) == 8
    assert choose_copies(6_000_000, Wishes(num_threads=1), uses_gpu=False) == 1
    assert choose_copies(400_000_000, Wishes(num_threads=4), uses_gpu=False) == 1
    assert choose_copies(6_000_000, Wishes(num_threads=4), uses_gpu=True) == 1


@needs_model
def test_two_contexts_read_as_one_does(tmp_path: Path) -> None:
    path = tmp_path / "book.txt"
    path.write_text(TEXT, "utf-8")
    read = {}
    for threads in (1, 2):
        folder = tmp_path / f"threads-{threads}"
        result = Session(folder, choice=ModelChoice(num_threads=threads)).ask(
            [path], QUESTION, estimate=False
        )
        with TraceStore(folder / "traces.db") as store:
            memories = [step.memory_after.text for step in store.steps(result.run_id)]
        read[threads] = (result.answer.text, memories, result.coverage.tokens_read)
    assert read[1] == read[2]
    assert read[1][0] == "Ansel Brodersen"


@needs_model
def test_what_was_opened_is_said() -> None:
    with closing(open_model(BUNDLED, num_gpu_layers=0, wishes=Wishes(num_threads=2))) as model:
        runtime = dict(model.info.runtime)
        assert (runtime["copies"], runtime["threads"]) == (2, 1)
        assert model.info.lookahead == 4


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError):
        open_model(tmp_path / "gone.gguf")
