"""Light lists of runs and documents say the same as the full rows."""

from pathlib import Path

import pytest

from engine.backends.scripted import Fault, ScriptedBackend
from engine.errors import BackendDiedError
from engine.front import ModelChoice, ReadingOptions
from engine.paths import trace_database
from engine.session import Session
from engine.traces.store import TraceStore

TEXT = "\n\n".join(f"Paragraph {n} says that berth {n} was let." for n in range(30))


def test_heads_and_uses_agree_with_the_rows(tmp_path: Path) -> None:
    book, letter = tmp_path / "book.txt", tmp_path / "letter.txt"
    book.write_text(TEXT, "utf-8")
    letter.write_text("One line about a berth.", "utf-8")
    model = tmp_path / "m.gguf"
    model.touch()

    def ask(files: list[Path], question: str, faults: dict[int, Fault] | None = None) -> None:
        session = Session(
            tmp_path / "data",
            choice=ModelChoice(model=str(model)),
            opener=lambda path, **_: ScriptedBackend(lambda request: "none", faults=faults),
        )
        session.ask(files, question, options=ReadingOptions(chunk_tokens=64), estimate=False)

    ask([book], "What was let?")
    ask([letter, book], "And who?")
    with pytest.raises(BackendDiedError):
        ask([book], "Why?", {2: Fault(error=BackendDiedError("It went away."))})
    with TraceStore(trace_database(tmp_path / "data")) as store:
        heads, rows = store.list_heads(), store.list_runs()
        assert len(heads) == 3
        for head, row in zip(heads, rows, strict=True):
            for name in (
                "run_id status created_at ended_at error question model mode chunks_done chunks_total "
                "parent_run_id parent_kind"
            ).split():
                assert getattr(head, name) == getattr(row, name), name
            assert head.documents == tuple((each.content_hash, each.name) for each in row.documents)
            assert head.answer == (row.answer.text if row.answer else None)
            assert head.answered == (row.answer.answered if row.answer else None)
        uses = {each.name: store.document_uses()[each.content_hash] for each in store.list_documents()}
        assert (uses["book.txt"].num_runs, uses["letter.txt"].num_runs) == (3, 1)
        assert uses["book.txt"].last_used_at == rows[0].created_at
