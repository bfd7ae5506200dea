"""The menus of the window, and the keys that go with them."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import QCoreApplication
from PySide6.QtGui import QAction, QActionGroup, QKeySequence
from PySide6.QtWidgets import QMenu

from app.gui.dialogs import AboutDialog, ShortcutsDialog
from app.gui.icons import icon
from app.gui.settings.preferences import PreferenceKeeper, Scheme

if TYPE_CHECKING:
    from app.gui.window import MainWindow


class Menus:
    """All menus.

    Args:
        window: whose they are; does what they say.
        keeper: the preferences; holds the colours.
    """

    def __init__(self, window: "MainWindow", keeper: PreferenceKeeper) -> None:
        self._window = window
        self._schemes: dict[Scheme, QAction] = {}
        self._add_file()
        self._add_reading()
        self._add_view(keeper)
        self._add_help()
        self._show_scheme(keeper.value.scheme)
        keeper.changed.connect(lambda value, _: self._show_scheme(value.scheme))

    def _add_file(self) -> None:
        window, menu = self._window, self._menu(_text("&File"))
        self._add(menu, _text("&Open documents…"), window.library.choose_files, "Ctrl+O", "file")
        self._add(menu, _text("Open a &folder…"), window.library.choose_folder, "Ctrl+Shift+O", "folder")
        menu.addSeparator()
        self._add(menu, _text("&Settings…"), window.show_settings, "Ctrl+,", "settings")
        menu.addSeparator()
        self._add(menu, _text("&Quit"), window.close, "Ctrl+Q")

    def _add_reading(self) -> None:
        window, menu = self._window, self._menu(_text("&Reading"))
        self._add(menu, _text("&New question"), window.new_question, "Ctrl+N", "question")
        self._add(menu, _text("&Stop"), window.readings.stop, "Esc", "stop")
        menu.addSeparator()
        self._add(menu, _text("Search all &documents"), window.search_library, "Ctrl+Shift+F", "search")
        self._add(menu, _text("&History"), window.show_history, "Ctrl+H", "history")

    def _add_view(self, keeper: PreferenceKeeper) -> None:
        menu = self._menu(_text("&View"))
        menu.addActions(list(self._window.toggles))
        menu.addSeparator()
        colours = menu.addMenu(_text("&Colours"))
        group = QActionGroup(self._window)
        for scheme, name in (
            (Scheme.SYSTEM, _text("As the &system")),
            (Scheme.LIGHT, _text("&Light")),
            (Scheme.DARK, _text("&Dark")),
        ):
            action = QAction(name, group, checkable=True)
            action.triggered.connect(lambda _, scheme=scheme: keeper.update(scheme=scheme))
            colours.addAction(action)
            self._schemes[scheme] = action

    def _add_help(self) -> None:
        window, menu = self._window, self._menu(_text("&Help"))
        self._add(menu, _text("&Shortcuts"), lambda: ShortcutsDialog(parent=window).open(), "F1")
        self._add(menu, _text("&Welcome"), window.show_welcome, None, "book")
        self._add(menu, _text("&About Palimpsest"), lambda: AboutDialog(window).open(), None, "info")

    def _menu(self, text: str) -> QMenu:
        menu = QMenu(text, self._window)
        self._window.menuBar().addMenu(menu)
        return menu

    def _add(
        self,
        menu: QMenu,
        text: str,
        work: Callable[[], object],
        keys: str | None = None,
        picture: str | None = None,
    ) -> None:
        action = QAction(text, self._window)
        if keys:
            action.setShortcut(QKeySequence(keys))
        if picture:
            action.setIcon(icon(picture))
        action.triggered.connect(lambda _=False: work())
        menu.addAction(action)

    def _show_scheme(self, scheme: Scheme) -> None:
        self._schemes[scheme].setChecked(True)


def _text(source: str) -> str:
    return QCoreApplication.translate("Menus", source)
