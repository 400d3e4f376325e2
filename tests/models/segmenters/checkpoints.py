"""State dicts with the names and shapes of torchvision's, HSNet's and SSP's files, and the features they stand for.

The reference is plain functional code on those names, so that nothing of the package checks itself.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

State = dict[str, Tensor]


def add_conv(state: State, name: str, out: int, into: int, kernel: int, bias: bool = False) -> None:
    state[f"{name}.weight"] = torch.randn(out, into, kernel, kernel) / (into * kernel * kernel) ** 0.5
    if bias:
        state[f"{name}.bias"] = torch.randn(out) / 10


def add_norm(state: State, name: str, channels: int, counts: bool = True) -> None:
    state[f"{name}.weight"] = torch.rand(channels) + 0.5
    state[f"{name}.bias"] = torch.randn(channels) / 10
    state[f"{name}.running_mean"] = torch.randn(channels) / 10
    state[f"{name}.running_var"] = torch.rand(channels) + 0.5
    if counts:
        state[f"{name}.num_batches_tracked"] = torch.tensor(7)


def add_stages(state: State, stem: int, planes: int, depths: Sequence[int], counts: bool = True) -> None:
    """Bottleneck stages: planes, 2 planes, ... wide inside, four times as wide outside."""
    into = stem
    for stage, depth in enumerate(depths, start=1):
        inner = planes * 2 ** (stage - 1)
        for block in range(depth):
            name = f"layer{stage}.{block}"
            sizes = ((inner, into, 1), (inner, inner, 3), (4 * inner, inner, 1))
            for number, (out, channels, kernel) in enumerate(sizes, start=1):
                add_conv(state, f"{name}.conv{number}", out, channels, kernel)
                add_norm(state, f"{name}.bn{number}", out, counts)
            if block == 0:
                add_conv(state, f"{name}.downsample.0", 4 * inner, into, 1)
                add_norm(state, f"{name}.downsample.1", 4 * inner, counts)
            into = 4 * inner


def torchvision_state(depths: Sequence[int], stem: int = 4, planes: int = 4, counts: bool = True) -> State:
    """A bottleneck ResNet's, classifier included."""
    torch.manual_seed(3)
    state: State = {}
    add_conv(state, "conv1", stem, 3, 7)
    add_norm(state, "bn1", stem, counts)
    add_stages(state, stem, planes, depths, counts)
    state["fc.weight"], state["fc.bias"] = torch.randn(10, 32 * planes), torch.randn(10)
    return state


def hsnet_state(depths: Sequence[int]) -> State:
    """What HSNet's authors save: DataParallel's prefix, the whole backbone, the learner.

    Args:
        depths: blocks of the backbone's four stages.
    """
    inside = {f"backbone.{key}": value for key, value in torchvision_state(depths).items()}
    torch.manual_seed(4)
    learner: State = {}
    squeezing = {2: (5, 5, 3), 3: (5, 3, 3), 4: (3, 3, 3)}
    blocks = {f"encoder_layer{s}": ((depths[s - 1], 16, 64, 128), kernels) for s, kernels in squeezing.items()}
    blocks |= dict.fromkeys(("encoder_layer4to3", "encoder_layer3to2"), ((128,) * 4, (3, 3, 3)))
    for name, (channels, kernels) in blocks.items():
        for i, kernel in enumerate(kernels):
            for half in ("conv1", "conv2"):
                add_conv(learner, f"{name}.{3 * i}.{half}", channels[i + 1], channels[i], kernel, bias=True)
            learner[f"{name}.{3 * i + 1}.weight"] = torch.rand(channels[i + 1]) + 0.5
            learner[f"{name}.{3 * i + 1}.bias"] = torch.randn(channels[i + 1]) / 10
    for name, out, into in (("1.0", 128, 128), ("1.2", 64, 128), ("2.0", 64, 64), ("2.2", 2, 64)):
        add_conv(learner, f"decoder{name}", out, into, 3, bias=True)
    whole = inside | {f"hpn_learner.{key}": value for key, value in learner.items()}
    return {f"module.{key}": value for key, value in whole.items()}


def ssp_state(depths: Sequence[int], planes: int = 4) -> State:
    """What SSP's authors save: the first three stages of a ResNet with a deep stem."""
    torch.manual_seed(5)
    state: State = {}
    for index, out, into in ((0, planes, 3), (3, planes, planes), (6, 2 * planes, planes)):
        add_conv(state, f"layer0.0.{index}", out, into, 3)
        if index < 6:
            add_norm(state, f"layer0.0.{index + 1}", out)
    add_norm(state, "layer0.1", 2 * planes)
    add_stages(state, 2 * planes, planes, depths)
    return state


def norm(state: State, name: str, x: Tensor) -> Tensor:
    mean, var = state[f"{name}.running_mean"], state[f"{name}.running_var"]
    return F.batch_norm(x, mean, var, state[f"{name}.weight"], state[f"{name}.bias"], eps=1e-5)


def bottleneck(state: State, name: str, x: Tensor, stride: int = 1, dilation: int = 1) -> Tensor:
    """A block's output before its last ReLU; the stride is in the 3 x 3 convolution."""
    y = norm(state, f"{name}.bn1", F.conv2d(x, state[f"{name}.conv1.weight"])).relu()
    y = F.conv2d(y, state[f"{name}.conv2.weight"], stride=stride, padding=dilation, dilation=dilation)
    y = norm(state, f"{name}.bn2", y).relu()
    y = norm(state, f"{name}.bn3", F.conv2d(y, state[f"{name}.conv3.weight"]))
    if f"{name}.downsample.0.weight" in state:
        x = F.conv2d(x, state[f"{name}.downsample.0.weight"], stride=stride)
        x = norm(state, f"{name}.downsample.1", x)
    return y + x


def torchvision_taps(state: State, x: Tensor, depths: Sequence[int]) -> list[Tensor]:
    """Every block's output before its last ReLU, in order."""
    x = norm(state, "bn1", F.conv2d(x, state["conv1.weight"], stride=2, padding=3)).relu()
    x = F.max_pool2d(x, 3, stride=2, padding=1)
    taps = []
    for stage, depth in enumerate(depths, start=1):
        for block in range(depth):
            taps.append(bottleneck(state, f"layer{stage}.{block}", x, 2 if stage > 1 and block == 0 else 1))
            x = taps[-1].relu()
    return taps


def ssp_features(state: State, x: Tensor, depths: Sequence[int]) -> Tensor:
    """The third stage's output, the last block not rectified: (N, C, H / 8, W / 8)."""
    x = norm(state, "layer0.0.1", F.conv2d(x, state["layer0.0.0.weight"], stride=2, padding=1)).relu()
    x = norm(state, "layer0.0.4", F.conv2d(x, state["layer0.0.3.weight"], padding=1)).relu()
    x = norm(state, "layer0.1", F.conv2d(x, state["layer0.0.6.weight"], padding=1)).relu()
    x = F.max_pool2d(x, 3, stride=2, padding=1)
    for block in range(depths[0]):
        x = bottleneck(state, f"layer1.{block}", x).relu()
    for block in range(depths[1]):
        x = bottleneck(state, f"layer2.{block}", x, stride=2 if block == 0 else 1).relu()
    for block in range(depths[2]):
        last = bottleneck(state, f"layer3.{block}", x, dilation=2 if block > 0 else 1)
        x = last.relu()
    return last
