"""The command line of the trainer, as a real process: its report, its errors, and Ctrl-C at any moment."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from engine.errors import NoSpaceError, QuantisationError
from engine.models.output import check_space, put_in_place, workspace
from trainer.gguf import command, quantise
from trainer.gguf.importing import KINDS, Step

ROOT = Path(__file__).parents[3]


def start(*arguments: str, stdin: int = subprocess.DEVNULL) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "trainer", *arguments],
        cwd=ROOT,
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(*arguments: str) -> tuple[int, str, str]:
    child = start(*arguments)
    out, err = child.communicate(timeout=200)
    return child.returncode, out, err


def events(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_an_import_for_people(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    output = tmp_path / "model.gguf"
    code, out, err = run("import", str(checkpoints["qwen2"]), "--output", str(output), "--type", "q4_k_m")
    assert code == 0, err
    assert output.is_file()
    assert "q4_k_m" in out
    assert "NMSE" in out
    assert "quantising ..." in err


def test_an_import_for_programs(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    output = tmp_path / "model.gguf"
    code, out, _ = run(
        "import", str(checkpoints["llama"]), "--output", str(output), "--json", "--name", "Mine"
    )
    told = events(out)
    assert code == 0
    assert {event["event"] for event in told[:-1]} == {"progress"}
    assert told[-1]["event"] == "result"
    assert told[-1]["parity"]["nmse"] < 1e-4
    assert told[-1]["size_bytes"] == output.stat().st_size


def test_a_refusal_for_programs(tmp_path: Path) -> None:
    code, out, _ = run("import", str(tmp_path), "--output", str(tmp_path / "m.gguf"), "--json")
    assert code == command.EXIT_FAILED
    last = events(out)[-1]
    assert (last["event"], last["kind"]) == ("error", "CheckpointError")
    assert "config.json is missing" in last["message"]
    assert last["hint"]


def test_a_refusal_for_people(tmp_path: Path) -> None:
    code, out, err = run("import", str(tmp_path), "--output", str(tmp_path / "m.gguf"))
    assert code == command.EXIT_FAILED
    assert out == ""
    assert "Error: config.json is missing" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("step", ["writing", "reference", "quantising"])
def test_ctrl_c_leaves_no_file(checkpoints: dict[str, Path], tmp_path: Path, step: str) -> None:
    place = tmp_path / "place"
    child = start(
        "import", str(checkpoints["llama"]), "--output", str(place / "m.gguf"), "--type", "q8_0", "--json"
    )
    assert child.stdout is not None
    for line in child.stdout:
        if json.loads(line).get("step") == step:
            child.send_signal(signal.SIGINT)
            break
    child.communicate(timeout=60)
    assert child.returncode == command.EXIT_CANCELLED
    assert list(place.iterdir()) == []


def test_it_ends_when_who_asked_is_gone(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    place = tmp_path / "place"
    arguments = ["import", str(checkpoints["llama"]), "--output", str(place / "m.gguf"), "--json"]
    child = start(*arguments, "--while-stdin-is-open", stdin=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdin is not None
    for line in child.stdout:
        if json.loads(line).get("step") == "writing":
            break
    child.stdin.close()
    child.stdin = None
    child.communicate(timeout=60)
    assert child.returncode == command.EXIT_CANCELLED
    assert list(place.iterdir()) == []


def test_a_quantisation_that_fails_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "bad.gguf").write_bytes(b"GGUF" + bytes(60))
    with pytest.raises(QuantisationError, match="did not quantise"):
        quantise.quantise(tmp_path / "bad.gguf", tmp_path / "out.gguf", quantise.QuantType.Q8_0)


def test_the_workspace_goes_however_the_block_ends(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "m.gguf"
    with workspace(target) as folder:
        (folder / "x").write_bytes(b"1")
        put_in_place(folder / "x", target)
    assert [path.name for path in target.parent.iterdir()] == ["m.gguf"]
    with pytest.raises(FileNotFoundError), workspace(target) as folder:
        put_in_place(folder / "nothing", target)
    assert [path.name for path in target.parent.iterdir()] == ["m.gguf"]


def test_what_a_killed_import_left_is_removed_and_a_living_one_is_not(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    (tmp_path / f".palimpsest-import-{dead.pid}").mkdir()
    (tmp_path / f".palimpsest-import-{os.getppid()}").mkdir()
    with workspace(tmp_path / "m.gguf"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == [f".palimpsest-import-{os.getppid()}"]


def test_the_disk_of_a_folder_that_does_not_exist_yet_is_asked(tmp_path: Path) -> None:
    check_space(tmp_path / "a" / "b", 1)
    with pytest.raises(NoSpaceError, match="are free"):
        check_space(tmp_path / "a" / "b", 1 << 60)


def test_every_type_can_be_chosen() -> None:
    assert list(KINDS) == ["f32", "f16", "bf16", "q8_0", "q5_k_m", "q4_k_m"]


def test_progress_is_not_told_for_every_tensor(capsys: pytest.CaptureFixture[str]) -> None:
    tell = command._Teller(is_json=True)
    for done in range(1, 1001):
        tell(Step(name="writing", done=done, total=1000))
    told = events(capsys.readouterr().out)
    assert 2 <= len(told) < 20
    assert told[-1]["done"] == 1000
