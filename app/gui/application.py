"""From the command to the window and back to an exit code."""

import faulthandler
import gc
import logging
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from PySide6.QtCore import QLibraryInfo, QLocale, QSettings, QTranslator
from PySide6.QtWidgets import QApplication

from app.gui.dialogs import ErrorDialog
from app.gui.icons import icon
from app.gui.instance import SingleInstance
from app.gui.settings.preferences import PreferenceKeeper
from app.gui.window import MainWindow
from engine.paths import RESOURCES, data_dir

_log = logging.getLogger(__name__)

_LOG_BYTES = 1_000_000
_SWITCH_S = 0.001
"""So long may another thread of this process compute while the window waits."""


def run(files: Sequence[Path], *, data: Path | None = None, self_test: bool = False) -> int:
    """Open the window and stay until it is closed.

    Args:
        files: documents to open in it.
        data: the data folder; None = the usual one, or for a self-test an empty one that is thrown away.
        self_test: see `app.gui.selftest`.

    Returns:
        the exit code.
    """
    gc.disable()  # nothing is garbage while everything is made
    with ExitStack() as stack:
        stack.callback(gc.enable)
        if self_test:
            os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
            if data is None:
                import tempfile

                data = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="palimpsest-")))
        app = make_application()
        folder = data_dir(data).absolute()
        instance = SingleInstance(folder)
        if not self_test and instance.hand_over([path.absolute() for path in files]):
            return 0
        stack.callback(instance.close)
        stack.enter_context(_Diary(folder))
        # A self-test must not depend on what somebody prefers, nor change it.
        settings = QSettings(str(folder / "self-test.ini"), QSettings.Format.IniFormat) if self_test else None
        window = MainWindow(folder, PreferenceKeeper(settings, app))
        instance.files_arrived.connect(window.take_over)
        stack.callback(window.shut_down)
        window.show()
        if self_test:
            from app.gui.selftest import run_self_test

            return run_self_test(window)
        window.open_files([path.absolute() for path in files])
        settle()
        return app.exec()


def settle() -> None:
    """Make the window's thread wait for as little as can be, once everything is made."""
    # What is there now stays; a full collection that looks at all of it would hold the window up.
    gc.freeze()
    gc.enable()
    sys.setswitchinterval(_SWITCH_S)


def make_application() -> QApplication:
    """The application object, named and translated."""
    app = QApplication.instance()
    if not isinstance(app, QApplication):
        app = QApplication(sys.argv[:1])
    app.setApplicationName("Palimpsest")
    app.setApplicationDisplayName("Palimpsest")
    app.setOrganizationName("Palimpsest")
    app.setDesktopFileName("palimpsest")
    app.setWindowIcon(icon("palimpsest"))
    for name, folder in (
        ("qtbase", QLibraryInfo.path(QLibraryInfo.LibraryPath.TranslationsPath)),
        ("palimpsest", str(RESOURCES / "translations")),
    ):
        translator = QTranslator(app)
        if translator.load(QLocale(), name, "_", folder):
            app.installTranslator(translator)
    return app


class _Diary:
    """Keeps what goes wrong in `logs/window.log` of the data folder, and shows bugs to the user; nothing is sent.

    Args:
        folder: the data folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "logs"
        self._stack = ExitStack()
        self._hook = sys.excepthook

    def __enter__(self) -> None:
        from logging.handlers import RotatingFileHandler  # it brings sockets and mail with it

        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            handler = RotatingFileHandler(
                self._folder / "window.log", maxBytes=_LOG_BYTES, backupCount=1, encoding="utf-8", delay=True
            )
            native = self._stack.enter_context((self._folder / "crash.log").open("a", encoding="utf-8"))
        except OSError as exc:  # a folder that cannot be written: the store will say so in the window
            _log.warning("no log is kept: %s", exc)
            return
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        logging.getLogger().addHandler(handler)
        self._stack.callback(handler.close)
        self._stack.callback(logging.getLogger().removeHandler, handler)
        faulthandler.enable(native)
        self._stack.callback(faulthandler.disable)
        sys.excepthook = self._show_bug
        self._stack.callback(setattr, sys, "excepthook", self._hook)

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _show_bug(self, kind: type[BaseException], exc: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            QApplication.quit()
            return
        import traceback

        _log.error("a bug", exc_info=(kind, exc, trace))
        ErrorDialog.show_bug("".join(traceback.format_exception(kind, exc, trace)), self._folder)
