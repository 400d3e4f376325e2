"""SAM and SAM 2 on small random models, and the geometry of prompts and answers on a network that echoes its prompt."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from aligndiff_cli.errors import ModelError
from aligndiff_cli.method.consensus import iou
from aligndiff_cli.models.sam import Sam, load_sam
from tests.models.sams import KINDS, save_sam

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=KINDS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_sam(request.param, tmp_path_factory.mktemp(request.param))


def picture(seed: int, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    mask = np.zeros((height, width), bool)
    mask[height // 4 : height // 2, width // 3 : -2] = True
    return rng.integers(0, 255, (height, width, 3), dtype=np.uint8), mask


def test_answers_have_each_images_own_size_and_no_batch_mates(folder: Path) -> None:
    sam = load_sam(folder)
    pairs = [picture(0, 40, 90), picture(1, 90, 50), picture(2, 64, 64)]
    together = sam.masks([image for image, _ in pairs], [mask for _, mask in pairs])
    for (image, mask), answers in zip(pairs, together, strict=True):
        assert [answer.shape for answer in answers] == [mask.shape] * 3
        assert all(answer.dtype == bool for answer in answers)
        alone = sam.masks([image], [mask])[0]
        assert min(np.mean(a == b) for a, b in zip(alone, answers, strict=True)) > 0.99


def test_answers_depend_on_image_and_mask(folder: Path) -> None:
    sam = load_sam(folder)
    image, mask = picture(0, 40, 90)
    answers = np.array(sam.masks([image], [mask])[0])
    assert (answers != np.array(sam.masks([255 - image], [mask])[0])).any()
    assert (answers != np.array(sam.masks([image], [mask[::-1, ::-1]])[0])).any()


def test_every_weight_is_the_files(folder: Path) -> None:
    """Of SAM 2's video model too, which its checkpoints are of."""
    file = load_file(folder / "model.safetensors")
    own = load_sam(folder).net.state_dict()
    assert all(torch.equal(own[key], file[key]) for key in own if key in file)
    # tied in SAM: one tensor under two names
    assert {key for key in own if key not in file} <= {"prompt_encoder.shared_embedding.positional_embedding"}


def test_the_network_is_given_what_it_expects(folder: Path) -> None:
    """Once more through the plain model, with the inputs laid out by hand for a square image of the network's size."""
    sam = load_sam(folder)
    image, mask = picture(3, sam.side, sam.side)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    pixels = ((torch.tensor(image) / 255 - mean) / std).permute(2, 0, 1)[None]
    quarter = torch.tensor(mask).float().view(1, 1, sam.side // 4, 4, sam.side // 4, 4).mean((3, 5))
    top, bottom, left, right = sam.side // 4, sam.side // 2 - 1, sam.side // 3, sam.side - 3
    with torch.no_grad():
        logits = sam.net(
            pixel_values=pixels,
            input_boxes=torch.tensor([[[left, top, right, bottom]]], dtype=torch.float32),
            input_points=torch.tensor([[[[*sam_point(mask)]]]], dtype=torch.float32),
            input_labels=torch.ones(1, 1, 1, dtype=torch.int32),
            input_masks=(2 * quarter - 1) * 10,
        ).pred_masks[0, 0]
        expected = nn.functional.interpolate(logits[None], (sam.side,) * 2, mode="bilinear")[0] > 0
    np.testing.assert_array_equal(np.array(sam.masks([image], [mask])[0]), expected.numpy())


def sam_point(mask: np.ndarray) -> tuple[int, int]:
    from aligndiff_cli.method.sharpening import deepest

    return deepest(mask)


class Echo(nn.Module):
    """Answers with the mask it was prompted with, and keeps what it was given."""

    device = torch.device("cpu")

    def __init__(self, kind: str) -> None:
        super().__init__()
        prompts = SimpleNamespace(image_size=64, patch_size=16)
        self.config = SimpleNamespace(model_type=kind, prompt_encoder_config=prompts)

    def forward(self, multimask_output: bool, **inputs: Tensor) -> SimpleNamespace:
        assert multimask_output
        self.inputs = inputs
        return SimpleNamespace(pred_masks=inputs["input_masks"][:, None])


@pytest.mark.parametrize(
    ("kind", "shape", "shown", "box", "point"),
    [
        # a mask of rows 8 to 23 and columns 16 to 39; SAM scales the longer side to 64, SAM 2 both
        ("sam", (32, 80), (26, 64), (12.8, 6.5, 31.2, 18.6875), (21.6, 12.1875)),
        ("sam", (128, 64), (64, 32), (8.0, 4.0, 19.5, 11.5), (13.5, 7.5)),
        ("sam2", (32, 80), (64, 64), (12.8, 16.0, 31.2, 46.0), (21.6, 30.0)),
    ],
)
def test_prompts_by_hand_and_answers_where_they_belong(
    kind: str, shape: tuple, shown: tuple, box: tuple, point: tuple
) -> None:
    net = Echo(kind)
    sam = Sam(net, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))  # type: ignore[arg-type]
    mask = np.zeros(shape, bool)
    mask[8:24, 16:40] = True
    white = np.full((*shape, 3), 255, np.uint8)
    answer = sam.masks([white], [mask])[0][0]
    assert sam.shown(shape) == shown
    assert answer.shape == shape
    assert iou(answer, mask) > 0.75
    torch.testing.assert_close(net.inputs["input_boxes"], torch.tensor([[box]]))
    torch.testing.assert_close(net.inputs["input_points"], torch.tensor([[[point]]]))
    assert net.inputs["input_labels"].tolist() == [[[1]]]
    pixels = net.inputs["pixel_values"]
    assert pixels.shape == (1, 3, 64, 64)
    torch.testing.assert_close(pixels[..., : shown[0], : shown[1]], torch.ones(1, 3, *shown))
    assert int(pixels.count_nonzero()) == 3 * shown[0] * shown[1]
    logits = net.inputs["input_masks"]
    assert logits.shape == (1, 1, 16, 16)
    assert logits.min() == -10
    assert 8 < logits.max() <= 10


