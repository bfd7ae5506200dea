"""Items of every task: evidence stands where it is said, nothing else answers, lengths are right, seeds decide."""

import dataclasses
import re
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import PlanError
from engine.evaluation.haystack import TokenCounter
from engine.evaluation.items import Item
from engine.evaluation.sources import TextSource, source_of
from engine.evaluation.tasks.base import Materials, Task, task_key
from engine.evaluation.tasks.catalogue import KINDS, RULER_NAMES, TaskOptions, make_task

GENERATED = [name for name in KINDS if name != "qa"]
NEEDLES = [name for name in GENERATED if name.startswith("needle")]
_GIVEN = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def num_tokens(item: Item, materials: Materials) -> int:
    """Counted without the counter's memory."""
    return len(materials.counter._tokenize(item.document.text))


@pytest.mark.parametrize("name", GENERATED)
@_GIVEN
@given(seed=st.integers(0, 10**6), index=st.integers(0, 500), length=st.integers(2_000, 6_000))
def test_length_within_three_percent(
    name: str, seed: int, index: int, length: int, materials: Materials
) -> None:
    item = make_task(name, dataclasses.replace(materials, seed=seed)).item(length, index)
    assert item.num_tokens == num_tokens(item, materials)
    assert item.num_tokens == pytest.approx(length, rel=0.03)


def test_a_list_whose_words_get_shorter_as_they_get_more_has_its_length(materials: Materials) -> None:
    item = make_task("common-words", dataclasses.replace(materials, seed=342245)).item(4_219, 493)
    assert item.num_tokens == pytest.approx(4_219, rel=0.03)


@pytest.mark.parametrize("name", NEEDLES)
@_GIVEN
@given(seed=st.integers(0, 10**6), index=st.integers(0, 500))
def test_a_value_stands_in_its_evidence_and_nowhere_else(
    name: str, seed: int, index: int, materials: Materials
) -> None:
    item = make_task(name, dataclasses.replace(materials, seed=seed)).item(3_000, index)
    text = item.document.text
    for gold in item.golds:
        (value,), (place,) = gold.answers, gold.evidence
        found = list(re.finditer(rf"(?<!\w){re.escape(value)}(?!\w)", text, re.IGNORECASE))
        assert len(found) == 1, (value, [text[m.start() - 60 : m.end() + 20] for m in found])
        assert place.start <= found[0].start() < found[0].end() <= place.end
        assert value.casefold() not in item.question.casefold().split()
    assert len({gold.answers for gold in item.golds}) == len(item.golds)
    evidence = set(item.evidence)
    assert not any(place.overlaps(other.start, other.end) for place in evidence for other in item.look_alikes)


@_GIVEN
@given(seed=st.integers(0, 10**6), index=st.integers(0, 500))
def test_variables_of_the_chain_alone_have_the_value(seed: int, index: int, materials: Materials) -> None:
    item = make_task("variable-tracking", dataclasses.replace(materials, seed=seed)).item(3_000, index)
    wanted = item.question.rsplit(" ", 1)[1].rstrip(".")
    known: dict[str, str] = {}
    for name, value in re.findall(r"VAR ([A-Z]{5}) = (\d{5}|VAR [A-Z]{5})\.", item.document.text):
        # Read in order, every variable is known when it is used.
        known[name] = known[value.removeprefix("VAR ")] if value.startswith("VAR ") else value
    assert {name for name, value in known.items() if value == wanted} == {g.answers[0] for g in item.golds}
    assert len(known) == 10
    for gold in item.golds:
        (place,) = gold.evidence
        assert item.document.text[place.start : place.end].startswith(f"VAR {gold.answers[0]} = ")


@_GIVEN
@given(seed=st.integers(0, 10**6), length=st.integers(1_500, 8_000))
def test_common_words_are_the_most_common_ones(seed: int, length: int, materials: Materials) -> None:
    item = make_task("common-words", dataclasses.replace(materials, seed=seed)).item(length, 0)
    counts = Counter(re.findall(r"\d+\. (\w+)", item.document.text))
    golds = {gold.answers[0] for gold in item.golds}
    others = max(count for word, count in counts.items() if word not in golds)
    assert len(golds) == 10
    assert {counts[word] for word in golds} == {10 * others}
    assert others in (1, 3)


@_GIVEN
@given(seed=st.integers(0, 10**6), length=st.integers(1_500, 8_000))
def test_frequent_words_are_the_most_frequent_ones(seed: int, length: int, materials: Materials) -> None:
    item = make_task("frequent-words", dataclasses.replace(materials, seed=seed)).item(length, 0)
    ranked = Counter(item.document.text.split()).most_common(5)
    assert ranked[0][0] == "..."
    assert [word for word, _ in ranked[1:4]] == [gold.answers[0] for gold in item.golds]
    assert ranked[3][1] > ranked[4][1]


@pytest.mark.parametrize("name", GENERATED)
def test_seed_length_and_number_decide(name: str, materials: Materials, text: TextSource) -> None:
    task = make_task(name, materials)
    again = make_task(name, dataclasses.replace(materials, counter=TokenCounter(materials.counter._tokenize)))
    other = make_task(name, dataclasses.replace(materials, seed=6))
    assert task.item(2_000, 3) == again.item(2_000, 3)
    assert task.item(2_000, 3) != task.item(2_000, 4)
    assert task.item(2_000, 3).document != other.item(2_000, 3).document
    assert task_key(task) == task_key(again) != task_key(other)
    elsewhere = dataclasses.replace(materials, text=source_of("boats", text.paragraphs[1:]))
    assert task_key(make_task(name, elsewhere)) != task_key(task)


@pytest.mark.parametrize("name", GENERATED)
def test_too_short_is_said(name: str, materials: Materials) -> None:
    with pytest.raises(PlanError):
        make_task(name, materials).item(12, 0)


def test_look_alikes_as_many_as_wished_for(materials: Materials) -> None:
    task = make_task("needle", materials, TaskOptions(look_alikes=7))
    item = task.item(3_000, 0)
    assert len(item.look_alikes) == 7
    assert all(item.document.text[place.start : place.end].strip() for place in item.look_alikes)


def test_evidence_is_spread_over_the_document(materials: Materials) -> None:
    task: Task = make_task("needle", materials)
    bins = [0] * 5
    for index in range(20):
        item = task.item(3_000, index)
        position = item.position(item.golds[0])
        assert position is not None
        bins[int(5 * position)] += 1
    assert min(bins) >= 3, bins


def test_names_of_ruler(materials: Materials) -> None:
    assert {name: make_task(name, materials).name for name in RULER_NAMES} == dict(RULER_NAMES)


def test_there_is_no_task_of_that_name(materials: Materials) -> None:
    with pytest.raises(PlanError, match="no task 'haystack'") as error:
        make_task("haystack", materials)
    assert "needle-multikey" in error.value.hint
    with pytest.raises(PlanError, match="needs a file") as error:
        make_task("qa", materials)
    assert "--data" in error.value.hint
