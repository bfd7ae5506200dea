"""Recordings and what is made of them: another model does in its chunks what the starter did in its own."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks.comparison import read_forced, record_starter
from benchmarks.documents import write_document
from benchmarks.replay import ForcedBackend, Recording, Script, write_script
from benchmarks.scale import QUICK
from engine.agent.config import Mode, ReadingConfig
from engine.agent.plan import ReadingPlan, make_plan
from engine.agent.prompts import STANDARD
from engine.backends.base import Request, Segment
from engine.documents.reader import open_document

SCALE = dataclasses.replace(QUICK, chunk_tokens=500, memory_tokens=120, written_tokens=60)


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("documents") / "document.txt"
    write_document(path, num_characters=6_000, num_facts=2, num_look_alikes=0, seed=3)
    return path


@pytest.fixture(scope="module")
def recordings(document: Path) -> list[Recording]:
    questions = [
        one.question
        for one in write_document(document, num_characters=6_000, num_facts=2, num_look_alikes=0, seed=3)
    ]
    recorded = record_starter(document, questions, num_threads=1)
    assert [one.question for one in recorded] == questions
    return recorded


def plan_of(model: Path, document: Path, question: str, mode: Mode) -> ReadingPlan:
    backend = ForcedBackend(model, context_tokens=4096)
    config = ReadingConfig(mode=mode, chunk_tokens=500, memory_tokens=120)
    return make_plan([open_document(document)], question, config=config, prompts=STANDARD, backend=backend)


def test_recording_is_what_the_trace_says(document: Path, recordings: Sequence[Recording]) -> None:
    text = open_document(document).text
    for recording in recordings:
        assert recording.excerpts, "the starter finds facts without look-alikes"
        assert recording.chunks_that_changed <= recording.chunks
        for one in recording.excerpts:
            assert text[one.start : one.end] == one.text


def test_recording_survives_its_file(recordings: Sequence[Recording], tmp_path: Path) -> None:
    recordings[0].save(tmp_path / "recording.json")
    assert Recording.load(tmp_path / "recording.json") == recordings[0]


def test_script_picks_the_excerpts_where_they_stand(
    small_model: Path, document: Path, recordings: Sequence[Recording]
) -> None:
    recording = recordings[0]
    plan = plan_of(small_model, document, recording.question, Mode.EXTRACTIVE)
    script = write_script(plan, recording, memory_tokens=60)
    picked = [
        chunk.units[index].text.strip()
        for chunk, turn in zip(plan.chunks, script.turns, strict=True)
        for index in turn.picked
    ]
    for one in recording.excerpts:
        assert any(one.text in text or text in one.text for text in picked)
    assert 0 < script.density < 1


def test_memory_is_kept_at_its_length_and_reworded(
    small_model: Path, document: Path, recordings: Sequence[Recording]
) -> None:
    recording = recordings[0]
    plan = plan_of(small_model, document, recording.question, Mode.FAITHFUL)

    def share_kept(script: Script) -> float:
        first, second = (turn.memory.split() for turn in script.turns[:2])
        return sum(a == b for a, b in zip(first, second, strict=False)) / len(first)

    copied = write_script(plan, recording, memory_tokens=60, rewording=0.0)
    changed = write_script(plan, recording, memory_tokens=60, rewording=0.5)
    for script in (copied, changed):
        lengths = [len(plan.tokenize(turn.memory)) for turn in script.turns]
        assert max(lengths) <= 60
        assert 50 <= script.memory_tokens <= 60
    assert share_kept(changed) < 0.9
    assert share_kept(copied) > share_kept(changed)
    assert write_script(plan, recording, memory_tokens=60, rewording=0.5) == changed


def test_script_is_refused_for_another_document(
    small_model: Path, document: Path, recordings: Sequence[Recording]
) -> None:
    plan = plan_of(small_model, document, recordings[0].question, Mode.FAITHFUL)
    with pytest.raises(ValueError, match="recorded document"):
        write_script(plan, dataclasses.replace(recordings[0], document_hash="?"), memory_tokens=60)
    with pytest.raises(ValueError, match="below the cap"):
        write_script(plan, recordings[0], memory_tokens=120)


@pytest.mark.parametrize("mode", list(Mode))
def test_a_model_reads_as_recorded(
    mode: Mode, small_model: Path, document: Path, recordings: Sequence[Recording]
) -> None:
    cost, (script,) = read_forced(small_model, document, recordings[:1], SCALE, mode, num_threads=1)
    assert cost.answer == recordings[0].answer
    num_chunks = len(script.turns)
    if mode is Mode.FAITHFUL:
        assert cost.reply_tokens > 50 * num_chunks
    else:
        assert cost.reply_tokens < 20 * num_chunks + 60 * sum(bool(turn.picked) for turn in script.turns)


def test_several_questions_are_read_in_one_pass(
    small_model: Path, document: Path, recordings: Sequence[Recording]
) -> None:
    cost, scripts = read_forced(small_model, document, recordings, SCALE, None, num_threads=1)
    assert [script.plan.question for script in scripts] == [one.question for one in recordings]
    assert all(script.plan.spec.companions for script in scripts)
    assert cost.answer in [one.answer for one in recordings]


def test_a_reply_that_the_grammar_refuses_is_a_bug(small_model: Path) -> None:
    backend = ForcedBackend(small_model, context_tokens=512)
    backend.force(lambda _: backend.tokenize("no"))
    request = Request(prompt=(Segment("Yes?"),), max_tokens=4, grammar='root ::= "yes"')
    with pytest.raises(ValueError, match="refuses"):
        backend.generate([request])
    backend.force(lambda _: backend.tokenize("yes"))
    assert backend.generate([request])[0].text == "yes"
    backend.close()
