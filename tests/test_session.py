"""Sessions over the real trace store and a scripted model: ask, resume, continue, branch, and what they refuse."""

import dataclasses
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from app.export import html, markdown
from app.export.bundle import make_bundle
from engine.agent.config import Mode
from engine.agent.coverage import COUNTED
from engine.agent.memory import Memory, MemoryItem
from engine.agent.result import Result
from engine.backends.base import Backend, ModelInfo, Request, Sampling
from engine.backends.scripted import Fault, ScriptedBackend
from engine.cancel import Cancelled, CancelToken
from engine.errors import (
    BackendDiedError,
    PlanError,
    ResumeRefusedError,
    StoreError,
    UnsupportedModeError,
)
from engine.front import Front, ModelChoice, Proposal, ReadingOptions
from engine.paths import trace_database
from engine.results import load_result, make_certificate
from engine.session import Session
from engine.traces.store import TraceStore

SENTENCES = [
    f"Paragraph {n} of the register says that berth {n} was let to tenant {n * 7}." for n in range(1, 31)
]
OPTIONS = ReadingOptions(chunk_tokens=64, memory_tokens=64)


def reply(request: Request) -> str:
    """Pick the sentence about berth 12; answer with the tenant's number."""
    data = [segment.text for segment in request.prompt if segment.is_data]
    ours = "".join(segment.text for segment in request.prompt if not segment.is_data)
    if "Answer:" in ours:
        return "tenant 84" if any("tenant 84." in text for text in data) else "The document does not say."
    num_sentences = len(re.findall(r"(?m)^S\d+ ", ours))
    found = [f"S{n + 1}" for n, text in enumerate(data[-num_sentences:]) if "berth 12 " in text]
    kept = re.findall(r"(?m)^M\d+(?= )", ours)
    return " ".join(kept + found) if found else "none"


@pytest.fixture
def book(tmp_path: Path) -> Path:
    path = tmp_path / "register.txt"
    path.write_text("\n\n".join(SENTENCES), "utf-8")
    return path


@pytest.fixture
def open_session(tmp_path: Path) -> Callable[..., Session]:
    def make(
        replies: Callable[[Request], str] = reply,
        *,
        name: str = "scripted",
        faults: dict[int, Fault] | None = None,
        front: Front | None = None,
        cancel: CancelToken | None = None,
    ) -> Session:
        def opener(path: Path, **settings: object) -> Backend:
            return ScriptedBackend(replies, name=name, faults=faults, checks_grammar=True)

        model = tmp_path / "model.gguf"
        model.touch()
        return Session(
            tmp_path / "data", choice=ModelChoice(model=str(model)), front=front, cancel=cancel, opener=opener
        )

    return make


def ask(session: Session, *files: Path, question: str = "Who holds berth 12?") -> Result:
    return session.ask(files, question, options=OPTIONS, estimate=False)


def test_ask_answers_with_place_and_coverage(open_session: Callable[..., Session], book: Path) -> None:
    result = ask(open_session(), book)
    assert result.answer.text == "tenant 84"
    (claim,) = result.answer.claims
    assert claim.evidence is not None
    assert claim.evidence.quote == SENTENCES[11]
    assert result.coverage.is_complete
    assert result.coverage.chunks > 5
    values = result.to_dict()
    assert values["answered"] is True
    assert values["evidence"][0]["verified"] is True
    assert values["coverage"]["skipped"] == []


def test_coverage_that_rests_on_counts_says_so(book: Path, tmp_path: Path) -> None:
    class TextOnly(ScriptedBackend):
        @property
        def info(self) -> ModelInfo:
            return dataclasses.replace(super().info, proves_tokens=False)

    model = tmp_path / "model.gguf"
    model.touch()
    choice = ModelChoice(model=str(model))
    session = Session(tmp_path / "data", choice=choice, opener=lambda path, **settings: TextOnly(reply))
    result = ask(session, book)
    assert "count of tokens" in result.coverage.sentence
    assert result.to_dict()["coverage"]["is_proven"] is False
    with TraceStore(trace_database(tmp_path / "data")) as store:
        bundle = make_bundle(store, result.run_id, with_calls=False)
    for render in (markdown.render, html.render):
        assert COUNTED in render(bundle)


