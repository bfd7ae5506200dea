"""Stand-ins for tokens: never fewer than the tokens of real vocabularies, and they join to the text."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.backends.http.counting import fewest_tokens, join, stand_ins
from engine.backends.native import NativeModel
from engine.backends.tokenization import utf8_safe

SHARED = Path(__file__).parents[4] / "shared" / "data"
VOCABULARIES = ("llama-spm", "phi-3", "deepseek-coder", "falcon", "gpt-2", "gpt-neox")
SUFFIXES = {".txt", ".md", ".json", ".jsonl", ".tsv", ".csv"}
SAMPLE_CHARS = 2000
NUM_SAMPLES = 150


@pytest.fixture(scope="module")
def samples() -> list[str]:
    """Pieces of prose, tables and JSON in many languages and scripts, the same ones every time."""
    paths = sorted(
        path for path in SHARED.rglob("*") if path.suffix in SUFFIXES and path.stat().st_size < 3e7
    )
    if not paths:
        pytest.skip("the shared texts are not here")
    chance = random.Random(7)
    found: list[str] = []
    while len(found) < NUM_SAMPLES:
        with chance.choice(paths).open("rb") as file:
            size_bytes = file.seek(0, 2)
            file.seek(chance.randrange(max(1, size_bytes - 4 * SAMPLE_CHARS)))
            text = file.read(4 * SAMPLE_CHARS).decode("utf-8", "ignore")[:SAMPLE_CHARS]
        if len(text) > SAMPLE_CHARS // 4:
            found.append(text)
    return found


@pytest.fixture(scope="module", params=[*VOCABULARIES, "starter"])
def vocabulary(request: pytest.FixtureRequest) -> Iterator[NativeModel]:
    if request.param == "starter":
        path: Path = request.getfixturevalue("starter_path")
    else:
        path = SHARED / "fixtures" / "tokenizers" / "llama.cpp" / f"ggml-vocab-{request.param}.gguf"
    if not path.exists():
        pytest.skip(f"no vocabulary {path.name} in the shared data")
    loaded = NativeModel(path, vocab_only=True)
    yield loaded
    loaded.free()


def test_they_are_never_too_few(samples: list[str], vocabulary: NativeModel) -> None:
    for text in samples:
        num_tokens = len(vocabulary.raw_tokenize(text.encode(), parse_special=False))
        assert fewest_tokens(text) <= num_tokens <= len(stand_ins(text)), text[:200]


def test_on_prose_they_are_about_twice_as_many() -> None:
    prose = "The keeper of the light went down to the harbour every morning, and counted the boats. " * 20
    assert 1.5 < len(stand_ins(prose)) / (18 * 20) < 3


def test_other_scripts_cost_their_bytes() -> None:
    assert len(stand_ins("日本語")) == 9
    assert len(stand_ins("é")) == 2


@given(text=st.text(max_size=300))
def test_they_join_to_the_text(text: str) -> None:
    assert join(stand_ins(text)) == utf8_safe(text)


@given(texts=st.lists(st.text(max_size=40), max_size=5))
def test_they_tell_different_texts_apart(texts: list[str]) -> None:
    assert len({tuple(stand_ins(text)) for text in texts}) == len({utf8_safe(text) for text in texts})


@given(text=st.text(max_size=300))
def test_the_bounds_are_in_order(text: str) -> None:
    assert fewest_tokens(text) <= len(stand_ins(text))
