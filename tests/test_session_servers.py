"""Sessions whose model is behind a server: llama.cpp's own, with the bundled model."""

from pathlib import Path

import pytest

from engine.cancel import Cancelled, CancelToken
from engine.errors import ModelNotFoundError, PlanError, ResumeRefusedError
from engine.front import Front, ModelChoice, ReadingOptions
from engine.models.catalogue import BUNDLED
from engine.paths import trace_database
from engine.session import Session
from engine.traces.store import TraceStore
from tests.backends.http.llama_server import serve

QUESTION = "Who built the granite quay of Osterhaven?"
OPTIONS = ReadingOptions(chunk_tokens=256, memory_tokens=224)


@pytest.fixture
def book(tmp_path: Path) -> Path:
    path = tmp_path / "book.txt"
    filler = [
        f"On day {n} the wind came from the north and the boats stayed in the harbour." for n in range(60)
    ]
    fact = "The granite quay of Osterhaven was built by Ansel Brodersen."
    path.write_text(" ".join([*filler[:30], fact, *filler[30:]]), "utf-8")
    return path


def test_servers_read_as_the_file_does_and_are_named_again_to_resume(book: Path, tmp_path: Path) -> None:
    here = Session(tmp_path / "here").ask([book], QUESTION, options=OPTIONS, estimate=False)
    data = tmp_path / "data"
    with serve(BUNDLED) as one, serve(BUNDLED) as other:
        choice = ModelChoice(servers=(one, other), prompts="starter-1")
        result = Session(data, choice=choice).ask([book], QUESTION, options=OPTIONS, estimate=False)
        assert result.answer == here.answer
        assert result.coverage == here.coverage
        stopped = _stop_early(data, choice, book)
        with pytest.raises(ResumeRefusedError, match="behind a server") as refused:
            Session(data).resume(stopped)
        assert "--server" in (refused.value.hint or "")
        resumed = Session(data, choice=choice).resume(stopped)
        assert resumed.answer == here.answer


def _stop_early(data: Path, choice: ModelChoice, book: Path) -> str:
    cancel = CancelToken()

    class Stop(Front):
        def announce(self, prospects: object, estimate: object) -> None:
            cancel.cancel()

    with pytest.raises(Cancelled):
        Session(data, choice=choice, cancel=cancel, front=Stop()).ask(
            [book], QUESTION, options=OPTIONS, estimate=False
        )
    with TraceStore(trace_database(data)) as store:
        return store.list_runs()[0].run_id


def test_what_vllm_cannot_do_without(book: Path, tmp_path: Path) -> None:
    session = Session(tmp_path / "data", choice=ModelChoice(vllm=tmp_path))
    with pytest.raises(ModelNotFoundError, match="model of its own"):
        session.ask([book], QUESTION)
    with pytest.raises(PlanError, match="cannot be used"):
        Session(tmp_path / "data", choice=ModelChoice(prompts=str(tmp_path / "none.json"))).ask(
            [book], QUESTION
        )