@pytest.mark.parametrize(
    ("mode", "writes_long"),
    [(Mode.FAITHFUL, True), (Mode.GATED, False), (Mode.EXTRACTIVE, False), (None, False)],
)
def test_a_model_is_set_up_for_long_replies_where_memories_are_written_anew(
    book: Path, tmp_path: Path, mode: Mode | None, writes_long: bool
) -> None:
    def opener(path: Path, **settings: Any) -> Backend:
        opened.append(settings["wishes"].writes_long)
        return ScriptedBackend(lambda request: "none", checks_grammar=False)

    opened: list[bool] = []
    model = tmp_path / "model.gguf"
    model.touch()
    session = Session(tmp_path / "data", choice=ModelChoice(model=str(model)), opener=opener)
    options = dataclasses.replace(OPTIONS, mode=mode)
    result = session.ask([book], "Who holds berth 12?", options=options, estimate=False)
    session.follow_up(result.run_id, "And berth 13?")
    with session.opened(mode):
        assert opened == [writes_long] * 3


@pytest.mark.parametrize("at", [0, 3, 7])
def test_a_run_that_died_goes_on_with_the_next_chunk_and_comes_to_the_same_end(
    open_session: Callable[..., Session], book: Path, tmp_path: Path, at: int
) -> None:
    whole = ask(open_session(), book)
    died = BackendDiedError("The model went away.")
    with pytest.raises(BackendDiedError):
        ask(open_session(faults={at: Fault(error=died)}), book)
    with TraceStore(trace_database(tmp_path / "data")) as store:
        run = store.list_runs()[0]
        assert (run.status, run.chunks_done, run.error) == ("failed", at, "The model went away.")
        with pytest.raises(StoreError):
            load_result(store, run.run_id)
        assert not make_certificate(store, run.run_id).is_complete
    result = open_session().resume(run.run_id)
    assert result.answer == whole.answer
    assert result.coverage == whole.coverage
    with TraceStore(trace_database(tmp_path / "data")) as store:
        assert store.verify() == []


def test_cancelling_saves_what_is_finished(
    open_session: Callable[..., Session], book: Path, tmp_path: Path
) -> None:
    cancel = CancelToken()
    told: list[str] = []

    class Tell(Front):
        def stopped(self, run_ids: Sequence[str]) -> None:
            told.extend(run_ids)

    seen: list[Request] = []

    def stop_at_fourth(request: Request) -> str:
        seen.append(request)
        if len(seen) == 4:
            cancel.cancel()
        return reply(request)

    with pytest.raises(Cancelled):
        ask(open_session(stop_at_fourth, front=Tell(), cancel=cancel), book)
    with TraceStore(trace_database(tmp_path / "data")) as store:
        run = store.get_run(told[0])
        assert (run.status, run.chunks_done) == ("stopped", 3)
    assert open_session().resume(told[0]).answer.text == "tenant 84"


def test_resuming_a_finished_run_reports_it_without_reading(
    open_session: Callable[..., Session], book: Path
) -> None:
    result = ask(open_session(), book)

    def never(request: Request) -> str:
        raise AssertionError("nothing is left to read")

    assert open_session(never).resume(result.run_id) == result


@pytest.fixture
def interrupted(open_session: Callable[..., Session], book: Path, tmp_path: Path) -> str:
    with pytest.raises(BackendDiedError):
        ask(open_session(faults={4: Fault(error=BackendDiedError("gone"))}), book)
    with TraceStore(trace_database(tmp_path / "data")) as store:
        return store.list_runs()[0].run_id


def test_a_changed_document_is_refused(
    open_session: Callable[..., Session], book: Path, interrupted: str
) -> None:
    book.write_text(book.read_text("utf-8").replace("berth 3", "berth 4"), "utf-8")
    with pytest.raises(ResumeRefusedError, match=r"register\.txt changed"):
        open_session().resume(interrupted)


def test_a_missing_document_is_read_on_from_the_store(
    open_session: Callable[..., Session], book: Path, interrupted: str
) -> None:
    book.unlink()
    assert open_session().resume(interrupted).answer.text == "tenant 84"


def test_another_model_is_refused(open_session: Callable[..., Session], book: Path, interrupted: str) -> None:
    with pytest.raises(ResumeRefusedError, match="the model"):
        open_session(name="another").resume(interrupted)


