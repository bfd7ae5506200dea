"""A slider through the steps of a reading, with a mark at each step that changed the memory."""

from collections.abc import Sequence

from PySide6.QtCore import QRect, Qt, Signal
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QHBoxLayout, QSlider, QWidget

from app.gui.look import tones
from app.gui.reading.parts import icon_button

_TICK_WIDTH = 2
_EDGE = 8
"""Half of the slider's handle, by which its ends are in."""


class _Slider(QSlider):
    """A slider that shows marks below its groove."""

    def __init__(self) -> None:
        super().__init__(Qt.Orientation.Horizontal)
        self.marks: Sequence[int] = ()
        self.setMinimumHeight(30)
        self.setMinimumWidth(80)

    def paintEvent(self, event: QPaintEvent, /) -> None:
        """The slider, then at most one mark a pixel."""
        super().paintEvent(event)
        if not self.marks or not self.isEnabled():
            return
        span = max(1, self.maximum())
        width = self.width() - 2 * _EDGE
        columns = {_EDGE + mark * width // span for mark in self.marks if mark <= span}
        top = self.height() // 2 + 9
        painter = QPainter(self)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(tones(self).found)
        painter.drawRects([QRect(at - _TICK_WIDTH // 2, top, _TICK_WIDTH, 5) for at in columns])
        painter.end()


class StepSlider(QWidget):
    """The slider with buttons to the change before and after.

    Attributes:
        chosen: somebody went to the step at a position.
    """

    chosen = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._slider = _Slider()
        self._slider.setAccessibleName(self.tr("Step of the reading"))
        self._slider.setPageStep(10)
        self.previous = icon_button("previous", self.tr("Previous change"))
        self.next = icon_button("next", self.tr("Next change"))
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.previous)
        layout.addWidget(self._slider, 1)
        layout.addWidget(self.next)
        self._slider.valueChanged.connect(self.chosen)

    @property
    def slider(self) -> QSlider:
        """The slider itself, for the focus."""
        return self._slider

    def show_steps(self, count: int, changes: Sequence[int], position: int, description: str) -> None:
        """Show so many steps without telling anybody.

        Args:
            count: steps that there are.
            changes: positions of those that changed the memory, ascending.
            position: the step to stand at; -1 = none.
            description: that step in words, for those who do not see the slider.
        """
        self._slider.blockSignals(True)
        self._slider.setRange(0, max(0, count - 1))
        self._slider.setValue(max(0, position))
        self._slider.blockSignals(False)
        self._slider.setEnabled(count > 1)
        self._slider.setAccessibleDescription(description)
        self._slider.marks = changes
        self._slider.update()
        self.previous.setEnabled(bool(changes) and position > changes[0])
        self.next.setEnabled(bool(changes) and position < changes[-1])
