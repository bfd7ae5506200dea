"""How far a reading has come, computed from a real plan."""

from app.progress import ProgressMeter
from engine.agent.loop import Start
from engine.agent.plan import ReadingPlan, shown_tokens
from engine.backends.scripted import ScriptedBackend
from engine.front import Prospect
from tests.agent.building import plan_of

PAGES = [f"Berth {n} was let to tenant {n * 7}. " * (1 + n % 3) for n in range(1, 13)]


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def make_plan() -> ReadingPlan:
    plan = plan_of(ScriptedBackend([]), PAGES)
    assert len(plan.chunks) > 4
    return plan


def prospects(plan: ReadingPlan, *starts: int) -> list[Prospect]:
    return [
        Prospect(run_id=f"r{number}", plan=plan, start=Start(next_chunk=start))
        for number, start in enumerate(starts)
    ]


def test_time_goes_by_tokens_and_only_by_those_of_this_session() -> None:
    plan, clock = make_plan(), Clock()
    meter = ProgressMeter(prospects(plan, 2), ["a name"], clock=clock)
    sizes = [shown_tokens(chunk) for chunk in plan.chunks]
    values = meter.values()
    assert (values["chunks_done"], values["tokens_done"]) == (2, sum(sizes[:2]))
    assert values["tokens_per_s"] is values["eta_s"] is values["document"] is None
    clock.now += 4.0
    meter.finish_chunk("r0", 2)
    values = meter.values()
    rate = sizes[2] / 4.0
    assert values["chunks_done"] == 3
    assert values["chunks_total"] == len(sizes)
    assert values["tokens_per_s"] == round(rate, 1)
    assert values["eta_s"] == round(sum(sizes[3:]) / rate, 1)
    assert (values["document"], values["pages"], values["elapsed_s"]) == (
        "a name",
        plan.chunks[2].labels,
        4.0,
    )


def test_a_pass_has_come_as_far_as_the_question_that_is_furthest_behind() -> None:
    plan, clock = make_plan(), Clock()
    meter = ProgressMeter(prospects(plan, 0, 0), clock=clock)
    clock.now += 1.0
    meter.finish_chunk("r0", 0)
    meter.finish_chunk("r0", 1)
    assert meter.values()["chunks_done"] == 0
    assert meter.tokens_per_s is None
    meter.finish_chunk("r1", 0)
    assert meter.values()["chunks_done"] == 1
    assert meter.tokens_done == shown_tokens(plan.chunks[0])


def test_at_the_end_nothing_is_left() -> None:
    plan, clock = make_plan(), Clock()
    meter = ProgressMeter(prospects(plan, 0), clock=clock)
    for chunk in plan.chunks:
        clock.now += 1.0
        meter.start_chunk("r0", chunk.index)
        meter.finish_chunk("r0", chunk.index)
    values = meter.values()
    assert values["tokens_done"] == values["tokens_total"]
    assert values["eta_s"] == 0.0


def test_a_reading_with_nothing_left_to_read_is_no_error() -> None:
    plan = make_plan()
    meter = ProgressMeter(prospects(plan, len(plan.chunks)))
    assert meter.values()["chunks_done"] == len(plan.chunks)
    assert meter.left_s is None