def test_other_prompts_are_refused(
    open_session: Callable[..., Session], book: Path, interrupted: str, tmp_path: Path
) -> None:
    (tmp_path / "model.prompts.json").write_text('{"empty_memory": "nothing yet"}', "utf-8")
    with pytest.raises(ResumeRefusedError, match="prompt"):
        open_session().resume(interrupted)


def test_an_appended_document_is_read_on_from_the_last_memory(
    open_session: Callable[..., Session], book: Path, tmp_path: Path
) -> None:
    first = ask(open_session(), book)
    more = [f"Later, berth {n} was given back." for n in range(31, 45)]
    book.write_text("\n\n".join(SENTENCES + more), "utf-8")
    seen: list[Request] = []

    def watch(request: Request) -> str:
        seen.append(request)
        return reply(request)

    second = open_session(watch).continue_run(first.run_id, book)
    assert second.run_id != first.run_id
    assert second.answer.text == "tenant 84"
    shown = " ".join(segment.text for request in seen for segment in request.prompt)
    assert "berth 31 was given back" in shown
    assert "Paragraph 1 of" not in shown, "what was read before is not read again"
    assert second.coverage.is_complete
    assert second.coverage.chunks == first.coverage.chunks + len(seen) - 1
    with TraceStore(trace_database(tmp_path / "data")) as store:
        assert store.verify() == []


def test_an_edited_document_is_not_read_on(open_session: Callable[..., Session], book: Path) -> None:
    first = ask(open_session(), book)
    with pytest.raises(ResumeRefusedError, match="same text"):
        open_session().continue_run(first.run_id, book)
    book.write_text("Preface. " + book.read_text("utf-8") + " And more.", "utf-8")
    with pytest.raises(ResumeRefusedError, match="not a grown version"):
        open_session().continue_run(first.run_id, book)


def test_a_further_document_is_read_on(
    open_session: Callable[..., Session], book: Path, tmp_path: Path
) -> None:
    first = ask(open_session(), book)
    annex = tmp_path / "annex.txt"
    annex.write_text("The annex lists the lamps of the quay.", "utf-8")
    second = open_session().continue_run(first.run_id, annex, is_new_document=True)
    assert second.documents == ("register.txt", "annex.txt")
    assert second.coverage.is_complete


def test_a_branch_reads_on_with_another_memory(
    open_session: Callable[..., Session], book: Path, tmp_path: Path
) -> None:
    first = ask(open_session(), book)
    edited = Memory((MemoryItem("Berth 12 was let to tenant 84."),))
    branched = open_session().branch(first.run_id, first.coverage.chunks - 1, memory=edited)
    assert branched.answer.text == "tenant 84"
    assert branched.coverage.is_complete
    with TraceStore(trace_database(tmp_path / "data")) as store:
        assert store.verify() == []
        assert store.get_run(branched.run_id).parent_run_id == first.run_id
    with pytest.raises(PlanError, match="steps 1 to"):
        open_session().branch(first.run_id, 999)


def test_an_edited_line_that_was_not_changed_keeps_its_source(
    open_session: Callable[..., Session], book: Path
) -> None:
    first = ask(open_session(), book)
    same = Memory((MemoryItem(SENTENCES[11]), MemoryItem("My own remark.")))
    branched = open_session().branch(first.run_id, first.coverage.chunks - 1, memory=same)
    assert branched.answer.claims[0].evidence == first.answer.claims[0].evidence


