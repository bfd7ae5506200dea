"""Reports from stored outcomes that are known in advance: figures, tables, plots."""

import csv
import io
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from PIL import Image

from engine.cancel import CancelToken
from engine.errors import PlanError
from engine.evaluation import tables
from engine.evaluation.chunk_rates import ChunkCounts
from engine.evaluation.evaluate import ChunkStudy, evaluate
from engine.evaluation.haystack import document_of
from engine.evaluation.items import Gold, Item, Place
from engine.evaluation.plot import save_plot, short_number
from engine.evaluation.report import Report, length_of, make_report
from engine.evaluation.runner import Scope
from engine.evaluation.store import EvaluationStore, Result
from engine.evaluation.systems import OnOutcome, Outcome, System
from engine.evaluation.tasks.base import Parameters

LENGTHS = (1_000, 4_000)
NUM_ITEMS = 10


class TenPlaces:
    """Items whose evidence stands at 5 %, 15 %, ... of 100 characters."""

    name = "ten-places"
    size: int | None = None

    @property
    def parameters(self) -> Parameters:
        return {"seed": 0}

    def item(self, length_tokens: int, index: int) -> Item:
        place = Place(10 * index + 5, 10 * index + 8)
        return Item(
            item_id=f"{length_tokens}-{index}",
            question=f"Question {index}?",
            golds=(Gold(answers=("yes",), evidence=(place,)),),
            document=document_of("x" * 100, "x.txt"),
            num_tokens=length_tokens + 1,
        )


@dataclass
class Fixed:
    """A system whose outcomes are given."""

    name: str
    outcomes: dict[tuple[int, int], Outcome]
    side_by_side = 3

    @property
    def identity(self) -> dict[str, Any]:
        return {"name": self.name}

    def answer(self, items: Sequence[Item], on_outcome: OnOutcome, cancel: CancelToken) -> None:
        for number, item in enumerate(items):
            length, index = map(int, item.item_id.split("-"))
            on_outcome(number, self.outcomes[length, index])


def outcome(*, is_right: bool, num_plain: int) -> Outcome:
    """Read, with evidence kept in the memory or missed."""
    return Outcome(
        status="answered",
        answer="yes" if is_right else "no",
        in_memory=(is_right,),
        chunks=ChunkCounts(evidence=1, missed=int(not is_right), plain=num_plain),
        num_chunks=num_plain + 1,
        wall_s=2.0,
    )


READER: dict[tuple[int, int], Outcome] = {
    # All right at 1,000 tokens; at 4,000 the last two are missed, and one comes to no end.
    **{(1_000, n): outcome(is_right=True, num_plain=3) for n in range(10)},
    **{(4_000, n): outcome(is_right=n < 8, num_plain=15) for n in range(10)},
    (4_000, 0): Outcome(status="failed", error="No usable answer."),
}
WHOLE = {
    **{(1_000, n): Outcome(status="answered", answer="yes" if n % 2 else None) for n in range(10)},
    **{(4_000, n): Outcome(status="does not fit") for n in range(10)},
}


@pytest.fixture
def report(tmp_path: Path) -> Iterator[Report]:
    scope = Scope(task=TenPlaces(), lengths=LENGTHS, num_items=NUM_ITEMS)
    systems: list[System] = [Fixed("reader", READER), Fixed("full-context", WHOLE)]
    alone = Fixed("alone", {(1_000, n): outcome(is_right=n > 0, num_plain=9) for n in range(5)})
    study = ChunkStudy(alone, Scope(task=scope.task, lengths=(1_000,), num_items=5))
    with EvaluationStore(tmp_path / "eval.sqlite") as store:
        openings = [lambda system=system: nullcontext(system) for system in systems]
        yield evaluate(scope, openings, store, chunks=study)


