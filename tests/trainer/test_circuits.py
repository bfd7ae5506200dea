"""The circuits laid out in the weights do, before any training, what they are said to do."""

import pytest
import torch

from trainer.circuits import lay_out
from trainer.model import Shape, build_model
from trainer.tokens import Codec


def test_a_string_that_comes_twice_is_copied_the_second_time(codec: Codec) -> None:
    shape = Shape(vocabulary=len(codec))
    model = build_model(shape, codec, seed=1)
    lay_out(model, codec)
    generator = torch.Generator().manual_seed(2)
    string = torch.randint(len(codec.special), len(codec), (16, 30), generator=generator)
    ids = torch.cat([string, string], dim=1)
    with torch.no_grad():
        said = model(ids)[:, 31:-1].argmax(-1)
    right = (said == ids[:, 32:]).float().mean()
    untouched = build_model(shape, codec, seed=1)
    with torch.no_grad():
        chance = (untouched(ids)[:, 31:-1].argmax(-1) == ids[:, 32:]).float().mean()
    assert chance < 0.02
    assert right > 0.1


def test_a_network_too_small_for_the_circuits_is_refused(codec: Codec) -> None:
    small = build_model(Shape(hidden=32, layers=2, heads=2, kv_heads=1, vocabulary=len(codec)), codec)
    with pytest.raises(ValueError, match="three"):
        lay_out(small, codec)
