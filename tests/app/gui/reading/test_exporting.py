"""Answers as files: whole or not at all."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pypdf import PdfReader

from app.gui.reading.exporting import KINDS, suggested_name, write_export
from engine.errors import PalimpsestError
from engine.paths import trace_database
from engine.traces.store import TraceStore
from tests.app.gui.reading.conftest import ANSWERED, QUESTIONS, Recorded


def test_every_kind_holds_the_answer(
    recorded: Recorded, store: TraceStore, tmp_path: Path, qapp: object
) -> None:
    run_id = recorded.run_ids[ANSWERED]
    for kind, suffix in KINDS.items():
        path = write_export(store, run_id, kind, tmp_path / f"answer{suffix}")
        if kind == "pdf":
            text = "\n".join(page.extract_text() for page in PdfReader(path).pages).replace("\t", " ")
        else:
            text = path.read_text("utf-8").replace("\\&", "&").replace("&amp;", "&")
        assert "Marlow & Finch" in text
        assert QUESTIONS[ANSWERED] in text.replace("\n", " ").replace("\\", "")
    assert json.loads((tmp_path / "answer.json").read_text("utf-8"))["calls"]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        f"answer{each}" for each in KINDS.values()
    )


def test_a_pdf_is_written_in_the_background(recorded: Recorded, tmp_path: Path, qapp: object) -> None:
    def work() -> Path:
        with TraceStore(trace_database(recorded.folder)) as store:
            return write_export(store, recorded.run_ids[ANSWERED], "pdf", tmp_path / "answer.pdf")

    with ThreadPoolExecutor(max_workers=1) as thread:
        thread.submit(work).result()
    assert (tmp_path / "answer.pdf").read_bytes().startswith(b"%PDF")


def test_a_file_that_cannot_be_written_is_said_and_nothing_is_left(
    recorded: Recorded, store: TraceStore, tmp_path: Path
) -> None:
    target = tmp_path / "folder.md"
    target.mkdir()
    with pytest.raises(PalimpsestError, match="cannot be written") as caught:
        write_export(store, recorded.run_ids[ANSWERED], "md", target)
    assert caught.value.hint
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize(
    ("question", "name"),
    [
        ("Who built the quay?", "who-built-the-quay.pdf"),
        ("../../etc/passwd", "etcpasswd.pdf"),
        ("???", "palimpsest.pdf"),
    ],
)
def test_names_of_files(question: str, name: str) -> None:
    assert suggested_name(question, "pdf") == name
