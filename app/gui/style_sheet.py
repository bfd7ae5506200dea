"""The style sheet, made from the colours of a scheme.

Roles (the dynamic property ``role``): of labels "title", "heading", "caption", "muted", "error", "mono"; of frames
"card", "panel", "banner", "banner-bad"; of push buttons "primary", "quiet", "danger"; of line edits "search".
"""

from __future__ import annotations

from string import Template
from typing import TYPE_CHECKING

from PySide6.QtGui import QColor

from engine.paths import RESOURCES

if TYPE_CHECKING:
    from app.gui.look import Tones

STYLES = RESOURCES / "styles"

_SHEET = Template("""
QToolTip { background: $raised; color: $text; border: 1px solid $line; padding: 4px 6px; }

QLabel[role="title"] { font-size: ${title}pt; font-weight: 600; }
QLabel[role="heading"] { font-weight: 600; }
QLabel[role="caption"] { font-size: ${caption}pt; color: $muted; }
QLabel[role="muted"] { color: $muted; }
QLabel[role="error"] { color: $bad; }
QLabel[role="mono"] { font-family: monospace; }

QFrame[role="card"] { background: $surface; border: 1px solid $line; border-radius: 8px; }
QFrame[role="panel"] { background: $window; border: none; }
QFrame[role="banner"] { background: $accent_soft; border: none; border-radius: 6px; }
QFrame[role="banner-bad"] { background: $removed; border: none; border-radius: 6px; }

QPushButton {
    background: $raised; color: $text; border: 1px solid $line; border-radius: 6px; padding: 5px 12px;
}
QPushButton:hover { border-color: $faint; }
QPushButton:pressed { background: $line; }
QPushButton:focus { border: 1px solid $accent; }
QPushButton:disabled { color: $faint; }
QPushButton[role="primary"] { background: $accent; color: $on_accent; border-color: $accent; font-weight: 600; }
QPushButton[role="primary"]:hover { background: $accent_hover; }
QPushButton[role="primary"]:focus { border: 1px solid $text; }
QPushButton[role="primary"]:disabled { background: $line; border-color: $line; color: $faint; }
QPushButton[role="quiet"] { background: transparent; border-color: transparent; color: $accent; padding: 4px 8px; }
QPushButton[role="quiet"]:hover { background: $accent_soft; }
QPushButton[role="quiet"]:focus { border: 1px solid $accent; }
QPushButton[role="quiet"]:disabled { color: $faint; }
QPushButton[role="danger"] { color: $bad; }
QPushButton[role="danger"]:hover { border-color: $bad; }

QToolButton { background: transparent; border: 1px solid transparent; border-radius: 6px; padding: 4px; }
QToolButton:hover { background: $accent_soft; }
QToolButton:pressed, QToolButton:checked { background: $accent_soft; }
QToolButton:checked { border-color: $accent_line; }
QToolButton:focus { border-color: $accent; }
QToolButton::menu-indicator { image: none; }

QLineEdit, QPlainTextEdit, QTextEdit, QSpinBox, QDoubleSpinBox, QComboBox {
    background: $surface; color: $text; border: 1px solid $line; border-radius: 6px; padding: 4px 6px;
    selection-background-color: $accent; selection-color: $on_accent;
}
QLineEdit:focus, QPlainTextEdit:focus, QTextEdit:focus, QSpinBox:focus, QDoubleSpinBox:focus, QComboBox:focus {
    border-color: $accent;
}
QComboBox:disabled, QSpinBox:disabled, QDoubleSpinBox:disabled, QLineEdit:disabled { color: $faint; }
QComboBox::drop-down { border: none; width: 22px; }
QComboBox::down-arrow { image: url("$styles/chevron.svg"); width: 14px; height: 14px; }
QComboBox QAbstractItemView { background: $raised; border: 1px solid $line; padding: 2px; }
QSpinBox::up-button, QSpinBox::down-button, QDoubleSpinBox::up-button, QDoubleSpinBox::down-button {
    border: none; background: transparent; width: 18px;
}
QSpinBox::up-arrow, QDoubleSpinBox::up-arrow { image: url("$styles/chevron-up.svg"); width: 11px; height: 11px; }
QSpinBox::down-arrow, QDoubleSpinBox::down-arrow { image: url("$styles/chevron.svg"); width: 11px; height: 11px; }
QCheckBox, QRadioButton { spacing: 8px; }
QCheckBox::indicator, QRadioButton::indicator {
    width: 14px; height: 14px; border: 1px solid $faint; background: $surface;
}
QCheckBox::indicator { border-radius: 4px; }
QRadioButton::indicator { border-radius: 8px; }
QCheckBox::indicator:hover, QRadioButton::indicator:hover, QCheckBox:focus::indicator, QRadioButton:focus::indicator {
    border-color: $accent;
}
QCheckBox::indicator:checked { background: $accent; border-color: $accent; image: url("$styles/$check.svg"); }
QRadioButton::indicator:checked { border: 5px solid $accent; width: 6px; height: 6px; }
QCheckBox::indicator:disabled, QRadioButton::indicator:disabled { border-color: $line; background: $line; }
QLineEdit[role="search"] { border-radius: 14px; padding: 5px 10px; }
QTextBrowser, QPlainTextEdit[role="plain"], QTextEdit[role="plain"] {
    background: transparent; border: none; padding: 0;
}

QListView, QTreeView, QTableView {
    background: transparent; border: none; outline: none;
    selection-background-color: $accent_soft; selection-color: $text;
}
QListView::item, QTreeView::item { padding: 4px 6px; border-radius: 6px; }
QListView::item:hover, QTreeView::item:hover { background: $accent_soft; }
QListView::item:selected, QTreeView::item:selected { background: $accent_soft; color: $text; }
QHeaderView::section {
    background: $window; color: $muted; border: none; border-bottom: 1px solid $line; padding: 4px 6px;
}

QTabWidget::pane { border: none; }
QTabBar { qproperty-drawBase: 0; }
QTabBar::tab {
    background: transparent; color: $muted; border: none; border-bottom: 2px solid transparent;
    padding: 6px 10px; margin-right: 4px;
}
QTabBar::tab:hover { color: $text; }
QTabBar::tab:selected { color: $text; border-bottom-color: $accent; font-weight: 600; }
QTabBar::tab:focus { color: $accent; }

QMenuBar { background: $window; }
QMenuBar::item { padding: 4px 10px; border-radius: 6px; background: transparent; }
QMenuBar::item:selected { background: $accent_soft; }
QMenu { background: $raised; border: 1px solid $line; padding: 4px; }
QMenu::item { padding: 5px 24px 5px 10px; border-radius: 4px; }
QMenu::item:selected { background: $accent_soft; color: $text; }
QMenu::item:disabled { color: $faint; }
QMenu::separator { height: 1px; background: $line; margin: 4px 6px; }
QStatusBar { background: $window; color: $muted; border-top: 1px solid $line; }
QStatusBar::item { border: none; }
QSplitter::handle { background: $line; }
QSplitter::handle:horizontal { width: 1px; }
QSplitter::handle:vertical { height: 1px; }
QSplitter::handle:hover { background: $accent; }

QProgressBar { background: $unread; border: none; border-radius: 3px; max-height: 6px; color: transparent; }
QProgressBar::chunk { background: $accent; border-radius: 3px; }
QSlider::groove:horizontal { height: 4px; background: $unread; border-radius: 2px; }
QSlider::sub-page:horizontal { background: $accent; border-radius: 2px; }
QSlider::handle:horizontal {
    width: 14px; height: 14px; margin: -6px 0; border-radius: 8px; background: $surface; border: 2px solid $accent;
}
QSlider::handle:horizontal:focus { background: $accent; }
QSlider::sub-page:horizontal:disabled { background: $line; }
QSlider::handle:horizontal:disabled { border-color: $line; }

QScrollArea, QAbstractScrollArea { border: none; }
QScrollBar:vertical { background: transparent; width: 10px; margin: 0; }
QScrollBar:horizontal { background: transparent; height: 10px; margin: 0; }
QScrollBar::handle { background: $scroll; border-radius: 4px; margin: 1px; }
QScrollBar::handle:vertical { min-height: 32px; }
QScrollBar::handle:horizontal { min-width: 32px; }
QScrollBar::handle:hover { background: $faint; }
QScrollBar::add-line, QScrollBar::sub-line { width: 0; height: 0; }
QScrollBar::add-page, QScrollBar::sub-page { background: transparent; }
""")


def make_style_sheet(tones: Tones, point_size: float) -> str:
    """The style sheet of a scheme.

    Args:
        tones: its colours.
        point_size: size of ordinary text, in points.
    """
    values = {name: _css(getattr(tones, name)) for name in tones.__slots__}
    return _SHEET.substitute(
        values,
        styles=STYLES.as_posix(),
        check="check-dark" if tones.on_accent.lightness() < 128 else "check-light",
        accent_hover=_css(tones.accent.darker(112)),
        accent_line=_css(_faded(tones.accent, 90)),
        scroll=_css(_faded(tones.faint, 110)),
        title=f"{point_size * 1.35:.1f}",
        caption=f"{point_size * 0.9:.1f}",
    )


def _faded(colour: QColor, alpha: int) -> QColor:
    return QColor(colour.red(), colour.green(), colour.blue(), alpha)


def _css(colour: QColor) -> str:
    return f"rgba({colour.red()}, {colour.green()}, {colour.blue()}, {colour.alphaF():.3f})"
