"""Updates of the weights: those that are refused, and the course of the learning rate."""

import pytest
import torch

from engine.errors import PalimpsestError, TrainerMissingError
from tests.trainer.rl.conftest import make_model
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
    config = OptimizerConfig(lr=1.0, warmup=4, decay_from=6, decay=4)
    expected = [0.25, 0.5, 0.75, 1, 1, 1, 1, 0.75, 0.5, 0.25, 0.01, 0.01]
    assert _rates(config, 12) == pytest.approx(expected)


def test_without_a_fall_the_rate_stays() -> None:
    assert _rates(OptimizerConfig(lr=1.0, warmup=0), 3) == [1, 1, 1]


@pytest.mark.parametrize("values", [{"decay": -1}, {"decay_from": -1, "decay": 1}, {"decay_from": 3}])
def test_impossible_courses_are_refused(values: dict[str, int]) -> None:
    with pytest.raises(PalimpsestError, match=r"optimizer\.decay"):
        OptimizerConfig(**values)  # type: ignore[arg-type]  # a mapping of one type for fields of several


def test_an_update_that_is_not_finite_changes_nothing() -> None:
    model = make_model()
    stepper = Stepper(model, OptimizerConfig(lr=0.1, warmup=2))
    before = [p.detach().clone() for p in model.parameters()]
    for value in (float("nan"), float("inf")):
        for parameter in model.parameters():
            parameter.grad = torch.full_like(parameter, value)
        assert stepper.step() is None
    assert stepper.num_updates == 0
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    count = sum(p.numel() for p in model.parameters())
    assert stepper.step() == pytest.approx(count**0.5, rel=1e-5)
    assert stepper.rate == pytest.approx(0.1)


def test_the_8_bit_optimizer_is_refused_by_name_where_it_is_missing() -> None:
    with pytest.raises(TrainerMissingError, match="bitsandbytes"):
        Stepper(make_model(), OptimizerConfig(is_8bit=True))
