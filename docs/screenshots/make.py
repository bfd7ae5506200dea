"""Makes ask.svg: what `palimpsest ask` shows on a terminal, from a real reading of the sample by the bundled model.

python docs/screenshots/make.py
"""

import re
import tempfile
from collections.abc import Sequence
from contextlib import AbstractContextManager
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.text import Text

from app.cli.console import ReadingDisplay
from app.cli.printing import print_result
from app.cli.reading import ConsoleFront
from engine.agent.events import ChunkStarted, Record
from engine.agent.reader import Observer
from engine.front import Prospect
from engine.paths import RESOURCES
from engine.session import Session

HERE = Path(__file__).parent
SAMPLE = RESOURCES / "samples" / "kestrelmouth-report.pdf"
QUESTION = "What length of the North Mole was breached?"
SHOWN_AFTER = 0.6
"""Part of the reading after which the display is photographed."""


class Photographer(ConsoleFront):
    """Prints the live display once, in the middle of the reading."""

    def __init__(self, console: Console) -> None:
        super().__init__(console, quiet=False)
        self._paper = console
        self._inner: ReadingDisplay | None = None
        self._at = -1

    def display(self, prospects: Sequence[Prospect]) -> AbstractContextManager[Observer | None]:
        """Watch with a display that is never drawn live."""
        self._inner = ReadingDisplay(prospects, Console(file=StringIO()))
        self._at = int(SHOWN_AFTER * len(prospects[0].plan.chunks))
        return _Watch(self._inner, self)

    def observe(self, record: Record) -> None:
        """Pass the event on, and print the display at the chosen chunk."""
        assert self._inner is not None
        self._inner.observe(record)
        if isinstance(record.event, ChunkStarted) and record.event.chunk_index == self._at:
            self._paper.print(self._inner.render())


class _Watch(AbstractContextManager[Observer | None]):
    def __init__(self, inner: ReadingDisplay, observer: Observer) -> None:
        self._inner = inner
        self._observer = observer

    def __enter__(self) -> Observer:
        self._inner.__enter__()
        return self._observer

    def __exit__(self, *args: object) -> None:
        self._inner.__exit__(None, None, None)


def main() -> None:
    """Read and write the picture."""
    console = Console(record=True, width=110, file=StringIO(), force_terminal=True, highlight=False)
    console.print(Text(f'$ palimpsest ask {SAMPLE.name} -q "{QUESTION}"', style="bold"))
    with tempfile.TemporaryDirectory() as folder:
        result = Session(Path(folder), front=Photographer(console)).ask([SAMPLE], QUESTION)
    print_result(result, console)
    svg = console.export_svg(title="palimpsest")
    # No fonts from elsewhere: looking at a picture must not contact anybody.
    svg = re.sub(r"@font-face\s*{[^}]*}", "", svg).replace("Fira Code", "DejaVu Sans Mono")
    (HERE / "ask.svg").write_text(svg, "utf-8")


if __name__ == "__main__":
    main()
