"""How the window looks: the colours of both schemes, the palette and the style sheet made from them.

Widgets say what they are with `set_role`; what is painted by hand asks `tones` at the time of painting.
"""

from dataclasses import dataclass

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QFont, QFontDatabase, QGuiApplication, QPalette
from PySide6.QtWidgets import QApplication, QWidget

from app.gui.style_sheet import make_style_sheet

SERIF = ("Source Serif 4", "Noto Serif", "Charter", "Georgia", "P052", "Liberation Serif", "DejaVu Serif")
"""Faces for long reading, the best first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tones:
    """The colours of one scheme.

    Attributes:
        window: behind everything, and around pages.
        surface: cards, fields and lists.
        raised: menus, tool tips, buttons.
        line: hairlines.
        text: text.
        muted: second-rank text; at least 4.5 : 1 against `window`.
        faint: what may be overlooked: placeholders, disabled text.
        accent: the one colour of actions and links.
        on_accent: text on it.
        accent_soft: wash behind what is selected or pointed at; translucent.
        good: a success.
        warn: something to look at.
        bad: an error.
        highlight: marker over evidence on a page; translucent.
        highlight_strong: the same, for the evidence that is being looked at.
        added: behind words that the last step added.
        removed: behind words that it removed.
        unread: a chunk that was not read yet.
        reading: the chunk at work.
        nothing: a chunk that was read and held nothing.
        found: a chunk that changed the memory.
        skipped: a page that could not be read.
    """

    window: QColor
    surface: QColor
    raised: QColor
    line: QColor
    text: QColor
    muted: QColor
    faint: QColor
    accent: QColor
    on_accent: QColor
    accent_soft: QColor
    good: QColor
    warn: QColor
    bad: QColor
    highlight: QColor
    highlight_strong: QColor
    added: QColor
    removed: QColor
    unread: QColor
    reading: QColor
    nothing: QColor
    found: QColor
    skipped: QColor


LIGHT = Tones(
    window=QColor("#f5f3ef"),
    surface=QColor("#ffffff"),
    raised=QColor("#fdfcfa"),
    line=QColor("#e0dbd2"),
    text=QColor("#23201c"),
    muted=QColor("#635d54"),
    faint=QColor("#938c82"),
    accent=QColor("#2b5c8a"),
    on_accent=QColor("#ffffff"),
    accent_soft=QColor(43, 92, 138, 26),
    good=QColor("#2a7349"),
    warn=QColor("#8a5a00"),
    bad=QColor("#ad2a21"),
    highlight=QColor(255, 214, 82, 120),
    highlight_strong=QColor(255, 176, 0, 160),
    added=QColor("#d8f0dc"),
    removed=QColor("#f9deda"),
    unread=QColor("#e0dbd2"),
    reading=QColor("#2b5c8a"),
    nothing=QColor("#b3bfc9"),
    found=QColor("#dd9c00"),
    skipped=QColor("#cf7d74"),
)

DARK = Tones(
    window=QColor("#1a1917"),
    surface=QColor("#232220"),
    raised=QColor("#2c2a27"),
    line=QColor("#3a3733"),
    text=QColor("#ebe6de"),
    muted=QColor("#ada59a"),
    faint=QColor("#7d766c"),
    accent=QColor("#8bb8e0"),
    on_accent=QColor("#122130"),
    accent_soft=QColor(139, 184, 224, 40),
    good=QColor("#7fc69c"),
    warn=QColor("#e2b463"),
    bad=QColor("#f1958d"),
    highlight=QColor(255, 214, 82, 120),
    highlight_strong=QColor(255, 176, 0, 160),
    added=QColor("#234630"),
    removed=QColor("#4d2926"),
    unread=QColor("#3a3733"),
    reading=QColor("#8bb8e0"),
    nothing=QColor("#57646f"),
    found=QColor("#efb83c"),
    skipped=QColor("#b3655c"),
)


def tones(widget: QWidget) -> Tones:
    """The colours of the scheme that `widget` is shown in."""
    # Style sheets make the window colour of views transparent black, so that theirs says nothing about the scheme.
    ground = widget.palette().color(QPalette.ColorRole.Window)
    if ground.alpha() < 255:
        ground = QGuiApplication.palette().color(QPalette.ColorRole.Window)
    return DARK if ground.lightness() < 128 else LIGHT


def set_role(widget: QWidget, role: str) -> None:
    """Say what a widget is, for the style sheet: see `app.gui.style_sheet`. May be changed at any time."""
    widget.setProperty("role", role)
    if widget.style() is not None:
        widget.style().unpolish(widget)
        widget.style().polish(widget)
        widget.update()


def reading_font(widget: QWidget, scale: float = 1.0) -> QFont:
    """A serif face for document text and answers.

    Args:
        widget: whose size it goes by.
        scale: times that size.
    """
    known = set(QFontDatabase.families())
    font = QFont(widget.font())
    font.setFamilies([*(family for family in SERIF if family in known), "serif"])
    font.setStyleHint(QFont.StyleHint.Serif)
    font.setPointSizeF(widget.font().pointSizeF() * scale)
    return font


def apply_look(app: QApplication, *, scheme: Qt.ColorScheme, text_scale: float = 1.0) -> None:
    """Dress the application; again after every change.

    Args:
        app: the application.
        scheme: light, dark, or unknown to follow the system, also when that changes later.
        text_scale: times the system's text size.
    """
    app.setProperty("wantedScheme", scheme)
    base = app.property("systemPointSize")
    if base is None:
        base = app.font().pointSizeF()
        app.setProperty("systemPointSize", base)
        app.setStyle("Fusion")
        app.styleHints().colorSchemeChanged.connect(lambda _: _dress(app))
    app.styleHints().setColorScheme(scheme)  # for what the platform draws, such as title bars
    font = app.font()
    font.setPointSizeF(float(base) * text_scale)
    app.setFont(font)
    _dress(app)


def _dress(app: QApplication) -> None:
    # Not every platform takes a wish, so that ours is remembered.
    wanted = app.property("wantedScheme")
    scheme = app.styleHints().colorScheme() if wanted is Qt.ColorScheme.Unknown else wanted
    chosen = DARK if scheme is Qt.ColorScheme.Dark else LIGHT
    QGuiApplication.setPalette(_palette(chosen))
    app.setStyleSheet(make_style_sheet(chosen, app.font().pointSizeF()))


def _palette(tone: Tones) -> QPalette:
    role, group = QPalette.ColorRole, QPalette.ColorGroup
    palette = QPalette()
    for which, colour in {
        role.Window: tone.window,
        role.WindowText: tone.text,
        role.Base: tone.surface,
        role.AlternateBase: tone.window,
        role.Text: tone.text,
        role.PlaceholderText: tone.faint,
        role.Button: tone.raised,
        role.ButtonText: tone.text,
        role.BrightText: tone.bad,
        role.ToolTipBase: tone.raised,
        role.ToolTipText: tone.text,
        role.Highlight: tone.accent,
        role.HighlightedText: tone.on_accent,
        role.Accent: tone.accent,
        role.Link: tone.accent,
        role.LinkVisited: tone.accent,
        role.Light: tone.raised,
        role.Midlight: tone.line,
        role.Mid: tone.line,
        role.Dark: tone.faint,
        role.Shadow: tone.faint,
    }.items():
        palette.setColor(which, colour)
    for which in (role.WindowText, role.Text, role.ButtonText):
        palette.setColor(group.Disabled, which, tone.faint)
    return palette
