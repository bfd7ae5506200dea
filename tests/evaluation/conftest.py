"""The bundled model, opened once, and text of the tests' own."""

import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.agent.config import ReadingConfig
from engine.agent.plan import default_config
from engine.agent.prompts import PromptSet
from engine.backends.base import Backend
from engine.backends.wishes import Wishes
from engine.evaluation.haystack import TokenCounter
from engine.evaluation.sources import TextSource, source_of
from engine.evaluation.tasks.base import Materials
from engine.models.catalogue import BUNDLED
from engine.models.opening import open_model, prompts_for

_WEATHER = ("calm", "grey", "windy", "warm", "wet", "bright", "cold")


@pytest.fixture(scope="session")
def backend() -> Iterator[Backend]:
    if not BUNDLED.is_file():
        pytest.skip("the bundled model is not in this checkout")
    opened = open_model(BUNDLED, wishes=Wishes(num_threads=1))
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def prompts(backend: Backend) -> PromptSet:
    return prompts_for(backend, BUNDLED)


@pytest.fixture(scope="session")
def config(backend: Backend, prompts: PromptSet) -> ReadingConfig:
    return default_config(backend, prompts)


@pytest.fixture(scope="session")
def counter(backend: Backend) -> TokenCounter:
    return TokenCounter(backend.tokenize)


@functools.cache
def boats() -> TextSource:
    """The text. Hypothesis prints the arguments of a test that fails, and this one is too long for it."""
    paragraphs = [
        f"On the morning of day {n} the sea was {_WEATHER[n % 7]} and the boats lay close to the wall. The crew of the "
        f"old ferry mended nets until noon. Nobody on the pier had seen a sail since the week before, and the "
        f"{_WEATHER[n * 3 % 7]} evening brought none."
        for n in range(400)
    ]
    return source_of("boats", paragraphs)


@pytest.fixture(scope="session")
def text() -> TextSource:
    return boats()


@pytest.fixture(scope="session")
def materials(text: TextSource, counter: TokenCounter) -> Materials:
    return Materials(text=text, counter=counter, seed=5)


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for files of questions."""
    return tmp_path_factory.mktemp("data")
