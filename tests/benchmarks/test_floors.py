"""llama.cpp's own rates: as many calls as said, spread summed up rightly. How fast it is is not tested."""

import itertools
from contextlib import closing
from pathlib import Path

import pytest

from benchmarks.floors import Bench, Settings, Spread
from engine.backends.native import library


def test_spread() -> None:
    assert Spread.of([3.0, 1.0, 10.0]) == Spread(median=3.0, lowest=1.0, highest=10.0, repeats=3)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Tokens and outputs of every call of llama.cpp."""
    lib = library()
    seen: list[tuple[int, int]] = []
    decode = lib.llama_decode

    def spy(context: object, batch: object) -> object:
        count = batch.n_tokens  # type: ignore[attr-defined]
        seen.append((count, sum(batch.logits[index] for index in range(count))))  # type: ignore[attr-defined]
        return decode(context, batch)

    monkeypatch.setattr(lib, "llama_decode", spy)
    return seen


def test_prompt_is_computed_in_batches(small_model: Path, calls: list[tuple[int, int]]) -> None:
    bench = Bench(small_model, Settings(num_threads=1, batch_tokens=64))
    with closing(bench.prompt_rates(150)) as rates:
        rate = Spread.of(itertools.islice(rates, 2))
    bench.close()
    assert calls == [(64, 1), (64, 1), (22, 1)] * 3  # one round is untimed
    assert rate.repeats == 2
    assert 0 < rate.lowest <= rate.median <= rate.highest


def test_replies_grow_side_by_side(small_model: Path, calls: list[tuple[int, int]]) -> None:
    bench = Bench(small_model, Settings(num_threads=1, batch_tokens=64))
    with closing(bench.decode_rates(4, depth=100, num_parallel=3)) as rates:
        assert next(rates) > 0
    bench.close()
    assert calls == ([(64, 1), (36, 1)] * 3 + [(3, 3)] * 4) * 2
