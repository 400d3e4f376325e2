"""Any diffusers scheduler by name, built from the model's own noise schedule."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from aligndiff_cli.errors import UsageError, first_line

SHORT_NAMES = {
    "ddim": "DDIMScheduler",
    "ddpm": "DDPMScheduler",
    "pndm": "PNDMScheduler",
    "euler": "EulerDiscreteScheduler",
    "euler-a": "EulerAncestralDiscreteScheduler",
    "heun": "HeunDiscreteScheduler",
    "dpm++": "DPMSolverMultistepScheduler",
    "dpm++-single": "DPMSolverSinglestepScheduler",
    "unipc": "UniPCMultistepScheduler",
    "deis": "DEISMultistepScheduler",
}


def build_scheduler(name: str | None, own: Any) -> Any:
    """A fresh scheduler.

    Args:
        name: a short name, the name of a diffusers class, or None for the model's own kind.
        own: the model's scheduler; its configuration and its list of compatible classes are used.

    Raises:
        UsageError: no such scheduler, it is for models that predict something else, or it needs a package that is not
            installed.
    """
    if name is None:
        return type(own).from_config(own.config)
    # Stable Diffusion's variant of PNDM; the configurations of other schedulers do not say so.
    config = {"skip_prk_steps": True, **own.config}
    classes = {cls.__name__: cls for cls in [type(own), *own.compatibles]}
    fitting = {full: cls for full, cls in classes.items() if cls is type(own) or _fits(cls, own)}
    full = SHORT_NAMES.get(name.lower(), name)
    shorts = [short for short, long in SHORT_NAMES.items() if long in fitting]
    known = f"Known: {', '.join(shorts + sorted(fitting))}"
    if full not in classes:
        raise UsageError(f"no scheduler for this model is called {name!r}", remedy=known)
    if full not in fitting:
        raise UsageError(
            f"the scheduler {name!r} is for models that predict something else than this one", remedy=known
        )
    try:
        return classes[full].from_config(config)
    except ImportError as error:
        raise UsageError(f"the scheduler {name!r} needs a package that is missing ({first_line(error)})") from error


def _fits(cls: Any, own: Any) -> bool:
    """Whether a scheduler can step what the model predicts.

    diffusers calls some compatible that take the same configuration and mean another parametrisation by it: with EDM's
    (Karras et al. 2022), known by its ``sigma_data``, the network's input and output are scaled otherwise.
    """
    settings = inspect.signature(cls.__init__).parameters
    predicts = own.config.get("prediction_type", "epsilon")
    if "kwargs" in settings:  # what stands for a class whose package is missing
        return True
    return "sigma_data" not in settings and (predicts == "epsilon" or "prediction_type" in settings)


def set_steps(scheduler: Any, steps: int, device: torch.device, told: Mapping[str, Any]) -> Tensor:
    """Prepare the scheduler for a number of steps; its noise levels, from noise to image.

    Args:
        told: what the model's family has to say besides, see ``DiffusionModel.schedule``.

    Raises:
        UsageError: it cannot do that many or that few.
    """
    try:
        with _unheard():
            scheduler.set_timesteps(steps, device=device, **told)
    except ValueError as error:
        raise UsageError(
            f"{type(scheduler).__name__} cannot sample in {steps} steps", remedy="Ask for another number of steps"
        ) from error
    return scheduler.timesteps


@contextmanager
def _unheard() -> Iterator[None]:
    """Keep the library's remarks off the terminal, such as that a setting is changed to suit the number of steps."""
    from diffusers.utils import logging as diffusers_logging

    level = diffusers_logging.get_verbosity()
    diffusers_logging.set_verbosity_error()
    try:
        yield
    finally:
        diffusers_logging.set_verbosity(level)


def scale_input(scheduler: Any, x_t: Tensor, t: Tensor) -> Tensor:
    """x_t as the denoiser wants it; schedulers of flow matching have no scaling of their own."""
    return scheduler.scale_model_input(x_t, t) if hasattr(scheduler, "scale_model_input") else x_t


def scheduler_step(scheduler: Any, output: Tensor, t: Tensor, x_t: Tensor, generators: list[torch.Generator]) -> Tensor:
    """x_t -> x_{t-1}; noise, where the scheduler adds any, comes from each item's own generator."""
    takes = inspect.signature(scheduler.step).parameters
    extra = {"generator": generators} if "generator" in takes else {}
    return scheduler.step(output, t, x_t, return_dict=False, **extra)[0]
