"""Imports in a real child process."""

import ctypes
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pypdf
import pytest
from reportlab.pdfgen import canvas

from app.worker.protocol import ImportJob, Model, Password, Pause, Resume, Stop
from engine.models.catalogue import BUNDLED
from engine.models.counting import TokenCounter
from engine.paths import RESOURCES, trace_database
from engine.traces.store import TraceStore
from tests.app.worker.conftest import StartChild, needs_model

SAMPLE = RESOURCES / "samples" / "kestrelmouth-report.pdf"
_CAP_DAC_OVERRIDE = 1
_PR_CAPBSET_DROP = 24


def make_pdf(path: Path, *lines: str, password: str | None = None) -> Path:
    """A page for each line."""
    pdf = canvas.Canvas(str(path))
    for line in lines:
        pdf.drawString(72, 720, line)
        pdf.showPage()
    pdf.save()
    if password is not None:
        writer = pypdf.PdfWriter(clone_from=path)
        writer.encrypt(password, algorithm="AES-256")
        writer.write(path)
    return path


def test_a_wrong_file_stops_none_of_the_others(start: StartChild, data: Path, tmp_path: Path) -> None:
    good = make_pdf(tmp_path / "good.pdf", "The lamp was lit.", "It went out.")
    locked = make_pdf(tmp_path / "locked.pdf", "Behind the lock.", password="sesame")
    corrupt = tmp_path / "corrupt.pdf"
    corrupt.write_bytes(good.read_bytes()[:300])
    missing = tmp_path / "missing.pdf"
    empty = tmp_path / "empty.txt"
    empty.touch()
    last = tmp_path / "last.txt"
    last.write_text("The last of them.", "utf-8")
    files = (corrupt, locked, good, missing, empty, last)
    child = start(ImportJob(data=str(data), paths=tuple(map(str, files)), count_tokens=False))
    result = child.end()
    assert result is not None
    failures = {Path(values["path"]).name: values["code"] for values in child.all("import_failed")}
    assert failures == {
        "corrupt.pdf": "corrupt_document",
        "locked.pdf": "password_needed",
        "missing.pdf": "document_not_found",
        "empty.txt": "no_text",
    }
    assert all(values["message"].endswith(".") and values["name"] for values in child.all("import_failed"))
    imported = child.all("imported")
    assert [(values["name"], values["pages"], values["is_new"]) for values in imported] == [
        ("good.pdf", 2, True),
        ("last.txt", 1, True),
    ]
    assert result.name == "result"
    assert result.values["imported"] == [values["content_hash"] for values in imported]
    assert len(result.values["failed"]) == 4
    with TraceStore(trace_database(data)) as store:
        assert {row.name for row in store.list_documents()} == {"good.pdf", "last.txt"}
        assert [hit.document for hit in store.search("lamp")] == ["good.pdf"]
        assert store.verify() == []
    assert child.process.returncode == 0


def test_pages_are_counted_while_a_long_file_is_read(start: StartChild, data: Path) -> None:
    child = start(ImportJob(data=str(data), paths=(str(SAMPLE),), count_tokens=False))
    child.end()
    told = child.all("import_progress")
    assert told[0]["state"] == "opening"
    assert told[-1]["state"] == "storing"
    reading = [values["done"] for values in told if values["state"] == "reading"]
    assert reading == sorted(reading)
    assert {values["of"] for values in told if values["state"] == "reading"} == {121}
    assert {(values["file"], values["files"]) for values in told} == {(1, 1)}


