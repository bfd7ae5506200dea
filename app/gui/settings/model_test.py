"""Tries a model out: opens it in a child process and lets it read a little, as `palimpsest bench` does."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QObject, QProcess, QTimer, Signal

from app.gui.settings.preferences import ModelKind, Preferences

TIMEOUT_MS = 180_000
_ROOT = Path(__file__).resolve().parent.parent.parent.parent


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelReport:
    """What a model is and does here.

    Attributes:
        name: as it calls itself.
        backend: what runs it.
        context_tokens: its window.
        mode: the way of reading that suits it.
        chunk_tokens: size of the chunks that it would read.
        prompt_tokens_per_s: how fast it reads.
        reply_tokens_per_s: how fast it writes.
    """

    name: str
    backend: str
    context_tokens: int
    mode: str
    chunk_tokens: int
    prompt_tokens_per_s: float
    reply_tokens_per_s: float


class ModelTest(QObject):
    """One try at a time, in a process of its own: a model that brings its process down takes nothing else with it.

    Args:
        folder: the data folder.
        parent: its owner.
    """

    passed = Signal(object)
    """`ModelReport`."""
    failed = Signal(str, str)
    """(one sentence, hint)."""

    def __init__(self, folder: Path, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._folder = folder
        self._process: QProcess | None = None
        self._limit = QTimer(self)
        self._limit.setSingleShot(True)
        self._limit.setInterval(TIMEOUT_MS)
        self._limit.timeout.connect(self._too_long)

    @property
    def is_running(self) -> bool:
        """Whether a model is being tried."""
        return self._process is not None

    def start(self, value: Preferences) -> None:
        """Try the model that these preferences name; ends an earlier try."""
        self.stop()
        process = QProcess(self)
        process.setWorkingDirectory(str(_ROOT) if not getattr(sys, "frozen", False) else "")
        # Bound methods, no lambdas: those would keep us alive until the process is deleted, whose parent we are.
        process.finished.connect(self._ended)
        process.errorOccurred.connect(self._not_started)
        self._process = process
        program = [] if getattr(sys, "frozen", False) else ["-P", "-m", "palimpsest"]
        process.start(sys.executable, [*program, *arguments_for(value, self._folder)])
        self._limit.start()

    def stop(self) -> None:
        """End the try, if there is one."""
        process, self._process = self._process, None
        self._limit.stop()
        if process is not None:
            process.finished.disconnect(self._ended)
            process.errorOccurred.disconnect(self._not_started)
            process.kill()
            process.waitForFinished(2000)
            process.deleteLater()

    def _too_long(self) -> None:
        self.stop()
        self.failed.emit(
            self.tr("The model did not answer within three minutes."),
            self.tr("It may be too large for this machine, or its server is busy."),
        )

    def _not_started(self, error: QProcess.ProcessError) -> None:
        process = self._process
        if process is not None and error is QProcess.ProcessError.FailedToStart:
            self._process = None
            self._limit.stop()
            process.deleteLater()
            self.failed.emit(self.tr("The test could not be started."), process.errorString())

    def _ended(self, code: int, how: QProcess.ExitStatus) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        self._limit.stop()
        output = bytes(process.readAllStandardOutput().data()).decode("utf-8", "replace")
        errors = bytes(process.readAllStandardError().data()).decode("utf-8", "replace")
        process.deleteLater()
        if how is QProcess.ExitStatus.CrashExit:
            self.failed.emit(
                self.tr("The model brought its process down."),
                self.tr("The file may be damaged, or the memory may not suffice. Nothing else is affected."),
            )
        elif code:
            self.failed.emit(*sentence_of(errors))
        else:
            self.passed.emit(_report(output))


def arguments_for(value: Preferences, folder: Path) -> list[str]:
    """The command that tries the model."""
    made = ["bench", "--json", "--data-dir", str(folder)]
    if value.model_kind is ModelKind.SERVER:
        made += ["--server", value.server_address]
        if value.server_model:
            made += ["--model", value.server_model]
    else:
        if value.model_kind is ModelKind.FILE:
            made += ["--model", value.model_path]
        if value.num_threads is not None:
            made += ["--threads", str(value.num_threads)]
        if value.num_gpu_layers is not None:
            made += ["--gpu-layers", str(value.num_gpu_layers)]
    if value.prompts:
        made += ["--prompts", value.prompts]
    return made


def sentence_of(errors: str) -> tuple[str, str]:
    """The sentence and the hint out of what a command said on standard error."""
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    for at, line in enumerate(lines):
        if line.startswith("Error: "):
            return line.removeprefix("Error: "), " ".join(lines[at + 1 :])
    return (lines[-1] if lines else ""), ""


def _report(output: str) -> ModelReport:
    values = json.loads(output)
    model, plan, rates = values["model"], values["plan"], values["rates"]
    return ModelReport(
        name=model["name"],
        backend=model["backend"],
        context_tokens=model["context_tokens"],
        mode=plan["mode"],
        chunk_tokens=plan["chunk_tokens"],
        prompt_tokens_per_s=rates["prefill_tokens_per_s"],
        reply_tokens_per_s=rates["decode_tokens_per_s"],
    )
