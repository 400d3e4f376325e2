"""Batch renormalization (Ioffe 2017), which PIFS puts in the place of batch normalization for few-shot steps."""

from __future__ import annotations

import torch
from torch import Tensor, nn

R_MAX, D_MAX = 3.0, 5.0


class BatchRenorm2d(nn.BatchNorm2d):
    """Normalises by the batch as batch normalization does, corrected towards the running statistics.

    x_hat = (x - mu_B) / sigma_B * r + d with r = sigma_B / sigma in [1 / R_MAX, R_MAX] and d = (mu_B - mu) / sigma in
    [-D_MAX, D_MAX], both taken as constants. In eval mode it is batch normalization.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, h, w) -> (N, C, h, w)."""
        if not self.training or self.running_mean is None or self.running_var is None:
            return super().forward(input)
        variance, mean = torch.var_mean(input, (0, 2, 3), unbiased=False)
        sigma_b, sigma = (variance + self.eps).sqrt(), (self.running_var + self.eps).sqrt()
        r = (sigma_b / sigma).detach().clamp(1 / R_MAX, R_MAX)
        d = ((mean - self.running_mean) / sigma).detach().clamp(-D_MAX, D_MAX)
        factor = self.weight * r / sigma_b
        shift = self.bias + self.weight * d - mean * factor
        with torch.no_grad():
            self.running_mean.lerp_(mean.detach(), self.momentum or 0.1)
            self.running_var.lerp_(variance.detach(), self.momentum or 0.1)
        return torch.addcmul(shift.view(1, -1, 1, 1), input, factor.view(1, -1, 1, 1))


def renormalise(model: nn.Module) -> None:
    """Let every batch normalization of a model renormalise from now on; parameters and statistics are kept."""
    for module in model.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = BatchRenorm2d