def test_the_object_for_programs(report: Report) -> None:
    values = json.loads(json.dumps(report.as_dict()))
    overall, lengths = values["overall"], values["by_length"]
    assert overall["n"] == 20
    assert overall["failed"] == 1
    for metric in ("em", "f1", "contains"):
        assert overall[metric]["value"] == pytest.approx(17 / 20)
        assert overall[metric]["low"] < 17 / 20 < overall[metric]["high"]
    assert list(lengths) == ["1000", "4000"]
    assert (lengths["1000"]["em"]["value"], lengths["1000"]["em"]["low"]) == (1.0, 1.0)
    # Wilson's interval says what the bootstrap cannot: 10 of 10 may be 72 %.
    assert lengths["1000"]["em"]["wilson_low"] == pytest.approx(0.7225, abs=1e-4)
    assert lengths["4000"]["em"]["value"] == pytest.approx(0.7)
    assert lengths["4000"]["num_chunks"] == pytest.approx(14.4)
    assert lengths["1000"]["loss"] is None
    assert lengths["4000"]["loss"]["n"] == 10
    assert lengths["4000"]["loss"]["em"]["value"] == pytest.approx(0.3)
    assert 0 <= lengths["4000"]["loss"]["em"]["low"] < 0.3 < lengths["4000"]["loss"]["em"]["high"] <= 0.7
    # Of full-context no item fits the longer length.
    assert values["baselines"]["full-context"]["by_length"]["4000"]["loss"] is None
    # By position: the failed one stands at 5 %, the missed ones at 85 and 95 %.
    found = [part["found"]["value"] for part in values["by_position"]]
    assert found == [pytest.approx(3 / 4), 1.0, 1.0, 1.0, pytest.approx(2 / 4)]
    assert all(part["n"] == 4 for part in values["by_position"])
    # Chunks read alone: 1 of 5 missed, no false alarm; whoever had the evidence answered rightly.
    assert values["chunks_alone"]["missed"]["count"] == 1
    assert lengths["4000"]["predicted_em"] == {"lower": pytest.approx(0.8), "upper": pytest.approx(0.8)}
    assert values["chunks"]["missed"]["total"] == 19
    assert values["environment"]["python"] == sys.version.split()[0]


def test_a_baseline_is_compared_on_the_questions_that_it_could_be_given(report: Report) -> None:
    baseline = report.as_dict()["baselines"]["full-context"]
    assert baseline["overall"]["n"] == 10
    assert baseline["overall"]["does_not_fit"] == 10
    assert baseline["by_length"]["4000"]["em"] is None
    assert baseline["by_length"]["4000"]["predicted_em"] is None
    difference = baseline["difference"]["em"]
    assert difference["value"] == pytest.approx(0.5)
    assert 0 < difference["low"] < 0.5 < difference["high"] <= 1


def test_questions_without_an_answer_are_right_if_nothing_is_answered(tmp_path: Path) -> None:
    class Nothing(TenPlaces):
        def item(self, length_tokens: int, index: int) -> Item:
            document = document_of("x" * 100, "x.txt")
            return Item(item_id=f"0-{index}", question="?", golds=(), document=document, num_tokens=3_000)

    system = Fixed(
        "reader", {(0, n): Outcome(status="answered", answer="no" if n else None) for n in range(4)}
    )
    with EvaluationStore(tmp_path / "none.sqlite") as store:
        scope = Scope(task=Nothing(), lengths=(0,), num_items=4)
        values = evaluate(scope, [lambda: nullcontext(system)], store).as_dict()
    assert values["overall"]["em"]["value"] == 0.25
    assert list(values["by_length"]) == ["4000"]
    assert values["by_position"] == []
    assert values["by_kind"] == {}
    assert values["chunks"] is None


def test_questions_with_and_without_an_answer_are_told_apart(tmp_path: Path) -> None:
    class Both(TenPlaces):
        def item(self, length_tokens: int, index: int) -> Item:
            item = super().item(length_tokens, index)
            return item if index < 6 else replace(item, golds=())

    # Somebody who never answers is right wherever there is nothing to be found.
    system = Fixed("reader", {(1_000, n): Outcome(status="answered", answer=None) for n in range(10)})
    with EvaluationStore(tmp_path / "both.sqlite") as store:
        scope = Scope(task=Both(), lengths=(1_000,), num_items=10)
        report = evaluate(scope, [lambda: nullcontext(system)], store)
    values = report.as_dict()
    assert values["overall"]["em"]["value"] == 0.4
    assert values["by_kind"]["answerable"]["n"] == 6
    assert values["by_kind"]["answerable"]["em"]["value"] == 0.0
    assert values["by_kind"]["not stated"]["em"]["value"] == 1.0
    assert [row[1:3] for row in tables.rows(report)] == [
        ("1,000", "10"),
        ("answerable", "6"),
        ("not stated", "4"),
    ]


