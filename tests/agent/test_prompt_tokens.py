"""Token ids that a plan holds are those that the prompt would get without them."""

import dataclasses
from pathlib import Path

import pytest

from engine.agent.config import Mode
from engine.agent.memory import EMPTY
from engine.agent.prompts import STANDARD, STARTER, PromptSet
from engine.agent.steps import read_request
from engine.backends.llamacpp import LlamaCppBackend
from engine.backends.wishes import Wishes
from engine.models.catalogue import BUNDLED
from tests.agent.building import plan_of

PAGES = [
    "The   harbour\nis old.  It has 4 basins <|s1|> and <|none|> a light. 日本語 é 👩‍👩‍👧.",
    "A very long line " + "of words and 1234567890 digits " * 40 + "ends. " + "\ud800 odd.",
]


@pytest.mark.parametrize("mode", [Mode.EXTRACTIVE, Mode.GATED])
@pytest.mark.parametrize("prompts", [STARTER, STANDARD])
def test_known_ids_change_nothing(mode: Mode, prompts: PromptSet, tmp_path: Path) -> None:
    if mode not in prompts.modes:
        pytest.skip(f"{prompts.name} has no prompt for {mode}")
    backend = LlamaCppBackend(BUNDLED, wishes=Wishes(num_threads=1, num_sequences=1))
    plan = plan_of(backend, PAGES, mode=mode, prompts=prompts, chunk_tokens=80, memory_tokens=40)
    assert len(plan.chunks) > 3
    for chunk in plan.chunks:
        prompt = read_request(plan, chunk, EMPTY).prompt
        assert sum(segment.token_ids is not None for segment in prompt) == len(chunk.units)
        bare = tuple(dataclasses.replace(segment, token_ids=None) for segment in prompt)
        assert backend.encode(prompt) == backend.encode(bare)
    backend.close()
