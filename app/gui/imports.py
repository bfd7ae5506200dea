"""Files on their way into the library: one child process at a time, what comes meanwhile waits."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtWidgets import QWidget

from app.gui.dialogs import PasswordDialog
from app.gui.jobs import Job
from app.worker.protocol import ImportJob, Model, Password


class ImportDesk(QObject):
    """Takes files and folders in, and says file by file how it goes.

    Args:
        folder: the data folder.
        model: gives the model whose tokens are counted.
        window: owner of dialogs.
    """

    message = Signal(str, dict)
    """What an import says of a file; name and values as in `app.worker.protocol`."""
    ended = Signal(bool)
    """Nothing is on its way any more; whether anything was taken in."""

    def __init__(
        self,
        folder: str,
        model: Callable[[], Model],
        window: QWidget,
    ) -> None:
        super().__init__(window)
        self._window = window
        self._folder = folder
        self._model = model
        self._job: Job | None = None
        self._waiting: dict[str, None] = {}
        self._has_imported = False
        self.passwords: dict[str, str] = {}

    @property
    def is_busy(self) -> bool:
        """Whether files are on their way."""
        return self._job is not None

    def take(self, paths: Iterable[Path]) -> None:
        """Take files and folders in; a file that is on its way already is taken once."""
        self._waiting.update(dict.fromkeys(str(path) for path in paths))
        self._start()

    def stop(self) -> None:
        """Stop; what was taken in stays."""
        self._waiting.clear()
        if self._job is not None:
            self._job.stop()

    def close(self) -> None:
        """End the child process, for the end of the program."""
        self._waiting.clear()
        if self._job is not None:
            self._job.close()

    def _start(self) -> None:
        if self._job is not None or not self._waiting:
            return
        paths, self._waiting = tuple(self._waiting), {}
        job = ImportJob(
            data=self._folder, paths=paths, passwords=dict(self.passwords), model=self._model(), asks=True
        )
        self._job = Job(job, self)
        self._job.message.connect(self._hear)
        self._job.ended.connect(self._end)
        self._job.start()

    def ask_password(
        self, path: str, name: str, *, is_wrong: bool = False, then: Callable[[], None] | None = None
    ) -> None:
        """Ask the user for the password of an encrypted file.

        Args:
            path: the file.
            name: its name.
            is_wrong: whether the last password was.
            then: what to do with it in `passwords`; None = the child process waits for it.
        """
        dialog = PasswordDialog(name, is_wrong=is_wrong, parent=self._window)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)

        def accept() -> None:
            self.passwords[path] = dialog.password
            if then is not None:
                then()
            else:
                self._answer(path, dialog.password)

        dialog.accepted.connect(accept)
        if then is None:
            dialog.rejected.connect(lambda: self._answer(path, None))
        dialog.open()

    def _answer(self, path: str, password: str | None) -> None:
        if self._job is not None:
            self._job.send(Password(path=path, password=password))

    def _hear(self, name: str, values: dict[str, Any]) -> None:
        if name == "password_needed":
            self.ask_password(values["path"], values["name"], is_wrong=values["is_wrong"])
            return
        self._has_imported |= name == "imported"
        self.message.emit(name, values)

    def _end(self, how: str, values: dict[str, Any]) -> None:
        job, self._job = self._job, None
        if job is not None and isinstance(job.job, ImportJob) and how in ("error", "crashed"):
            for path in job.job.paths:
                self._fail(path, how, values)
        if job is not None:
            job.retire()
        if self._waiting:
            self._start()
            return
        had, self._has_imported = self._has_imported, False
        self.ended.emit(had)

    def _fail(self, path: str, how: str, values: dict[str, Any]) -> None:
        """The import as a whole went wrong, so each of its files did."""
        self.message.emit(
            "import_failed",
            {
                "path": path,
                "name": Path(path).name,
                "code": values.get("code", how),
                "message": values["message"],
                "hint": values.get("hint") or "",
            },
        )
