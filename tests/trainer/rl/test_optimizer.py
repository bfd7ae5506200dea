"""The course of the learning rate."""

import pytest
import torch

from engine.errors import PalimpsestError
from trainer.rl.optimizer import Stepper
from trainer.rl.recipe import OptimizerConfig


def _rates(config: OptimizerConfig, num_updates: int) -> list[float]:
    model = torch.nn.Linear(2, 2)
    stepper = Stepper(model, config)
    rates = []
    for _ in range(num_updates):
        model(torch.ones(1, 2)).sum().backward()
        rates.append(stepper.rate)
        assert stepper.step() is not None
        assert stepper.optimizer.param_groups[0]["lr"] == rates[-1]
    return rates


def test_warm_up_hold_and_fall() -> None:
    config = OptimizerConfig(lr=1.0, warmup=2, decay_from=4, decay=4)
    assert _rates(config, 10) == pytest.approx([0.5, 1, 1, 1, 1, 0.75, 0.5, 0.25, 0.01, 0.01])


def test_without_a_fall_the_rate_stays() -> None:
    assert _rates(OptimizerConfig(lr=1.0, warmup=0), 3) == [1, 1, 1]


@pytest.mark.parametrize("values", [{"decay": -1}, {"decay_from": -1, "decay": 1}, {"decay_from": 3}])
def test_impossible_courses_are_refused(values: dict[str, int]) -> None:
    with pytest.raises(PalimpsestError, match=r"optimizer\.decay"):
        OptimizerConfig(**values)  # type: ignore[arg-type]  # a mapping of one type for fields of several
