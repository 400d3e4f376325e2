from __future__ import annotations

import pytest
import torch
from torch import nn

from aligndiff_cli.models.semantic.batch_renorm import BatchRenorm2d, renormalise
from aligndiff_cli.models.semantic.deeplab import DeepLab


def pair() -> tuple[nn.BatchNorm2d, BatchRenorm2d]:
    """Equal ones, with weights and statistics of their own."""
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(3)
    with torch.no_grad():
        norm.weight.uniform_(0.5, 2)
        norm.bias.uniform_(-1, 1)
        norm.running_mean.uniform_(-1, 1)
        norm.running_var.uniform_(0.5, 2)
    other = BatchRenorm2d(3)
    other.load_state_dict(norm.state_dict())
    return norm, other


def one_channel(mean: float, variance: float) -> BatchRenorm2d:
    norm = BatchRenorm2d(1, eps=0.0)
    norm.running_mean.fill_(mean)
    norm.running_var.fill_(variance)
    return norm


def test_in_eval_mode_it_is_batch_normalization() -> None:
    norm, other = pair()
    x = torch.randn(2, 3, 4, 5)
    assert torch.equal(norm.eval()(x), other.eval()(x))


def test_where_batch_and_running_statistics_agree_it_is_batch_normalization() -> None:
    norm, other = pair()
    x = torch.randn(2, 3, 4, 5) * 3 + 1
    variance, mean = torch.var_mean(x, (0, 2, 3), unbiased=False)
    other.running_mean.copy_(mean)
    other.running_var.copy_(variance)
    torch.testing.assert_close(other(x), norm(x))


@pytest.mark.parametrize("spread", [1.0, 100.0])
def test_it_normalises_by_the_running_statistics_however_far_the_batch_is(spread: float) -> None:
    _, other = pair()
    x = torch.randn(2, 3, 4, 5) * spread + 10 * spread
    expected = other.eval()(x)
    torch.testing.assert_close(other.train()(x), expected, rtol=1e-4, atol=1e-4)


def test_the_value_by_hand() -> None:
    # batch: mean 20, deviation 10; running: mean 0, deviation 2. r = 5 and d = 10, neither of them bounded
    x = torch.tensor([10.0, 30.0]).view(1, 1, 1, 2)
    torch.testing.assert_close(one_channel(0, 4)(x).flatten(), torch.tensor([5.0, 15.0]))  # -1 * 5 + 10, 1 * 5 + 10


def test_weight_and_bias_come_last() -> None:
    norm = one_channel(0, 4)
    nn.init.constant_(norm.weight, 2.0)
    nn.init.constant_(norm.bias, 0.5)
    x = torch.tensor([10.0, 30.0]).view(1, 1, 1, 2)
    torch.testing.assert_close(norm(x).flatten(), torch.tensor([10.5, 30.5]))


def test_the_running_statistics_stay_those_of_the_base_stage() -> None:
    norm = BatchRenorm2d(2)
    for step in range(200):
        norm(torch.randn(4, 2, 3, 5, generator=torch.Generator().manual_seed(step)) + 3)
    assert norm.running_mean.tolist() == [0, 0]
    assert norm.running_var.tolist() == [1, 1]


def test_the_correction_is_a_constant_of_the_gradient() -> None:
    # so the gradient is that of batch normalization times r, here the batch's deviation over the running one
    values, running = torch.tensor([1.0, 4.0, 2.0]), 2.0
    sides = torch.tensor([1.0, -2.0, 0.5])
    plain = values.clone().requires_grad_()
    ((plain - plain.mean()) / plain.var(unbiased=False).sqrt() * sides).sum().backward()
    x = values.clone().requires_grad_()
    (one_channel(1.0, running**2)(x.view(1, 1, 1, 3)).flatten() * sides).sum().backward()
    assert plain.grad is not None
    torch.testing.assert_close(x.grad, plain.grad * values.var(unbiased=False).sqrt() / running)


def test_renormalising_a_model_keeps_its_parameters_and_its_answers(deeplab: DeepLab) -> None:
    x = torch.randint(0, 256, (1, 3, 48, 64), dtype=torch.uint8)
    with torch.no_grad():
        before = deeplab(x)
        state = {key: value.clone() for key, value in deeplab.state_dict().items()}
        renormalise(deeplab)
        renormalise(deeplab)
        assert torch.equal(deeplab(x), before)
    norms = [m for m in deeplab.modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms
    assert all(type(m) is BatchRenorm2d for m in norms)
    assert all(torch.equal(value, state[key]) for key, value in deeplab.state_dict().items())
