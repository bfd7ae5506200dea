"""The live display of the command line: nothing of it is cut off."""

from io import StringIO

import pytest
from rich.console import Console

from app.cli.console import ReadingDisplay
from engine.agent.loop import Start
from engine.agent.memory import Memory, MemoryItem
from engine.backends.scripted import ScriptedBackend
from engine.front import Prospect
from tests.agent.building import plan_of


@pytest.mark.parametrize("width", [40, 80, 200])
def test_status_bar_and_framed_memory_stand_one_below_the_other(width: int) -> None:
    plan = plan_of(ScriptedBackend([]), ["The quay was built by Aldous Finch in 1871.", "Nothing else."])
    start = Start(memory=Memory((MemoryItem("Built in 1871."),)))
    console = Console(file=StringIO(), width=width)
    display = ReadingDisplay([Prospect(run_id="r1", plan=plan, start=start)], console)
    with console.capture() as capture:
        console.print(display.render())
    status, bar, top, memory, bottom = capture.get().splitlines()
    assert status.strip() == "starting"
    assert set(bar.strip()) <= set("━╸╺ ")
    assert top.startswith("╭─ memory ")
    assert top.endswith("╮")
    assert "Built in 1871." in memory
    assert bottom.startswith("╰")
    assert {len(line) for line in (top, memory, bottom)} == {width}
