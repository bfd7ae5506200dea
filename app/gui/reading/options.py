"""Settings of a reading, folded away, each explained in plain words."""

from PySide6.QtCore import QCoreApplication
from PySide6.QtWidgets import QCheckBox, QComboBox, QDoubleSpinBox, QFormLayout, QLabel, QSpinBox, QWidget

from app.gui.reading.parts import column, label
from app.gui.reading.words import mode_name
from app.worker.protocol import Options

_MODES = ("", "extractive", "gated", "faithful", "parallel")


def _explain(mode: str) -> str:
    texts = {
        "": QCoreApplication.translate("Reading", "The way of reading that the model was made for."),
        "extractive": QCoreApplication.translate(
            "Reading",
            "The model names the sentences that matter, and they are copied word for word. Nothing can be invented; "
            "the model must have learnt it.",
        ),
        "gated": QCoreApplication.translate(
            "Reading",
            "The model first says whether a section matters; only then it rewrites its notes. Notes stay as they are "
            "over long stretches without anything new.",
        ),
        "faithful": QCoreApplication.translate(
            "Reading",
            "The model rewrites its notes after every section, in its own words, as in the MemAgent paper. Works with "
            "most chat models; slow, and details may fade over very long documents.",
        ),
        "parallel": QCoreApplication.translate(
            "Reading",
            "Sentences are collected from all sections side by side, in rounds. Fast on a graphics card or a server; "
            "what builds on an earlier page is found in the next round.",
        ),
    }
    return texts[mode]


class OptionsForm(QWidget):
    """The form; everything at first as suits the model."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.mode = QComboBox()
        self.mode.setAccessibleName(self.tr("Way of reading"))
        for mode in _MODES:
            self.mode.addItem(mode_name(mode) if mode else self.tr("As suits the model"), userData=mode)
        self._says = label(_explain(""), "caption")
        self.chunk_tokens = self._tokens(64, 200_000)
        self.memory_tokens = self._tokens(64, 100_000)
        self.overlap_tokens = self._count(0, 10_000, self.tr("none"))
        self.recall = self._count(0, 64, self.tr("no"))
        self.temperature = QDoubleSpinBox()
        self.temperature.setRange(0.0, 2.0)
        self.temperature.setSingleStep(0.1)
        self.seed = self._count(0, 2**31 - 1, "")
        self.apart = QCheckBox(self.tr("Read for each question as if it were alone (slower)"))
        self._form = QFormLayout()
        self._form.setContentsMargins(0, 0, 0, 0)
        self._form.setSpacing(8)
        self._form.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        self._add(self.tr("Way of reading"), self.mode, "")
        self._form.addRow(self._says)
        self._add(
            self.tr("Section"),
            self.chunk_tokens,
            self.tr(
                "How much text the model sees at once. Smaller sections are read more closely and take longer."
            ),
        )
        self._add(
            self.tr("Memory"),
            self.memory_tokens,
            self.tr("How much it may keep in mind from section to section."),
        )
        self._add(
            self.tr("Overlap"),
            self.overlap_tokens,
            self.tr("How much of a section is shown again with the next one."),
        )
        self._add(
            self.tr("Look again"),
            self.recall,
            self.tr("Sections with the words of the question that are read once more before the answer."),
        )
        self._add(
            self.tr("Variation"),
            self.temperature,
            self.tr("0 gives the same answer every time; more lets the model choose other words."),
        )
        self._add(self.tr("Seed"), self.seed, self.tr("With variation: another number gives another answer."))
        layout = column(self)
        layout.addLayout(self._form)
        layout.addWidget(self.apart)
        self.mode.currentIndexChanged.connect(lambda _: self._says.setText(_explain(self.mode.currentData())))
        self.mode.currentIndexChanged.connect(lambda _: self._follow_mode())

    @property
    def options(self) -> Options:
        """What is chosen."""
        return Options(
            mode=self.mode.currentData() or None,
            chunk_tokens=self.chunk_tokens.value() or None,
            memory_tokens=self.memory_tokens.value() or None,
            overlap_tokens=self.overlap_tokens.value(),
            recall_chunks=self.recall.value() if self.recall.isEnabled() else 0,
            joint=not self.apart.isChecked(),
            seed=self.seed.value(),
            temperature=self.temperature.value(),
        )

    def set_options(self, options: Options) -> None:
        """Choose these."""
        self.mode.setCurrentIndex(max(0, self.mode.findData(options.mode or "")))
        self.chunk_tokens.setValue(options.chunk_tokens or 0)
        self.memory_tokens.setValue(options.memory_tokens or 0)
        self.overlap_tokens.setValue(options.overlap_tokens)
        self.recall.setValue(options.recall_chunks)
        self.apart.setChecked(not options.joint)
        self.seed.setValue(options.seed)
        self.temperature.setValue(options.temperature)

    @property
    def summary(self) -> str:
        """What is not as suits the model, in a few words."""
        options = self.options
        parts = [mode_name(options.mode)] if options.mode else []
        if options != Options(mode=options.mode):
            parts.append(self.tr("own settings"))
        return " · ".join(parts) or self.tr("as suits the model")

    def _follow_mode(self) -> None:
        # The parallel mode reads everything again anyway, and refuses to be told to.
        self.recall.setEnabled(self.mode.currentData() != "parallel")

    def _add(self, name: str, field: QWidget, help_: str) -> None:
        head = QLabel(name)
        head.setBuddy(field)
        field.setAccessibleName(name)
        if help_:
            field.setToolTip(help_)
            field.setAccessibleDescription(help_)
        self._form.addRow(head, field)

    def _tokens(self, least: int, most: int) -> QSpinBox:
        """Tokens, where 0 stands for the model's own; anything below the least springs to it."""
        made = self._count(0, most, self.tr("as suits the model"))
        made.setSuffix(" " + self.tr("tokens"))
        made.setSingleStep(64)
        made.editingFinished.connect(lambda: made.setValue(least) if 0 < made.value() < least else None)
        return made

    def _count(self, least: int, most: int, none: str) -> QSpinBox:
        made = QSpinBox()
        made.setRange(least, most)
        made.setSpecialValueText(none)
        made.setGroupSeparatorShown(True)
        return made