def test_what_is_no_sam_is_said(tmp_path: Path) -> None:
    folder = save_sam("sam", tmp_path)
    tensors = load_file(folder / "model.safetensors")
    del tensors["mask_decoder.iou_token.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"lacks 1 weights, e\.g\. mask_decoder\.iou_token\.weight"):
        load_sam(folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "resnet"}))
    with pytest.raises(ModelError, match="a resnet, neither a SAM nor a SAM 2"):
        load_sam(folder)
    (folder / "config.json").unlink()
    with pytest.raises(ModelError, match=r"config\.json cannot be read"):
        load_sam(folder)
    with pytest.raises(ModelError, match="no such model folder"):
        load_sam("nowhere")


class Filled(nn.Module):
    """Answers every box with all of the network's square, and keeps what it was given."""

    device = torch.device("cpu")
    config = SimpleNamespace(model_type="sam", prompt_encoder_config=SimpleNamespace(image_size=64, patch_size=16))

    def forward(self, multimask_output: bool, **inputs: Tensor) -> SimpleNamespace:
        assert not multimask_output
        self.inputs = inputs
        return SimpleNamespace(pred_masks=torch.ones(1, inputs["input_boxes"].shape[1], 1, 16, 16))


def test_boxes_by_hand() -> None:
    """An image of 32 x 80 is seen at 26 x 64: x by 0.8, y by 26 / 32; an answer is cut at its box."""
    net = Filled()
    sam = Sam(net, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))  # type: ignore[arg-type]
    first, second = sam.boxed(np.zeros((32, 80, 3), np.uint8), [(10.0, 8.0, 30.0, 16.0), (0.0, 0.0, 80.4, 32.0)])
    torch.testing.assert_close(net.inputs["input_boxes"], torch.tensor([[[8.0, 6.5, 24.0, 13.0], [0, 0, 64.32, 26.0]]]))
    expected = np.zeros((32, 80), bool)
    expected[8:16, 10:30] = True
    np.testing.assert_array_equal(first, expected)
    assert second.all()


def test_each_box_has_its_own_answer(folder: Path) -> None:
    sam = load_sam(folder)
    image, _ = picture(4, 40, 90)
    boxes = [(5.0, 5.0, 60.0, 35.0), (40.0, 2.0, 88.0, 30.0)]
    together = sam.boxed(image, boxes)
    assert [mask.shape for mask in together] == [(40, 90)] * 2
    for box, mask in zip(boxes, together, strict=True):
        (alone,) = sam.boxed(image, [box])
        assert np.mean(alone == mask) > 0.99
