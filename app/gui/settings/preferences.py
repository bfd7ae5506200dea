"""What the user prefers: one frozen value, kept in QSettings, and a holder that says what changed.

Only preferences are kept here; documents and runs are in the trace store. What is read back is untrusted (a user may
edit the file, an older or newer version may have written it): a value that does not fit falls back to its
default, alone.
"""

import dataclasses
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from PySide6.QtCore import QObject, QSettings, Qt, Signal

_log = logging.getLogger(__name__)

GROUP = "preferences"
MODES = ("faithful", "gated", "extractive", "parallel")
TEXT_SCALES = (0.9, 1.0, 1.15, 1.3, 1.5, 1.75, 2.0)
MAX_REMEMBERED = 500
"""Most files that are remembered as not to be taken in again."""


class ModelKind(StrEnum):
    """Where the model is."""

    BUNDLED = "bundled"
    FILE = "file"
    SERVER = "server"


class Scheme(StrEnum):
    """Colours of the window."""

    SYSTEM = "system"
    LIGHT = "light"
    DARK = "dark"


@dataclass(frozen=True, slots=True, kw_only=True)
class Preferences:
    """Everything that the user may prefer. None = what suits model and machine.

    Attributes:
        model_kind: where the model is.
        model_path: its GGUF file, if it is one.
        server_address: its server, if it has one; an API key comes from the environment, never from here.
        server_model: the server's id of the model; "" = the only one that it has.
        prompts: name of a built-in prompt set or path of one as JSON; "" = the model's own.
        mode: reading mode; "" = what the model was made for.
        chunk_tokens: most tokens of a chunk, 16 to 100,000.
        memory_tokens: most tokens of the memory, 16 to 32,000.
        num_threads: threads that compute, 1 to 1,024.
        num_gpu_layers: layers on the graphics card, 0 to 10,000.
        scheme: colours.
        text_scale: times the system's text size, one of `TEXT_SCALES`.
        watched_folders: folders whose new and changed files are taken into the library.
        ignored_files: files in them that the user removed from the library.
    """

    model_kind: ModelKind = ModelKind.BUNDLED
    model_path: str = ""
    server_address: str = ""
    server_model: str = ""
    prompts: str = ""
    mode: str = ""
    chunk_tokens: int | None = None
    memory_tokens: int | None = None
    num_threads: int | None = None
    num_gpu_layers: int | None = None
    scheme: Scheme = Scheme.SYSTEM
    text_scale: float = 1.0
    watched_folders: tuple[str, ...] = ()
    ignored_files: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if not _CHECKS[field.name](value):
                raise ValueError(f"{field.name} cannot be {value!r}")

    @property
    def colour_scheme(self) -> Qt.ColorScheme:
        """As Qt calls it; unknown follows the system."""
        return {
            Scheme.SYSTEM: Qt.ColorScheme.Unknown,
            Scheme.LIGHT: Qt.ColorScheme.Light,
            Scheme.DARK: Qt.ColorScheme.Dark,
        }[self.scheme]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for keeping."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Preferences":
        """From plain values; what is unknown or does not fit is left out."""
        kept: dict[str, Any] = {}
        for field in dataclasses.fields(cls):
            if field.name not in values:
                continue
            value = _revive(field.name, values[field.name])
            if _CHECKS[field.name](value):
                kept[field.name] = value
            else:
                _log.warning("the preference %s was not usable and is as at first again", field.name)
        return cls(**kept)


class PreferenceKeeper(QObject):
    """Holds the preferences, keeps changes, and says what changed.

    Args:
        settings: where they are kept.
        parent: its owner.
    """

    changed = Signal(object, object)
    """(new `Preferences`, frozenset of the names of fields that changed)."""

    def __init__(self, settings: QSettings | None = None, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._settings = settings if settings is not None else QSettings()
        self._value = load_preferences(self._settings)

    @property
    def value(self) -> Preferences:
        """The preferences of the moment."""
        return self._value

    def set(self, value: Preferences) -> None:
        """Take new preferences, keep them, and tell what changed."""
        names = frozenset(
            field.name
            for field in dataclasses.fields(value)
            if getattr(value, field.name) != getattr(self._value, field.name)
        )
        if not names:
            return
        self._value = value
        save_preferences(value, self._settings)
        self.changed.emit(value, names)

    def update(self, **changes: Any) -> None:
        """As `set`, with a few fields.

        Raises:
            ValueError: a value does not fit.
        """
        self.set(dataclasses.replace(self._value, **changes))

    def ignore_files(self, paths: tuple[str, ...]) -> None:
        """Remember that these were removed from the library on purpose."""
        kept = dict.fromkeys((*self._value.ignored_files, *paths))
        self.update(ignored_files=tuple(kept)[-MAX_REMEMBERED:])

    def welcome_files(self, paths: tuple[str, ...]) -> None:
        """The user adds these by hand: they are not ignored any more."""
        wanted = set(paths)
        self.update(ignored_files=tuple(path for path in self._value.ignored_files if path not in wanted))


def load_preferences(settings: QSettings | None = None) -> Preferences:
    """Read the preferences; whatever cannot be used is as at first."""
    settings = settings if settings is not None else QSettings()
    kept = settings.value(GROUP, "", str)
    try:
        values = json.loads(str(kept)) if kept else {}
    except ValueError:
        _log.warning("the preferences were not readable; they are as at first again")
        values = {}
    return Preferences.from_dict(values if isinstance(values, dict) else {})


def save_preferences(value: Preferences, settings: QSettings | None = None) -> None:
    """Keep the preferences. A place that cannot be written is logged; the choice holds until the window closes."""
    settings = settings if settings is not None else QSettings()
    # One JSON text, because QSettings tells no number from a text in some of its formats.
    settings.setValue(GROUP, json.dumps(value.to_dict()))
    settings.sync()
    if settings.status() is not QSettings.Status.NoError:
        _log.warning("the preferences could not be kept in %s", settings.fileName())


def _whole(low: int, high: int) -> Callable[[Any], bool]:
    return lambda value: (
        value is None or (isinstance(value, int) and not isinstance(value, bool) and low <= value <= high)
    )


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and "\x00" not in value


def _is_texts(value: Any) -> bool:
    return isinstance(value, tuple) and all(_is_text(each) and each for each in value)


_CHECKS: dict[str, Callable[[Any], bool]] = {
    "model_kind": lambda value: isinstance(value, ModelKind),
    "model_path": _is_text,
    "server_address": _is_text,
    "server_model": _is_text,
    "prompts": _is_text,
    "mode": lambda value: value in ("", *MODES),
    "chunk_tokens": _whole(16, 100_000),
    "memory_tokens": _whole(16, 32_000),
    "num_threads": _whole(1, 1024),
    "num_gpu_layers": _whole(0, 10_000),
    "scheme": lambda value: isinstance(value, Scheme),
    "text_scale": lambda value: isinstance(value, float) and value in TEXT_SCALES,
    "watched_folders": _is_texts,
    "ignored_files": _is_texts,
}


def _revive(name: str, value: Any) -> Any:
    """A value as JSON gives it back, in the type of its field."""
    if isinstance(value, list):
        return tuple(value)
    kinds: dict[str, type[StrEnum]] = {"model_kind": ModelKind, "scheme": Scheme}
    kind = kinds.get(name)
    if kind is not None:
        return next((member for member in kind if member.value == value), None)
    return float(value) if name == "text_scale" and type(value) is int else value
