"""`palimpsest serve` refuses what cannot be served safely, and costs other commands nothing."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from app.cli import run


@pytest.fixture(autouse=True)
def _own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PALIMPSEST_DATA_DIR", str(tmp_path))


@pytest.mark.parametrize(
    ("arguments", "token", "sentence"),
    [
        (["--host", "0.0.0.0", "--port", "0", "--no-token"], "", "needs a token"),
        (["--host", "no-such-host.invalid"], "", "cannot listen"),
        (["--port", "0"], "short", "too short"),
        (["--port", "0"], "with spaces in between", "characters"),
        (["--port", "0"], "ein-schlüssel-mit-umlaut", "characters"),
    ],
)
def test_unsafe_settings_are_refused(
    arguments: list[str],
    token: str,
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PALIMPSEST_TOKEN", token)
    assert run(["serve", *arguments]) == 2
    captured = capsys.readouterr()
    assert sentence in captured.err
    assert "Traceback" not in captured.err


def test_a_taken_port_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        assert run(["serve", "--port", str(other.getsockname()[1])]) == 2
    assert "cannot listen on port" in capsys.readouterr().err


def test_other_commands_do_not_load_the_web_framework() -> None:
    code = (
        "import sys\nfrom app.cli.main import app\n"
        "heavy = {'fastapi', 'starlette', 'uvicorn', 'pydantic', 'opentelemetry', 'multipart'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
