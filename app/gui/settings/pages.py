"""What the pages of the settings share."""

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFormLayout, QFrame, QLayout, QScrollArea, QSpinBox, QVBoxLayout, QWidget

from app.gui.reading.parts import label


class Page(QScrollArea):
    """A page of the settings: a heading, then whatever is added to `column`."""

    def __init__(self, title: str, explanation: str = "") -> None:
        super().__init__()
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        inner = QWidget()
        self.column = QVBoxLayout(inner)
        self.column.setContentsMargins(24, 24, 24, 24)
        self.column.setSpacing(12)
        self.column.addWidget(label(title, "title", selectable=False))
        if explanation:
            self.column.addWidget(label(explanation, "muted", selectable=False))
        self.setWidget(inner)


def form() -> QFormLayout:
    """Names on the left, fields on the right."""
    layout = QFormLayout()
    layout.setHorizontalSpacing(16)
    layout.setVerticalSpacing(12)
    layout.setLabelAlignment(Qt.AlignmentFlag.AlignLeft)
    layout.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
    return layout


def optional_number(low: int, high: int, unset: str, value: int | None, name: str) -> QSpinBox:
    """A number that may be left to the program: the step below `low` says `unset`."""
    box = QSpinBox()
    box.setRange(low - 1, high)
    box.setSpecialValueText(unset)
    box.setValue(low - 1 if value is None else value)
    box.setGroupSeparatorShown(True)
    box.setAccessibleName(name)
    box.setMinimumWidth(160)
    box.setKeyboardTracking(False)
    return box


def number_of(box: QSpinBox) -> int | None:
    """What an `optional_number` says."""
    return None if box.value() == box.minimum() else box.value()


def indented(layout: QLayout) -> QVBoxLayout:
    """Under the text of a radio button."""
    outer = QVBoxLayout()
    outer.setContentsMargins(28, 0, 0, 8)
    outer.addLayout(layout)
    return outer
