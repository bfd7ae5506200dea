"""Which model reads: the bundled one, a GGUF file, or one behind a server; and a test of it."""

from pathlib import Path

from PySide6.QtCore import QCoreApplication, Qt
from PySide6.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFrame,
    QHBoxLayout,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QRadioButton,
    QVBoxLayout,
)

from app.gui.look import set_role
from app.gui.offload import Offload
from app.gui.reading.parts import button, label
from app.gui.reading.words import mode_name, number, one_line, safe_text, size
from app.gui.settings.found_models import FoundModel, find_models
from app.gui.settings.model_test import ModelReport, ModelTest
from app.gui.settings.pages import Page, form, indented
from app.gui.settings.preferences import ModelKind, PreferenceKeeper
from engine.agent.prompts import BUILT_IN

_PATH = int(Qt.ItemDataRole.UserRole)


class ModelPage(Page):
    """The page "Model".

    Args:
        keeper: the preferences; a choice holds at once.
        folder: the data folder.
        offload: looks for model files.
        home: the user's home folder, below which other programs keep models.
    """

    def __init__(self, keeper: PreferenceKeeper, folder: Path, offload: Offload, home: Path) -> None:
        super().__init__(
            QCoreApplication.translate("ModelPage", "Model"),
            QCoreApplication.translate(
                "ModelPage", "The model that reads. A running reading keeps the one it has."
            ),
        )
        self._keeper = keeper
        self._folder = folder
        self._wants: ModelKind = keeper.value.model_kind
        self._build_choice()
        self._build_prompts()
        self.test = ModelTest(folder, self)
        self.test.passed.connect(self._passed)
        self.test.failed.connect(self._failed)
        self._build_test()
        self.column.addStretch(1)
        self._show_kind()
        offload.run(lambda stop: find_models(folder, home, stop), self._show_found)

    def _build_choice(self) -> None:
        value = self._keeper.value
        self.bundled = QRadioButton(self.tr("The bundled model"))
        self.file = QRadioButton(self.tr("A model file (GGUF)"))
        self.server = QRadioButton(self.tr("A model behind a server"))
        for each, kind in (
            (self.bundled, ModelKind.BUNDLED),
            (self.file, ModelKind.FILE),
            (self.server, ModelKind.SERVER),
        ):
            each.setChecked(kind is value.model_kind)
            each.clicked.connect(lambda _, kind=kind: self._choose_kind(kind))
        self.column.addWidget(self.bundled)
        self.column.addLayout(
            indented(_lines(label(self.tr("Small and quick, made for reading; always there."), "caption")))
        )
        self.column.addWidget(self.file)
        self.column.addLayout(indented(self._file_choice()))
        self.column.addWidget(self.server)
        self.column.addLayout(indented(self._server_choice()))

    def _file_choice(self) -> QVBoxLayout:
        layout = QVBoxLayout()
        layout.setSpacing(8)
        self.models = QListWidget()
        self.models.setAccessibleName(self.tr("Model files on this disk"))
        self.models.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.models.itemClicked.connect(self._choose_item)
        self.models.itemActivated.connect(self._choose_item)
        self._models_frame = QFrame()
        set_role(self._models_frame, "card")
        inner = QVBoxLayout(self._models_frame)
        inner.setContentsMargins(4, 4, 4, 4)
        inner.addWidget(self.models)
        self._models_frame.hide()
        layout.addWidget(self._models_frame)
        self.search_state = label(self.tr("Looking for model files on this disk…"), "caption")
        layout.addWidget(self.search_state)
        choose = button(self.tr("Choose a file…"), "folder")
        choose.clicked.connect(self._choose_file)
        layout.addWidget(choose, 0, Qt.AlignmentFlag.AlignLeft)
        return layout

    def _server_choice(self) -> QVBoxLayout:
        value = self._keeper.value
        self.address = QLineEdit(value.server_address)
        self.address.setPlaceholderText("http://127.0.0.1:8080")
        self.address.setAccessibleName(self.tr("Address of the server"))
        self.served = QLineEdit(value.server_model)
        self.served.setPlaceholderText(self.tr("the only one that it has"))
        self.served.setAccessibleName(self.tr("The server's name of the model"))
        for field in (self.address, self.served):
            field.editingFinished.connect(self._take_server)
        lines = form()
        lines.addRow(self.tr("Address"), self.address)
        lines.addRow(self.tr("Model"), self.served)
        layout = QVBoxLayout()
        layout.setSpacing(8)
        layout.addLayout(lines)
        layout.addWidget(
            label(
                self.tr(
                    "vLLM, llama-server, Ollama, LM Studio and others that speak OpenAI's API. The text of your "
                    "documents is sent there. A key is taken from the environment variable PALIMPSEST_API_KEY."
                ),
                "caption",
            )
        )
        return layout

    def _build_prompts(self) -> None:
        self.prompts = QComboBox()
        self.prompts.setAccessibleName(self.tr("Wording of the prompts"))
        self.prompts.addItem(self.tr("The model's own"), "")
        for name in BUILT_IN:
            self.prompts.addItem(name, name)
        chosen = self._keeper.value.prompts
        if chosen and chosen not in BUILT_IN:
            self.prompts.addItem(one_line(Path(chosen).name, 60), chosen)
        self.prompts.addItem(self.tr("A file…"), None)
        self.prompts.setCurrentIndex(max(0, self.prompts.findData(chosen)))
        self.prompts.activated.connect(self._choose_prompts)
        lines = form()
        lines.addRow(self.tr("Wording of the prompts"), self.prompts)
        self.column.addLayout(lines)

    def _build_test(self) -> None:
        self.test_button = button(self.tr("Test this model"), "play")
        self.test_button.clicked.connect(self._start_test)
        self.test_state = label("", "muted")
        line = QHBoxLayout()
        line.setSpacing(12)
        line.addWidget(self.test_button, 0, Qt.AlignmentFlag.AlignTop)
        line.addWidget(self.test_state, 1)
        self.column.addSpacing(8)
        self.column.addLayout(line)

    # Choosing

    def _choose_kind(self, kind: ModelKind) -> None:
        self._wants = kind
        value = self._keeper.value
        # A kind without its place is no choice yet: it holds once there is one.
        if kind is ModelKind.BUNDLED:
            self._keeper.update(model_kind=kind)
        elif kind is ModelKind.FILE and value.model_path:
            self._keeper.update(model_kind=kind)
        elif kind is ModelKind.SERVER and value.server_address:
            self._keeper.update(model_kind=kind)
        elif kind is ModelKind.SERVER:
            self.address.setFocus()
        self._show_kind()

    def _choose_item(self, item: QListWidgetItem) -> None:
        self._take_file(str(item.data(_PATH)))

    def _choose_file(self) -> None:
        path, _ = QFileDialog.getOpenFileName(
            self,
            self.tr("Choose a model"),
            "",
            self.tr("Models") + " (*.gguf);;" + self.tr("All files") + " (*)",
        )
        if path:
            self._take_file(path)

    def _take_file(self, path: str) -> None:
        self._wants = ModelKind.FILE
        self._keeper.update(model_kind=ModelKind.FILE, model_path=path)
        self._mark(path)
        self._show_kind()

    def _take_server(self) -> None:
        address = self.address.text().strip()
        changes: dict[str, object] = {"server_address": address, "server_model": self.served.text().strip()}
        if address and self._wants is ModelKind.SERVER:
            changes["model_kind"] = ModelKind.SERVER
        elif not address and self._keeper.value.model_kind is ModelKind.SERVER:
            changes["model_kind"] = ModelKind.BUNDLED
        self._keeper.update(**changes)

    def _choose_prompts(self, at: int) -> None:
        chosen = self.prompts.itemData(at)
        if chosen is None:
            path, _ = QFileDialog.getOpenFileName(
                self, self.tr("Choose a prompt set"), "", self.tr("Prompt sets") + " (*.json)"
            )
            if path:
                self.prompts.insertItem(at, one_line(Path(path).name, 60), path)
                self.prompts.setCurrentIndex(at)
                self._keeper.update(prompts=path)
            else:
                self.prompts.setCurrentIndex(max(0, self.prompts.findData(self._keeper.value.prompts)))
            return
        self._keeper.update(prompts=str(chosen))

    def _show_kind(self) -> None:
        for each, kind in (
            (self.bundled, ModelKind.BUNDLED),
            (self.file, ModelKind.FILE),
            (self.server, ModelKind.SERVER),
        ):
            each.setChecked(kind is self._wants)
        for field in (self.address, self.served):
            field.setEnabled(self._wants is ModelKind.SERVER)
        self.test_state.clear()

    # Models on this disk

    def _show_found(self, found: tuple[FoundModel, ...]) -> None:
        for model in found:
            self._add_model(
                model.path, f"{one_line(model.name, 120)}   {size(model.size_bytes)}, {model.owner}"
            )
        chosen = self._keeper.value.model_path
        if chosen:
            self._mark(chosen)
        if found:
            self.search_state.setText(
                self.tr(
                    "Files of LM Studio, Ollama and Hugging Face are used where they lie; nothing is copied."
                )
            )
        else:
            self.search_state.setText(self.tr("No other model files were found on this disk."))

    def _add_model(self, path: Path, text: str) -> QListWidgetItem:
        item = QListWidgetItem(text)
        item.setData(_PATH, str(path))
        item.setToolTip(safe_text(str(path)).replace("<", "‹"))
        self.models.addItem(item)
        self._models_frame.show()
        height = self.models.sizeHintForRow(0) * min(6, self.models.count())
        self.models.setFixedHeight(height + 8)
        return item

    def _mark(self, path: str) -> None:
        for at in range(self.models.count()):
            if self.models.item(at).data(_PATH) == path:
                self.models.setCurrentRow(at)
                return
        self.models.setCurrentItem(self._add_model(Path(path), one_line(Path(path).name, 120)))

    # The test

    def _start_test(self) -> None:
        self._take_server()
        if self._wants is not self._keeper.value.model_kind:
            self._failed(self.tr("Nothing is chosen yet."), self.tr("Choose a file, or type an address."))
            return
        self.test_button.setEnabled(False)
        set_role(self.test_state, "muted")
        self.test_state.setText(self.tr("Opening the model and reading a little…"))
        self.test.start(self._keeper.value)

    def _passed(self, report: ModelReport) -> None:
        self.test_button.setEnabled(True)
        set_role(self.test_state, "muted")
        lines = [
            self.tr("%1 works.").replace("%1", one_line(report.name, 120)),
            self.tr("Window of %1 tokens, chunks of %2; %3.")
            .replace("%1", number(report.context_tokens))
            .replace("%2", number(report.chunk_tokens))
            .replace("%3", mode_name(report.mode)),
            self.tr("Reads %1 tokens a second, writes %2.")
            .replace("%1", number(report.prompt_tokens_per_s))
            .replace("%2", number(report.reply_tokens_per_s)),
        ]
        self.test_state.setText("\n".join(lines))

    def _failed(self, message: str, hint: str) -> None:
        self.test_button.setEnabled(True)
        set_role(self.test_state, "error")
        self.test_state.setText(safe_text(" ".join(part for part in (message, hint) if part)))


def _lines(*widgets: QFrame) -> QVBoxLayout:
    layout = QVBoxLayout()
    layout.setContentsMargins(0, 0, 0, 0)
    for widget in widgets:
        layout.addWidget(widget)
    return layout
