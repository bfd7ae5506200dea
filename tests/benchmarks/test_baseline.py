"""The baseline: one chat request a chunk, the memory passed on, the answer from the memory."""

import dataclasses
from pathlib import Path
from typing import Any

import llama_cpp
import pytest

from benchmarks.baseline import Baseline
from benchmarks.comparison import compare_starter
from benchmarks.documents import write_document
from benchmarks.scale import QUICK
from engine.agent.config import Mode, ReadingConfig
from engine.agent.plan import ReadingPlan, make_plan
from engine.agent.prompts import STANDARD
from engine.backends.llamacpp import LlamaCppBackend
from engine.documents.reader import open_document


@pytest.fixture
def plan(small_model: Path, tmp_path: Path) -> ReadingPlan:
    path = tmp_path / "document.txt"
    write_document(path, num_characters=3_000, num_look_alikes=0)
    backend = LlamaCppBackend(small_model, context_tokens=2048)
    config = ReadingConfig(mode=Mode.FAITHFUL, chunk_tokens=400, memory_tokens=64)
    return make_plan([open_document(path)], "Who?", config=config, prompts=STANDARD, backend=backend)


def test_given_memories_are_replied_and_shown_to_the_next_chunk(
    small_model: Path, plan: ReadingPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    memories = [f"the keeper counted {number} boats" for number in range(len(plan.chunks))]
    shown: list[str] = []
    chat = llama_cpp.Llama.create_chat_completion

    def spy(self: Any, messages: list[dict[str, str]], **settings: Any) -> Any:
        shown.append(messages[0]["content"])
        return chat(self, messages, **settings)

    monkeypatch.setattr(llama_cpp.Llama, "create_chat_completion", spy)
    with Baseline(small_model, context_tokens=2048, num_threads=1, is_forced=True) as loop:
        cost = loop.read_by_chat(plan, [*memories, "the keeper"])
    assert cost.answer == "the keeper"
    assert len(shown) == len(plan.chunks) + 1
    for memory, prompt in zip(memories, shown[1:], strict=True):
        assert memory in prompt
    text = plan.documents[0].text
    for chunk, prompt in zip(plan.chunks, shown[:-1], strict=True):
        assert text[chunk.start : chunk.end] in prompt
    backend = LlamaCppBackend(small_model, context_tokens=2048)
    assert cost.reply_tokens == sum(len(backend.tokenize(reply)) for reply in [*memories, "the keeper"])
    backend.close()


def test_the_model_is_asked_where_no_reply_is_given(small_model: Path, plan: ReadingPlan) -> None:
    with Baseline(small_model, context_tokens=2048, num_threads=1) as loop:
        cost = loop.read_by_chat(plan)
    assert cost.reply_tokens > 0
    assert cost.prompt_tokens > plan.num_tokens


def test_starter_answers_as_through_the_engine(tmp_path: Path) -> None:
    path = tmp_path / "document.txt"
    (hidden,) = write_document(path, num_characters=6_000, num_look_alikes=0, seed=3)
    scale = dataclasses.replace(QUICK, repeats=1)
    compared = compare_starter(path, hidden.question, scale, num_threads=1)
    assert compared.details["same_answer"]
    assert compared.details["reply_tokens"]["baseline"] >= compared.details["chunks"]
    assert compared.ratio > 0