def test_folders_are_walked_for_documents(start: StartChild, data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "library"
    deep = folder / "a" / "b"
    deep.mkdir(parents=True)
    (folder / ".hidden").mkdir()
    for place in (folder / "one.txt", deep / "two.MD", folder / ".hidden" / "not.txt", folder / ".not.txt"):
        place.write_text(f"This is {place.name}.", "utf-8")
    (folder / "program.exe").write_bytes(b"MZ")
    (folder / "link.txt").symlink_to(folder / "one.txt")
    nothing = tmp_path / "nothing"
    nothing.mkdir()
    paths = (str(folder), str(folder / "one.txt"), str(nothing))
    child = start(ImportJob(data=str(data), paths=paths, count_tokens=False))
    result = child.end()
    assert result is not None
    names = [Path(values["path"]).name for values in child.all("imported")]
    assert names == ["link.txt", "one.txt", "two.MD"]
    (failure,) = child.all("import_failed")
    assert failure["message"] == "There is no document in the folder nothing."
    assert ".epub" in failure["hint"]


@needs_model
def test_tokens_are_counted_by_the_models_own_tokenizer_and_kept(
    start: StartChild, data: Path, book: Path
) -> None:
    job = ImportJob(data=str(data), paths=(str(book),))
    child = start(job)
    child.end()
    (imported,) = child.all("imported")
    with closing(TokenCounter(BUNDLED)) as counter, TraceStore(trace_database(data)) as store:
        document = store.load_document(imported["content_hash"])
        assert imported["tokens"] == counter.count(document) > 5000
        (row,) = store.list_documents()
        assert row.num_tokens == imported["tokens"]
        assert store.token_count(row.content_hash, counter.fingerprint) == imported["tokens"]
    again = start(job)
    again.end()
    (imported,) = again.all("imported")
    assert (imported["tokens"], imported["is_new"]) == (row.num_tokens, False)


def test_a_model_that_is_missing_costs_the_count_alone(start: StartChild, data: Path, book: Path) -> None:
    child = start(ImportJob(data=str(data), paths=(str(book),), model=Model(model="/no/such.gguf")))
    child.end()
    (imported,) = child.all("imported")
    assert imported["tokens"] is None
    assert "were not counted" in imported["warnings"][0]


def test_passwords_are_asked_for_when_all_else_is_done(start: StartChild, data: Path, tmp_path: Path) -> None:
    files = [make_pdf(tmp_path / f"{name}.pdf", f"Text {name}.", password=name) for name in ("ab", "cd")]
    plain = tmp_path / "plain.txt"
    plain.write_text("No lock.", "utf-8")
    job = ImportJob(data=str(data), paths=(*map(str, files), str(plain)), count_tokens=False, asks=True)
    child = start(job)
    first, second = child.wait_for("password_needed"), child.wait_for("password_needed")
    assert [first.values["name"], second.values["name"]] == ["ab.pdf", "cd.pdf"]
    assert not first.values["is_wrong"]
    assert [values["name"] for values in child.all("imported")] == ["plain.txt"]
    child.send(Password(path=str(files[0]), password="wrong"))
    again = child.wait_for("password_needed")
    assert (again.values["name"], again.values["is_wrong"]) == ("ab.pdf", True)
    child.send(Password(path=str(files[1]), password=None))
    child.send(Password(path=str(files[0]), password="ab"))
    result = child.end()
    assert result is not None
    assert result.name == "result"
    assert result.values["failed"] == [str(files[1])]
    assert [values["name"] for values in child.all("imported")] == ["plain.txt", "ab.pdf"]
    assert b"sesame" not in child.errors


def test_a_password_may_come_with_the_job(start: StartChild, data: Path, tmp_path: Path) -> None:
    locked = make_pdf(tmp_path / "locked.pdf", "Behind the lock.", password="sesame")
    child = start(
        ImportJob(data=str(data), paths=(str(locked),), passwords={str(locked): "sesame"}, count_tokens=False)
    )
    child.end()
    assert [values["name"] for values in child.all("imported")] == ["locked.pdf"]


def test_stopping_keeps_what_is_imported_and_says_what_is_left(
    start: StartChild, data: Path, tmp_path: Path
) -> None:
    copies = [shutil.copy(SAMPLE, tmp_path / f"{number}.pdf") for number in range(4)]
    child = start(ImportJob(data=str(data), paths=tuple(map(str, copies)), count_tokens=False))
    child.wait_for("imported")
    child.wait_for("import_progress")
    child.send(Stop())
    stopped = child.end(20)
    assert stopped is not None
    assert stopped.name == "stopped"
    assert len(stopped.values["imported"]) >= 1
    assert len(stopped.values["imported"]) + len(stopped.values["left"]) == 4
    with TraceStore(trace_database(data)) as store:
        assert store.verify() == []


def test_pause_holds_an_import(start: StartChild, data: Path, tmp_path: Path) -> None:
    copies = [shutil.copy(SAMPLE, tmp_path / f"{number}.pdf") for number in range(2)]
    child = start(ImportJob(data=str(data), paths=tuple(map(str, copies)), count_tokens=False))
    child.wait_for("import_progress")
    child.send(Pause())
    child.wait_for("paused")
    said = len(child.messages)
    time.sleep(0.7)
    assert len(child.messages) == said
    child.send(Resume())
    result = child.end()
    assert result is not None
    assert result.name == "result"


def test_a_file_that_never_ends_is_refused(start: StartChild, data: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.txt"
    os.mkfifo(pipe)
    child = start(ImportJob(data=str(data), paths=(str(pipe),), count_tokens=False))
    assert child.end(30) is not None
    assert child.all("import_failed")[0]["code"] == "document_not_found"


# What the data folder may be like


def _obey_permissions() -> None:
    """Let file permissions hold for root too, in a child about to be started."""
    if os.geteuid() == 0:
        ctypes.CDLL(None).prctl(_PR_CAPBSET_DROP, _CAP_DAC_OVERRIDE, 0, 0, 0)


@pytest.mark.skipif(sys.platform != "linux", reason="drops a Linux capability")
def test_a_folder_that_may_not_be_written_is_one_sentence(start: StartChild, data: Path, book: Path) -> None:
    data.mkdir()
    data.chmod(0o555)
    child = start(ImportJob(data=str(data), paths=(str(book),)), preexec_fn=_obey_permissions)
    last = child.end()
    data.chmod(0o755)
    assert last is not None
    assert last.name == "error"
    assert last.values["code"] == "store"
    assert re.search(r"cannot be opened|may not be written", last.values["message"])
    assert "may be written" in last.values["hint"]


def test_a_database_of_a_newer_version_is_refused(start: StartChild, data: Path, book: Path) -> None:
    with TraceStore(trace_database(data)):
        pass
    with closing(sqlite3.connect(trace_database(data))) as db:
        db.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('palimpsest', '0099', '')"
        )
        db.commit()
    last = start(ImportJob(data=str(data), paths=(str(book),))).end()
    assert last is not None
    assert (last.name, last.values["code"]) == ("error", "store_version")


def test_a_damaged_database_is_refused(start: StartChild, data: Path, book: Path) -> None:
    data.mkdir()
    trace_database(data).write_bytes(b"SQLite format 3\x00" + b"\xff" * 4096)
    last = start(ImportJob(data=str(data), paths=(str(book),))).end()
    assert last is not None
    assert (last.name, last.values["code"]) == ("error", "store_corrupt")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 400 kilobytes."""
    place = tmp_path / "disk"
    place.mkdir()
    if (
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(place)], capture_output=True, check=False
        ).returncode
        != 0
    ):
        pytest.skip("no file system may be mounted here")
    try:
        yield place
    finally:
        with suppress(OSError):
            subprocess.run(["umount", str(place)], check=True)


@pytest.mark.skipif(sys.platform != "linux", reason="mounts a tmpfs")
def test_a_full_disk_is_one_sentence_and_damages_nothing(start: StartChild, small_disk: Path) -> None:
    small = small_disk / "small.txt"
    small.write_text("The lamp was lit.", "utf-8")
    paths = (str(small), str(SAMPLE))
    last = start(ImportJob(data=str(small_disk), paths=paths, count_tokens=False)).end()
    assert last is not None
    assert last.name == "error"
    assert last.values["message"] == "The disk that holds the database traces.db is full."
    assert last.values["hint"]
    with TraceStore(trace_database(small_disk)) as store:
        assert [row.name for row in store.list_documents()] == ["small.txt"]
        assert store.verify() == []