def test_lengths_of_documents_that_are_as_long_as_they_are() -> None:
    def result(num_tokens: int) -> Result:
        return Result(
            length_tokens=0,
            index=0,
            item_id="x",
            num_tokens=num_tokens,
            question="?",
            golds=(),
            positions=(),
            outcome=Outcome(status="answered"),
        )

    assert [length_of(result(n)) for n in (1, 1_000, 1_001, 87_000)] == [1_000, 1_000, 2_000, 128_000]


def test_tables(report: Report) -> None:
    text = tables.markdown(report)
    rows = [line for line in text.splitlines() if line.startswith("| reader | 4,000")]
    assert rows == [line for line in rows if "| 10 | 70.0 [" in line and "| 80.0 to 80.0 | 1 |" in line]
    assert len(rows) == 1
    assert "Chunks read alone: missed 1 of 5 with evidence" in text
    assert (
        "reader at 4,000 tokens loses of what it reaches at 1,000, in percent, 10 items: exact +30.0 ("
        in text
    )
    assert "reader minus full-context, in points: exact +50.0 (" in text
    brief = tables.rows(report, is_brief=True)
    assert len({len(row) for row in brief}) == 1
    assert brief[0][:4] == ("reader", "1,000", "10", "100.0 [100.0, 100.0]")
    lines = list(csv.DictReader(io.StringIO(tables.as_csv(report))))
    (em,) = [r for r in lines if (r["system"], r["length_tokens"], r["metric"]) == ("reader", "all", "em")]
    assert float(em["value"]) == pytest.approx(0.85)


def test_plot_as_svg(report: Report, tmp_path: Path) -> None:
    path = tmp_path / "plot.svg"
    save_plot(report, path)
    root = ElementTree.parse(path).getroot()
    texts = ["".join(node.itertext()) for node in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"1k", "4k", "reader", "full-context", "100%"} <= set(texts)
    # Ten lengths and positions of the reader, what fits of the other, and the legend.
    dots = [node for node in root.iter("{http://www.w3.org/2000/svg}circle")]
    assert len(dots) == (2 + 5) + (1 + 5) + 2
    assert all(0 <= float(dot.attrib["cy"]) <= 380 for dot in dots)
    # A system that is right in 70 % of the items is drawn at 70 % of the axis, from 320 up to 56.
    heights = [float(dot.attrib["cy"]) for dot in dots[:2]]
    assert heights == pytest.approx([56.0, 320 - 0.7 * 264], abs=0.1)


def test_plot_as_png(report: Report, tmp_path: Path) -> None:
    path = tmp_path / "plot.png"
    save_plot(report, path)
    with Image.open(path) as image:
        assert image.size == (1840, 760)
        colours = {colour for _, colour in image.getcolors(100_000) or []}
    assert (0, 0x72, 0xB2) in colours
    assert (255, 255, 255) in colours


def test_plots_that_cannot_be(report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PlanError, match=r"\.jpeg"):
        save_plot(report, tmp_path / "plot.jpeg")
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(PlanError, match="Pillow") as error:
        save_plot(report, tmp_path / "plot.png")
    assert "palimpsest[plots]" in error.value.hint


def test_a_report_of_nothing_has_no_figures(tmp_path: Path) -> None:
    scope = Scope(task=TenPlaces(), lengths=LENGTHS, num_items=2)
    with EvaluationStore(tmp_path / "empty.sqlite") as store:
        values = make_report(scope, [Fixed("reader", {})], store).as_dict()
    assert values["overall"]["n"] == 0
    assert values["overall"]["em"] is None


def test_numbers_on_the_axis() -> None:
    assert [short_number(n) for n in (500, 8_000, 64_500, 1_000_000, 3_500_000)] == [
        "500",
        "8k",
        "64.5k",
        "1M",
        "3.5M",
    ]