def test_several_documents_are_one_reading(
    open_session: Callable[..., Session], book: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.txt"
    other.write_text("The other book speaks of lamps.", "utf-8")
    result = ask(open_session(), other, book)
    assert result.documents == ("other.txt", "register.txt")
    assert result.answer.claims[0].evidence is not None
    assert result.answer.claims[0].evidence.document == 1


def test_settings_that_cannot_work_are_refused_before_anything_is_read(
    open_session: Callable[..., Session], book: Path
) -> None:
    session = open_session()
    with pytest.raises(PlanError, match="window"):
        session.ask([book], "Who?", options=ReadingOptions(chunk_tokens=9000), estimate=False)
    with pytest.raises(PlanError, match="empty"):
        session.ask([book], "  ", options=OPTIONS, estimate=False)
    with pytest.raises(PlanError, match="No document"):
        session.ask([], "Who?", options=OPTIONS, estimate=False)
    with pytest.raises(PlanError, match="question has"):
        session.ask([book], "why " * 5000, options=OPTIONS, estimate=False)


def test_a_mode_that_the_model_was_not_made_for_is_refused_by_name(
    open_session: Callable[..., Session], book: Path, tmp_path: Path
) -> None:
    (tmp_path / "model.prompts.json").write_text('{"modes": ["extractive"]}', "utf-8")
    with pytest.raises(UnsupportedModeError, match="faithful"):
        open_session().ask([book], "Who?", options=ReadingOptions(mode=Mode.FAITHFUL), estimate=False)


def test_a_plan_that_is_left_leaves_nothing_behind(
    open_session: Callable[..., Session], book: Path, tmp_path: Path
) -> None:
    seen: list[Proposal] = []

    class Refuse(Front):
        def propose(self, proposal: Proposal) -> None:
            seen.append(proposal)
            raise Cancelled

    with pytest.raises(Cancelled):
        ask(open_session(front=Refuse()), book)
    (proposal,) = seen
    assert (proposal.run_id, proposal.parent, proposal.next_chunk) == (None, None, 0)
    assert len(proposal.plans[0].chunks) > 5
    with TraceStore(trace_database(tmp_path / "data")) as store:
        assert store.list_runs() == []
        assert store.list_documents() == []


def test_a_follow_up_is_answered_from_the_memory_that_is_there(
    open_session: Callable[..., Session], book: Path, tmp_path: Path
) -> None:
    first = ask(open_session(), book)
    asked: list[Request] = []

    def count(request: Request) -> str:
        asked.append(request)
        return reply(request)

    result = open_session(count).follow_up(first.run_id, "What is the number of the tenant of berth 12?")
    assert len(asked) == 1
    assert result.answer.text == "tenant 84"
    assert result.answer.claims == first.answer.claims
    assert result.coverage.read_for == first.question
    assert dataclasses.replace(result.coverage, read_for="") == first.coverage
    with TraceStore(trace_database(tmp_path / "data")) as store:
        run = store.get_run(result.run_id)
        assert (run.parent_kind, run.chunks_done) == ("follow_up", run.chunks_total)
        bundle = make_bundle(store, run.run_id, with_calls=False)
        assert store.verify() == []
    assert bundle["parent"]["kind"] == "follow_up"
    for render in (markdown.render, html.render):
        assert "what that reading kept" in render(bundle)


def test_a_follow_up_that_failed_is_resumed(
    open_session: Callable[..., Session], book: Path, tmp_path: Path
) -> None:
    first = ask(open_session(), book)
    died = BackendDiedError("The model went away.")
    with pytest.raises(BackendDiedError):
        open_session(faults={0: Fault(error=died)}).follow_up(first.run_id, "Who holds berth 12 now?")
    with TraceStore(trace_database(tmp_path / "data")) as store:
        run = store.list_runs()[0]
        assert run.status == "failed"
    result = open_session().resume(run.run_id)
    assert result.answer.text == "tenant 84"
    assert result.coverage.read_for == first.question


def test_only_finished_runs_are_asked_further_questions(
    open_session: Callable[..., Session], book: Path, tmp_path: Path
) -> None:
    with pytest.raises(BackendDiedError):
        ask(open_session(faults={3: Fault(error=BackendDiedError("Gone."))}), book)
    with TraceStore(trace_database(tmp_path / "data")) as store:
        run = store.list_runs()[0]
    with pytest.raises(ResumeRefusedError, match="not finished"):
        open_session().follow_up(run.run_id, "What else?")


def test_the_answer_alone_is_drawn_anew_with_other_settings(
    open_session: Callable[..., Session], book: Path, tmp_path: Path
) -> None:
    first = ask(open_session(), book)
    sampling = Sampling(temperature=0.9, seed=5)
    again = open_session().branch(first.run_id, sampling=sampling)
    with TraceStore(trace_database(tmp_path / "data")) as store:
        run = store.get_run(again.run_id)
        assert run.spec.config.sampling == sampling
        assert store.totals(run.run_id).num_calls == 1
    assert again.answer == first.answer
