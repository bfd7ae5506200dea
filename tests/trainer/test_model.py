"""Attention as training computes it: in bfloat16 written out, else torch's own."""

import pytest
import torch

from trainer.model import _attend


@pytest.mark.parametrize(("heads", "groups", "length"), [(6, 3, 37), (4, 4, 16), (4, 1, 5)])
def test_attention_in_bfloat16_is_causal_attention(heads: int, groups: int, length: int) -> None:
    torch.manual_seed(0)
    shapes = [(2, heads, length, 8), (2, groups, length, 8), (2, groups, length, 8)]
    exact = [torch.randn(shape).bfloat16().float().requires_grad_() for shape in shapes]
    rounded = [value.detach().bfloat16().requires_grad_() for value in exact]
    wanted, got = _attend(*exact), _attend(*rounded)
    assert got.shape == wanted.shape
    assert torch.allclose(got.float(), wanted, atol=0.03)
    slopes = torch.autograd.grad(wanted.square().sum(), exact)
    rounded_slopes = torch.autograd.grad(got.float().square().sum(), rounded)
    for one, other in zip(slopes, rounded_slopes, strict=True):
        assert torch.cosine_similarity(one.flatten(), other.float().flatten(), dim=0) > 0.999
