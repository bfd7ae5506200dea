"""The console as an observer: live progress on standard error while a document is read."""

import time
from collections.abc import Callable, Sequence
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from app.progress import ProgressMeter
from engine.agent.events import CallFinished, ChunkFinished, ChunkStarted, Incident, Outcome, Record
from engine.agent.provenance import diff_words
from engine.front import Prospect

_REFRESH_PER_S = 8
_PLAIN_INTERVAL_S = 5.0
_MEMORY_LINES = 12


def seconds_for_people(seconds: float) -> str:
    """ "8 s", "4 min 05 s", "2 h 10 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


class ReadingDisplay:
    """Shows chunk, page, rate, time left and each question's memory with its last change marked.

    On a terminal the display is redrawn in place; elsewhere (a log file, a pipe) it is a line every few seconds.
    """

    def __init__(
        self,
        prospects: Sequence[Prospect],
        console: Console,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._plan = prospects[0].plan
        self._console = console
        self._clock = clock
        self._meter = ProgressMeter(prospects, clock=clock)
        self._states = {each.run_id: _State(each) for each in prospects}
        self._last_line = clock()
        self._incidents = 0
        self._status = "starting"
        self._live: Live | None = None

    def __enter__(self) -> "ReadingDisplay":
        if self._console.is_terminal:
            self._live = Live(
                console=self._console,
                refresh_per_second=_REFRESH_PER_S,
                get_renderable=self.render,
                transient=True,
            )
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def observe(self, record: Record) -> None:
        """Take note of one event."""
        event = record.event
        if isinstance(event, ChunkStarted):
            self._meter.start_chunk(record.run_id, event.chunk_index)
            self._status = "reading"
        elif isinstance(event, ChunkFinished):
            self._meter.finish_chunk(record.run_id, event.chunk_index)
            if event.outcome is Outcome.UPDATED:
                state = self._states[record.run_id]
                state.before, state.memory = event.memory_before, event.memory_after
        elif isinstance(event, Incident):
            self._incidents += 1
        elif isinstance(event, CallFinished) and event.chunk_index is None:
            self._status = "answered"
        if self._live is None and self._clock() - self._last_line >= _PLAIN_INTERVAL_S:
            self._last_line = self._clock()
            self._console.print(self._line(), highlight=False)

    def _line(self) -> str:
        meter, chunk = self._meter, self._meter.chunk
        if chunk is None:
            return self._status
        document = self._plan.documents[chunk.document]
        parts = [
            f"chunk {chunk.index + 1} of {meter.chunks_total}",
            f"{document.kind} {chunk.labels}",
            f"{meter.tokens_per_s or 0.0:,.0f} tokens/s",
            f"{seconds_for_people(meter.left_s or 0.0)} left",
        ]
        if len(self._plan.documents) > 1:
            parts.insert(0, document.name)
        if self._incidents:
            parts.append(f"{self._incidents} replies handled")
        return " · ".join(parts)

    def render(self) -> RenderableType:
        """The display as it stands."""
        head = Table.grid(expand=True)
        head.add_row(Text(self._line(), overflow="ellipsis", no_wrap=True))
        # In a row of its own: the bar ends no line, so that the frame below would begin behind it and be cut off.
        head.add_row(ProgressBar(total=max(self._meter.tokens_total, 1), completed=self._meter.tokens_done))
        states = list(self._states.values())
        lines = max(1, _MEMORY_LINES // len(states))
        panels = [
            Panel(
                state.memory_text(lines),
                title="memory"
                if len(states) == 1
                else Text(state.question, overflow="ellipsis", no_wrap=True),
                title_align="left",
                border_style="dim",
            )
            for state in states
        ]
        return Group(head, *panels)


class _State:
    """What is shown of one question."""

    def __init__(self, prospect: Prospect) -> None:
        plan, start = prospect.plan, prospect.start
        self.question = plan.question
        self.before = self.memory = start.memory

    def memory_text(self, most_lines: int) -> Text:
        if not self.memory.items:
            return Text("nothing has been found yet", style="dim")
        text = Text()
        for change, piece in diff_words(self.before.text, self.memory.text):
            if change != "removed":
                text.append(piece, style="bold green" if change == "added" else "")
        return Text("\n").join(text.split("\n")[-most_lines:])
