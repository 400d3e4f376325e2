"""Batch renormalization (Ioffe 2017), which PIFS puts in the place of batch normalization for few-shot steps."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class BatchRenorm2d(nn.BatchNorm2d):
    """Normalises by the batch as batch normalization does, corrected to the running statistics, which stay as they are.

    x_hat = (x - mu_B) / sigma_B * r + d with r = sigma_B / sigma and d = (mu_B - mu) / sigma, both taken as constants.
    So the values are those of batch normalization in eval mode, and only the gradient knows of the batch. As in PIFS,
    and unlike Ioffe's, r and d have no bounds and mu, sigma never move: a few pictures of one class must not overwrite
    what the base classes were learnt with.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, h, w) -> (N, C, h, w)."""
        if not self.training or self.running_mean is None or self.running_var is None:
            return super().forward(input)
        variance, mean = torch.var_mean(input.float(), (0, 2, 3), unbiased=False)
        sigma_b, sigma = (variance + self.eps).sqrt(), (self.running_var + self.eps).sqrt()
        r = (sigma_b / sigma).detach()
        d = ((mean - self.running_mean) / sigma).detach()
        factor = self.weight * r / sigma_b
        shift = self.bias + self.weight * d - mean * factor
        return torch.addcmul(shift.view(1, -1, 1, 1), input, factor.view(1, -1, 1, 1))


def renormalise(model: nn.Module) -> None:
    """Let every batch normalization of a model renormalise from now on; parameters and statistics are kept."""
    for module in model.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = BatchRenorm2d
