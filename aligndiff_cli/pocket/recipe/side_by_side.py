"""One batch's gradients, computed by several threads."""

from __future__ import annotations

import copy
from concurrent.futures import ThreadPoolExecutor

from torch import Tensor

from aligndiff_cli.pocket.recipe.denoiser import Batch, Denoiser, v_loss


class SideBySide:
    """Gradients of one batch, its parts computed in threads of their own.

    With one core per thread (OMP_NUM_THREADS=1) the threads meet once per step. Threads inside each operation
    meet thousands of times, which is slow on a machine that does other work as well.

    Args:
        model: gets the gradients.
        parts: number of threads; the batch size must be a multiple of it.
        half: compute in bfloat16, on processors that do so faster (the weights stay in single precision).
    """

    def __init__(self, model: Denoiser, parts: int, half: bool = False) -> None:
        self.model = model
        if half:
            self.replicas = [copy.deepcopy(model).bfloat16() for _ in range(parts)]
        else:
            self.replicas = [model, *(copy.deepcopy(model) for _ in range(parts - 1))]
            for replica in self.replicas[1:]:
                for own, shared in zip(replica.parameters(), model.parameters(), strict=True):
                    own.data = shared.data  # one storage: the optimizer's steps reach every replica
        self._half = half
        self._pool = ThreadPoolExecutor(parts)

    def backward(self, alphas_bar: Tensor, batch: Batch) -> float:
        """Leave the gradients of the mean loss in the model; returns that loss."""
        for replica in self.replicas:
            replica.zero_grad(set_to_none=True)
            if self._half:
                for own, shared in zip(replica.parameters(), self.model.parameters(), strict=True):
                    own.data.copy_(shared.data)
        parts = batch.parts(len(self.replicas))
        losses = list(self._pool.map(self._one, self.replicas, [alphas_bar] * len(parts), parts))
        for shared, *copies in zip(self.model.parameters(), *(r.parameters() for r in self.replicas), strict=True):
            first, *others = (p.grad.float() for p in copies)
            shared.grad = sum(others, first)
        return sum(losses)

    def _one(self, replica: Denoiser, alphas_bar: Tensor, part: Batch) -> float:
        loss = v_loss(replica, alphas_bar, part) / len(self.replicas)
        loss.backward()
        return loss.item()
