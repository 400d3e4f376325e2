"""One training step as a CUDA graph: gradients in bfloat16, weights, moments and averages in single precision."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from aligndiff_cli.pocket.recipe.denoiser import Batch, Denoiser, v_loss
from aligndiff_cli.pocket.recipe.diffusion import EMA_DECAY, DiffusionOptions, parameter_groups
from aligndiff_cli.pocket.recipe.text import MAX_TOKENS, WIDTH

WARM_UP = 4


class CapturedStep:
    """A step of the training on samples drawn beforehand; noise and noise levels are drawn on the device.

    Off a GPU the same step is run as it is, in single precision.

    Args:
        model: the weights; trained in place.
        mean: averages of its parameters by name; updated in place.
        latents: (N, C, h, w), which samples refer to by index.
        scale: latents times this have unit variance.
        alphas_bar: the noise schedule's.
        batch: samples per step.
    """

    def __init__(
        self, model: Denoiser, mean: dict[str, Tensor], latents: Tensor, scale: float, alphas_bar: Tensor, batch: int
    ) -> None:
        self.model, self.latents, self.scale, self.alphas_bar, self.batch = model, latents, scale, alphas_bar, batch
        device, self._cuda = latents.device, latents.device.type == "cuda"
        self._half = copy.deepcopy(model)
        if self._cuda:
            self._half = self._half.to(torch.bfloat16)
            self._half.unet.compile(dynamic=False)
        self._masters: list[Tensor] = list(model.parameters())
        self._halves: list[Tensor] = list(self._half.parameters())
        self._mean = [mean[name] for name, _ in model.named_parameters()]
        for parameter in self._masters:
            parameter.grad = torch.zeros_like(parameter)
        groups = parameter_groups(model)
        self._rates = [(torch.zeros((), device=device), group["lr"]) for group in groups]
        self.optimizer = torch.optim.AdamW(
            [{**group, "lr": rate} for group, (rate, _) in zip(groups, self._rates, strict=True)],
            weight_decay=1e-2,
            betas=(0.9, 0.99),
            fused=self._cuda,
            capturable=self._cuda,
        )
        kinds = (torch.int64, torch.int64, torch.int64, torch.int64, torch.bool)
        shapes = ((batch,), (batch,), (batch, MAX_TOKENS), (batch,), (batch,))
        self._inputs = [torch.zeros(s, dtype=k, device=device) for s, k in zip(shapes, kinds, strict=True)]
        self._inputs[2][:] = model.empty
        self._inputs[3].fill_(-1)
        self._sum = torch.zeros((), device=device)
        self._graph: torch.cuda.CUDAGraph | None = None
        if self._cuda:
            self._capture()

    def run(self, samples: list[Tensor], share: float) -> None:
        """One step on samples (as `passes.Captions`, one batch), at this share of the peak rates."""
        for rate, peak in self._rates:
            rate.fill_(peak * share)
        for own, given in zip(self._inputs, samples, strict=True):
            own.copy_(given, non_blocking=True)
        if self._graph is None:
            self._body()
        else:
            self._graph.replay()

    def loss(self, steps: int) -> float:
        """Mean loss of so many last steps, all since this was asked last."""
        value = self._sum.item() / steps
        self._sum.zero_()
        return value

    def restore(self, weights: list[Tensor]) -> None:
        """Go back to these averages, with new moments."""
        with torch.no_grad():
            for own in (self._masters, self._mean):
                torch._foreach_copy_(own, weights)
        for moments in self.optimizer.state.values():
            for value in moments.values():
                value.zero_()
        self._sum.zero_()

    def averages(self) -> list[Tensor]:
        """A copy of them, as `restore` takes it."""
        return [mean.clone() for mean in self._mean]

    def _body(self) -> None:
        index, other, tokens, at, bare = self._inputs
        with torch.no_grad():
            torch._foreach_copy_(self._halves, self._masters)
        x0 = self.latents[index].float() * self.scale
        u = torch.rand(self.batch, device=x0.device)
        u = torch.where(torch.rand(self.batch, device=x0.device) < DiffusionOptions.noisy_share, u.sqrt(), u)
        levels = len(self.alphas_bar)
        drawn = Batch(
            x0=x0,
            noise=torch.randn_like(x0),
            t=(u * levels).long().clamp(max=levels - 1),
            tokens=tokens,
            looks_at=at,
            other=self.latents[other].float() * self.scale,
            looks_noise=torch.randn(self.batch, WIDTH, device=x0.device),
            bare=bare,
        )
        for half in self._halves:
            half.grad = None
        loss = v_loss(self._half, self.alphas_bar, drawn)
        loss.backward()
        with torch.no_grad():
            torch._foreach_copy_(_gradients(self._masters), _gradients(self._halves))
            nn.utils.clip_grad_norm_(self._masters, 1.0, foreach=True)
            self.optimizer.step()
            torch._foreach_lerp_(self._mean, [p.detach() for p in self._masters], 1 - EMA_DECAY)
            self._sum += loss.detach()

    def _capture(self) -> None:
        """Record the step; the weights are as before."""
        weights, means = [p.detach().clone() for p in self._masters], self.averages()
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UP):
                self._body()
        torch.cuda.current_stream().wait_stream(side)
        torch.cuda.synchronize()
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._body()
        self.restore(weights)
        with torch.no_grad():
            torch._foreach_copy_(self._mean, means)
        torch.cuda.synchronize()


def _gradients(parameters: list[Tensor]) -> list[Tensor]:
    return [parameter.grad for parameter in parameters if parameter.grad is not None]
